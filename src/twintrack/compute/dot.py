"""Sums of products that do not depend on how many threads there are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def dot(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Sum the products of two rows in double precision.

    Pitfall: above ten thousand numbers `one @ other` is shared among BLAS's threads, whose number changes the last
    digits: a worker with one thread would not get what the process that started it gets. On a busy machine the threads
    also wait for each other longer than they work.

    Args:
        one: Numbers, one row.
        other: As many.

    Returns:
        The sum.
    """
    return float(np.sum(np.multiply(one, other, dtype=np.float64)))
