"""The calibration itself: the response it makes of each probability, how sure that is, and where the data lie."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from twintrack.calibration import Calibration
from twintrack.calibration.methods import ResponseMap
from twintrack.calibration.selection.choose import Selection
from twintrack.calibration.uncertainty import LEVEL
from twintrack.evaluation.details.counts import CHANGE_EDGES
from twintrack.evaluation.details.details import Details
from twintrack.evaluation.predictions import RAW
from twintrack.report.html.axes import Scale, share_axis
from twintrack.report.html.reliability import SCALES, add_histogram
from twintrack.report.html.svg import Chart
from twintrack.report.html.words import number, percent

RANGE = 0.8
"""Share of the voxels within the range of responses that is drawn for a map that is not a curve."""

_FEWEST = 20  # voxels of a bin of which a range is drawn


def curve_charts(
    calibration: Calibration | None, details: Details | None, prediction: str | None
) -> dict[str, Any] | None:
    """Draw what the calibration makes of probabilities.

    A map of the probability alone is a curve and is drawn as one, with its band. A case-aware map is not: what it made
    of the voxels of the evaluated cases is drawn, the median and the range of `RANGE` of them. So is a calibration
    whose file is not given.

    Args:
        calibration: The calibration, where its file is given.
        details: The evaluation's details.
        prediction: The prediction that it made.

    Returns:
        "charts" by scale and what they show; None where there is nothing to draw.
    """
    fitted = calibration.map if calibration is not None else None
    if isinstance(fitted, ResponseMap):
        assert calibration is not None
        band = None if calibration.uncertainty is None else LEVEL
        return {
            "kind": "curve",
            "charts": {scale: _curve(calibration, fitted, details, scale) for scale in SCALES},
            "level": None if band is None else percent(band),
            "n_draws": None if calibration.uncertainty is None else len(calibration.uncertainty.replicates),
            "zero": number(float(fitted(np.zeros(1))[0])),
            "pinned": calibration.pin_zero,
        }
    if details is None or prediction not in details.calibrations:
        return None
    total = reduce(add, [case.change[prediction] for case in details.cases])
    return {
        "kind": "change",
        "charts": {scale: _change(total, details, scale) for scale in SCALES},
        "range": percent(RANGE),
        "aware": calibration is not None,
    }


def _curve(calibration: Calibration, fitted: ResponseMap, details: Details | None, scale: Scale) -> Any:
    chart = _empty(scale)
    if scale == "linear":
        knots = np.concatenate([np.linspace(0, 0.02, 41), np.linspace(0.02, 0.98, 193), np.linspace(0.98, 1, 41)])
    else:
        knots = scipy.special.expit(np.linspace(-8, 8, 321))
    if calibration.uncertainty is not None and (band := calibration.uncertainty.band(knots)) is not None:
        chart.band(knots, *band, "confidence")
    _diagonal(chart)
    chart.line(knots, fitted(knots), "main calibrated")
    _data(chart, details)
    edges = np.linspace(0, 1, 26) if scale == "linear" else scipy.special.expit(np.linspace(-6.9, 6.9, 26))
    middles = (edges[:-1] + edges[1:]) / 2
    tips = [
        f"a probability of {number(p)} becomes a response of {number(r)}"
        for p, r in zip(middles.tolist(), fitted(middles).tolist(), strict=True)
    ]
    chart.columns(edges, tips)
    return chart.svg()


def _change(total: NDArray[np.int64], details: Details | None, scale: Scale) -> Any:
    chart = _empty(scale)
    voxels = total.sum(axis=1)
    kept = np.flatnonzero(voxels >= _FEWEST)
    middles = (CHANGE_EDGES[:-1] + CHANGE_EDGES[1:]) / 2
    low, median, high = (
        np.array([_quantile(total[k], share) for k in kept]) for share in ((1 - RANGE) / 2, 0.5, (1 + RANGE) / 2)
    )
    chart.band(middles[kept], low, high, "confidence")
    _diagonal(chart)
    chart.line(middles[kept], median, "main calibrated")
    _data(chart, details)
    tips = [
        f"probabilities near {number(float(middles[k]))} became {number(float(at))}, mostly {number(float(one))} to "
        f"{number(float(other))} ({number(float(voxels[k]))} voxels)"
        for k, one, at, other in zip(kept, low, median, high, strict=True)
    ]
    said = dict(zip(kept.tolist(), tips, strict=True))
    chart.columns(CHANGE_EDGES, [said.get(k, "") for k in range(CHANGE_EDGES.size - 1)])
    return chart.svg()


def _empty(scale: Scale) -> Chart:
    x, y = share_axis("raw probability", scale), share_axis("calibrated response", scale)
    return Chart(x, y, "The calibrated response for each raw probability", histogram=True)


def _diagonal(chart: Chart) -> None:
    ends = np.array([chart.x.low, chart.x.high])
    chart.line(ends, ends, "diagonal")


def _data(chart: Chart, details: Details | None) -> None:
    if details is None or RAW not in details.predictions:
        return
    counts = [case.counts[RAW] for case in details.cases]
    values = np.concatenate([one.probability for one in counts])
    voxels = np.concatenate([one.votes.sum(axis=1) for one in counts]).astype(np.float64)
    add_histogram(chart, values, voxels, "raw")


def _quantile(counts: NDArray[np.int64], share: float) -> float:
    """Give a quantile of binned responses, linear in log-odds within a bin."""
    cumulated = np.concatenate([[0], np.cumsum(counts)])
    edges = np.clip(CHANGE_EDGES, 1e-5, 1 - 1e-5)
    at = np.interp(share * cumulated[-1], cumulated, np.log(edges / (1 - edges)))
    return float(scipy.special.expit(at))


def selection_rows(selection: Selection) -> list[dict[str, Any]]:
    """Give how each candidate did on the calibration cases left out, where a method chose among several."""
    return [
        {
            "name": one.name,
            "criterion": number(one.criterion),
            "error": number(one.standard_error, 2),
            "terms": [number(value) for value in one.terms.values()],
            "harms": ", ".join(one.harms),
            "chosen": one.name == selection.chosen,
        }
        for one in selection.candidates
    ]
