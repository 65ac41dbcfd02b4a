"""The network that a command is for: a run's, of weights or of a name, or an exported one."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ..authoring.user_networks import load_network
from ..data.walk import find_images, why_left_out
from ..deployment import ENGINES, Predictor, exported_path, is_exported, open_exported
from ..errors import InputError
from ..networks.classifier import Classifier
from ..weights.checkpoints import CHECKPOINTS
from .arguments import add_lineage, add_model


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add RUN and the options of commands that take exported networks, too, see `open_network`."""
    parser.add_argument("run", metavar="RUN", help="a run folder, a weights file, a name such as lite0, or an exported network")
    group = parser.add_argument_group("network")
    group.add_argument(
        "--trust", action="store_true", help="open RUN though it is machine code (.aoti.pt2), which can do anything"
    )
    add_model(group)
    add_lineage(group)


def add_network_to_follow(parser: argparse.ArgumentParser) -> None:
    """Add RUN and the options of commands that look into a network, which an exported one does not let, see `open_model`."""
    parser.add_argument("run", metavar="RUN", help="a run folder, a weights file, a name such as lite0, or a Hub id")
    group = parser.add_argument_group("network")
    add_model(group)
    add_lineage(group)


def open_network(arguments: argparse.Namespace) -> Classifier | Predictor:
    """The exported network in RUN, or the model of a run or of weights; an InputError with what to do if RUN is neither."""
    if not is_exported(arguments.run):
        _check_ending(arguments.run)
        return open_model(arguments)
    if arguments.lineage:
        raise InputError(f"{arguments.run} is an exported network, which has no lineage. Leave out --lineage.")
    if arguments.model:
        raise InputError(f"{arguments.run} is an exported network, which needs no model file. Leave out --model.")
    return open_exported(arguments.run, trust=arguments.trust)


def open_model(arguments: argparse.Namespace) -> Classifier:
    """The model of a run or of weights; an InputError with what to do if RUN is neither."""
    if is_exported(arguments.run):
        raise InputError(
            f"{arguments.run} is an exported network, whose layers and gradients are not at hand. Give the run folder or the "
            f"weights that it was exported from."
        )
    check_run(arguments)
    return load_network(arguments.run, arguments.model, arguments.words, arguments.lineage)


def _check_ending(run: str) -> None:
    """Raise InputError if RUN is neither there nor a checkpoint's name, but with the ending of an exported network it is."""
    files = [file for file in (exported_path(run, to) for to in ENGINES) if file.is_file()]
    if files and run not in CHECKPOINTS and not Path(run).exists():
        raise InputError(f"{run} does not exist. Did you mean {str(files[0])!r}?")


def check_run(arguments: argparse.Namespace) -> None:
    """Raise InputError if RUN is an image, or a folder of images with no weights beside them."""
    path = Path(arguments.run)
    if path.is_file() and not why_left_out(path):
        raise InputError(f"{path} is an image, {_network_first(arguments)}")
    if _is_folder_of_images(path):
        raise InputError(f"{path} is a folder of images, {_network_first(arguments)}")


def _is_folder_of_images(path: Path) -> bool:
    return path.is_dir() and not _is_run(path) and bool(find_images(path).images)


def _network_first(arguments: argparse.Namespace) -> str:
    """That RUN comes first, with the command as it was meant: a network among the other words goes to the front."""
    command, *others = arguments.words
    network = next((word for word in others if word in CHECKPOINTS or _is_run(Path(word))), None)
    if network:
        others.remove(network)
    elif "photo" in arguments:  # of which such a command takes one
        others.remove(arguments.run)
    return f"and RUN comes first, the network, such as: {shlex.join(['warmnet', command, network or 'lite0', *others])}"


def _is_run(path: Path) -> bool:
    """Whether a path is one of weights: a file of them, or a folder with some in it."""
    if path.is_dir():
        return any(path.glob("*.safetensors")) or any(path.glob("*.pt"))
    return path.suffix in (".safetensors", ".pt") and path.is_file()
