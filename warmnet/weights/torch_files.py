"""Files of torch.save: what they hold, if it is data alone. No code in them runs."""

from __future__ import annotations

import argparse
import datetime
import pathlib
import pickle
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .errors import WeightsError

NUMBER: Any = np.float64(0).__reduce__()[0]  # the functions that NumPy unpickles numbers and arrays by
ARRAY: Any = np.empty(0).__reduce__()[0]
DATA: list[Any] = [  # what training scripts keep beside tensors: it is made of values, and making it does nothing else
    argparse.Namespace, types.SimpleNamespace,
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone,
    pathlib.PurePosixPath, pathlib.PureWindowsPath,
    (pathlib.PurePosixPath, "pathlib.PosixPath"), (pathlib.PureWindowsPath, "pathlib.WindowsPath"),
    (pathlib.PurePosixPath, "pathlib._local.PosixPath"), (pathlib.PureWindowsPath, "pathlib._local.WindowsPath"),
    np.ndarray, np.dtype, *{type(np.dtype(code)) for code in np.typecodes["All"]},
    (NUMBER, "numpy.core.multiarray.scalar"), (NUMBER, "numpy._core.multiarray.scalar"),
    (ARRAY, "numpy.core.multiarray._reconstruct"), (ARRAY, "numpy._core.multiarray._reconstruct"),
]  # fmt: skip


def read(path: Path) -> Any:
    """What a file of torch.save holds; a WeightsError if it is not whole, or holds code."""
    try:
        with torch.serialization.safe_globals(DATA):
            return torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error):
            raise WeightsError(_refusal(path, error)) from error
        raise _not_whole(path, str(error)) from error
    except Exception as error:  # whatever damaged bytes lead to
        raise _not_whole(path, str(error) or type(error).__name__) from error


def _not_whole(path: Path, reason: str) -> WeightsError:
    first_sentence = reason.splitlines()[0].partition(". ")[0].rstrip(".")
    return WeightsError(f"{path} is not a file of torch.save, or is not whole: {first_sentence}. Get it again.")


def _refusal(path: Path, error: Exception) -> str:
    """Why a pickle is not loaded, and how its tensors are got."""
    name = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
    reason = f"it asks for {name[1]}" if name else "it holds more than tensors"
    if name and _is_module(path):
        return (
            f"{path} holds a whole model, which would run code of its own: {reason}. Where that code is, save its tensors "
            f"alone: torch.save(torch.load({str(path)!r}, 'cpu', weights_only=False).state_dict(), 'weights.pth')"
        )
    return (
        f"{path} would run code of its own: {reason}. If you trust where it is from, unpickle it yourself and pass what comes "
        f"out: torch.load({str(path)!r}, 'cpu', weights_only=False)"
    )


def _is_module(path: Path) -> bool:
    """Whether a pickle is made of torch's layers."""
    try:
        return any(name.startswith("torch.nn.modules") for name in torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # it is only for the words
        return False
