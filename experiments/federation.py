"""Measures what a minimum count costs where sites fit a calibration together, and writes docs/evidence/federation.md.

Lung nodules as in lidc2d.py, the calibration split only. Its patients are cut into four parts; each is left out in
turn, the others are dealt out to sites, every site writes its table, and the calibration is fitted to the tables. It is
compared with the fit to all voxels in one place, and both are scored on the patients that were left out.

Run: python experiments/federation.py [--data DIR] [--out docs/evidence/federation.md]
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Annotated

import lidc2d
import numpy as np
import typer
from numpy.typing import NDArray

import twintrack as tt
from twintrack.cohort import CaseData
from twintrack.errors import CalibrationError
from twintrack.evaluation.bootstrap import Interval, patient_weights, weighted_means
from twintrack.evaluation.protocols.response import ResponseProtocol
from twintrack.evaluation.tables import as_markdown

FOLDS = 4
"""Parts of the patients that are left out in turn."""
SITES = (1, 2, 4)
MIN_COUNTS = (0, 2, 5, 10, 20, 50)
METHODS = ("isotonic", "temperature")
SEED = 0
"""Of the order in which patients are dealt out to folds and sites."""
INTRODUCTION = """# Sites that fit together

The {n_cases} cases of {n_patients} patients of the calibration split. A quarter of the patients is left out in turn;
the others are dealt out to sites, about {per_site}. Every site writes a table with
a minimum count N (`twintrack tabulate --min-count N`), and the calibration is fitted to the tables
(`twintrack fit --tables`).

With N = 0 the calibration file was the same, byte by byte, as that of a fit to the same cases in one place, for
{methods}, each number of sites and each quarter left out; it is what the others are compared with.

* **map**: largest and root mean square difference of the map from that with N = 0, each voxel with a probability
  above 0 counted once;
* **MSE**, **MHR-ECE pooled**: on the cases left out, all quarters together; in brackets the difference of the MSE from
  that with N = 0 and its 95 % interval (bootstrap over patients);
* **rows**: of the table of a site, on average; **size**: of its file.

