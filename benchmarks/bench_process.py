"""A call in a process of its own, which gives back all memory, and takes nothing with it if it is killed."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import Any


def alone(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns, or its error; a ChildProcessError if its process dies, a TimeoutError if it takes longer."""
    context = multiprocessing.get_context("forkserver")  # fork would copy threads that hold locks
    context.set_forkserver_preload(["bench_rows"])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # Python 3.11 would not find it there
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, function, *arguments))
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise TimeoutError(f"took more than {seconds / 60:.0f} minutes")
        found, error = receiver.recv()
    except EOFError:
        process.join(10)
        raise ChildProcessError(f"its process ended with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
    if error:
        raise error
    return found


def _send(sender: Any, function: Callable[..., Any], *arguments: Any) -> None:
    try:
        sender.send((function(*arguments), None))
    except Exception as error:
        sender.send((None, error))
