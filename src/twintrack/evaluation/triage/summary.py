"""From what is kept of the cases to what is written: areas with intervals, differences, curves, Brier scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.evaluation.bootstrap import Interval, weighted_means
from twintrack.evaluation.pdacvi.exceedance import CUTOFFS, brier_of_shares
from twintrack.evaluation.triage.capture import Order, gain

PAIRS = (
    ("disagreement", "entropy"),
    ("disagreement", "raw_disagreement"),
    ("disagreement", "members"),
    ("dice_loss", "raw_dice_loss"),
)
"""Which rankings are compared, the first with the second: the calibrated map's and the raw ensemble's."""

_POINTS = np.unique(np.concatenate([[0.0], np.geomspace(1e-4, 1, 41), np.linspace(0, 1, 51)]))
"""Budgets at which curves are written down: close to each other near 0, where voxels are spent."""


def capture_summary(
    orders: Mapping[str, Order],
    oracle: Order,
    weights: NDArray[np.float64],
    *,
    at: Sequence[float],
    early: float | None = None,
) -> dict[str, Any]:
    """Summarise the capture curves of one target.

    Args:
        orders: The items in the order of each ranking.
        oracle: The items in the best order.
        weights: How often each case counts in each resample of the patients, (B, cases).
        at: Budgets, as shares of the cost, at which the share found is said.
        early: A budget up to which an area of its own is given.

    Returns:
        ``rankings``: by name, and for "oracle" and "random", ``gain`` (the area, random 0 and oracle 1) and
        ``early_gain``, ``found`` (by budget, as text), each ``value``, ``low`` and ``high``, and ``curve`` (``spent``,
        ``found``); ``differences`` of the gains of `PAIRS` likewise.
    """
    once, drawn = oracle.curves(), oracle.curves(weights)
    limits = {"gain": 1.0, **({} if early is None else {"early_gain": early})}
    rankings: dict[str, Any] = {}
    gains = {}
    for name, order in {**orders, "oracle": oracle}.items():
        one, many = order.curves(), order.curves(weights)
        both = {key: (gain(one, once, up_to=to), gain(many, drawn, up_to=to)) for key, to in limits.items()}
        gains[name] = both
        rankings[name] = {
            **{key: _interval(*pair) for key, pair in both.items()},
            "found": {f"{share:g}": _interval(one.at(share), many.at(share)) for share in at},
            "curve": {"spent": _POINTS.tolist(), "found": [round(float(one.at(x)[0]), 6) for x in _POINTS]},
        }
    return {"rankings": rankings, "differences": list(_differences(gains, limits))}


def _differences(gains: Mapping[str, Any], limits: Iterable[str]) -> Iterable[dict[str, Any]]:
    for of, to in PAIRS:
        if of in gains and to in gains:
            gaps = {
                key: _interval(*(a - b for a, b in zip(gains[of][key], gains[to][key], strict=True))) for key in limits
            }
            yield {"of": of, "to": to, **gaps}


def _interval(once: NDArray[np.float64], drawn: NDArray[np.float64]) -> dict[str, float]:
    return asdict(Interval.of(float(once[0]), drawn))


def vessel_summary(
    cases: Sequence[Mapping[str, NDArray[np.float64]]], weights: NDArray[np.float64]
) -> dict[str, Any] | None:
    """Score the probabilities of contact beyond each cut-off.

    Args:
        cases: For each case by vessel the probabilities of raw and calibrated map and the share of the raters,
            (3, cut-offs).
        weights: How often each case counts in each resample of the patients, (B, cases).

    Returns:
        By cut-off: ``pairs`` of case and vessel, ``reached`` (pairs in which any rater exceeds it), and the Brier
        scores ``raw``, ``calibrated``, ``difference`` and ``least``, what the raters' own shares would score: means
        over a case's vessels, then over cases. None where no case has vessels.
    """
    found = [np.stack(list(one.values())) if one else np.empty((0, 3, len(CUTOFFS))) for one in cases]
    if not any(len(one) for one in found):
        return None
    summary = {}
    for k, cutoff in enumerate(CUTOFFS):
        shares = [one[:, 2, k] for one in found]
        scores = {
            name: np.array([_mean(brier_of_shares(one[:, row, k], one[:, 2, k])) for one in found])
            for row, name in enumerate(("raw", "calibrated", "least"))
        }
        scores["difference"] = scores["calibrated"] - scores["raw"]
        summary[f"{cutoff:g}"] = {
            "pairs": sum(len(one) for one in found),
            "reached": int(sum(np.count_nonzero(share) for share in shares)),
            **{name: _case_mean(values, weights) for name, values in scores.items()},
        }
    return summary


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _case_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> dict[str, float]:
    return asdict(Interval.of(_mean(values[np.isfinite(values)]), weighted_means(weights, values)))
