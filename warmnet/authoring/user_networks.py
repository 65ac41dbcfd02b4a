"""A network of the user's own: the class that 'mymodel.py:Net' names, and weights loaded into it."""

from __future__ import annotations

import hashlib
import inspect
import shlex
import sys
import warnings
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TypeGuard

from ..errors import InputError
from ..networks.classifier import Classifier
from ..weights import WeightsWarning
from .source_code import SourceCode, find_source_code, is_warmnets, recorded_source_code

MODEL_FILE = "model_file_"  # how the names of modules begin that are model files


def find_network(name: str) -> type[Classifier]:
    """The class that 'mymodel.py:Net' names, or the only network of 'mymodel.py'. The file is run for it.

    Raises InputError if there is no such class, and whatever the file raises.
    """
    path, key = split_name(name)
    if path.suffix != ".py":
        raise InputError(f"{name} names no class in a Python file. Write it as mymodel.py:Net.")
    if not path.is_file():
        raise InputError(f"{path} does not exist. A model file is written by: {shlex.join(['warmnet', 'new', str(path)])}")
    namespace = run_file(path)
    names = [key for key, value in namespace.items() if _is_network(value) and value.__module__ == namespace["__name__"]]
    if key is None and len(names) > 1:
        raise InputError(f"{path} has several networks. Name one: {', '.join(f'{path}:{each}' for each in names)}.")
    key = key or (names[0] if names else "Net")
    network = namespace.get(key)
    if not _is_network(network):
        problem = f"{path}:{key} is no network" if key in namespace else f"{path} has no {key}"
        known = ", ".join(names) or "none"
        raise InputError(f"{problem}. Networks there, classes that inherit from warmnet.Classifier: {known}.")
    _check_signature(network, path)
    return network


def split_name(name: str) -> tuple[Path, str | None]:
    """('mymodel.py', 'Net') of 'mymodel.py:Net', and ('mymodel.py', None) of 'mymodel.py'."""
    file, colon, key = name.rpartition(":")
    return (Path(file), key) if colon and key.isidentifier() else (Path(name), None)


def _is_network(value: object) -> TypeGuard[type[Classifier]]:
    return isinstance(value, type) and issubclass(value, Classifier) and not is_warmnets(value)


def _check_signature(network: type[Classifier], path: Path) -> None:
    """Raises InputError if a class cannot be called as warmnet calls it."""
    try:
        inspect.signature(network.__init__).bind(None, "b0", num_classes=1, in_channels=3, device=None, seed=0)
    except TypeError as error:
        raise InputError(
            f"{path}:{network.__name__} is made by another call than other classifiers: {error}. Take its __init__ away, "
            f"or let it be (self, variant='b0', num_classes=1000, in_channels=3, *, device=None, seed=None, ...)."
        ) from error


def run_file(path: Path) -> dict[str, object]:
    """What a Python file defines. It can import its neighbours, as by `python mymodel.py`."""
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    text = path.read_bytes()
    checksum = hashlib.sha256(bytes(path.resolve()) + text).hexdigest()[:8]  # keeps files of one name apart, and edits
    spec = spec_from_file_location(f"{MODEL_FILE}{path.stem}_{checksum}", path)
    module = module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[module.__name__] = module  # where pickle looks for its classes
    module.__text__ = text  # type: ignore[attr-defined] # the file may be edited while it trains
    exec(compile(text, str(path), "exec"), vars(module))
    return vars(module)


def load_network(source: str, name: str | None, command: Sequence[str], lineage: str | None = None) -> Classifier:
    """The network of a run or of weights; if it is the user's own, of the class that `name` names.

    - `lineage`: as in `from_pretrained`.

    Raises InputError if weights of the user's own network come without a name: with `command`, the words of the command line
    that needs it, and the --model that they lack.
    """
    recorded = recorded_source_code(source)
    if name is None:
        if recorded is not None:
            raise _missing_name(source, recorded, command)
        return Classifier.from_pretrained(source, lineage=lineage)
    network = find_network(name)
    code = find_source_code(network)
    if recorded is not None and code is not None and recorded.rpartition(" ")[2] != str(code).rpartition(" ")[2]:
        warnings.warn(f"{source} is of {recorded}, not of {code}: it may compute otherwise.", WeightsWarning, stacklevel=2)
    return network.from_pretrained(source, lineage=lineage)


def _missing_name(source: str, recorded: str, command: Sequence[str]) -> InputError:
    """The error for weights of a network whose class has not been named."""
    code = SourceCode(recorded.partition(",")[0])
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    if not code.file:
        name = f"mymodel.py:{code.name}"
        cure = (
            f"a class of a notebook or session. Load it there with {code.name}.from_pretrained({source!r}), or write it into "
            f"a file and name that"
        )
    else:
        name = str(folder / code.name) if (folder / code.file).is_file() else code.name
        cure = "and code runs only if you name it. Do so if you trust it"
    return InputError(f"{source} is of {recorded}, {cure}: {shlex.join(['warmnet', *command, '--model', name])}")
