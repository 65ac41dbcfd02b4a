"""An error in the user's file as Python shows it, by the lines there, without those of libraries."""

from __future__ import annotations

from traceback import StackSummary, TracebackException

from ..engine.frames import is_users


def traceback_from(error: BaseException, file: str) -> str:
    """The traceback of an error from that file on, its user's lines alone; '' if it did not pass through the file."""
    traceback = TracebackException.from_exception(error)
    return "".join(traceback.format()) if _keep_users_frames(traceback, file) else ""


def _keep_users_frames(traceback: TracebackException, file: str) -> bool:
    """Whether an error passed through that file. Other frames are taken out of it, and causes that did not."""
    files = [frame.filename for frame in traceback.stack]
    passed = file in files
    frames = traceback.stack[files.index(file) :] if passed else []
    traceback.stack = StackSummary.from_list([frame for frame in frames if is_users(frame.filename)])
    for link in "__cause__", "__context__":
        other = getattr(traceback, link)
        if other is not None and not _keep_users_frames(other, file):
            setattr(traceback, link, None)
    return passed or getattr(traceback, "filename", None) == file
