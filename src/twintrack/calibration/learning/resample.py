"""How far a learning curve would differ with other patients: resampled curves.

Three things vary.

* Which patients are judged: they are drawn with replacement (cluster bootstrap), with the same weights at every size,
  so that differences between sizes are paired.
* Which sets were drawn: their deviations are weighted at random (Bayesian bootstrap; Rubin 1981).
* All sets come from the same patients, so that drawing more of them does not help: the mean over all sets of n out of N
  cases still varies with up to n / N times the variance of a single set (Hoeffding 1948, "A class of statistics with
  asymptotically normal distribution", theorem 5.2), and among sets that overlap that variance appears smaller by
  1 − n / N. This part is an upper bound, and moves the whole curve up or down together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.learning.measured import Measured

RESAMPLES = 1000

_SMALL = 1e-9


def resampled_curves(
    found: Sequence[Measured], identity: NDArray[np.float64], patients: Sequence[str], *, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the learning curve, and others that could have come instead.

    Args:
        found: What was measured, for S sizes.
        identity: The identity's relative losses (cases, T).
        patients: Of each case.
        seed: Of the random numbers.

    Returns:
        The curves, float64 (1 + `RESAMPLES`, S, 1 + T): first the estimate, then the resampled ones; first the
        criterion, then its terms. And the standard deviation of the criterion between sets, (S,); NaN where each case
        was judged once only.
    """
    rng = np.random.default_rng([seed, len(patients)])
    _, owner = np.unique(np.asarray(patients, str), return_inverse=True)
    n_patients = int(owner.max()) + 1
    weights = np.ones((1 + RESAMPLES, len(patients)))
    weights[1:] = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=RESAMPLES)[:, owner]
    shares = rng.exponential(size=(RESAMPLES, max(one.losses.shape[0] for one in found)))
    common = rng.normal(size=(RESAMPLES, 1))
    curves, spreads = [], []
    for one in found:
        deviation, spread, scale = _deviations(one.losses)
        curve = _with_criterion(_ratio(weights @ np.nanmean(one.losses, axis=0), weights @ identity))
        n_draws = len(deviation)
        share = shares[:, :n_draws] / shares[:, :n_draws].sum(axis=1, keepdims=True) - 1 / n_draws
        curve[1:] += scale * (share @ deviation)
        curve[1:] += common * spread * np.sqrt(one.size / (len(patients) - one.size))
        curves.append(curve)
        spreads.append(spread[0] if scale else np.nan)
    return np.stack(curves, axis=1), np.array(spreads)


def _deviations(losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Compare the draws of a size, each on the cases it is judged on.

    A draw's deviation is the mean over its cases of the loss minus the case's mean over all draws. If losses are the
    sum of a case's part, a draw's part e, and noise, the deviations are A e with A = 1 − (shares of common cases), and
    noise. So their squares, less those that the scatter over cases explains, add up to |A|² times the variance of e.

    Returns:
        Deviations (draws, 1 + T), the standard deviation of e (1 + T,), and what deviations are to be multiplied with
        to have it; 0 where nothing can be said, since no two draws are judged on the same case.
    """
    judged = np.isfinite(losses[..., 0]).astype(float)
    count = judged.sum(axis=1, keepdims=True)
    gaps = _with_criterion(losses - np.nanmean(losses, axis=0))
    deviation = np.nanmean(gaps, axis=1)
    scatter = np.nansum((gaps - deviation[:, None]) ** 2, axis=1) / np.maximum(count - 1, 1)
    norm = float(((np.eye(len(judged)) - (judged / count) @ (judged / judged.sum(axis=0)).T) ** 2).sum())
    if norm < _SMALL:
        return deviation, np.zeros(deviation.shape[1]), 0.0
    squares = np.maximum((deviation**2 - scatter / count).sum(axis=0), 0)
    return deviation, np.sqrt(squares / norm), float(np.sqrt(len(judged) / norm))


def _with_criterion(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put the terms' mean before them."""
    return np.concatenate([terms.mean(axis=-1, keepdims=True), terms], axis=-1)


def _ratio(of: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; 1 where a resample has nothing that the identity could do wrong."""
    return np.divide(of, to, out=np.ones_like(of), where=to > _SMALL * len(to))
