"""Files of torch.save: what they hold, if it is data alone. No code in them runs."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .errors import WeightsError


def read(path: Path) -> Mapping[str, Any]:
    """The mapping that a file of torch.save holds; a WeightsError if it is not whole, or holds code or anything else."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # timm's checkpoints hold their command line in one
            content = torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error):
            raise WeightsError(
                f"{path} would run code of its own: {_reason_for_refusal(error)}. If you trust where it is from, unpickle it "
                f"yourself and pass what comes out: torch.load({str(path)!r}, 'cpu', weights_only=False)"
            ) from error
        raise WeightsError(f"{path} is not a file of torch.save, or is not whole: {error}.") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is not a file of torch.save, or is not whole: {reason}.") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, and not a state dict.")
    return content


def _reason_for_refusal(error: Exception) -> str:
    name = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
    return f"it asks for {name[1]}" if name else "it holds more than tensors"
