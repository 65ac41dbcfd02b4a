"""Waiting for what happens, on any machine however busy: never for a time."""

import time

LIMIT = 600  # seconds after which a test that hangs is ended, no measure of anything


def until(happened, process=None):
    """Wait until `happened()`; an AssertionError if `process` ends without it."""
    end = time.monotonic() + LIMIT
    while not happened():
        if process is not None and process.poll() is not None:
            assert happened(), f"the process ended with {process.returncode} before"
            return
        assert time.monotonic() < end, f"it did not happen in {LIMIT} s"
        time.sleep(0.01)
