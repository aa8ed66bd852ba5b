"""Threads that fetch what is needed next while something else is computed.

Only work that lets other threads run gains by it: inflating, deflating, NumPy and kernels compiled with `nogil`.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

_DEPTH = 4  # items that wait: enough that two ends of uneven speed do not wait for each other
_END: object = object()


def one_thread() -> bool:
    """Say whether this process should use one thread only.

    Returns:
        True where there is one core, and where ``OMP_NUM_THREADS`` is 1, as it is in a worker among several
        (`twintrack.compute.executors`).
    """
    return os.environ.get("OMP_NUM_THREADS", "").strip() == "1" or _cores() == 1


@contextlib.contextmanager
def ahead(items: Generator[Item, None, None]) -> Generator[Iterator[Item], None, None]:
    """Let a thread fetch the next items of a generator, beginning now.

    Items, their order and errors are the same as without it; where this process should use one thread, there is none.

    Args:
        items: The generator; closed at the end.

    Yields:
        The same items.
    """
    with contextlib.closing(items):
        if one_thread():
            yield items
            return
        with ThreadPoolExecutor(1) as thread:
            waiting = deque(thread.submit(next, items, _END) for _ in range(_DEPTH))
            try:
                yield _fetched(thread, items, waiting)
            finally:
                thread.shutdown(cancel_futures=True)


def _fetched(
    thread: ThreadPoolExecutor, items: Generator[Item, None, None], waiting: deque[Future[Item | object]]
) -> Iterator[Item]:
    while (item := waiting.popleft().result()) is not _END:
        waiting.append(thread.submit(next, items, _END))
        yield item  # type: ignore[misc]  # which is not the end


def _cores() -> int:
    # Not on every system can one ask which cores this process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
