"""warmnet's own names, of a state dict that stands alone. Files of `warmnet.save` say themselves what they are of."""

from __future__ import annotations

from typing import Any

from ...data.preprocessing import Preprocessing
from ...networks.families import FAMILIES
from . import timm
from .lineage import Lineage

LAYERS = "stem.conv", "stem.bn", "head.conv", "head.bn", "classifier"
BLOCKS = {kind: {layer: layer for layer in table} for kind, table in {**timm.BLOCKS, **timm.RESNET_BLOCKS}.items()}


def _lineage(family: Any) -> Lineage:
    """The lineage whose names are our paths."""
    return Lineage(
        name="warmnet",
        family=family,
        architectures={name: name for name in family.variants},
        layers={layer: layer for layer in LAYERS},
        blocks=BLOCKS,
        block_prefix=lambda stage, block, index, function: f"stage_{stage}.{function}_{block}.",
        options=lambda variant: {},
        preprocessing=lambda variant, architecture: Preprocessing(family(variant, device="meta").resolution),
        loading_code=lambda variant, classes, channels, path: f"warmnet.{family.__name__}.from_pretrained({path!r})",
    )


LINEAGES = tuple(_lineage(family) for family in FAMILIES)
