"""Times several calls in turn, so that whatever else the machine does falls on all of them, and compares them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

QUARTILES = 4


@dataclass(frozen=True)
class Spent:
    """What one call took: seconds on the clock, and of the processor."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Row:
    """One line of the table: a claim, what was compared, and whether the bar is reached.

    Attributes:
        claim: What is compared, and on how much data.
        ours: What of the package ran.
        peer: What it is compared with.
        value: The figure: median over repeats of a ratio, or a number.
        low: Its lower quartile; None for a single number.
        high: Its upper quartile.
        cpu: The same ratio of processor seconds; None where it does not apply.
        bar: What was aimed at; None for a line that is only there to be read.
        at_least: Whether the value must be at least the bar, or at most.
        unit: Of the value.
        seconds: Median seconds of ours and peer.
    """

    claim: str
    ours: str
    peer: str
    value: float
    low: float | None = None
    high: float | None = None
    cpu: float | None = None
    bar: float | None = None
    at_least: bool = True
    unit: str = "×"
    seconds: tuple[float, float] | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def plain(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return asdict(self) | {"reached": self.reached}


def spend(call: Callable[[], object]) -> Spent:
    """Time one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


@dataclass(frozen=True)
class Timings:
    """What each call took, repeat by repeat."""

    spent: Mapping[str, list[Spent]]

    @classmethod
    def of(cls, calls: Mapping[str, Callable[[], object]], *, repeats: int) -> Timings:
        """Run all calls in turn, several times; what must be loaded or compiled first has been."""
        spent: dict[str, list[Spent]] = {name: [] for name in calls}
        for _ in range(repeats):
            for name, call in calls.items():
                spent[name].append(spend(call))
        return cls(spent)

    def median(self, name: str) -> float:
        """Give the median seconds of a call."""
        return statistics.median(one.wall for one in self.spent[name])

    def faster(self, claim: str, ours: str, peer: str, *, bar: float | None) -> Row:
        """Say how many times as long the peer takes."""
        return self._row(claim, ours, peer, peer, ours, bar, at_least=True)

    def costs(self, claim: str, ours: str, reference: str, *, bar: float | None) -> Row:
        """Say how many times as long ours takes as the reference."""
        return self._row(claim, ours, reference, ours, reference, bar, at_least=False)

    def _row(
        self, claim: str, ours: str, peer: str, above: str, below: str, bar: float | None, *, at_least: bool
    ) -> Row:
        pairs = list(zip(self.spent[above], self.spent[below], strict=True))
        middle, low, high = spread([a.wall / b.wall for a, b in pairs])
        cpu = statistics.median(a.cpu / max(b.cpu, 1e-9) for a, b in pairs)
        seconds = (self.median(ours), self.median(peer))
        return Row(claim, ours, peer, middle, low, high, cpu, bar, at_least, seconds=seconds)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Give median and quartiles."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=QUARTILES, method="inclusive")
    return middle, low, high
