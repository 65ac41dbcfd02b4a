"""A network of one's own in a file: written as warmnet has it, to be edited, and found again by its name.

Weights hold no code. Those of such a network say which class they are of, and it is their user who names the file to run.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import keyword
import linecache
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType
from typing import NamedTuple, TypeGuard

from ..engine.frames import is_users
from ..errors import InputError
from ..networks import efficientnet
from ..networks.efficientnet import WarmEfficientNet
from ..weights import WeightsWarning
from ..weights.reading import Source, read

PARTS = "STAGES", "conv_bn_act", "squeeze_excitation", "mb_block", "stage", "efficientnet"

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

'''

TAIL = '''

class Net(WarmEfficientNet):
    """(B, in_channels, H, W) -> (B, num_classes): what `warmnet train` trains, as `variant` scales it."""

    def forward(self, x):
        return efficientnet(x, self.variant, self.num_classes, **self.options)


if __name__ == "__main__":
    print(warmnet.diff(WarmEfficientNet("b0", device="meta"), Net("b0", device="meta")))
'''


def write(path: Path) -> None:
    """Write a model file, which trains as warmnet's own network does until it is edited.

    Raises InputError if there is a file, or no folder for it, or if no Python file should be called so.
    """
    if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise InputError(f"{path} is no name for a file that Python imports. Choose one such as mymodel.py.")
    if path.stem in sys.stdlib_module_names or path.stem in ("torch", "numpy", "warm", "warmnet"):
        raise InputError(f"{path} would hide the module {path.stem} from the files beside it. Choose one such as mymodel.py.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}. Make it first, or name a file in one that is there.")
    commands = {
        f"python {path.name}": "what your edits changed",
        f"warmnet summary {path.name}:Net": "every layer, its shape and its cost",
        f"warmnet train --model {path.name}:Net": "on scanned digits; with a FOLDER, on your images",
    }
    wide = max(map(len, commands))
    lines = "\n".join(f"    {command:{wide}}  {effect}" for command, effect in commands.items())
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(HEAD.format(commands=lines) + "\n\n".join(_parts()) + TAIL)
    except FileExistsError:
        raise InputError(f"{path} is there already, and nothing is written over. Name another file, or remove it.") from None


def _parts() -> list[str]:
    """The text of the table and the functions that make up the network, from where warmnet has them."""
    source = inspect.getsource(efficientnet)
    lines, found = source.splitlines(keepends=True), dict[str, str]()
    for node in ast.parse(source).body:
        name = getattr(node, "name", None) or ast.unparse(getattr(node, "targets", [ast.Constant(None)])[0])
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
        found[name] = "".join(lines[first - 1 : node.end_lineno])
    return [found[name] for name in PARTS]


def find(named: str) -> type[WarmEfficientNet]:
    """The class that 'mymodel.py:Net' names, or the only one of 'mymodel.py'. The file is run for it.

    Raises InputError if there is no such class, and whatever the file raises.
    """
    path, name = _parted(named)
    if path.suffix != ".py":
        raise InputError(f"{named} names no class in a Python file. Write it as mymodel.py:Net.")
    if not path.is_file():
        raise InputError(f"{path} does not exist. A model file is written by: {shlex.join(['warmnet', 'new', str(path)])}")
    held = _run(path)
    own = [key for key, value in held.items() if _is_own(value) and value.__module__ == held["__name__"]]
    if name is None and len(own) > 1:
        raise InputError(f"{path} has several networks. Name one: {', '.join(f'{path}:{key}' for key in own)}.")
    name = name or (own[0] if own else "Net")
    network = held.get(name)
    if not _is_own(network):
        what = f"{path}:{name} is no network" if name in held else f"{path} has no {name}"
        raise InputError(
            f"{what}. Networks there, classes that inherit from warmnet.WarmEfficientNet: {', '.join(own) or 'none'}."
        )
    try:
        inspect.signature(network).bind("b0", num_classes=1, in_channels=3, device=None, seed=0)
    except TypeError as error:
        raise InputError(
            f"{path}:{network.__name__} is made by another call than WarmEfficientNet: {error}. Take its __init__ away, or "
            f"let it be (self, variant='b0', num_classes=1000, in_channels=3, *, device=None, seed=None, **options)."
        ) from error
    return network


def _parted(named: str) -> tuple[Path, str | None]:
    """The file and the class, if there is one, of what was named."""
    file, colon, name = named.rpartition(":")
    return (Path(file), name) if colon and name.isidentifier() else (Path(named), None)


def _is_own(value: object) -> TypeGuard[type[WarmEfficientNet]]:
    return isinstance(value, type) and issubclass(value, WarmEfficientNet) and value is not WarmEfficientNet


def _run(path: Path) -> dict[str, object]:
    """What a Python file defines. Its neighbours can be imported in it, as by `python mymodel.py`."""
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    text = path.read_bytes()
    which = hashlib.sha256(bytes(path.resolve()) + text).hexdigest()  # not another of its name, nor this before an edit
    spec = spec_from_file_location(f"model_file_{path.stem}_{which[:8]}", path)
    module = module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[module.__name__] = module  # where pickle looks for its classes
    module.__text__ = text  # type: ignore[attr-defined] # the file may be edited while it trains
    exec(compile(text, str(path), "exec"), vars(module))
    return vars(module)


class Code(NamedTuple):
    """Where a network is written: its name, such as 'mymodel.py:Net', and the text of that file.

    One of a notebook is 'Net', with the text of its cell. Where that cannot be had, there is none, and no checksum.
    """

    name: str
    text: bytes = b""

    @property
    def file(self) -> str:
        """The file's name; '' of a notebook's class."""
        return self.name.rpartition(":")[0]

    def __str__(self) -> str:
        return f"{self.name}, checksum {hashlib.sha256(self.text).hexdigest()[:8]}" if self.text else self.name


def code(network: type[WarmEfficientNet]) -> Code | None:
    """Where a network is written, unless it is warmnet's own."""
    if network is WarmEfficientNet:
        return None
    module = sys.modules[network.__module__]
    if (file := getattr(module, "__file__", None)) is None:
        return Code(network.__qualname__, _cell(network).encode())
    text = getattr(module, "__text__", None) or Path(file).read_bytes()
    return Code(f"{Path(file).name}:{network.__qualname__}", text)


