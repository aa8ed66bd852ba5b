"""How long the CURVAS-PDACVI protocol takes, and how much memory, on a case of a CT's size.

    python benchmarks/pdacvi.py [--shape 150 512 512] [--repeats 5] [--dense] [--slow]

Builds a case (5 raters, 5 vessels, soft and hard prediction), writes its arrays uncompressed, and reports
ratios of medians over interleaved repeats: the whole protocol and each part against the time of reading the
arrays; beside each part an independent implementation where a package has one: SimpleITK's STAPLE,
torchmetrics' calibration error and MONAI's Dice (if they are installed). With
--slow, vascular involvement is also done by scipy.ndimage, slice by slice and mask by mask (minutes). Peak
memory is that of a process that loads the arrays and scores them.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import SimpleITK
from process_memory import STATUS, peak_growth, resident
from scipy.stats import wasserstein_distance

from twintrack.evaluation import pdacvi
from twintrack.evaluation.curvas import volume
from twintrack.evaluation.pdacvi import contact, inputs, overlap, tally, top_label, vascular

NAMES = ("raters", "probability", "binary", "vessels")
REFERENCE = Path(__file__).resolve().parent.parent / "tests/evaluation/pdacvi/scipy_reference.py"


def main() -> None:
    """Build the case, time it, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(150, 512, 512), metavar=("Z", "Y", "X"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dense", action="store_true", help="a small probability everywhere, not 0 outside an ROI")
    parser.add_argument("--slow", action="store_true", help="also time vascular involvement in scipy.ndimage")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure_memory(options.measure)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, array in build_case(tuple(options.shape), dense=options.dense).items():
            np.save(folder / f"{key}.npy", array)
        report_time(folder, options.repeats, slow=options.slow)
        report_memory(folder)


def build_case(shape: tuple[int, int, int], *, dense: bool = False) -> dict[str, np.ndarray]:
    """Give a tumour as five raters and a model see it, with five vessels passing by.

    Args:
        shape: Voxels along z, y, x.
        dense: Whether the probability is positive everywhere, as without an ROI.

    Returns:
        raters (5, z, y, x), probability, binary and vessels.
    """
    rng = np.random.default_rng(7)
    centre = np.array([0.5, 0.45, 0.42]) * shape
    radii = np.array([0.11, 0.07, 0.08]) * shape
    grids = [(np.arange(n, dtype=np.float32) - c) for n, c in zip(shape, centre, strict=True)]

    def distance(shift: np.ndarray, scale: float) -> np.ndarray:
        z, y, x = (((grid - s) / (r * scale)) ** 2 for grid, s, r in zip(grids, shift, radii, strict=True))
        return np.sqrt(z[:, None, None] + y[None, :, None] + x[None, None, :])

    raters = np.zeros((5, *shape), dtype=np.uint8)
    for rater in range(5):
        raters[rater] = distance(rng.normal(0, 2.5, 3), rng.uniform(0.8, 1.2)) < 1
    signed = distance(rng.normal(0, 2.5, 3), 1.0) - 1
    probability = 1 / (1 + np.exp(np.clip(12 * signed, -30, 12)))
    if not dense:
        probability[signed > 0.7] = 0
    probability = probability.astype(np.float32)
    return {
        "raters": raters,
        "probability": probability,
        "binary": (probability > 0.5).astype(np.uint8),
        "vessels": build_vessels(shape, centre, radii),
    }


def build_vessels(shape: tuple[int, int, int], centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Run five tubes along z past the tumour, at growing distance.

    Args:
        shape: Voxels along z, y, x.
        centre: Of the tumour, in voxels.
        radii: Of the tumour, in voxels.

    Returns:
        Labels 1 to 5, uint8.
    """
    vessels = np.zeros(shape, dtype=np.uint8)
    z, y, x = (np.arange(n) for n in shape)
    for label, (angle, width) in enumerate(((0.3, 9), (1.5, 7), (2.8, 16), (4.0, 5), (5.2, 6)), start=1):
        at_y = centre[1] + 1.05 * radii[1] * np.sin(angle) + 4 * np.sin(z / 20)
        at_x = centre[2] + 1.05 * radii[2] * np.cos(angle) + 4 * np.cos(z / 20)
        inside = (y[None, :, None] - at_y[:, None, None]) ** 2 + (x[None, None, :] - at_x[:, None, None]) ** 2
        vessels[inside < width**2] = label
    return vessels


def load(folder: Path) -> dict[str, np.ndarray]:
    """Read the arrays of the case."""
    return {name: np.load(folder / f"{name}.npy") for name in NAMES}


def report_time(folder: Path, repeats: int, *, slow: bool) -> None:
    """Print the medians of interleaved repeats, as multiples of the reading time."""
    case = load(folder)
    runs: dict[str, Callable[[], object]] = {
        "reading the arrays": lambda: load(folder),
        "protocol, official": lambda: pdacvi.score(**case),
        "protocol, corrected": lambda: pdacvi.score(**case, variant="corrected"),
        **parts(case),
        **others(case, slow=slow),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            if name.startswith("slow") and repeat != 1:
                continue
            start = time.perf_counter()
            run()
            if repeat:  # the first round compiles
                times[name].append(time.perf_counter() - start)
    reading = statistics.median(times["reading the arrays"])
    print(f"{sum(array.nbytes for array in case.values()) / 1e6:.0f} MB, shape {case['vessels'].shape}")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:52} {middle:9.4f} s {middle / reading:9.3f} × reading")


def parts(case: dict[str, np.ndarray]) -> dict[str, Callable[[], object]]:
    """The protocol's parts, each alone."""
    arrays = inputs.check_inputs(case["raters"], case["probability"], binary=case["binary"], vessels=case["vessels"])
    found = tally.tally(arrays)
    labels = [1, 2, 3, 4, 5]
    names = {label: str(label) for label in labels}
    assert found.rater_box is not None
    box = top_label.official_region(found.rater_box, arrays.probability.shape)
    return {
        "  fused pass: codes, histogram, volumes, boxes": lambda: tally.tally(arrays),
        "  thresh-DSC, from the histogram": lambda: overlap.thresholded_dice(found, variant="official"),
        "  STAPLE and its DSC, from the histogram": lambda: overlap.staple_dice(found, variant="official"),
        "  ECE of 5 raters": lambda: top_label.calibration_errors(arrays.probability, found, box, variant="official"),
        "  CRPS": lambda: volume.integrated_crps(found.probability_sum, found.rater_voxels.tolist()),
        "  vessel edges, 3 planes": lambda: contact.edge_pixels(case["vessels"], labels),
        "  vascular involvement, edges included": lambda: vascular.involvement(
            case["vessels"], contact.edge_pixels(case["vessels"], labels), names, found, variant="official"
        ),
    }


def others(case: dict[str, np.ndarray], *, slow: bool) -> dict[str, Callable[[], object]]:
    """Independent implementations of single parts."""
    runs: dict[str, Callable[[], object]] = {
        "elsewhere: STAPLE of SimpleITK": lambda: SimpleITK.STAPLE(
            [SimpleITK.GetImageFromArray(mask) for mask in case["raters"]], 1.0, 1.0, 100
        ),
        "elsewhere: W1 of scipy, 15 pairs of samples": _scipy_distances,
    }
    if importlib.util.find_spec("monai"):
        runs["elsewhere: Dice of MONAI, six thresholds"] = _monai(case)
    if importlib.util.find_spec("torchmetrics"):
        runs["elsewhere: ECE of torchmetrics, same box"] = _torchmetrics(case)
    if slow:
        reference = _reference()
        runs["slow: vascular involvement of scipy.ndimage"] = lambda: [
            reference.degrees(mask, case["vessels"] == label, axis, symmetric=False)
            for label in (1, 2, 3, 4, 5)
            for axis in range(3)
            for mask in reference.masks(case["raters"], case["probability"])
        ]
    return runs


def _scipy_distances() -> None:
    rng = np.random.default_rng(0)
    for _ in range(15):
        wasserstein_distance(rng.random(5), rng.random(6))


def _monai(case: dict[str, np.ndarray]) -> Callable[[], object]:
    import torch  # noqa: PLC0415
    from monai.metrics import compute_dice  # noqa: PLC0415

    probability = torch.from_numpy(case["probability"])[None, None]
    response = torch.from_numpy(case["raters"].mean(axis=0, dtype=np.float32))[None, None]
    return lambda: [
        compute_dice((probability > t).float(), (response > t).float()) for t in np.linspace(0.1, 0.8, 6).tolist()
    ]


def _torchmetrics(case: dict[str, np.ndarray]) -> Callable[[], object]:
    import torch  # noqa: PLC0415 - optional
    from torchmetrics.functional.classification import multiclass_calibration_error  # noqa: PLC0415

    drawn = np.argwhere(case["raters"].any(axis=0))
    box = tuple(slice(max(a - 20, 0), b + 20) for a, b in zip(drawn.min(0), drawn.max(0), strict=True))
    p = torch.from_numpy(case["probability"][box].ravel())
    both = torch.stack([1 - p, p], dim=1)
    masks = [torch.from_numpy(mask[box].ravel().astype(np.int64)) for mask in case["raters"]]
    return lambda: [multiclass_calibration_error(both, mask, num_classes=2, n_bins=50) for mask in masks]


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scipy_reference", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report_memory(folder: Path) -> None:
    """Print the peak memory of a fresh process that loads the arrays and scores them."""
    if not STATUS.exists():
        print("peak memory: measured on Linux only")
        return
    command = [sys.executable, __file__, "--measure", str(folder)]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")


def measure_memory(folder: Path) -> None:
    """Print by how much this process grows, at its peak, when it loads the arrays and scores them."""
    small = build_case((40, 64, 64))
    for variant in ("official", "corrected"):  # compiled code is not the case's memory
        pdacvi.score(**small, variant=variant)
    before = resident("VmRSS")
    case = load(folder)
    size = sum(array.nbytes for array in case.values())
    for variant in ("official", "corrected"):
        pdacvi.score(**case, variant=variant)
    peak = resident("VmHWM") - before
    print(f"peak memory {peak / 1e6:.0f} MB = {peak / size:.3f} × inputs, of which the inputs themselves are 1")
    for name, run in parts(case).items():
        print(f"{name:52} {peak_growth(run) / 1e6:9.1f} MB beside the inputs")


if __name__ == "__main__":
    main()
