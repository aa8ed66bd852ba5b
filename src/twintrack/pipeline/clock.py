"""How long each stage of a case took."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter


class StageClock:
    """Takes the time between the beginnings of stages.

    Args:
        on_stage: Called with each stage as well, when it begins.
        now: Gives the time in seconds.
    """

    def __init__(
        self, on_stage: Callable[[str], None] | None = None, *, now: Callable[[], float] = perf_counter
    ) -> None:
        self.seconds: dict[str, float] = {}
        self._on_stage = on_stage
        self._now = now
        self._stage: str | None = None
        self._since = 0.0

    def __call__(self, stage: str) -> None:
        """Begin a stage, which ends the one before; a stage that comes again goes on."""
        self.stop()
        self._stage, self._since = stage, self._now()
        if self._on_stage is not None:
            self._on_stage(stage)

    def stop(self) -> None:
        """End the stage that is under way."""
        if self._stage is not None:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + self._now() - self._since
        self._stage = None

    def rounded(self) -> dict[str, float]:
        """Give the seconds of each stage, to the millisecond."""
        return {stage: round(seconds, 3) for stage, seconds in self.seconds.items()}
