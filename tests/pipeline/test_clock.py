"""Times of stages."""

from twintrack.pipeline.clock import StageClock


def test_each_stage_lasts_until_the_next_begins():
    times = iter([0.0, 1.0, 1.0, 4.0, 4.0, 4.5])
    seen = []
    clock = StageClock(seen.append, now=lambda: next(times))
    for stage in ("a", "b", "a"):
        clock(stage)
    clock.stop()
    clock.stop()
    assert clock.seconds == {"a": 1.5, "b": 3.0}
    clock.seconds["a"] = 1.23456
    assert clock.rounded() == {"a": 1.235, "b": 3.0}
    assert seen == ["a", "b", "a"]


def test_nobody_need_be_told():
    clock = StageClock()
    clock("a")
    clock.stop()
    assert clock.seconds["a"] >= 0
