"""A lineage: what one library calls the tensors of a family's networks, and how the networks there compute."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from ...data.preprocessing import Preprocessing
from ...networks.classifier import Classifier
from ...networks.efficientnet import Variant, scaled
from ...networks.mobilenet_v2 import WarmMobileNetV2
from ...networks.resnet import stages_of
from ..conventions import default_conventions, default_settings

IN_BLOCK = re.compile(r"stage_(\d+)\.(\w+)_(\d+)\.(.+)\.(\w+)")  # stage, block's function, block, layer, tensor
BATCH_NORM = "weight", "bias", "running_mean", "running_var", "num_batches_tracked"


def _unchanged(tensor: Tensor, path: str) -> Tensor:
    return tensor


class Lineage(NamedTuple):
    """One library's names and conventions for the networks of one family.

    - `name`: the library's. `family`: our class of these networks.
    - `architectures`: our names of the variants that there are -> the library's.
    - `layers`: our name of a layer outside of blocks -> theirs, in which {last} is the number of stages and 1.
    - `blocks`: a block's function and its first layer, 'mb_block.expand' -> our name of each of its layers -> theirs.
    - `block_prefix`: (stage, block of the stage, block of all, its function) -> what stands before a block's layers. The first
      two count from 1.
    - `options`: variant's name -> the options with which our class computes what they do.
    - `preprocessing`: (variant's name, what the checkpoint is called) -> what its images went through; None if that cannot be
      known. `has_several`: (variant's name) -> whether it goes by what the checkpoint is called.
    - `loading_code`: (variant's name, classes, channels, path) -> the Python that loads a file there.
    - `supports`: (classes, channels) -> whether its networks can have so many.
    - `suffix`: (our layer, our tensor) -> what theirs is called after the layer's name; None if they have none.
    - `to_warmnet`, `from_warmnet`: (tensor, our path) -> the tensor as the other has it in memory.
    """

    name: str
    family: type[Classifier]
    architectures: Mapping[str, str]
    layers: Mapping[str, str]
    blocks: Mapping[str, Mapping[str, str]]
    block_prefix: Callable[[int, int, int, str], str]
    options: Callable[[str], dict[str, Any]]
    preprocessing: Callable[[str, str], Preprocessing | None]
    loading_code: Callable[[str, int, int, str], str]
    has_several: Callable[[str], bool] = lambda variant: False
    supports: Callable[[int, int], bool] = lambda num_classes, in_channels: True
    suffix: Callable[[str, str], str | None] = lambda layer, tensor: f".{tensor}"
    to_warmnet: Callable[[Tensor, str], Tensor] = _unchanged
    from_warmnet: Callable[[Tensor, str], Tensor] = _unchanged

    def names(self, paths: Iterable[str]) -> dict[str, str]:
        """Our path of every tensor of a network, in forward order -> its name in this lineage, where it has one."""
        names: dict[str, str] = {}
        prefixes: dict[tuple[str, str, str], str] = {}
        layers, last = self.layers, 1
        for path in paths:
            found = IN_BLOCK.fullmatch(path)
            if found:
                stage, function, block, layer, tensor = found.groups()
                if (stage, function, block) not in prefixes:  # its first layer
                    layers = self.blocks.get(f"{function}.{layer.partition('.')[0]}", {})
                    prefixes[stage, function, block] = self.block_prefix(int(stage), int(block), len(prefixes), function)
                    last = int(stage) + 1
                prefix = prefixes[stage, function, block]
            else:
                layer, _, tensor = path.rpartition(".")
                layers, prefix = self.layers, ""
            suffix = self.suffix(layer, tensor)
            if layer in layers and suffix is not None:
                names[path] = prefix + layers[layer].format(last=last) + suffix
        return names

    def names_of(self, variant: str) -> dict[str, str]:
        """Our path of every tensor that a variant may have, in forward order -> its name in this lineage."""
        stem = [layer for layer in self.layers if layer.startswith("stem")]
        in_blocks = [f"{block.path}.{layer}" for block in blocks_of(self.family, variant) for layer in self._layers_of(block)]
        layers = [*stem, *in_blocks, *(layer for layer in self.layers if layer not in stem)]
        return self.names(f"{layer}.{tensor}" for layer in layers for tensor in _tensors_of(layer))

    def conventions(self, variant: str) -> dict[str, Any]:
        """How the library's network of that name computes: padding, eps, activation and what else `options` says."""
        return {**default_conventions(self.family, variant), **self.options(variant)}

    def stem(self) -> str:
        """The name of the stem's kernel."""
        return f"{self.layers['stem.conv']}{self.suffix('stem.conv', 'weight')}"

    def has_first_block(self, names: Iterable[str], prefix: str = "") -> bool:
        """Whether some of the names, after a prefix, are of the first block of networks of this lineage."""
        functions = {key.partition(".")[0] for key in self.blocks}
        starts = tuple(prefix + self.block_prefix(1, 1, 0, function) for function in functions)
        return any(name.startswith(starts) for name in names)

    def nearest(self, tensors: Mapping[str, Tensor]) -> tuple[tuple[int, int], str]:
        """How far tensors under this lineage's names are from a variant's, in blocks and in layers, and from which."""
        lines = "\n" + "\n".join(tensors)
        blocks = {name: self._blocks_apart(name, lines) for name in self.architectures}
        least = min(blocks.values())
        return min(((least, self._layers_apart(name, tensors)), name) for name in blocks if blocks[name] == least)

    def _blocks_apart(self, variant: str, lines: str) -> int:
        """How many blocks a variant has that have no tensors in these lines of names, and the other way round."""
        blocks = blocks_of(self.family, variant)
        last = {block.stage: block for block in blocks}
        places = [(block.stage, block.number, index, block.function) for index, block in enumerate(blocks)]
        beyond = [(stage, block.number + 1, len(blocks), block.function) for stage, block in last.items()]
        beyond.append((len(last) + 1, 1, len(blocks), blocks[-1].function))
        missing = [f"\n{self.block_prefix(*place)}" not in lines for place in places]
        return sum(missing) + sum(f"\n{self.block_prefix(*place)}" in lines for place in beyond)

    def _layers_apart(self, variant: str, tensors: Mapping[str, Tensor]) -> int:
        """In how many blocks of a variant these tensors have other channels or gates, and how many of them it has not."""
        names = self.names_of(variant)
        apart = len(tensors.keys() - {*names.values()})
        for block in blocks_of(self.family, variant):
            norms = [layer for layer in self._layers_of(block) if layer.endswith("bn") and not layer.startswith("shortcut")]
            bias = tensors.get(names[f"{block.path}.{norms[-1]}.bias"]) if norms else None
            gate = names.get(f"{block.path}.squeeze_excitation.reduce.weight")
            apart += bias is None or bias.numel() != block.size or (gate in tensors) != block.has_gate
        return apart

    def _layers_of(self, block: Block) -> Mapping[str, str]:
        """Our names of a block's layers -> theirs."""
        expanding = f"{block.function}.expand"
        if block.expands and expanding in self.blocks:
            return self.blocks[expanding]
        tables = (table for key, table in self.blocks.items() if key.startswith(f"{block.function}.") and key != expanding)
        return next(tables, {})


class Block(NamedTuple):
    """A block of a variant: its stage and its number there, from 1; what computes it; its output channels."""

    stage: int
    number: int
    function: str
    size: int
    expands: bool
    has_gate: bool

    @property
    def path(self) -> str:
        return f"stage_{self.stage}.{self.function}_{self.number}"


def blocks_of(family: type[Classifier], variant: str) -> list[Block]:
    """All blocks of a variant, from its tables."""
    value, settings = family.variants[variant], default_settings(family, variant)
    width, depth = (value.width, value.depth) if isinstance(value, Variant) else (value if family is WarmMobileNetV2 else 1, 1)
    stages = settings["stages"] or stages_of(value)
    rows = scaled(stages, width, depth, 0, 1, None, settings.get("block"), settings.get("fixed_ends", False))
    blocks = []
    for stage, row in enumerate(rows, 1):
        function = row["block"].__name__
        has_gate = function == "mb_block" and settings.get("se_ratio", 0) > 0
        blocks += [
            Block(stage, number, function, row["size"], row["expand"] > 1, has_gate)
            for number in range(1, len(row["drops"]) + 1)
        ]
    return blocks


def _tensors_of(layer: str) -> tuple[str, ...]:
    if layer.endswith("bn"):
        return BATCH_NORM
    return ("weight",) if layer.endswith("conv") else ("weight", "bias")


def state_dict_code(path: str) -> str:
    """The Python that reads a file's tensors."""
    return f"safetensors.torch.load_file({path!r})" if path.endswith(".safetensors") else f"torch.load({path!r})"


def conv_bn(**names: tuple[str, str]) -> dict[str, str]:
    """Our names of convolutions and their batch norms -> theirs: expand=('conv_pw', 'bn1') is of expand.conv and expand.bn."""
    return {f"{ours}.{kind}": name for ours, pair in names.items() for kind, name in zip(("conv", "bn"), pair)}


def gate(reduce: str, expand: str) -> dict[str, str]:
    """Our names of squeeze_excitation's layers -> theirs."""
    return {"squeeze_excitation.reduce": reduce, "squeeze_excitation.expand": expand}
