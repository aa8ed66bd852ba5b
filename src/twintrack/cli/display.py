"""What the commands show: progress, tables, and the list of skipped cases.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from typing_extensions import Self

from twintrack.errors import TwinTrackError


class Named(Protocol):
    """A case, or whatever else has an id: what is counted and can be left out."""

    @property
    def id(self) -> str:
        """What it is called."""


Fit = TypeVar("Fit")
Tracked = TypeVar("Tracked", bound=Named)

console = Console(stderr=True)
"""Messages and progress."""
output = Console(highlight=False, soft_wrap=True)
"""Results."""

_PLAIN_STEPS = 10
_WIDEST = 10_000


def track(cases: Sequence[Tracked], label: str) -> Iterator[Tracked]:
    """Give the cases on while showing progress: a bar on a terminal, a few plain lines elsewhere."""
    with counting(label, len(cases)) as done:
        for case in cases:
            yield case
            done(case.id)


def track_fits(fits: Sequence[Fit], label: str) -> Iterator[Fit]:
    """Give fits on while showing progress, as `track` does with cases."""
    with counting(label, len(fits), what="fits") as done:
        for one in fits:
            yield one
            done("")


@contextmanager
def counting(label: str, total: int, *, what: str = "cases") -> Iterator[Callable[[str], None]]:
    """Show how many of `total` cases are done; the callable given is called once for each."""
    if not console.is_terminal:
        yield _plain_counter(label, total, what)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda _: bar.advance(task)


def _plain_counter(label: str, total: int, what: str) -> Callable[[str], None]:
    every, counter = max(1, total // _PLAIN_STEPS), count(1)

    def done(_: str) -> None:
        n = next(counter)
        if n % every == 0 or n == total:
            console.print(f"{label}: {n} of {total} {what}", highlight=False)

    return done


class Skipped:
    """Collects the cases that could not be used, where the user asked to go on without them.

    As a context it lists them at the end of the block, also when an error or an interrupt ends it: where no case is
    left the reasons are all there is to say.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def __call__(self, case: Named, error: TwinTrackError) -> None:
        """Note a case; the signature is `twintrack.cohort.OnBad`."""
        self.reasons[case.id] = str(error).removeprefix(f"case {case.id}: ")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.reasons:
            console.print(f"[yellow]cases left out: {len(self.reasons)}[/]", highlight=False)
        for case_id, reason in self.reasons.items():
            console.print(f"  {escape(case_id)}: {escape(reason)}", highlight=False, soft_wrap=True)


def show_json(content: Any) -> None:
    """Print plain data as JSON."""
    print(json.dumps(content, indent=1, allow_nan=False))  # noqa: T201  (the result itself)


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left")
    for k, name in enumerate(header):
        table.add_column(name, justify="left" if k == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    # Pitfall: fitted to a narrow terminal, or to the 80 columns of a log, rich leaves whole columns empty.
    table.width = Measurement.get(output, output.options.update(width=_WIDEST), table).maximum
    output.print(table, crop=False)


def message(text: str) -> None:
    """Say something that is no result, on standard error."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def show_written(paths: Iterable[Any]) -> None:
    """Name the files that were written."""
    for path in paths:
        output.print(f"wrote {escape(str(path))}", soft_wrap=True)
