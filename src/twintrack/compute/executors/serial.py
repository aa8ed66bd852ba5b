"""One item after the other, in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from twintrack.compute.executors.base import Executor, Item, Outcome, Task


class Serial(Executor):
    """Does one item after the other, each when its outcome is asked for."""

    def map(
        self,
        task: Task[Item, Any],
        items: Sequence[Item],
        *,
        gather: bool = True,  # noqa: ARG002
    ) -> Generator[Outcome, None, None]:
        """Do a task to every item; see `Executor.map`."""
        for item in items:
            yield _attempt(task, item)


def _attempt(task: Task[Item, Any], item: Item) -> Outcome:
    # Pitfall: caught in the generator itself, its frame would be in the traceback, and who clears that would end it.
    try:
        return Outcome(task(item))
    except Exception as error:  # noqa: BLE001  (whoever asked for the outcome decides)
        return Outcome(error=error)
