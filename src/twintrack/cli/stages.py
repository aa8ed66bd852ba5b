"""Shows which CT is worked on, and at which stage: a line that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from typing_extensions import Self

from twintrack.cli.display import console
from twintrack.segmentation.cts import Ct


class Stages:
    """Progress over CTs and, within one, over stages; use as a context.

    Attributes:
        label: What is being done, for the bar.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._where = ""
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
            self._bar = Progress(*columns, MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def progress(self, cts: Sequence[Ct]) -> Iterator[Ct]:
        """Give the CTs on one by one."""
        task = None if self._bar is None else self._bar.add_task(self.label, total=len(cts))
        for number, ct in enumerate(cts, start=1):
            self._where = f"{self.label}: case {ct.case_id} ({number} of {len(cts)})"
            yield ct
            if self._bar is not None and task is not None:
                self._bar.advance(task)

    def on_stage(self, stage: str) -> None:
        """Show what is done next with the CT at hand."""
        text = escape(f"{self._where}: {stage}")
        if self._bar is None:
            console.print(text, highlight=False, soft_wrap=True)
        else:
            for task in self._bar.tasks:
                self._bar.update(task.id, description=text)
