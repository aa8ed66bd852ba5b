"""Shows how far a training is: a bar for each network on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import Self

from twintrack.cli.display import console, counting
from twintrack.pipeline.train import Watching

if TYPE_CHECKING:
    from twintrack.segmentation.training.job import Event

_LINES = 10
"""How many lines a network gets where there is no terminal."""


class _Named(Protocol):
    @property
    def id(self) -> str:
        """What it is called."""


Item = TypeVar("Item", bound=_Named)


class TrainingProgress:
    """Progress of a training; use as a context."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}
        columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    @property
    def watching(self) -> Watching:
        """What the training tells."""
        return Watching(
            say=self._say,
            on_event=self.on_event,
            cases=tracking("Reading"),
            cts=tracking("Segmenting"),
        )

    def on_event(self, event: Event) -> None:
        """Show what a network in training says."""
        if event.epoch is None or event.epochs is None:
            self._line(f"{event.network}: {event.stage}")
        elif self._bars is not None:
            self._move(self._bars, event)
        elif event.epoch % max(1, event.epochs // _LINES) == 0 or event.epoch == event.epochs:
            self._line(f"{event.network}: epoch {event.epoch} of {event.epochs}, loss {event.loss}")

    def _say(self, text: str) -> None:
        # Bars of a stage that is over would stand beside those of the next one, and two live displays do not mix.
        if self._bars is not None:
            self._bars.stop()
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks.clear()
        self._line(text)

    def _move(self, bars: Progress, event: Event) -> None:
        bars.start()
        text = escape(f"{event.network}: loss {event.loss}")
        if event.network not in self._tasks:
            self._tasks[event.network] = bars.add_task(text, total=event.epochs)
        bars.update(self._tasks[event.network], description=text, completed=event.epoch)

    def _line(self, text: str) -> None:
        console.print(escape(text), highlight=False, soft_wrap=True)


def tracking(label: str) -> Callable[[Sequence[Item]], Iterable[Item]]:
    """Give what wraps cases, or whatever has an id, to show how many are done."""

    def walk(items: Sequence[Item]) -> Iterator[Item]:
        with counting(label, len(items)) as done:
            for item in items:
                yield item
                done(item.id)

    return walk
