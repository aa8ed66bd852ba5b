"""The protocol in plain numpy, voxel set by voxel set, slow and from the list of facts in docs/curvas2024.md alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm


def consensus(raters, label):
    """Where every rater gives the label, and where none does."""
    given = np.stack([rater == label for rater in raters])
    return given.all(axis=0), ~given.any(axis=0)


def volume_dice(raters, hard, label):
    inside, outside = consensus(raters, label)
    predicted = (hard == label) & (inside | outside)
    if inside.any() or predicted.any():
        return 2 * (predicted & inside).sum() / (predicted.sum() + inside.sum())
    return math.nan if (np.asarray(raters) == label).any() else 1.0


def row_dice(raters, hard, label):
    inside, outside = consensus(raters, label)
    predicted = (hard == label) & (inside | outside)
    slices = []
    for z in range(hard.shape[0]):
        rows = []
        for y in range(hard.shape[1]):
            if (y == 0 and hard.shape[1] > 1) or not inside[z, y].any():
                continue
            both = (predicted[z, y] & inside[z, y]).sum()
            rows.append(2 * both / (predicted[z, y].sum() + inside[z, y].sum()))
        if rows:
            slices.append(np.mean(rows))
    return np.mean(slices) if slices else 0.0


def confidence(raters, p, label):
    inside, outside = consensus(raters, label)
    if not inside.any() or not outside.any():
        return math.nan
    return (p[inside].mean(dtype=np.float64) + 1 - p[outside].mean(dtype=np.float64)) / 2


def crps(raters, p, label, *, official):
    """By quadrature: of the protocol's broken line over 3 SD, or of the Gaussian over everything."""
    volumes = [(rater == label).sum() for rater in raters]
    mean, sd, predicted = np.mean(volumes), np.std(volumes), p.sum(dtype=np.float64)
    if sd == 0:
        return 0.0 if official else abs(predicted - mean)
    gauss = norm(mean, sd)
    x = np.linspace(gauss.ppf(0.01), gauss.ppf(0.99), 100)
    levels = gauss.cdf(x)

    def gap(volume):
        level = np.interp(volume, x, levels, left=0, right=1) if official else ndtr((volume - mean) / sd)
        return (level - (volume >= predicted)) ** 2

    if official:
        return quad(gap, mean - 3 * sd, mean + 3 * sd, full_output=1)[0]
    points = sorted([min(mean - 9 * sd, predicted), predicted, max(mean + 9 * sd, predicted)])
    return sum(quad(gap, low, high, limit=200, full_output=1)[0] for low, high in itertools.pairwise(points))


def calibration_error(rater, classes):
    """Float64, 50 bins, the last one closed; `classes` holds the background first."""
    classes = classes.astype(np.float64).reshape(len(classes), -1)
    top, confidences = classes.argmax(axis=0), classes.max(axis=0)
    bins = np.minimum(np.searchsorted(np.linspace(0, 1, 51), confidences, side="right") - 1, 49)
    return _error(bins, confidences, top == rater.ravel())


def float32_calibration_error(rater, foreground):
    """Float32, 51 bins, softmax of everything where anything lies outside [0, 1]; sums in any order."""
    total = foreground[0]
    for p in foreground[1:]:
        total = total + p
    classes = np.concatenate([(np.float32(1) - total)[None], foreground]).reshape(len(foreground) + 1, -1)
    if classes.min() < 0 or classes.max() > 1:
        power = np.exp(classes - classes.max(axis=0))
        classes = power / power.sum(axis=0)
    top, confidences = classes.argmax(axis=0), classes.max(axis=0)
    return _error(np.searchsorted(float32_edges(), confidences, side="right") - 1, confidences, top == rater.ravel())


def float32_edges():
    """0, 1/50, ... in float32; these nine are what PyTorch 2.13 makes of them, an ulp lower or higher."""
    edges = np.linspace(0, 1, 51).astype(np.float32)
    for index, towards in ((5, 0), (9, 0), (10, 0), (15, 0), (18, 0), (20, 0), (23, 0), (39, 1), (42, 1)):
        edges[index] = np.nextafter(edges[index], np.float32(towards))
    return edges


def _error(bins, confidences, correct):
    gaps = [
        abs(correct[bins == b].mean() - confidences[bins == b].mean(dtype=np.float64)) * (bins == b).sum()
        for b in np.unique(bins)
    ]
    return sum(gaps) / len(bins)
