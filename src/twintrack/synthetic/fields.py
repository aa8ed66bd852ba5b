"""Smooth random fields: what makes simulated borders, textures and disagreements irregular but not ragged.

Source: the spectral representation of a Gaussian field as a sum of random cosines, Shinozuka and Jan, "Digital
simulation of random processes and its applications", Journal of Sound and Vibration 25(1), 1972. A field is a function
of position in mm, so that the same seed gives the same border however finely it is sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_WAVES = 64
"""Cosines per field: enough for values close to Gaussian, few enough to cost no more than a matrix product."""


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A function of position with mean 0 and standard deviation 1.

    Attributes:
        waves: Wave vectors in rad/mm, shape (`N_WAVES`, 3), axes (z, y, x).
        phases: Phases in rad, shape (`N_WAVES`,).
    """

    waves: NDArray[np.float64]
    phases: NDArray[np.float64]

    def on(self, axes: Sequence[NDArray[np.floating[Any]]]) -> NDArray[np.float32]:
        """Evaluate the field on a lattice.

        Args:
            axes: Positions in mm along z, y and x.

        Returns:
            float32 array of shape (len(z), len(y), len(x)).
        """
        z, y, x = axes
        # cos(a + b) = cos a cos b − sin a sin b makes the sum over waves one matrix product.
        rows = (z[:, None, None] * self.waves[:, 0] + y[:, None] * self.waves[:, 1] + self.phases).reshape(-1, N_WAVES)
        columns = x * self.waves[:, 2, None]
        left = np.concatenate([np.cos(rows), -np.sin(rows)], axis=1).astype(np.float32)
        right = np.concatenate([np.cos(columns), np.sin(columns)]).astype(np.float32)
        # Pitfall: the operator @ starts the threads of the linear algebra library, which wait for each other busily; on
        # a machine with other work that takes ten times as long. einsum stays in this thread.
        out: NDArray[np.float32] = np.einsum("ij,jk->ik", left, right * np.float32(np.sqrt(2 / N_WAVES)))
        return out.reshape(len(z), len(y), len(x))


def smooth_field(rng: np.random.Generator, *, length: float | Sequence[float]) -> SmoothField:
    """Draw a field with squared-exponential correlation, ``exp(−d² / (2 length²))`` at distance d.

    Args:
        rng: Where randomness comes from; the same number of values is drawn whatever the length.
        length: Correlation length in mm, one for all axes or one each for (z, y, x).

    Returns:
        The field.
    """
    waves = rng.standard_normal((N_WAVES, 3)) / np.broadcast_to(np.asarray(length, np.float64), (3,))
    return SmoothField(waves, rng.uniform(0, 2 * np.pi, N_WAVES))
