"""warmnet's own names, of a state dict that stands alone. Files of `warmnet.save` say themselves what they are of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ...data.preprocessing import Preprocessing
from ...networks.families import FAMILIES
from .lineage import Lineage, blocks_of


class _Own(Lineage):
    """The lineage whose names are our paths."""

    def names(self, paths: Iterable[str]) -> dict[str, str]:
        """Every path -> itself."""
        return {path: path for path in paths}

    def stem(self) -> str:
        return "stem.conv.weight"

    def _blocks_apart(self, variant: str, lines: str) -> int:
        found = {(int(stage), int(block)) for stage, block in re.findall(r"\nstage_(\d+)\.\w+_(\d+)\.", lines)}
        blocks = enumerate(blocks_of(self.family, variant), 1)
        return len(found ^ {(stage, block) for stage, number in blocks for block in range(1, number + 1)})


def _lineage(family: Any) -> Lineage:
    return _Own(
        name="warmnet",
        family=family,
        architectures={name: name for name in family.variants},
        layers={"classifier": "classifier"},
        blocks={},
        block_prefix=lambda stage, block, index: f"stage_{stage}.",
        options=lambda variant: {},
        preprocessing=lambda variant, architecture: Preprocessing(family(variant, device="meta").resolution),
        loading_code=lambda variant, classes, channels, path: f"warmnet.{family.__name__}.from_pretrained({path!r})",
    )


LINEAGES = tuple(_lineage(family) for family in FAMILIES)