def _cell(network: type[WarmEfficientNet]) -> str:
    """The text of the notebook's cell that defines a class, by a function of the class, as tracebacks have it; or ''."""
    files = [value.__code__.co_filename for value in vars(network).values() if isinstance(value, FunctionType)]
    return next(("".join(linecache.getlines(file)) for file in files if is_users(file)), "")


def of(source: Source, revision: str | None = None) -> str | None:
    """What weights say of the code that they were trained with, in the words of `str(Code)`; None of warmnet's own."""
    return (read(source, revision).about or {}).get("facts", {}).get("network")


def load(source: str, named: str | None, words: Sequence[str]) -> WarmEfficientNet:
    """The network of a run or weights, of the class that is `named` if it is one's own.

    `words` are those of the command that needs it. Raises InputError with the words that it lacks.
    """
    said = of(source)
    beside = Path(source) if Path(source).is_dir() else Path(source).parent
    if not named and not said:
        return WarmEfficientNet.from_pretrained(source)
    if not named:
        was = Code(said.partition(",")[0])  # type: ignore[union-attr]
        named = str(beside / was.name) if (beside / was.file).is_file() else was.name
        why = "and code runs only if you name it. Do so if you trust it"
        if not was.file:
            named = f"mymodel.py:{was.name}"
            why = (
                f"a class of a notebook or session. Load it there with {was.name}.from_pretrained({source!r}), or write it "
                f"into a file and name that"
            )
        raise InputError(f"{source} is of {said}, {why}: {shlex.join(['warmnet', *words, '--model', named])}")
    network = find(named)
    if said and str(code(network)).rpartition(" ")[2] != said.rpartition(" ")[2]:
        warnings.warn(f"{source} is of {said}, not of {code(network)}: it may compute otherwise.", WeightsWarning, stacklevel=2)
    return network.from_pretrained(source)


def own_lines(error: BaseException, named: str) -> str:
    """An error as Python shows it, of its traceback the lines from the model file on, without the libraries'; '' if none is."""
    said = traceback.TracebackException.from_exception(error)
    return "".join(said.format()) if _keep_own(said, str(_parted(named)[0])) else ""


def _keep_own(said: traceback.TracebackException, file: str) -> bool:
    """Whether an error came by that file; what did not is taken out of it."""
    start = next((i for i, frame in enumerate(said.stack) if frame.filename == file), None)
    own = [] if start is None else [frame for frame in said.stack[start:] if is_users(frame.filename)]
    said.stack = traceback.StackSummary.from_list(own)
    for link in "__cause__", "__context__":
        if (other := getattr(said, link)) is not None and not _keep_own(other, file):
            setattr(said, link, None)
    return start is not None or getattr(said, "filename", None) == file
