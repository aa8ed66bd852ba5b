"""Doing a task in a worker: warnings and errors are put into the outcome, so that they reach who asked for it."""

from __future__ import annotations

import pickle
import traceback
import warnings
from dataclasses import replace
from typing import Any

from twintrack.compute.executors.base import Item, Outcome, Said, Task
from twintrack.errors import TwinTrackError, WorkerError


def attempt_apart(task: Task[Item, Any], item: Item) -> Outcome:
    """Do a task to an item; nothing is raised and no warning shown.

    Args:
        task: The task.
        item: The item.

    Returns:
        The outcome; it can be pickled if what the task returns can be.
    """
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")  # who hears them decides which to show
        try:
            found = Outcome(task(item))
        except MemoryError:
            found = Outcome(error=WorkerError("there was not enough memory for it in its worker"))
        except Exception as error:  # noqa: BLE001  (it is raised where the outcome is asked for)
            trace = "" if isinstance(error, TwinTrackError) else traceback.format_exc()
            found = Outcome(error=_portable(error), trace=trace)
    return replace(found, said=_each_once(heard))


def _portable(error: Exception) -> Exception:
    """Give a copy of an error that arrives: without what its traceback holds, which a worker would keep with it."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301  (made here)
    except Exception:  # noqa: BLE001  (a class with arguments of its own may be pickled but not unpickled)
        copy = None
    if not isinstance(copy, Exception):
        return RuntimeError(f"{type(error).__name__}: {error}")
    copy.__traceback__ = copy.__cause__ = copy.__context__ = None  # Dask lets them be pickled, too
    return copy


def _each_once(heard: list[warnings.WarningMessage]) -> tuple[Said, ...]:
    found: dict[tuple[str, str, str, int], Said] = {}
    for one in heard:
        message = one.message if isinstance(one.message, Warning) else one.category(one.message)
        key = (str(message), one.category.__name__, one.filename, one.lineno)
        found.setdefault(key, Said(message, one.filename, one.lineno))
    return tuple(found.values())
