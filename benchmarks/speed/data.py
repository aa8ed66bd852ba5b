"""Made-up cases: a ball whose border is blurred, seen by noisy members and drawn by raters who disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import twintrack as tt

STEEPNESS, RADIUS, NOISE = 20.0, 0.35, 0.5  # logits per half width of the image; half widths; logits
LOWEST = 1e-7  # a float32 softmax says 0 below


def distance(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Give the distance from the middle, in half widths of the image."""
    axes = np.ogrid[tuple(slice(-1, 1, size * 1j) for size in shape)]
    return np.sqrt(sum(axis.astype(np.float32) ** 2 for axis in axes))


def member(
    shape: tuple[int, ...], *, seed: int, noise: float = NOISE, radius: float = RADIUS, steepness: float = STEEPNESS
) -> NDArray[np.float32]:
    """Make a member's probabilities: nearly all distinct, 0 far from the ball."""
    logit = distance(shape)
    logit -= np.float32(radius)
    logit *= np.float32(steepness)
    logit -= np.float32(noise) * np.random.default_rng(seed).standard_normal(shape, np.float32)
    with np.errstate(over="ignore"):  # far from the ball: infinite odds against it
        np.exp(logit, out=logit)
    logit += 1
    np.reciprocal(logit, out=logit)
    logit[logit < LOWEST] = 0
    return logit


def rater(shape: tuple[int, ...], *, seed: int) -> NDArray[np.uint8]:
    """Make a rater's mask, smaller than the members see it, with a border of its own."""
    rng = np.random.default_rng(1000 + seed)
    border = np.float32(rng.uniform(0.9, 1.0) * RADIUS)
    return (distance(shape) + np.float32(0.05) * rng.standard_normal(shape, np.float32) < border).astype(np.uint8)


def case(shape: tuple[int, ...], *, members: int, raters: int = 5) -> tt.Case:
    """Make a case in memory."""
    return tt.Case(
        "made-up",
        members=[member(shape, seed=seed) for seed in range(members)],
        raters=[rater(shape, seed=seed) for seed in range(raters)],
        spacing=(1.0, 0.7, 0.7),
    )


def cube(voxels: int) -> tuple[int, int, int]:
    """Give the shape of a cube of about so many voxels."""
    side = round(voxels ** (1 / 3))
    return side, side, side
