"""Frames of Python: whose code runs in them, which module is called there, and their lines as a person reads them."""

from __future__ import annotations

import inspect
import linecache
import os
import re
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch
import warm

HERE = os.path.dirname(__file__)
PACKAGE = os.path.dirname(HERE)
FUNCTIONAL = os.path.join(PACKAGE, "functional")
BLOCK = os.path.join(HERE, "block.py")
ENTERED = {  # the frames of modules' calls, and what holds the module there
    (os.path.join(HERE, "module.py"), "_call_impl"): "self",
    (BLOCK, "call"): "child",
    (BLOCK, "alone"): "self",
}
PACKAGES = tuple(os.path.dirname(file) + os.sep for file in (torch.__file__, warm.__file__, np.__file__, HERE))
STANDARD = os.path.dirname(os.__file__) + os.sep
INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
COMMANDS = sysconfig.get_path("scripts") + os.sep


def called(frame: FrameType) -> Any:
    """The module that is called in a frame of the engine's; None in all other frames."""
    name = ENTERED.get((frame.f_code.co_filename, frame.f_code.co_name))
    return frame.f_locals.get(name) if name else None


def is_engines(file: str) -> bool:
    """Whether a file of code is torch's, PyWarm's, numpy's, warmnet's or Python's."""
    return file.startswith(PACKAGES) or (file.startswith(STANDARD) and not INSTALLED.search(file))


def is_users(file: str) -> bool:
    """Whether a file of code is the user's own: none of the engine's, and of no installed package or command."""
    return not (is_engines(file) or INSTALLED.search(file) or file.startswith((COMMANDS, "<frozen ")))


def calling_line() -> str | None:
    """The user's line that is running, as Python names it; None where warmnet was started by a command."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else line_of(frame.f_code, frame.f_lineno)


def with_calling_line(message: str) -> str:
    """The message of an error, and below it the user's line that is running."""
    line = calling_line()
    return message if line is None else f"{message}\n  at {line}"


def line_of(code: CodeType, line: int) -> str:
    """A line as Python names it; one of a notebook's cell as IPython does, since its file is none that can be opened."""
    file, text = code.co_filename, linecache.getline(code.co_filename, line).strip()
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    cell = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(file)
    place = f"{file}:{line}" if cell is None else f"Cell In[{cell}], line {line}"
    return f"{place}, in {code.co_name}: {text}" if text else f"{place}, in {code.co_name}"


def first_line_of(function: Any) -> str:
    """The `def` line of a function, below its decorators, as Python names it."""
    code = inspect.unwrap(function).__code__
    lines, first = linecache.getlines(code.co_filename), code.co_firstlineno
    for number in range(first, len(lines) + 1):
        if lines[number - 1].lstrip().startswith("def "):
            return line_of(code, number)
        if not lines[number - 1].lstrip().startswith("@"):
            break
    return line_of(code, first)
