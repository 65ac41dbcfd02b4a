"""What the command line says on stderr: messages of a line, and errors in the user's own model file."""

from __future__ import annotations

import argparse
import sys

from ..authoring.tracebacks import traceback_from
from ..authoring.user_networks import split_name
from ..errors import InputError, MissingExtra


def warn(message: object) -> None:
    """Print a message of a line to stderr."""
    print(f"warmnet: {message}", file=sys.stderr)


def model_file_traceback(error: BaseException, arguments: argparse.Namespace) -> str:
    """An error in the user's own model file as Python shows it; '' for all others, and for those that are said in a line."""
    if not isinstance(error, Exception) or isinstance(error, (InputError, MissingExtra)) or is_out_of_memory(error):
        return ""
    model = getattr(arguments, "model", None)
    return traceback_from(error, str(split_name(model)[0])) if model else ""


def is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate" in str(error))
