"""What every executor is: it does a task to each of some items and gives the outcomes in the order of the items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Task: TypeAlias = Callable[[Item], Result]
"""What is done to one item. For executors with workers it can be pickled, and what it returns is small.

A worker unpacks it once and does it to one item after the other, so that what it loads and keeps is loaded once."""

Merge: TypeAlias = Callable[[Result, Result], Result]
"""Joins the results of neighbouring items. Associative, so that parts can be joined wherever they are."""


@dataclass(frozen=True)
class Said:
    """A warning that a task gave where its caller cannot hear it.

    Attributes:
        message: The warning.
        filename: Where it was given.
        line: The line there.
    """

    message: Warning
    filename: str
    line: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """How it went with one item.

    Attributes:
        value: What the task returned.
        error: What it raised instead, or a `WorkerError` where its worker died; None where it went well.
        said: The warnings it gave, in order, each once; empty where they were given in this process.
        trace: The traceback of an error raised elsewhere, as text.
    """

    value: Any = None
    error: Exception | None = None
    said: tuple[Said, ...] = ()
    trace: str = ""


class Total(ABC):
    """Joins values, in the order in which they are added."""

    @abstractmethod
    def add(self, value: Any) -> None:
        """Add the value of an outcome."""

    @abstractmethod
    def result(self) -> Any:
        """Give all values joined; None where none was added."""


class RunningTotal(Total):
    """Joins each value to those before it, in this process.

    Args:
        merge: Joins two.
    """

    def __init__(self, merge: Merge[Any]) -> None:
        self._merge = merge
        self._values: list[Any] = []

    def add(self, value: Any) -> None:
        """Join a value to those before it."""
        self._values = [self._merge(self._values[0], value)] if self._values else [value]

    def result(self) -> Any:
        """Give all values joined; None where none was added."""
        return self._values[0] if self._values else None


class Executor(ABC):
    """Does a task to each of some items."""

    @abstractmethod
    def map(
        self, task: Task[Item, Any], items: Sequence[Item], *, gather: bool = True
    ) -> Generator[Outcome, None, None]:
        """Do a task to every item.

        Closing the iterator ends what is still going on.

        Args:
            task: What to do.
            items: To what.
            gather: Whether values are wanted here. Otherwise they may stay where they were made, and the value of an
                outcome is something that `total` understands.

        Yields:
            The outcome of each item, in the order of the items.

        Raises:
            WorkerError: If there are no workers to do it.
        """

    def total(self, merge: Merge[Any]) -> Total:
        """Join values of outcomes that were not gathered, where they are.

        Args:
            merge: Joins two.

        Returns:
            What to add them to.
        """
        return RunningTotal(merge)
