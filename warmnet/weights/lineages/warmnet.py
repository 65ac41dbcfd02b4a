"""warmnet's own names, of a state dict that stands alone. Files of `warmnet.save` say themselves what they are of."""

from __future__ import annotations

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS
from .lineage import Lineage, without_expand

BLOCK_LAYERS = {
    layer: layer
    for layer in (
        "expand.conv", "expand.bn", "depthwise.conv", "depthwise.bn", "squeeze_excitation.reduce",
        "squeeze_excitation.expand", "project.conv", "project.bn",
    )
}  # fmt: skip

LINEAGE = Lineage(
    name="warmnet",
    layers={layer: layer for layer in ("stem.conv", "stem.bn", "head.conv", "head.bn", "classifier")},
    block_prefix=lambda stage, block, _: f"stage_{stage}.mb_block_{block}.",
    block_layers=BLOCK_LAYERS,
    first_block_layers=without_expand(BLOCK_LAYERS),
    options=lambda variant: {},
    preprocessing=lambda variant, architecture: Preprocessing(VARIANTS[variant].resolution),
    loading_code=lambda variant, classes, channels, path: f"warmnet.WarmEfficientNet.from_pretrained({path!r})",
)
