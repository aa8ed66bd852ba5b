"""Shows which CT is worked on, and at which stage: a line that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from typing_extensions import Self

from twintrack.cli.display import console, track
from twintrack.compute.executors import Executor
from twintrack.segmentation.cts import Ct
from twintrack.segmentation.stream import CtProgress


class Stages:
    """Progress over CTs and, within one, over stages; use as a context.

    Args:
        label: What is being done.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._where = label
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._plain = not console.is_terminal

    def __enter__(self) -> Self:
        if not self._plain:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._plain:
            self._bar.stop()

    def progress(self, cts: Sequence[Ct]) -> Iterator[Ct]:
        """Give the CTs on one by one."""
        task = self._bar.add_task(escape(self._label), total=len(cts))
        for number, ct in enumerate(cts, start=1):
            self._where = f"{self._label}: case {ct.case_id} ({number} of {len(cts)})"
            yield ct
            self._bar.advance(task)

    def on_stage(self, stage: str) -> None:
        """Show what is done next with the CT at hand."""
        text = escape(f"{self._where}: {stage}")
        if self._plain:
            console.print(text, highlight=False, soft_wrap=True)
        for task in self._bar.task_ids:
            self._bar.update(task, description=text)


@contextmanager
def watching(label: str, executor: Executor | None) -> Iterator[tuple[Callable[[str], None] | None, CtProgress]]:
    """Show progress for the time of a block: stages where this process works, else the number of cases done.

    Args:
        label: What is being done.
        executor: Who does it.

    Yields:
        What to call with stages, and what to wrap the CTs with.
    """
    if executor is not None:
        yield None, lambda cts: track(cts, label)
        return
    with Stages(label) as stages:
        yield stages.on_stage, stages.progress
