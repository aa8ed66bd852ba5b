"""Small cohorts of disks with rough borders, and evaluations of them on disk, for reports to be made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import twintrack as tt
from twintrack.evaluation import write_evaluation

STATIC = Path(tt.__file__).parent / "report" / "html" / "static"
SHAPE = (5, 40, 44)
SPACING = (3.0, 0.8, 0.7)
HOSTILE = "</script><script>alert(1)</script>\"'&<b>"
"""A name that would run, or end what stands around it, where it is not escaped."""


def make_case(number: int, *, name: str | None = None, n_raters: int = 4, **options: Any) -> tt.Case:
    """Make a case whose raters are nested disks, with a CT in the range of the abdomen."""
    rng = np.random.default_rng(number)
    z, y, x = np.mgrid[tuple(slice(size) for size in SHAPE)]
    distance = np.hypot(0.8 * (y - 20), 0.7 * (x - 20 - number)) + 1.5 * np.abs(z - 2)
    members = [1 / (1 + np.exp(distance - 7 - 0.5 * number + 0.6 * rng.normal(size=SHAPE))) for _ in range(2)]
    raters = [distance + 0.5 * rng.normal(size=SHAPE) < 6 + 0.7 * k for k in range(n_raters)]
    ct = (60 - 4 * distance + rng.normal(size=SHAPE)).astype(np.float32)
    given = {"image": ct, "patient": f"patient {number // 2}"} | options
    return tt.Case(
        name or f"case {number}",
        members=[member.astype(np.float32) for member in members],
        raters=[mask.astype(np.uint8) for mask in raters],
        spacing=SPACING,
        **given,
    )


def make_cases(n: int = 6) -> list[tt.Case]:
    """Make a cohort, the last with a hostile name."""
    return [*(make_case(k) for k in range(n - 1)), make_case(n - 1, name=HOSTILE, n_raters=3)]


def write_scores(folder: Path, cases: list[tt.Case], *, method: str | None = "isotonic", **options: Any) -> Path:
    """Evaluate cases into ``folder/scores`` beside the ``calibration.json`` that was fitted to them."""
    calibration = None
    if method is not None:
        calibration = tt.fit(cases, method=method, replicates=2)
        calibration.save(folder / "calibration.json")
    how = {"calibration": calibration, "repeats": 20, "ceiling": True, "details": True} | options
    write_evaluation(tt.evaluate(cases, **how), folder / "scores")
    return folder / "scores"
