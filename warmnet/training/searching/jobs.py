"""The other processes of a search on this machine."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any, Protocol

import torch

from ...authoring.user_networks import MODEL_FILE, run_file
from ...errors import InputError
from ...networks.classifier import Classifier

COMMAND = "from warmnet.training.searching.jobs import take_part; take_part()"
GRACE = 20  # seconds, in which a training is saved


class Work(Protocol):
    """What several processes do, each a share of it, and which can be pickled."""

    def work(self) -> None: ...


@contextmanager
def one_thread() -> Iterator[None]:
    """torch computes with one thread, so that sums are rounded in the same way by any number of jobs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Jobs:
    """So many processes that do the work, too, until the block has ended.

    - `network`: the class that is trained.
    """

    def __init__(self, work: Work, network: type[Classifier], count: int):
        self.count, self.content = count, pickled(work, network) if count else b""
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Jobs:
        for _ in range(self.count):
            process = subprocess.Popen([sys.executable, "-c", COMMAND], stdin=subprocess.PIPE, start_new_session=True)
            assert process.stdin is not None
            process.stdin.write(self.content)
            process.stdin.flush()  # and it stays open: where it ends, so did this process
            self.processes.append(process)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self.processes:
            if kind:
                process.terminate()
        for process in self.processes:
            try:
                code = process.wait(GRACE if kind else None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            else:
                if code and not kind:
                    warnings.warn(f"One of the jobs ended early, with code {code}; the others did its work.", stacklevel=2)


class Pickler(pickle.Pickler):
    """Refuses what is written in the script or the notebook itself: other processes have another."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, FunctionType)) and value.__module__ == "__main__":
            raise pickle.PicklingError(f"{value.__qualname__} is written in the script or the notebook itself")
        return NotImplemented


def pickled(work: Work, network: type[Classifier]) -> bytes:
    """Work for another process, after the file of a network that is the user's own. InputError if it cannot be sent."""
    module, content = sys.modules[network.__module__], io.BytesIO()
    model_file = module.__file__ if module.__name__.startswith(MODEL_FILE) else None
    try:
        for part in (sys.path, model_file), work:
            Pickler(content).dump(part)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(f"Several jobs cannot take part: {error}. Write it in a file of its own, or take jobs=1.") from error
    return content.getvalue()


def take_part() -> None:
    """Do the work that stdin holds, until it is done or whoever began it has ended."""
    try:
        sys.path[:], model_file = pickle.load(sys.stdin.buffer)
        if model_file:
            run_file(Path(model_file))  # so that its classes are there
        share: Work = pickle.load(sys.stdin.buffer)
    except (EOFError, pickle.UnpicklingError):  # whoever began it has ended
        os._exit(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with one_thread():
            share.work()
    except KeyboardInterrupt:
        os._exit(130)
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        print(f"warmnet: one of the jobs: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
