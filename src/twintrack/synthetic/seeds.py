"""Seeds and counts: checked once, in the same words, for everything that is simulated."""

from __future__ import annotations

import numpy as np

from twintrack.errors import InputError


def require_count(n: int, what: str) -> None:
    """Raise unless there is at least one.

    Args:
        n: How many were asked for.
        what: Of what, in the plural.

    Raises:
        InputError: If there are fewer than one.
    """
    if n < 1:
        raise InputError(f"at least one is needed; got {n} {what}")


def seed_sequence(seed: int, *stream: int) -> np.random.SeedSequence:
    """Turn a seed into a source of independent seeds.

    Args:
        seed: A whole number from 0.
        stream: Tells uses of the same seed apart.

    Returns:
        The source.

    Raises:
        InputError: If the seed is negative.
    """
    if seed < 0:
        raise InputError(f"a seed is a whole number from 0; got {seed}")
    return np.random.SeedSequence([seed, *stream])
