"""Threads that fetch what is needed next while something else is computed."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from twintrack.compute.threads import n_threads

Item = TypeVar("Item")

_DEPTH = 4  # items that wait: enough that two ends of uneven speed do not wait for each other
_END: object = object()


@contextlib.contextmanager
def ahead(items: Generator[Item, None, None]) -> Generator[Iterator[Item], None, None]:
    """Let a thread fetch the next items of a generator, beginning now.

    Items, their order and errors are the same as without it. Where this process should use one thread (`n_threads`)
    there is none.

    Args:
        items: The generator; closed at the end.

    Yields:
        The same items.
    """
    with contextlib.closing(items):
        if n_threads() == 1:
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
