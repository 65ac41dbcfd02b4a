"""Reading ahead: threads that read images while those before them are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


def read_ahead(read: Callable[[Any], Any], images: Iterable[Any], threads: int, ahead: int) -> Iterator[Any]:
    """`read(image)` of each image, in their order; at most `ahead` of them are kept before they are taken.

    - `threads`: that read; 0: each is read when it is taken. Pillow decodes and resizes without Python's lock.
    """
    if not threads:
        yield from map(read, images)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Any]] = deque()
    try:
        for image in images:
            waiting.append(pool.submit(read, image))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
