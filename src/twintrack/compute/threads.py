"""Threads within one case: how many this process should use, and sharing an array's blocks among them.

Only work that lets other threads run gains by it: inflating, deflating, NumPy and kernels compiled with `nogil`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from twintrack.compute.blocks import BLOCK, blocks

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 8  # more would only wait for the memory
_FEWEST_BLOCKS = 8  # per thread: starting one takes as long as a block or two


def n_threads() -> int:
    """Say how many threads this process should use.

    Returns:
        ``OMP_NUM_THREADS`` where it is a number from 1, as it is in a worker among several
        (`twintrack.compute.executors`), else one for each core this process may use; at most eight.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").strip()
    given = int(wanted) if wanted.isdecimal() else 0
    return min(given or _cores(), _MOST)


def share_blocks(work: Callable[[Iterable[slice]], Result], size: int) -> list[Result]:
    """Share the blocks of a flat array among threads.

    Args:
        work: Given consecutive blocks; called in several threads at once.
        size: Elements of the array.

    Returns:
        What each call gave, in the order of the blocks. How many calls there are depends on the machine: what is made
        of the results must not.
    """
    parts = list(blocks(size))
    n = max(1, min(n_threads(), size // BLOCK // _FEWEST_BLOCKS))
    runs = [parts[len(parts) * k // n : len(parts) * (k + 1) // n] for k in range(n)]
    if n == 1:
        return [work(runs[0])]
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(work, runs))


def each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do something to each of a few items, such as files to read, in threads where this process may use several.

    Args:
        work: What to do; called in several threads at once.
        items: To what.

    Returns:
        What it gave, in the order of the items; what it raises for the first bad one is raised.
    """
    n = min(n_threads(), len(items))
    if n <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(work, items))


def _cores() -> int:
    # Not on every system can one ask which cores this process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
