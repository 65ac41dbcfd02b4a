"""A model file: the whole of EfficientNet as functions, written for the user to edit."""

from __future__ import annotations

import ast
import inspect
import keyword
import sys
from pathlib import Path

from ..data.files import replacing
from ..errors import InputError
from ..networks import efficientnet

PARTS = "STAGES", "conv_bn_act", "squeeze_excitation", "mb_block", "stage", "efficientnet"

REQUIRED = {  # what the network itself passes at every call, so that in its own file a default would never count
    "conv_bn_act": ("act=F.silu", "*, act"),
    "squeeze_excitation": ("act=F.silu", "act"),
    "mb_block": (
        "expand=1, kernel=3, stride=1, dilation=1, se_ratio=0.25, drop=0.0, act=F.silu",
        "expand, kernel, stride, dilation, se_ratio, drop, act",
    ),
    "stage": ("block=mb_block", "block"),
    "efficientnet": ('variant="b0", num_classes=1000', "variant, num_classes"),
}

HEAD = '''"""EfficientNet, yours to edit: the network is its forward, from the table of stages to the last line.

Change a size, add a line, take one out. There is no other place to keep in step: the layers are made by calling the network
once. Whatever you leave alone keeps its name and its initial values. Then see what you did, look at it, and train it:

{commands}

Shapes are (B, C, H, W).
"""

import torch
import torch.nn.functional as F
from torch.nn.init import uniform_

import warmnet
import warmnet.functional as W
from warmnet import Stage, WarmEfficientNet, block
from warmnet.networks.efficientnet import fan_out_normal, find_variant, round_filters, scaled
from warmnet.networks.settings import for_variants

'''

TAIL = '''

class Net(WarmEfficientNet):
    """(B, in_channels, H, W) -> (B, num_classes): what `warmnet train` trains, as `variant` scales it."""

    def forward(self, x):
        return efficientnet(x, self.variant, self.num_classes, **self.options)


if __name__ == "__main__":
    print(warmnet.diff(WarmEfficientNet("b0", device="meta"), Net("b0", device="meta")))
'''


def write_model_file(path: Path) -> None:
    """Write a model file, which trains as warmnet's own network does until it is edited.

    Raises InputError if its folder does not exist, or if its name is none for a Python module.
    """
    if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise InputError(f"{path} is no name for a file that Python imports. Choose one such as mymodel.py.")
    if path.stem in sys.stdlib_module_names or path.stem in ("torch", "numpy", "warm", "warmnet"):
        raise InputError(f"{path} would hide the module {path.stem} from the files beside it. Choose one such as mymodel.py.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}. Make it first, or name a file in one that is there.")
    text = HEAD.format(commands=_commands(path.name)) + "\n\n".join(_parts()) + TAIL
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _commands(file: str) -> str:
    """The commands to use a model file with and what each shows, in two aligned columns."""
    effects = {
        f"python {file}": "what your edits changed",
        f"warmnet summary {file}:Net": "every layer, its shape and its cost",
        f"warmnet train --model {file}:Net": "on scanned digits; with a FOLDER, on your images",
    }
    width = max(map(len, effects))
    return "\n".join(f"    {command:{width}}  {effect}" for command, effect in effects.items())


def _parts() -> list[str]:
    """The source of the table and the functions that make up EfficientNet, with the defaults that count."""
    source = inspect.getsource(efficientnet)
    lines = source.splitlines(keepends=True)
    parts = dict[str, str]()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            parts[node.name] = "".join(lines[first - 1 : node.end_lineno])
        elif isinstance(node, ast.Assign):
            parts[ast.unparse(node.targets[0])] = "".join(lines[node.lineno - 1 : node.end_lineno])
    for name, (defaults, required) in REQUIRED.items():
        parts[name] = parts[name].replace(defaults, required, 1)
    return [parts[name] for name in PARTS]
