"""Writing and reading compressed images beside SimpleITK, and nnU-Net's .npz beside NumPy.

Ratios of medians over interleaved repeats, ours / theirs, on a noisy CT and on a probability map that is 0 nearly
everywhere.

Run: python benchmarks/images.py [--shape 100 512 512] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK

from twintrack.images import Grid, Volume, read_probability, read_volume, write_volume


def arrays(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """A noisy CT and a map with one blurred ball."""
    rng = np.random.default_rng(0)
    ct = rng.normal(40, 25, shape).astype(np.int16)
    axes = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32) for size in shape), indexing="ij", sparse=True)
    distance = np.sqrt(sum(axis**2 for axis in axes))
    inside = distance < 0.3
    probability = np.where(inside, 1 / (1 + np.exp(40 * (distance - 0.15))), 0).astype(np.float32)
    return {"CT, int16": ct, "map, float32": probability}


def ratio(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> str:
    """Time both in turn; give the ratio of medians and both medians."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for kept, call in zip(times, (ours, theirs), strict=True):
            start = time.perf_counter()
            call()
            if repeat:
                kept.append(time.perf_counter() - start)
    mine, other = map(statistics.median, times)
    return f"{mine / other:6.2f}   ({mine:.3f} s / {other:.3f} s)"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(100, 512, 512))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    grid = Grid.plain(options.shape, spacing=(1.0, 0.7, 0.7))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, array in arrays(tuple(options.shape)).items():
            volume, image = Volume(array, grid), SimpleITK.GetImageFromArray(array)
            for ending in ("nii.gz", "mha", "nrrd"):
                ours, theirs = folder / f"ours.{ending}", folder / f"theirs.{ending}"
                written = ratio(
                    lambda ours=ours, volume=volume: write_volume(ours, volume),
                    lambda theirs=theirs, image=image: SimpleITK.WriteImage(image, str(theirs), useCompression=True),
                    options.repeats,
                )
                read = ratio(
                    lambda ours=ours: read_volume(ours),
                    lambda ours=ours: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(ours))),
                    options.repeats,
                )
                size = ours.stat().st_size / theirs.stat().st_size
                print(f"{label:13} {ending:7} write {written}   read {read}   size {size:.2f}")
        map_ = arrays(tuple(options.shape))["map, float32"]
        path = folder / "case.npz"
        np.savez_compressed(path, probabilities=np.stack([1 - map_, map_]))
        compared = ratio(lambda: read_probability(path), lambda: np.load(path)["probabilities"][1], options.repeats)
        print(f"nnU-Net .npz of two classes     read {compared}")


if __name__ == "__main__":
    main()
