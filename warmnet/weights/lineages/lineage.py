"""A lineage: what one library calls the tensors of a family's networks, and how the networks there compute."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any, NamedTuple

from torch import Tensor

from ...data.preprocessing import Preprocessing
from ...networks.classifier import CLASSIFIER, STEM, Classifier
from ...networks.efficientnet import scaled
from ...networks.resnet import stages_of

IN_BLOCK = re.compile(r"stage_(\d+)\.(\w+)_(\d+)\.(.+)\.(\w+)")  # stage, block's function, block, layer, tensor
_shapes: dict[str, dict[str, Tensor]] = {}  # of the variants that were asked for


def _unchanged(tensor: Tensor, path: str) -> Tensor:
    return tensor


class Lineage(NamedTuple):
    """One library's names and conventions for the networks of one family.

    - `name`: the library's. `family`: our class of these networks.
    - `architectures`: our names of the variants that there are -> the library's.
    - `layers`: our name of a layer outside of blocks -> theirs, in which {last} is the number of stages and 1.
    - `blocks`: a block's function and its first layer, 'mb_block.expand' -> our name of each of its layers -> theirs.
    - `block_prefix`: (stage, block of the stage, block of all) -> what stands before a block's layers. The first two count
      from 1.
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
    block_prefix: Callable[[int, int, int], str]
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
                    prefixes[stage, function, block] = self.block_prefix(int(stage), int(block), len(prefixes))
                    last = int(stage) + 1
                prefix = prefixes[stage, function, block]
            else:
                layer, _, tensor = path.rpartition(".")
                layers, prefix = self.layers, ""
            suffix = self.suffix(layer, tensor)
            if layer in layers and suffix is not None:
                names[path] = prefix + layers[layer].format(last=last) + suffix
        return names

    def stem(self) -> str:
        """The name of the stem's kernel."""
        return f"{self.layers['stem.conv']}{self.suffix('stem.conv', 'weight')}"

    def nearest(self, tensors: Mapping[str, Tensor]) -> tuple[int, str]:
        """How far tensors under this lineage's names are from a variant's, and which that is: 0, 'b0'.

        What differs with the number of classes or channels does not count.
        """
        lines = "\n" + "\n".join(tensors)
        distances = {name: self._blocks_apart(name, lines) for name in self.architectures}
        least = min(distances.values())
        return min((self._tensors_apart(name, tensors), name) for name in distances if distances[name] == least)

    def _blocks_apart(self, variant: str, lines: str) -> int:
        """How many blocks a variant has that have no tensors in these lines of names, and the other way round."""
        blocks = blocks_of(self.family, variant)
        places = [(stage, block) for stage, number in enumerate(blocks, 1) for block in range(1, number + 1)]
        beyond = [(stage, number + 1) for stage, number in enumerate(blocks, 1)] + [(len(blocks) + 1, 1)]
        missing = [f"\n{self.block_prefix(*place, index)}" not in lines for index, place in enumerate(places)]
        further = [f"\n{self.block_prefix(*place, len(places))}" in lines for place in beyond]
        return sum(missing) + sum(further)

    def _tensors_apart(self, variant: str, tensors: Mapping[str, Tensor]) -> int:
        """How many tensors a variant has that these lack or have in another shape, and the other way round."""
        expected = shapes_of(self.family, variant)
        names = self.names(expected)
        exempt = {name for path, name in names.items() if path == STEM or path.endswith("num_batches_tracked")}
        exempt |= {name for path, name in names.items() if path in CLASSIFIER}
        ours = {(name, (*self.from_warmnet(expected[path], path).shape,)) for path, name in names.items() if name not in exempt}
        theirs = {(name, (*tensor.shape,)) for name, tensor in tensors.items() if name not in exempt}
        return len(ours ^ theirs)


def blocks_of(family: type[Classifier], variant: str) -> list[int]:
    """The number of blocks of each stage of a variant."""
    settings = {name: parameter.default for name, parameter in signature(family.__init__).parameters.items()}
    value = family.variants[variant]
    settings |= dict(getattr(value, "options", ()))
    stages = settings["stages"] or stages_of(value)
    rows = scaled(stages, 1, getattr(value, "depth", 1), 0, 1, None, fixed_ends=settings.get("fixed_ends", False))
    return [len(row["drops"]) for row in rows]


def shapes_of(family: Any, variant: str) -> dict[str, Tensor]:
    """Every tensor of a variant, on 'meta', by its path in forward order."""
    if variant not in _shapes:
        _shapes[variant] = dict(family(variant, device="meta").state_dict())
    return _shapes[variant]


def state_dict_code(path: str) -> str:
    """The Python that reads a file's tensors."""
    return f"safetensors.torch.load_file({path!r})" if path.endswith(".safetensors") else f"torch.load({path!r})"


def conv_bn(**names: tuple[str, str]) -> dict[str, str]:
    """Our names of convolutions and their batch norms -> theirs: expand=('conv_pw', 'bn1') is of expand.conv and expand.bn."""
    return {f"{ours}.{kind}": name for ours, pair in names.items() for kind, name in zip(("conv", "bn"), pair)}


def gate(reduce: str, expand: str) -> dict[str, str]:
    """Our names of squeeze_excitation's layers -> theirs."""
    return {"squeeze_excitation.reduce": reduce, "squeeze_excitation.expand": expand}
