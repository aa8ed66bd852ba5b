"""What comes of a walk over items: results in order, warnings shown and errors raised where the work was asked for."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import Any

from twintrack.compute.executors.base import Executor, Item, Outcome, Task
from twintrack.errors import MissingExtraError, OutputError, TwinTrackError, WorkerError

_FATAL = (OutputError, MissingExtraError)


def each_result(
    task: Task[Item, Any],
    items: Sequence[Item],
    *,
    executor: Executor,
    name: Callable[[Item], str],
    on_bad: Callable[[Item, TwinTrackError], None] | None = None,
    progress: Callable[[Sequence[Item]], Iterable[Item]] | None = None,
    gather: bool = True,
) -> Generator[Any, None, None]:
    """Do a task to every item and give what it returned.

    Args:
        task: What to do.
        items: To what.
        executor: Who does it.
        name: Says how to call an item in messages.
        on_bad: Called with an item that cannot be used and the reason; the walk then goes on. None: raise. A file that
            cannot be written, and a package that is not installed, are no fault of the item and always raised.
        progress: Wraps the items to show progress.
        gather: Whether values are wanted here; see `Executor.map`.

    Yields:
        What the task returned, in the order of the items, without those that cannot be used.

    Raises:
        TwinTrackError: Without `on_bad`, whatever is wrong with the first unusable item.
        WorkerError: If there are no workers, or (without `on_bad`) those that worked on an item died.
    """
    seen: dict[Any, Any] = {}
    with closing(executor.map(task, items, gather=gather)) as outcomes:
        for item, outcome in zip(progress(items) if progress else items, outcomes, strict=False):
            for said in outcome.said:
                warnings.warn_explicit(said.message, type(said.message), said.filename, said.line, registry=seen)
            if outcome.error is None:
                yield outcome.value
                continue
            error = _named(outcome, name(item))
            # Pitfall: on a full disk every item would be left out, and the end looks like success.
            if on_bad is None or isinstance(error, _FATAL) or not isinstance(error, TwinTrackError):
                raise error
            _forget_frames(error)
            on_bad(item, error)


def _named(outcome: Outcome, name: str) -> Exception:
    """Give the error of an outcome; one that a worker's end brought about does not know the item."""
    error = outcome.error
    assert error is not None
    if isinstance(error, WorkerError):
        return WorkerError(f"{name}: {error}")
    if outcome.trace:
        error.__cause__ = RuntimeError(f"in a worker, at {name}:\n{outcome.trace}")
    return error


def _forget_frames(error: BaseException | None) -> None:
    """Let go of what an error's traceback holds: who keeps the error would keep the arrays of the item."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
