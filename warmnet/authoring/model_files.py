"""A model file: the whole of a network as functions, written for the user to edit."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path

from ..data.files import replacing
from ..errors import InputError
from ..networks.families import NAMES
from .model_sources import SOURCES, network_source

HEAD = '''"""{title}, yours to edit: the network is its forward, from its table to the last line.

Change a size, add a line, take one out. There is no other place to keep in step: the layers are made by calling the network
once. Whatever you leave alone keeps its name and its initial values. Then see what you did, look at it, and train it:

{commands}

Shapes are (B, C, H, W).
"""

{imports}
'''

TAIL = '''

class Net({family}):
    """(B, in_channels, H, W) -> (B, num_classes): what `warmnet train` trains, as `variant` scales it."""
{init}
    def forward(self, x):
        return {network}(x, self.variant, self.num_classes, **self.options)


if __name__ == "__main__":
    print(warmnet.diff("{name}", Net("{name}", device="meta")))
'''

INIT = """
    def __init__(self, variant="{name}", *args, **options):
        super().__init__(variant, *args, **options)
"""


def write_model_file(path: Path, name: str = "b0") -> None:
    """Write a model file of the network of that name, which trains as warmnet's own network does until it is edited.

    Raises InputError if its folder does not exist, or if its name is none for a Python module.
    """
    if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise InputError(f"{path} is no name for a file that Python imports. Choose one such as mymodel.py.")
    if path.stem in sys.stdlib_module_names or path.stem in ("torch", "numpy", "warm", "warmnet"):
        raise InputError(f"{path} would hide the module {path.stem} from the files beside it. Choose one such as mymodel.py.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}. Make it first, or name a file in one that is there.")
    with replacing(path) as temporary:
        temporary.write_text(_model_file(path.name, name), encoding="utf-8")


def _model_file(file: str, name: str) -> str:
    """The text of a model file."""
    family = NAMES[name]
    default = family(device="meta").variant_name
    imports, parts = network_source(name)
    head = HEAD.format(title=family.__name__.removeprefix("Warm"), commands=_commands(file), imports=imports)
    tail = TAIL.format(
        family=family.__name__,
        network=SOURCES[family].network,
        name=name,
        init="" if name == default else INIT.format(name=name),
    )
    blank = "\n" if parts[0].startswith("@") else ""  # one line more before a function than before a table
    return head + blank + "\n\n".join(parts) + tail


def _commands(file: str) -> str:
    """The commands to use a model file with and what each shows, in two aligned columns."""
    effects = {
        f"python {file}": "what your edits changed",
        f"warmnet summary {file}:Net": "every layer, its shape and its cost",
        f"warmnet train --model {file}:Net": "on scanned digits; with a FOLDER, on your images",
    }
    width = max(map(len, effects))
    return "\n".join(f"    {command:{width}}  {effect}" for command, effect in effects.items())
