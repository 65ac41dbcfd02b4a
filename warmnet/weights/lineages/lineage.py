"""A lineage: what EfficientNet's tensors are called in one library, and how the networks there compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from torch import Tensor

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import STAGES, VARIANTS, Variant, round_filters, round_repeats

NETWORK = "WarmEfficientNet"  # the class of warmnet's that every lineage's checkpoints are of
BATCH_NORM = "weight", "bias", "running_mean", "running_var", "num_batches_tracked"


def _unchanged(tensor: Tensor, path: str) -> Tensor:
    return tensor


class Lineage(NamedTuple):
    """One library's names and conventions.

    - `layers`: our name of a layer outside of blocks -> theirs, in forward order. `block_layers`: of one in a block;
      `first_block_layers`: in a block that does not expand, as those of the first stage.
    - `block_prefix`: (stage, block of the stage, block of all) -> what stands before a block's layers. The first two count
      from 1.
    - `options`: variant's name -> the options with which `WarmEfficientNet` computes what they do.
    - `preprocessing`: (variant's name, the checkpoint's architecture) -> what its images went through, or None.
    - `loading_code`: (variant's name, classes, channels, path) -> the Python that loads a file there.
    - `variants`: the names of those that there are. `supports`: (classes, channels) -> whether its networks can have so many.
    - `suffix`: (our layer, our tensor) -> what theirs is called after the layer's name; None if they have none.
    - `to_warmnet`, `from_warmnet`: (tensor, our path) -> the tensor as the other has it in memory.
    """

    name: str
    layers: Mapping[str, str]
    block_prefix: Callable[[int, int, int], str]
    block_layers: Mapping[str, str]
    first_block_layers: Mapping[str, str]
    options: Callable[[str], dict[str, Any]]
    preprocessing: Callable[[str, str], Preprocessing | None]
    loading_code: Callable[[str, int, int, str], str]
    variants: tuple[str, ...] = tuple(VARIANTS)
    supports: Callable[[int, int], bool] = lambda num_classes, in_channels: True
    suffix: Callable[[str, str], str | None] = lambda layer, tensor: f".{tensor}"
    to_warmnet: Callable[[Tensor, str], Tensor] = _unchanged
    from_warmnet: Callable[[Tensor, str], Tensor] = _unchanged

    def names(self, variant: Variant) -> dict[str, str]:
        """Our path of every tensor of a variant, in forward order -> its name in this lineage, where it has one."""
        names = {}
        for layer, name in self._layers_of(variant).items():
            for tensor in _tensors_of(layer):
                suffix = self.suffix(layer, tensor)
                if suffix is not None:
                    names[f"{layer}.{tensor}"] = name + suffix
        return names

    def _layers_of(self, variant: Variant) -> dict[str, str]:
        """Our name of every layer of a variant, in forward order -> its name in this lineage."""
        layers = {layer: name for layer, name in self.layers.items() if layer.startswith("stem")}
        index = count()
        for stage, row in enumerate(STAGES, 1):
            in_block = self.block_layers if row.expand > 1 else self.first_block_layers
            for block in range(1, round_repeats(row.repeat, variant.depth) + 1):
                prefix = self.block_prefix(stage, block, next(index))
                layers |= {f"stage_{stage}.mb_block_{block}.{layer}": prefix + name for layer, name in in_block.items()}
        return {**layers, **self.layers}

    def stem(self) -> str:
        """The name of the stem's kernel: no two lineages have the same."""
        return f"{self.layers['stem.conv']}{self.suffix('stem.conv', 'weight')}"

    def nearest_variant(self, tensors: Mapping[str, Tensor]) -> str:
        """The variant that tensors under this lineage's names are of, or the nearest: by stem, head and number of blocks."""
        gate = self.block_layers["squeeze_excitation.reduce"].rpartition(".")[2]
        gate += self.suffix("squeeze_excitation.reduce", "bias") or ""
        sizes = [sum(name.endswith(gate) for name in tensors)]
        for layer in "stem.bn", "head.bn":
            bias = f"{self.layers[layer]}{self.suffix(layer, 'bias')}"
            sizes.append(tensors[bias].numel() if bias in tensors else 0)
        return min(VARIANTS, key=lambda name: _distance(sizes, _sizes_of(VARIANTS[name])))


def variant_name(variant: Any) -> str:
    """'b0', or the numbers of a variant that has no name."""
    return next((name for name, known in VARIANTS.items() if known == variant), str(variant))


def state_dict_code(path: str) -> str:
    """The Python that reads a file's tensors."""
    return f"safetensors.torch.load_file({path!r})" if path.endswith(".safetensors") else f"torch.load({path!r})"


def without_expand(layers: Mapping[str, str]) -> dict[str, str]:
    """Those layers of a block that it has if it does not expand."""
    return {layer: name for layer, name in layers.items() if not layer.startswith("expand")}


def _tensors_of(layer: str) -> tuple[str, ...]:
    if layer.endswith("bn"):
        return BATCH_NORM
    return ("weight",) if layer.endswith("conv") else ("weight", "bias")


def _sizes_of(variant: Variant) -> tuple[int, int, int]:
    """The number of blocks, and the channels of the stem and the head."""
    blocks = sum(round_repeats(row.repeat, variant.depth) for row in STAGES)
    return blocks, round_filters(32, variant.width), round_filters(1280, variant.width)


def _distance(sizes: Iterable[int], expected: Iterable[int]) -> float:
    return sum(abs(a - b) / b for a, b in zip(sizes, expected))
