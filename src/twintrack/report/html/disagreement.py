"""Disagreement: how far the raters part, and whether the maps know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twintrack.evaluation.details.case_details import CaseDetails
from twintrack.evaluation.details.counts import StripCounts
from twintrack.report.html.axes import log_axis
from twintrack.report.html.headline import kind_of
from twintrack.report.html.svg import Chart
from twintrack.report.html.volumes import Unit
from twintrack.report.html.words import interval, number, percent


def disagreement(cases: Sequence[CaseDetails], predictions: Sequence[str], unit: Unit) -> dict[str, Any]:
    """Sum up how far the raters part, and draw whether the maps know it.

    Two raters, each labelling a voxel with probability r, are expected to disagree on 2r(1 − r) of it; the sum over the
    voxels is the volume on which they are expected to part. What the raters of a case did part on, in the mean over
    their pairs, follows from the votes: 2v(K − v)/(K(K − 1)) of a voxel with v votes of K.

    Args:
        cases: The cases.
        predictions: Which predictions to show.
        unit: What to say volumes in.

    Returns:
        Numbers in words, and the chart where any case has two raters.
    """
    several = [case for case in cases if len(case.about.drawn) > 1]
    dice = [case.about.dice for case in several if case.about.dice is not None]
    any_, all_ = (np.array([case.about.agreed[k] for case in several]) for k in (0, -1))
    return {
        "n_cases": len(several),
        "dice": number(float(np.mean(dice))) if dice else None,
        "dice_range": interval(min(dice), max(dice)) if dice else None,
        "any": unit.say(float(any_.mean())) if several else None,
        "all": unit.say(float(all_.mean())) if several else None,
        "share": percent(float(all_.sum() / any_.sum())) if several and any_.sum() else None,
        "chart": _parting(several, predictions, unit) if several and predictions else None,
        "unit": unit,
        "key": [(kind_of(name), name) for name in predictions],
        "levels": _levels(several, unit),
    }


def _levels(cases: Sequence[CaseDetails], unit: Unit) -> list[dict[str, Any]]:
    """Give mean volumes by agreement level, for the number of raters that most cases have."""
    numbers = [len(case.about.drawn) for case in cases]
    if not numbers:
        return []
    k_raters = max(set(numbers), key=lambda k: (numbers.count(k), k))
    volumes = np.mean([case.about.agreed for case in cases if len(case.about.drawn) == k_raters], axis=0)
    largest = float(volumes[0]) or 1.0
    return [
        {
            "words": f"all {k_raters}" if k == k_raters else f"at least {k} of {k_raters}",
            "volume": unit.say(float(volume)),
            "width": round(100 * float(volume) / largest, 1),
            "share": percent(float(volume) / largest),
            "n": numbers.count(k_raters),
        }
        for k, volume in enumerate(volumes, start=1)
    ]


def _parting(cases: Sequence[CaseDetails], predictions: Sequence[str], unit: Unit) -> Any:
    observed = np.array([_parted(case.counts[predictions[0]]) * case.about.voxel_volume for case in cases]) / unit.size
    expected = {
        name: np.array([_expected_parting(case.counts[name]) * case.about.voxel_volume for case in cases]) / unit.size
        for name in predictions
    }
    every = np.concatenate([observed, *expected.values()])
    x = log_axis(f"disagreement of two raters ({unit.name})", every)
    y = log_axis(f"expected disagreement ({unit.name})", every)
    chart = Chart(x, y, "Volume on which two raters part: expected against observed, for each case")
    chart.line([x.low, x.high], [x.low, x.high], "diagonal")
    for name, found in expected.items():
        tips = [
            f"{case.about.case}: {name}, expected {number(float(e))} {unit.name}; two raters part on {number(float(o))}"
            for case, e, o in zip(cases, found, observed, strict=True)
        ]
        chart.dots(observed, found, kind_of(name), tips)
    return chart.svg()


def _parted(counts: StripCounts) -> float:
    """Give the voxels on which two raters disagree, in the mean over their pairs."""
    n_raters = counts.votes.shape[1] - 1
    votes = np.arange(n_raters + 1)
    return float(counts.votes.sum(axis=0) @ (2 * votes * (n_raters - votes)) / (n_raters * (n_raters - 1)))


def _expected_parting(counts: StripCounts) -> float:
    p = counts.probability
    return float(counts.votes.sum(axis=1) @ (2 * p * (1 - p)))
