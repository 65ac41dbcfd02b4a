"""The entry of the command line: parse, run, and turn what went wrong into one line on stderr and an exit code.

0: done; 1: it failed, or an image did; 2: arguments or input that cannot be; 130: Ctrl-C; 143: SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import InputError, MissingExtra
from ..terminal import STAND_INS
from ..version import __version__
from . import (
    bench,
    convert,
    data,
    evaluate,
    explain,
    export,
    info,
    new,
    notebook,
    predict,
    pretrained,
    search,
    summary,
    train,
)
from .messages import is_out_of_memory, model_file_traceback, warn
from .parser import Parser

COMMANDS = (
    new,
    notebook,
    summary,
    data,
    train,
    search,
    evaluate,
    predict,
    explain,
    export,
    bench,
    convert,
    pretrained,
    info,
)  # each: add_arguments(parser), run(arguments)


class Terminated(BaseException):
    """SIGTERM arrived; like a KeyboardInterrupt, so that what is under way can end well."""


def main(words: Sequence[str] | None = None) -> int:
    """The exit code of a command, given by its words. Default: those that the process was started with."""
    arguments = parse(sys.argv[1:] if words is None else words)
    if "command" not in arguments:
        arguments.parser.print_help()
        return 0
    handler = signal.signal(signal.SIGTERM, _terminate)
    if sys.stdout is None:  # it was closed, as by >&-
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout.reconfigure(errors=STAND_INS)  # type: ignore[union-attr] # a file's name may hold anything
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: warn(message)
            code = run(arguments)
        sys.stdout.flush()
        return code
    except (InputError, MissingExtra) as error:
        return _fail(error, 2)
    except BrokenPipeError:  # of `warmnet ... | head`; what Python would still flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}." if error.filename else error.strerror or error, 1)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _fail("out of memory. A smaller --batch-size or --resolution takes less.", 1)
    except KeyboardInterrupt:
        return _fail("stopped by Ctrl-C.", 130)
    except Terminated:
        return _fail("stopped by SIGTERM.", 143)
    finally:
        signal.signal(signal.SIGTERM, handler)


def run(arguments: argparse.Namespace) -> int:
    """The exit code of a command. An error in the user's own model file is shown as Python shows it, by the lines there."""
    try:
        return arguments.command.run(arguments) or 0
    except Exception as error:
        traceback = model_file_traceback(error, arguments)
        if not traceback:
            raise
        print(traceback, end="", file=sys.stderr)
        return 1


def parse(words: Sequence[str]) -> argparse.Namespace:
    """A command's arguments, with `words` as they were given and `rest`, those that are for another program."""
    words = [str(word) for word in words]
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    ours, rest = _split(words)
    arguments, unknown = _parser().parse_known_args(ours)
    if unknown:
        arguments.parser.refuse(unknown)
    arguments.words, arguments.rest = words, rest
    return arguments


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words for warmnet, and those for another program: the benchmark's are all after bench, Jupyter's all after --."""
    if words[:1] == ["bench"]:
        return words[:1], words[1:]
    if words[:1] == ["notebook"] and "--" in words:
        end = words.index("--")
        return words[:end], words[end + 1 :]
    return words, []


def _parser() -> Parser:
    """The parser of all commands. A command's help is the first line of its file."""
    parser = Parser("warmnet", description="EfficientNet on PyWarm: look at it, train it, use it.")
    parser.usage = "warmnet COMMAND ..."
    parser.epilog = "warmnet help COMMAND, or warmnet COMMAND --help, lists what a command takes."
    parser.add_argument("--version", action="version", version=f"warmnet {__version__}", help="print the version and exit")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="warmnet")
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        command_parser = commands.add_parser(name, help=command.__doc__, description=command.__doc__)
        command_parser.set_defaults(command=command, parser=command_parser)
        command.add_arguments(command_parser)
        command_parser.shorten_usage()
    return parser


def _fail(message: object, code: int) -> int:
    """Say why a command failed; its exit code."""
    warn(message)
    return code


def _terminate(*_: Any) -> NoReturn:
    raise Terminated