Where the patients of a site are too few for N it writes nothing, and says so."""


@dataclass(frozen=True, eq=False)
class Read:
    """A case with its voxels and its table."""

    case: tt.Case
    data: CaseData
    table: tt.ResponseTable


@dataclass(frozen=True, eq=False)
class Found:
    """What was measured of one number of sites and one minimum count.

    Attributes:
        largest: Largest difference of the map, over the folds.
        rms: Root mean square difference, over the folds.
        mse: Mean squared error of each case left out.
        pooled: Calibration error over all their voxels.
        rows: Rows of a site's table, on average.
        size: Bytes of its file, on average.
    """

    largest: float
    rms: float
    mse: NDArray[np.float64]
    pooled: float
    rows: float
    size: float


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/federation.md"),
) -> None:
    """Fit in folds of the calibration split, write the page."""
    cases = [Read(case, case.read(), tt.ResponseTable.from_case(case)) for case in lidc2d.cohort(data, "calibration")]
    names = sorted({one.case.patient for one in cases})
    order = [names[k] for k in np.random.default_rng(SEED).permutation(len(names))]
    left_in = len(names) * (FOLDS - 1) / FOLDS
    introduction = INTRODUCTION.format(
        n_cases=len(cases),
        n_patients=len(names),
        per_site=", ".join(
            f"{left_in / n:.0f} patients to each of {n}" if n > 1 else f"{left_in:.0f} to one" for n in SITES
        ),
        methods=" and ".join(METHODS),
    )
    sections = ["<!-- written by experiments/federation.py -->", introduction]
    for method in METHODS:
        folds = fold_of(order)
        wholes = [
            tt.fit((one.case for one in cases if folds[one.case.patient] != fold), method=method)
            for fold in range(FOLDS)
        ]
        sections += [f"## {method}", table(cases, order, wholes)]
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


def table(cases: Sequence[Read], order: Sequence[str], wholes: Sequence[tt.Calibration]) -> str:
    """Measure every number of sites and every minimum count."""
    owners = [one.case.patient for one in folded(cases, order)]
    rows = []
    for n_sites in SITES:
        found: dict[int, Found] = {}
        for min_count in MIN_COUNTS:
            try:
                found[min_count] = measure(cases, order, wholes, n_sites=n_sites, min_count=min_count)
            except CalibrationError as error:
                assert "withholds everything" in str(error)  # noqa: PT017
                rows.append([str(n_sites), str(min_count), "too few patients", *[""] * 5])
                continue
            rows.append([str(n_sites), str(min_count), *cells(found[min_count], found[0], owners)])
    header = ["sites", "N", "map, largest", "map, rms", "MSE ×10³", "MHR-ECE pooled %", "rows", "size, kB"]
    return as_markdown(header, rows)


def cells(one: Found, reference: Found, owners: Sequence[str]) -> Iterator[str]:
    """Lay out what was measured."""
    gap = one.mse - reference.mse
    weights = patient_weights(owners)
    interval = Interval.of(float(gap.mean()), weighted_means(weights, gap))
    numbers = [f"{1e3 * value:+.3f}" for value in (interval.value, interval.low, interval.high)]
    brackets = "" if one is reference else f" ({numbers[0]}, {numbers[1]} to {numbers[2]})"
    yield f"{one.largest:.3f}"
    yield f"{one.rms:.5f}"
    yield f"{1e3 * one.mse.mean():.3f}{brackets}"
    yield f"{100 * one.pooled:.3f}"
    yield f"{one.rows:.0f}"
    yield f"{one.size / 1e3:,.0f}"


def fold_of(order: Sequence[str]) -> Mapping[str, int]:
    """Say in which fold each patient is left out."""
    return {name: k % FOLDS for k, name in enumerate(order)}


def folded(cases: Sequence[Read], order: Sequence[str]) -> list[Read]:
    """Give the cases in the order in which they are left out."""
    folds = fold_of(order)
    return sorted(cases, key=lambda one: folds[one.case.patient])


def measure(
    cases: Sequence[Read],
    order: Sequence[str],
    wholes: Sequence[tt.Calibration],
    *,
    n_sites: int,
    min_count: int,
) -> Found:
    """Leave every fold out in turn.

    Args:
        cases: All cases.
        order: All patients, in the order in which they are dealt out.
        wholes: For each fold left out the fit to the other cases in one place.
        n_sites: Number of sites.
        min_count: The minimum count of their tables.

    Returns:
        What was measured.

    Raises:
        CalibrationError: If a site has too few patients.
    """
    folds = fold_of(order)
    largest, squares, mse, widths, files = [], [], [], [], []
    for fold, whole in enumerate(wholes):
        patients = [name for name in order if folds[name] != fold]
        sites = [[one for one in cases if one.case.patient in patients[k::n_sites]] for k in range(n_sites)]
        fitted, written = federated(sites, whole.method, min_count=min_count)
        files += written
        assert min_count or fitted.model_dump_json() == whole.model_dump_json()
        curve = reduce(add, (one.table for site in sites for one in site)).curve()
        gap = fitted.map(curve.probability) - whole.map(curve.probability)
        largest.append(np.abs(gap).max())
        squares.append(np.average(gap**2, weights=curve.weight))
        for one in cases:
            if folds[one.case.patient] == fold:
                scores = ResponseProtocol().score(one.data, fitted.apply(one.data.probability()))
                mse.append(scores.values["mse"])
                widths.append(scores.sums["width"])
    size, rows = np.mean(files, axis=0).tolist()
    pooled = reduce(add, widths).calibration_error()
    return Found(float(max(largest)), float(np.sqrt(np.mean(squares))), np.array(mse), pooled, rows, size)


def federated(
    sites: Sequence[Sequence[Read]], method: str, *, min_count: int
) -> tuple[tt.Calibration, list[tuple[int, int]]]:
    """Let every site write its table, and fit to all; give the size of each file and the rows of each table too."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{k}.table" for k in range(len(sites))]
        written = []
        for site, path in zip(sites, paths, strict=True):
            kept = tt.suppress(reduce(add, (one.table for one in site)), min_count)
            tt.save_table(kept, path)
            written.append((path.stat().st_size, kept.curve().probability.size))
        return tt.fit(tt.load_tables(paths), method=method), written


if __name__ == "__main__":
    typer.run(main)
