"""Counts how often the guard of a calibration flags real cases, and how often it sees shifts made on purpose.

Lung nodules of LIDC-IDRI (2-D, three networks). Calibrations are fitted to 8, 40 and all calibration cases with four
radiologists; the test cases are exchangeable with them, so every flag on one that was not changed is a false alarm.
What is compared, and how, was chosen by leaving out cases within the calibration split.

Run: python experiments/shift_guard.py [--data DIR] [--out PAGE]
DIR holds lidc2d/ and lidc2d_predictions/; by default the environment variable TWINTRACK_DATA, or ../shared/data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import lidc2d
import numpy as np
import typer
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.special import expit, logit

import twintrack as tt
from twintrack.calibration.guard.guard import ALPHA, FALSE_ALARMS
from twintrack.evaluation.bootstrap import patient_weights, weighted_means
from twintrack.evaluation.tables import as_markdown

SIZES: dict[int | None, int] = {8: 50, 40: 15, None: 1}
"""Numbers of calibration cases, None for all, and how many draws of them are averaged."""
SIZES_SHIFTED: dict[int | None, int] = {8: 5, 40: 3, None: 1}
"""The same, where many shifts are made."""
FOLDS = 10
"""Parts of the calibration split that are left out in turn where all else is fitted."""
RATERS = 4
SEED = 0
FACTOR = np.sqrt(5)
"""Of lengths: areas change fivefold."""

Members: TypeAlias = Sequence[NDArray[np.float32]]
Change: TypeAlias = Callable[[Members, Members], Members]
"""Changes the members of a case; it is also given those of a case of another patient."""

COMPARISONS = {
    "voxel size": "voxel size",
    "predicted volume": "volume",
    "border": "border",
    "unsure share": "unsure share",
    "disagreement is": "disagreement / unsure",
    "largest": "largest probability",
    "distributed": "histogram",
    "nothing": "nothing predicted",
}
"""What reasons hold, and what the tables call it."""


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/shift_guard.md"),
) -> None:
    """Fit on the calibration split, count flags on the test split, write the page."""
    every, every_test = (read(data, split) for split in ("calibration", "test"))
    calibration, test = ([case for case in cases if len(case.raters) == RATERS] for cases in (every, every_test))
    alone, test_alone = ([merged(case) for case in cases] for cases in (calibration, test))
    sections = [
        "<!-- written by experiments/shift_guard.py -->",
        INTRODUCTION,
        "## False alarms",
        as_markdown(
            ["fitted to", "left out of the calibration split", "test cases [95 %]", *COMPARISONS.values()],
            [
                *(false_alarms(calibration, test, size=size) for size in SIZES),
                false_alarms(every, every_test, size=None),
            ],
        ),
        "## Shifts made on purpose",
        SHIFTED,
        detections(calibration, test),
        f"## One member\n\nThe same where only the members' mean is known; fitted to all {len(alone)}.",
        detections(alone, test_alone, sizes={None: 1}),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


INTRODUCTION = f"""\
How often cases are flagged as unlike those of the calibration (`Calibration.flags`), in per cent: by the guard, which
was made for {100 * FALSE_ALARMS:.0f} % of false alarms in all ({100 * ALPHA:.2f} % for each of its seven comparisons),
or by a voxel size outside the fitted range. Draws of 8 and of 40 cases are averaged. In brackets 95 % intervals by
bootstrap over patients. Cases left out of the calibration split are of other patients than those fitted; by them the
comparisons were chosen. Nothing was changed after the test cases had been counted."""

SHIFTED = """\
The test cases, each changed. Temperatures below 1 sharpen. "Zoomed" images show every voxel larger (or leave voxels
out) at the same voxel size. Zoom and a wrong voxel size change nothing but the size, and these nodules' areas differ up
to a hundredfold: the guard sees few such cases; the comparison with the fitted range sees every wrong voxel size. In
brackets: by the guard alone, where that is less."""


def read(data: Path, split: str) -> list[tt.Case]:
    """Read the cases of a split, to be held in memory."""
    cases = []
    for case in lidc2d.cohort(data, split):
        found = case.read()
        cases.append(
            tt.Case(case.id, members=found.members, raters=found.raters, grid=found.grid, patient=case.patient)
        )
    return cases


def members_of(case: tt.Case) -> Members:
    """Give the members' probabilities."""
    return case.read(raters=False).members


def merged(case: tt.Case) -> tt.Case:
    """Keep the members' mean only."""
    found = case.read()
    return tt.Case(case.id, probability=found.probability(), raters=found.raters, grid=found.grid, patient=case.patient)


def draws(cases: list[tt.Case], size: int | None, n_draws: int) -> Iterator[list[tt.Case]]:
    """Draw so many cases, as often."""
    rng = np.random.default_rng(SEED)
    for _ in range(n_draws):
        yield cases if size is None else [cases[k] for k in rng.choice(len(cases), size, replace=False)]


def false_alarms(calibration: list[tt.Case], test: list[tt.Case], *, size: int | None) -> list[str]:
    """Say for a number of calibration cases how often unchanged cases are flagged, and by what."""
    reasons = [flags(fit(chosen), test) for chosen in draws(calibration, size, SIZES[size])]
    of_case = np.mean([[bool(one) for one in found] for found in reasons], axis=0)
    by = Counter(name for found in reasons for one in found for name in named(one))
    shares = [f"{100 * by[name] / len(reasons) / len(test):.1f}" for name in COMPARISONS.values()]
    raters = "four radiologists" if all(len(case.raters) == RATERS for case in test) else "two to four"
    about = f"{size or len(calibration)} ({raters})"
    return [about, left_out(calibration, size), f"{percent(of_case, test)} of {len(test)}", *shares]


