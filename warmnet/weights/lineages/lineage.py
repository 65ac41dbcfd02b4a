"""Whose checkpoint layout a file has: what its tensors are called there, and how the networks they are from compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from torch import Tensor

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import STAGES, VARIANTS, Variant, round_filters, round_repeats

BATCH_NORM = "weight", "bias", "running_mean", "running_var", "num_batches_tracked"


def _leaves(layer: str) -> tuple[str, ...]:
    return BATCH_NORM if layer.endswith("bn") else ("weight",) if layer.endswith("conv") else ("weight", "bias")


def _same(tensor: Tensor, _: str) -> Tensor:
    return tensor


class Lineage(NamedTuple):
    """One library's names and conventions.

    - `outer`, `inner`, `bare`: our name of a layer -> theirs: outside of blocks, in a block, in one that does not expand.
    - `block`: (stage, block of the stage, block of all) -> what stands before a block's layers. The first two count from 1.
    - `options`: variant's name -> the options with which `WarmEfficientNet` computes what they do.
    - `preprocessing`: (variant's name, what the checkpoint is called) -> what its images went through, or None.
    - `loading`: (variant's name, classes, channels, path) -> the Python that loads a file there.
    - `variants`: the names of those that there are. `takes`: (classes, channels) -> whether its networks can have so many.
    - `leaf`: (our layer, our tensor) -> what theirs is called after the layer's name; None if they have none.
    - `to_ours`, `to_theirs`: (tensor, our path) -> the tensor as the other has it in memory.
    """

    name: str
    outer: Mapping[str, str]
    block: Callable[[int, int, int], str]
    inner: Mapping[str, str]
    bare: Mapping[str, str]
    options: Callable[[str], dict[str, Any]]
    preprocessing: Callable[[str, str], Preprocessing | None]
    loading: Callable[[str, int, int, str], str]
    variants: tuple[str, ...] = tuple(VARIANTS)
    takes: Callable[[int, int], bool] = lambda num_classes, in_channels: True
    leaf: Callable[[str, str], str | None] = lambda layer, leaf: f".{leaf}"
    to_ours: Callable[[Tensor, str], Tensor] = _same
    to_theirs: Callable[[Tensor, str], Tensor] = _same

    def paths(self, variant: Variant) -> dict[str, str]:
        """Our path of every tensor of a variant, in forward order -> its name in this lineage, where it has one."""
        blocks: dict[str, str] = {}
        index = count()
        for number, row in enumerate(STAGES, 1):
            for i in range(1, round_repeats(row.repeat, variant.depth) + 1):
                theirs, layers = self.block(number, i, next(index)), self.inner if row.expand > 1 else self.bare
                blocks |= {f"stage_{number}.mb_block_{i}.{layer}": theirs + name for layer, name in layers.items()}
        outer = [*self.outer.items()]
        names = dict([*outer[:2], *blocks.items(), *outer[2:]])
        found = ((f"{layer}.{leaf}", name, self.leaf(layer, leaf)) for layer, name in names.items() for leaf in _leaves(layer))
        return {path: name + leaf for path, name, leaf in found if leaf is not None}

    def first(self) -> str:
        """The name of the stem's kernel: no two lineages have the same."""
        return f"{self.outer['stem.conv']}{self.leaf('stem.conv', 'weight')}"

    def variant(self, tensors: Mapping[str, Tensor]) -> str:
        """The variant that tensors under this lineage's names are of, or the nearest: by stem, head and number of blocks."""
        gate = self.inner["squeeze_excitation.reduce"].rpartition(".")[2] + (
            self.leaf("squeeze_excitation.reduce", "bias") or ""
        )
        stem, head = (
            tensors[name].numel() if name in tensors else 0
            for name in (f"{self.outer[layer]}{self.leaf(layer, 'bias')}" for layer in ("stem.bn", "head.bn"))
        )
        have = sum(name.endswith(gate) for name in tensors), stem, head
        return min(VARIANTS, key=lambda name: _distance(have, _sizes(VARIANTS[name])))


def state_dict(path: str) -> str:
    """The Python that reads a file's tensors."""
    return f"safetensors.torch.load_file({path!r})" if path.endswith(".safetensors") else f"torch.load({path!r})"


def _sizes(variant: Variant) -> tuple[int, int, int]:
    blocks = sum(round_repeats(row.repeat, variant.depth) for row in STAGES)
    return blocks, round_filters(32, variant.width), round_filters(1280, variant.width)


def _distance(have: Iterable[int], want: Iterable[int]) -> float:
    return sum(abs(a - b) / b for a, b in zip(have, want))


OUTER = "stem.conv", "stem.bn", "head.conv", "head.bn", "classifier"
INNER = (
    "expand.conv", "expand.bn", "depthwise.conv", "depthwise.bn", "squeeze_excitation.reduce", "squeeze_excitation.expand",
    "project.conv", "project.bn",
)  # fmt: skip

OWN = Lineage(
    name="warmnet",
    outer={layer: layer for layer in OUTER},
    block=lambda stage, block, _: f"stage_{stage}.mb_block_{block}.",
    inner={layer: layer for layer in INNER},
    bare={layer: layer for layer in INNER[2:]},
    options=lambda variant: {},
    preprocessing=lambda variant, called: Preprocessing(VARIANTS[variant].resolution),
    loading=lambda variant, classes, channels, path: f"warmnet.WarmEfficientNet.from_pretrained({path!r})",
)
