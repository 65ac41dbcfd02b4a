"""The command line in processes of its own, which one that has imported all of it forks: importing takes seconds."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from itertools import count
from multiprocessing import get_context, set_start_method
from pathlib import Path

from waiting import LIMIT

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["warmnet.cli.main", "warmnet.training", "torch.utils.tensorboard"])
FILES = "open", "os.", "shutil."  # what Python tells of that is done with files
SMALL = "--set=network={'stages':[[8,2,3,2,1],[16,2,5,2,2]],'stem':8,'head':32,'momentum':0.1}"  # soon trained and exported


class Command:
    """`warmnet` with these words, started. What it prints is in <path>.out and <path>.err.

    - `kill_at`: it is killed before it does something with a file for the `kill_at`th time, counted from the first time that
      it is one with `since` in its path. <path>.files is how often that was.
    """

    def __init__(self, words, path, kill_at=-1, since=""):
        self.path = str(path)
        self.process = FORKS.Process(target=_work, args=([str(word) for word in words], self.path, kill_at, since))
        self.process.start()

    @property
    def pid(self):
        return self.process.pid

    @property
    def returncode(self):
        return self.process.exitcode

    def poll(self):
        return self.process.exitcode

    def kill(self):
        """End it, and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.kill()

    def end(self):
        """Its exit code, when it ends, and what it complained of."""
        self.process.join(LIMIT)
        assert self.poll() is not None, f"it did not end in {LIMIT} s"
        return self.poll(), Path(self.path + ".err").read_text()

    @property
    def files(self):
        return int(Path(self.path + ".files").read_text())


def _work(words, path, kill_at, since):
    from warmnet.cli.main import main

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with the tests, whatever ends them
    set_start_method(None, force=True)  # its workers are started as a user's are, not as it was itself
    os.setpgid(0, 0)  # a group of its own
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, ending in (sys.stdout, ".out"), (sys.stderr, ".err"):
        os.dup2(os.open(path + ending, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    begun, numbers = [], count()

    def heard(event, arguments):
        if event.startswith(FILES) and "site-packages" not in str(arguments) and (begun or since in str(arguments)):
            begun.append(event)
            if next(numbers) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(heard)
    code = main(words)
    Path(path + ".files").write_text(str(len(begun)))
    sys.exit(code)
