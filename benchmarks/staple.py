"""Compares the two STAPLE engines: prints ratios of median times, which depend little on the machine.

Run with ``python benchmarks/staple.py``; both engines run alternately on the same masks, so that whatever
else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from twintrack.raters import Staple, response, staple

Masks = list[NDArray[np.uint8]]


def nested_ellipsoids(shape: tuple[int, ...], *, raters: int, seed: int) -> Masks:
    """Simulate raters who draw one lesion of about 1 % of the image, each with other extent and position."""
    rng = np.random.default_rng(seed)
    axes = np.ogrid[tuple(slice(size) for size in shape)]
    masks = []
    for _ in range(raters):
        radius = rng.uniform(0.12, 0.16, size=len(shape)) * shape
        centre = np.array(shape) / 2 + rng.uniform(-3, 3, size=len(shape))
        distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radius, strict=True))
        masks.append((distance < 1).astype(np.uint8))
    return masks


def scattered_votes(shape: tuple[int, ...], *, raters: int, seed: int) -> Masks:
    """Simulate the worst case for the patterns: labels everywhere, so that no part of the image is plain."""
    rng = np.random.default_rng(seed)
    truth = rng.random(shape, dtype=np.float32) < 0.3
    return [(truth ^ (rng.random(shape, dtype=np.float32) < 0.1)).astype(np.uint8) for _ in range(raters)]


def seconds(run: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(name: str, masks: Masks, *, repeats: int) -> None:
    """Print how the engines compare on these masks, in results and in time."""
    pattern: Staple = staple(masks)
    simpleitk: Staple = staple(masks, engine="simpleitk")
    same = bool(np.array_equal(pattern.mask, simpleitk.mask))
    apart = float(np.abs(np.subtract(pattern.sensitivity, simpleitk.sensitivity)).max())
    times: dict[str, list[float]] = {"pattern": [], "simpleitk": [], "response": []}
    for _ in range(repeats):
        times["pattern"].append(seconds(lambda: staple(masks)))
        times["simpleitk"].append(seconds(lambda: staple(masks, engine="simpleitk")))
        times["response"].append(seconds(lambda: response(masks)))
    median = {what: statistics.median(values) for what, values in times.items()}
    print(
        f"{name}: iterations {pattern.iterations} and {simpleitk.iterations}, same mask {same}, "
        f"sensitivities within {apart:.1g}; "
        f"simpleitk / pattern = {median['simpleitk'] / median['pattern']:.0f}, "
        f"pattern / mean response = {median['pattern'] / median['response']:.2f}"
    )


def main() -> None:
    """Read the options and compare on a lesion and on scattered votes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(200, 256, 256), metavar=("Z", "Y", "X"))
    parser.add_argument("--raters", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    shape = tuple(options.shape)
    for name, simulate in (("lesion", nested_ellipsoids), ("scattered", scattered_votes)):
        compare(name, simulate(shape, raters=options.raters, seed=0), repeats=options.repeats)


if __name__ == "__main__":
    main()
