"""The other processes of a search on this machine."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...authoring.user_networks import MODEL_FILE, run_file
from ...errors import InputError

if TYPE_CHECKING:
    from .running import Search

COMMAND = "from warmnet.training.searching.jobs import take_part; take_part()"
GRACE = 20  # seconds, in which a training is saved


class Jobs:
    """So many processes that take part in a search, until the block has ended."""

    def __init__(self, search: Search, count: int):
        self.count, self.content = count, _pickled(search) if count else b""
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Jobs:
        for _ in range(self.count):
            process = subprocess.Popen([sys.executable, "-c", COMMAND], stdin=subprocess.PIPE)
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


def _pickled(search: Search) -> bytes:
    """A search for another process, after the file of a network that is the user's own. InputError if it cannot be sent."""
    module = sys.modules[search.network.__module__]
    model_file = module.__file__ if module.__name__.startswith(MODEL_FILE) else None
    try:
        if module.__name__ == "__main__":
            raise pickle.PicklingError("it is written in the script or the notebook itself")
        return pickle.dumps((sys.path, model_file)) + pickle.dumps(search)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"{search.network.__name__} cannot be trained by several jobs: {error}. Write it in a file of its own, or take "
            f"jobs=1."
        ) from error


def take_part() -> None:
    """Take part in the search that stdin holds, until it is over or whoever began it has ended."""
    from .running import one_thread

    sys.path[:], model_file = pickle.load(sys.stdin.buffer)
    if model_file:
        run_file(Path(model_file))  # so that its classes are there
    search: Any = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with one_thread():
            search.work()
    except KeyboardInterrupt:
        os._exit(130)
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        print(f"warmnet: one of the jobs: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
