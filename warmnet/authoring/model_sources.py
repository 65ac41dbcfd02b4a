"""What a model file holds: the imports, tables and functions of a network, with the defaults that count in one file."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import InputError
from ..networks import efficientnet, efficientnet_v2, mobilenet_v2, resnet
from ..networks.classifier import Classifier
from ..networks.efficientnet import VARIANTS, Stage, Variant, WarmEfficientNet, find_variant
from ..networks.families import NAMES
from ..networks.mobilenet_v2 import WarmMobileNetV2
from ..networks.resnet import WarmResNet


class Sources(NamedTuple):
    """Where a family is written: the `modules` of the tables and functions that are its `parts`, and what these import.

    `network` is the function that is the whole network. `given` are the settings that it gives `conv_bn_act` at every call.
    """

    network: str
    modules: tuple[ModuleType, ...]
    parts: tuple[str, ...]
    given: tuple[str, ...]
    imports: str


MBCONV = "conv_bn_act", "squeeze_excitation", "mb_block"
SOURCES: dict[type[Classifier], Sources] = {
    WarmEfficientNet: Sources(
        network="efficientnet",
        modules=(efficientnet, efficientnet_v2),
        parts=("STAGES", *MBCONV, "stage", "efficientnet"),
        given=("act",),
        imports="""import torch
import torch.nn.functional as F
from torch.nn.init import uniform_

import warmnet
import warmnet.functional as W
from warmnet import Stage, WarmEfficientNet, block
from warmnet.authoring.model_sources import find_like
from warmnet.networks.efficientnet import fan_out_normal, round_filters, scaled
from warmnet.networks.settings import for_variants
""",
    ),
    WarmMobileNetV2: Sources(
        network="mobilenet_v2",
        modules=(efficientnet, mobilenet_v2),
        parts=("STAGES", *MBCONV, "stage", "mobilenet_v2"),
        given=("act", "padding", "eps", "momentum"),
        imports="""import torch
import torch.nn.functional as F
from torch.nn.init import normal_

import warmnet
import warmnet.functional as W
from warmnet import Stage, WarmMobileNetV2, block
from warmnet.networks.efficientnet import fan_out_normal, round_filters, scaled
from warmnet.networks.mobilenet_v2 import find_width
""",
    ),
    WarmResNet: Sources(
        network="resnet",
        modules=(efficientnet, resnet),
        parts=("conv_bn_act", "shortcut", "basic_block", "bottleneck", "_stages", "DEPTHS", "stages_of", "stage", "resnet"),
        given=("act", "padding", "eps", "momentum"),
        imports="""import torch.nn.functional as F

import warmnet
import warmnet.functional as W
from warmnet import Stage, WarmResNet, block
from warmnet.functional.specs import activated
from warmnet.networks.efficientnet import fan_out_normal, scaled
from warmnet.networks.resnet import find_depth
""",
    ),
}
V2_PARTS = *MBCONV, "fused_mb_block", "STAGES", "stage", "efficientnet"
BLOCKS = "mb_block", "fused_mb_block", "basic_block", "bottleneck", "squeeze_excitation"
BLOCK_SETTINGS = "expand", "kernel", "stride", "dilation", "se_ratio", "drop", "act"  # which blocks are given at every call


def network_source(name: str) -> tuple[str, list[str]]:
    """The imports of the network of that name, and its tables and functions one by one."""
    network, modules, parts, given, imports = SOURCES[NAMES[name]]
    texts = {part: text for module in modules for part, text in _texts(module).items()}
    options = dict(VARIANTS[name].options) if name in VARIANTS else {}
    if "stages" in options:
        parts, texts["STAGES"] = V2_PARTS, _table(name, options.pop("stages"))
    texts = {part: texts[part] for part in parts}
    required: dict[str, tuple[str, ...]] = dict.fromkeys(BLOCKS, BLOCK_SETTINGS)
    required |= {"conv_bn_act": given, "stage": ("block",), network: ("variant", "num_classes")}
    for part in required.keys() & texts.keys():
        for key in required[part]:
            texts[part] = _with_default(texts[part], key, None)
    texts["conv_bn_act"] = texts["conv_bn_act"].replace(" act,", " *, act,", 1)  # after sizes that have defaults
    for key, value in options.items():
        if f" {key}=" in texts[network]:
            texts[network] = _with_default(texts[network], key, value)
        else:  # of `conv_bn_act`
            texts["conv_bn_act"] = _with_default(texts["conv_bn_act"], key, None)
            texts[network] = texts[network].replace(" **conv,\n", f" {key}={value}, **conv,\n", 1)
            texts[network] = texts[network].replace("    width", f'    conv = {{"{key}": {key}, **conv}}\n    width', 1)
    texts[network] = texts[network].replace("(find_variant)", f'(find_like("{name}"))', 1)
    texts[network] = re.sub(r"The defaults are b0's\..*", f"The defaults are those of {name}.", texts[network])
    return imports, [*texts.values()]


def find_like(name: str) -> Callable[[str | Variant], Variant]:
    """A `find_variant` for the model file of that variant: without the variant's options, which are defaults of the file.

    It raises an InputError for a variant with other options, of which the file knows nothing.
    """
    options = dict(VARIANTS[name].options)

    def find(variant: str | Variant) -> Variant:
        found = find_variant(variant)
        others = dict(found.options)
        differing = [key for key in {**options, **others} if options.get(key) != others.get(key)]
        if differing:
            names = [each for each, known in VARIANTS.items() if known == found]
            raise InputError(
                f"This model file was written of {name}, and {names[0] if names else 'this variant'} has other "
                f"{', '.join(differing)}. Write one of that: warmnet new --network {names[0] if names else 'NAME'} mymodel.py"
            )
        return found._replace(options=())

    return find


def _texts(module: ModuleType) -> dict[str, str]:
    """The text of each function and table of a module."""
    source = inspect.getsource(module)
    lines = source.splitlines(keepends=True)
    texts = dict[str, str]()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            texts[node.name] = "".join(lines[first - 1 : node.end_lineno])
        elif isinstance(node, ast.Assign):
            texts[ast.unparse(node.targets[0])] = "".join(lines[node.lineno - 1 : node.end_lineno])
    return texts


def _table(name: str, stages: tuple[Stage, ...]) -> str:
    """The table of stages of the variant of that name."""
    rows = []
    for stage in stages:
        settings = {key: value for key, value in stage._asdict().items() if value is not None}
        rows.append(f"    Stage({', '.join(f'{key}={_text(value)}' for key, value in settings.items())}),\n")
    return f"STAGES = (  # {name}\n{''.join(rows)})\n"


def _with_default(text: str, key: str, default: Any) -> str:
    """The text of a function with that default of its parameter `key`; with None, without one."""
    head, quotes, rest = text.partition('"""')
    parameter = key if default is None else f"{key}={_text(default)}"
    return re.sub(rf"\b{key}=[^,)]+", parameter, head, count=1) + quotes + rest


def _text(value: Any) -> str:
    """A setting as a model file has it."""
    if not callable(value):
        return repr(value)
    return f"F.{value.__name__}" if value.__module__ == "torch.nn.functional" else value.__name__