def left_out(calibration: list[tt.Case], size: int | None) -> str:
    """Count flags on the calibration cases of other patients than those fitted."""
    fitted_on = folds(calibration) if size is None else draws(calibration, size, SIZES[size])
    shares, weights = [], []
    for chosen in fitted_on:
        patients = {case.patient for case in chosen}
        others = [case for case in calibration if case.patient not in patients]
        shares.append(np.mean([bool(one) for one in flags(fit(chosen), others)]))
        weights.append(len(others))
    return f"{100 * np.average(shares, weights=weights):.1f}"


def folds(cases: list[tt.Case]) -> Iterator[list[tt.Case]]:
    """Leave parts out in turn that share no patient with the rest."""
    patients = np.random.default_rng(SEED).permutation(sorted({case.patient for case in cases}))
    for part in np.array_split(patients, FOLDS):
        yield [case for case in cases if case.patient not in set(part)]


def fit(cases: list[tt.Case]) -> tt.Calibration:
    """Fit; the guard does not depend on the method."""
    return tt.fit(cases, method="identity", replicates=0)


def detections(calibration: list[tt.Case], test: list[tt.Case], sizes: Mapping[int | None, int] = SIZES_SHIFTED) -> str:
    """One row for each shift, one column for each number of calibration cases."""
    several = len(calibration[0].members) > 1
    made = {name: shifted(test, name) for name in shifts() if several or name not in OF_MEMBERS}
    made["voxel size × 2"] = [with_spacing(case, 2.0) for case in test]
    made["voxel size / 2"] = [with_spacing(case, 0.5) for case in test]
    found: dict[str, list[str]] = {name: [] for name in made}
    for size, n_draws in sizes.items():
        fitted = [fit(chosen) for chosen in draws(calibration, size, n_draws)]
        for name, cases in made.items():
            reasons = [one for calibration_ in fitted for one in flags(calibration_, cases)]
            every = np.mean([bool(one) for one in reasons])
            guard = np.mean([any("voxel size" not in reason for reason in one) for one in reasons])
            text = f"{100 * every:.0f}"
            found[name].append(text if f"{100 * guard:.0f}" == text else f"{text} ({100 * guard:.0f})")
    header = ["shift", *(f"{size or len(calibration)} cases" for size in sizes)]
    return as_markdown(header, [[name, *cells] for name, cells in found.items()])


OF_MEMBERS = ("third member of another patient", "one member three times")
"""Shifts that need several members."""


def shifts() -> dict[str, Change]:
    """Give the changes, by name."""
    return {
        "sharpened, temperature 0.3": lambda own, _: [heated(p, 0.3) for p in own],
        "sharpened, temperature 0.5": lambda own, _: [heated(p, 0.5) for p in own],
        "softened, temperature 2": lambda own, _: [heated(p, 2.0) for p in own],
        "softened, temperature 3": lambda own, _: [heated(p, 3.0) for p in own],
        OF_MEMBERS[0]: lambda own, other: [*own[:2], other[2]],
        OF_MEMBERS[1]: lambda own, _: [own[0]] * 3,
        "zoomed, area × 5": lambda own, _: [zoomed(p, FACTOR) for p in own],
        "zoomed, area / 5": lambda own, _: [zoomed(p, 1 / FACTOR) for p in own],
        "nothing predicted (0)": lambda own, _: [0 * p for p in own],
        "nothing predicted (0.0001)": lambda own, _: [0 * p + np.float32(1e-4) for p in own],
        "inverted, 1 − p": lambda own, _: [1 - p for p in own],
    }


def shifted(cases: list[tt.Case], name: str) -> list[tt.Case]:
    """Change every case."""
    change, rng, made = shifts()[name], np.random.default_rng(SEED), []
    for case in cases:
        others = [other for other in cases if other.patient != case.patient]
        members = change(members_of(case), members_of(others[rng.integers(len(others))]))
        made.append(tt.Case(case.id, members=list(members), spacing=case.grid.spacing))
    return made


def heated(p: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Divide logits by a temperature."""
    return np.float32(expit(logit(np.clip(p.astype(float), 1e-12, 1 - 1e-7)) / temperature))


def zoomed(p: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Show a slice larger or smaller, without changing its voxel size or its values."""
    return np.asarray(zoom(p, (1, factor, factor), order=0))


def with_spacing(case: tt.Case, factor: float) -> tt.Case:
    """Give a case a wrong voxel size."""
    return tt.Case(case.id, members=members_of(case), spacing=[factor * size for size in case.grid.spacing])


def flags(calibration: tt.Calibration, cases: list[tt.Case]) -> list[tuple[str, ...]]:
    """Give the reasons for each case."""
    return [calibration.flags(case) for case in cases]


def named(reasons: Sequence[str]) -> set[str]:
    """Say which comparisons gave reasons."""
    return {name for words, name in COMPARISONS.items() if any(words in reason.split(";")[0] for reason in reasons)}


def percent(of_case: NDArray[np.float64], cases: list[tt.Case]) -> str:
    """Give the mean with its interval."""
    means = weighted_means(patient_weights([case.patient for case in cases], seed=SEED), of_case)
    low, high = 100 * np.quantile(means, [0.025, 0.975])
    return f"{100 * of_case.mean():.1f} [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    typer.run(main)
