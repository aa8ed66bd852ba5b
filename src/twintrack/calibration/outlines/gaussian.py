"""Smooth Gaussian fields on a lattice, exactly standard normal at every voxel, to the edge.

Source: simulation by factorising the covariance (Cressie, Statistics for Spatial Data, 1993, section 3.6.1). The
squared-exponential covariance is a product over the axes, so that one small factor for each axis is enough. Smoothing
noise with a Gaussian filter gives the same fields, but too little or too much variance near the edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_NUGGET = 1e-8
"""Added to the variance before it is factorised.

Pitfall: where neighbours are almost equal, the covariance's smallest eigenvalues are rounding errors, some negative.
"""


def covariance_factor(size: int, *, step: float, length: float) -> NDArray[np.float32]:
    """Give a factor F of one axis's covariance, F Fᵀ = C with C_ij = exp(−(x_i − x_j)² / (2 length²)).

    Args:
        size: Number of voxels along the axis.
        step: Distance between two in mm.
        length: Correlation length in mm.

    Returns:
        float32 of shape (size, size), lower triangular; every row has norm 1, so that the variance is 1 everywhere.
    """
    # Divided first: the square of a large distance over that of a tiny length would overflow.
    distance = np.minimum(step * np.arange(size, dtype=np.float64) / length, 1e3)
    first = np.exp(-(distance**2) / 2)
    index = np.arange(size)
    factor = np.linalg.cholesky(first[np.abs(index[:, None] - index)] + _NUGGET * np.eye(size))
    factor /= np.linalg.norm(factor, axis=1, keepdims=True)
    return factor.astype(np.float32)


def covariance_factors(
    shape: Sequence[int], *, spacing: Sequence[float], length: float
) -> tuple[NDArray[np.float32], ...]:
    """Give the factors of all axes.

    Args:
        shape: Size of the lattice along each axis.
        spacing: Voxel size in mm along each axis.
        length: Correlation length in mm.

    Returns:
        One factor for each axis.
    """
    return tuple(covariance_factor(size, step=step, length=length) for size, step in zip(shape, spacing, strict=True))


def smooth_normal(rng: np.random.Generator, factors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Draw a field: standard normal at every voxel, with the covariance of the factors.

    The same generator gives the same underlying noise whatever the factors, so that fields of different lengths can
    be compared with little chance between them.

    Args:
        rng: Where randomness comes from; one number for each voxel is drawn.
        factors: One square factor for each axis.

    Returns:
        float32 of shape (len(factors[0]), len(factors[1]), …).
    """
    field = rng.standard_normal(tuple(len(factor) for factor in factors), dtype=np.float32)
    # Each product takes the first axis away and gives it back as the last: after all of them the order is the old one.
    for factor in factors:
        field = np.tensordot(field, factor, axes=(0, 1))
    return field
