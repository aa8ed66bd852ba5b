"""What the commands show: progress, tables, and the list of skipped cases.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from twintrack.cohort import Case
from twintrack.errors import TwinTrackError

console = Console(stderr=True)
"""Messages and progress."""
output = Console(highlight=False, soft_wrap=True)
"""Results."""

_PLAIN_STEPS = 10


def track(cases: Sequence[Case], label: str) -> Iterator[Case]:
    """Give the cases on while showing progress: a bar on a terminal, a few plain lines elsewhere."""
    if not console.is_terminal:
        yield from _track_plainly(cases, label)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield from bar.track(cases, description=label)


def _track_plainly(cases: Sequence[Case], label: str) -> Iterator[Case]:
    every = max(1, len(cases) // _PLAIN_STEPS)
    for n, case in enumerate(cases, start=1):
        yield case
        if n % every == 0 or n == len(cases):
            console.print(f"{label}: {n} of {len(cases)} cases", highlight=False)


class Skipped:
    """Collects the cases that could not be used, where the user asked to go on without them."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def __call__(self, case: Case, error: TwinTrackError) -> None:
        """Note a case; the signature is `twintrack.cohort.OnBad`."""
        self.reasons[case.id] = str(error)

    def show(self) -> None:
        """List what was left out."""
        if self.reasons:
            console.print(f"[yellow]{len(self.reasons)} cases were left out:[/]", highlight=False)
        for case_id, reason in self.reasons.items():
            console.print(f"  {escape(case_id)}: {escape(reason)}", highlight=False, soft_wrap=True)


def show_json(content: Any) -> None:
    """Print plain data as JSON."""
    print(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))  # noqa: T201  (the result itself)


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left")
    for k, name in enumerate(header):
        table.add_column(name, justify="left" if k == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    output.print(table)


def show_written(paths: Iterable[Any]) -> None:
    """Name the files that were written."""
    for path in paths:
        output.print(f"wrote {escape(str(path))}", soft_wrap=True)
