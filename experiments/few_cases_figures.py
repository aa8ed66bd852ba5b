"""The figures of few_cases.py: curves with their bands, volumes before and after, scores by number of cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import expit

import twintrack as tt
from twintrack.calibration.methods import AnyMap
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import judge

# Okabe and Ito's palette for all kinds of colour vision.
COLOURS = {
    "raw ensemble": "#000000",
    "temperature": "#56b4e9",
    "isotonic": "#d55e00",
    "conditional": "#009e73",
    "auto": "#0072b2",
}
EDGES = expit(np.linspace(-9, 9, 37))
"""Probabilities between which voxels are averaged: half a logit apart."""
LEVEL = 0.9


def curves_figure(fitted: Mapping[int, Mapping[str, tt.Calibration]], samples: Sequence[CaseSample]) -> Figure:
    """Draw the response by probability, with the band of other draws of the patients, a panel for each number of cases.

    A case-aware map is no curve: drawn is the mean of its responses at the voxels of `samples` with about that
    probability.

    Args:
        fitted: For each number of calibration cases the calibrations, by method.
        samples: The cases whose voxels are averaged.

    Returns:
        The figure.
    """
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(4.2 * len(fitted), 4.7), facecolor="white", layout="constrained")
        for axis, (n, calibrations) in zip(
            figure.subplots(1, len(fitted), squeeze=False)[0], fitted.items(), strict=True
        ):
            axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, label="unchanged")
            for name, calibration in calibrations.items():
                draw_curve(axis, calibration, samples, label=name)
            axis.set(title=f"{n} calibration cases", xlabel="probability", ylabel="response", aspect="equal")
            axis.legend(loc="upper left", frameon=False)
    return figure


def draw_curve(axis: Axes, calibration: tt.Calibration, samples: Sequence[CaseSample], *, label: str) -> None:
    """Draw one curve with its band."""
    at, response = mean_response(calibration.map, samples)
    axis.plot(at, response, color=COLOURS[label], label=f"{label} ({calibration.method})")
    if calibration.uncertainty is not None:
        each = np.array([mean_response(one, samples)[1] for one in calibration.uncertainty.replicates])
        low, high = np.quantile(each, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        axis.fill_between(at, low, high, color=COLOURS[label], alpha=0.2, linewidth=0)


def mean_response(fitted: AnyMap, samples: Sequence[CaseSample]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average probabilities and responses of voxels with about the same probability."""
    totals = np.zeros((3, EDGES.size + 1))
    for sample in samples:
        p, w = sample.high.probability, sample.high.weight
        where = np.searchsorted(EDGES, p)
        values = (w, w * p, w * judge(fitted, sample).high)
        totals += np.stack([np.bincount(where, value, EDGES.size + 1) for value in values])
    count, probability, response = totals[:, totals[0] > 0]
    return probability / count, response / count


def volumes_figure(drawn: Sequence[NDArray[np.float64]], expected: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw each case's expected volume against its raters', a panel for each map.

    Args:
        drawn: For each case the pixels that each rater drew.
        expected: For each map the expected pixels of each case.

    Returns:
        The figure.
    """
    mean, low, high = (np.array([f(one) for one in drawn]) + 1 for f in (np.mean, np.min, np.max))
    ends = (1.0, 1.3 * max(high.max(), *(values.max() for values in expected.values())))
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(3.4 * len(expected), 4.1), facecolor="white", layout="constrained")
        axes = figure.subplots(1, len(expected), squeeze=False, sharey=True)[0]
        for axis, (name, values) in zip(axes, expected.items(), strict=True):
            axis.plot(ends, ends, color="#999999", linewidth=0.8)
            axis.errorbar(
                values + 1,
                mean,
                yerr=(mean - low, high - mean),
                fmt="o",
                markersize=3,
                linewidth=0.6,
                color=COLOURS[name],
            )
            axis.set(
                title=name, xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal", xlabel="expected px + 1"
            )
        axes[0].set_ylabel("raters' mean and range, px + 1")
    return figure


def learning_figure(
    names: Sequence[str], raw: NDArray[np.float64], found: Mapping[int, Mapping[str, NDArray[np.float64]]]
) -> Figure:
    """Draw each score by number of calibration cases: mean and standard deviation over the draws.

    Args:
        names: The scores.
        raw: The raw ensemble's.
        found: For each number of cases and method the scores, (draws, scores).

    Returns:
        The figure.
    """
    sizes = np.array(list(found))
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(10, 6), facecolor="white", layout="constrained")
        for k, (axis, name) in enumerate(zip(figure.subplots(2, 3).ravel(), names, strict=True)):
            axis.axhline(raw[k], color=COLOURS["raw ensemble"], linewidth=0.8, label="raw ensemble")
            for method in next(iter(found.values())):
                of_size = [found[n][method][:, k] for n in found]
                mean, spread = np.array([one.mean() for one in of_size]), np.array([one.std() for one in of_size])
                axis.errorbar(
                    sizes, mean, yerr=spread, color=COLOURS[method], label=method, marker="o", markersize=3, capsize=2
                )
            axis.set(title=name, xscale="log", xlabel="calibration cases")
            axis.set_xticks(sizes, [str(n) for n in sizes])
            axis.minorticks_off()
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure
