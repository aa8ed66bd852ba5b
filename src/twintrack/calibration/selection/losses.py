"""What a calibration does to a case, in three numbers: voxels, calibration within the case, and volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.sample import CaseSample, Rows

BINS = 20
"""Equal-width bins of the calibration error."""

TERMS = ("voxels", "calibration", "volume")
"""What the criterion looks at: mean squared error to the response; calibration error of the case, Σ over bins of
|Σ predicted − Σ response| per voxel; continuous ranked probability score of the expected volume against the raters'."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A case's responses, given by something that was not fitted on it.

    Attributes:
        low: Responses of the sample's rows `low`, (n,).
        high: Responses of its rows `high`, (m,).
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def losses(sample: CaseSample, judged: Judged) -> NDArray[np.float64]:
    """Give a case's losses.

    Args:
        sample: The case.
        judged: Its responses.

    Returns:
        float64 (len(TERMS),): mean squared error, calibration error, and the score of the volume in voxels.
    """
    parts = ((sample.low, judged.low), (sample.high, judged.high))
    squared = sample.rest + sum(_squared(rows, r) for rows, r in parts)
    gaps = sum((_gaps(rows, r) for rows, r in parts), np.zeros(BINS))
    gaps[0] -= sample.missed  # predicted as 0
    volume = sum(float(rows.weight @ r) for rows, r in parts)
    drawn = np.asarray(sample.drawn, float)
    crps = float(np.abs(drawn - volume).mean() - np.abs(drawn[:, None] - drawn[None, :]).mean() / 2)
    return np.array([squared / sample.n_voxels, float(np.abs(gaps).sum()) / sample.n_voxels, crps])


def _squared(rows: Rows, response: NDArray[np.float64]) -> float:
    """Σ w (r² − 2 f r + f²): exact also where a row stands for voxels of different responses."""
    return float(rows.weight @ (rows.squared - 2 * response * rows.response + response**2))


def _gaps(rows: Rows, response: NDArray[np.float64]) -> NDArray[np.float64]:
    where = np.minimum((response * BINS).astype(np.intp), BINS - 1)
    return np.asarray(np.bincount(where, rows.weight * (response - rows.response), BINS), np.float64)
