"""Designs of a case-aware calibration side by side, cross-validated within the calibration split: few_cases_designs.md.

Lung nodules as in few_cases.py. Patients of the calibration split are divided into five groups; each design is fitted
to four and scored on the fifth. The test split is not looked at: by tables like this one the design was chosen.

Run: python experiments/few_cases_designs.py [--data DIR] [--nnunet DIR] [--out docs/evidence/few_cases_designs.md]
--nnunet is the work folder of lidc2d_nnunet.py; with it, the same is done with those networks' predictions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import few_cases
import lidc2d
import lidc2d_nnunet
import numpy as np
import typer
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingRegressor

import twintrack as tt
from twintrack.calibration.conditional.describe import CASE_FEATURES, VOXEL_FEATURES
from twintrack.calibration.conditional.fit import Terms, fit_coefficients, fit_conditional
from twintrack.calibration.conditional.model import ConditionalMap, design
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, shipped_reference
from twintrack.calibration.curve import Curve
from twintrack.calibration.methods import fit_map
from twintrack.calibration.sample import CaseSample, curve_of
from twintrack.calibration.selection.candidates import judge
from twintrack.cohort import CaseData
from twintrack.errors import TwinTrackWarning
from twintrack.evaluation.tables import as_markdown

GROUPS = 5
CASE_EFFECT = 1.0
"""Standard deviation of a case's own offset, in logits, where there is one."""
MONOTONE = [1, 1] + [0] * (len(VOXEL_FEATURES) - 2 + len(CASE_FEATURES))
"""In which features the boosted trees are kept from falling: the logit and its bend."""
NODES, SHARES = np.polynomial.hermite_e.hermegauss(9)

Predictor = Callable[[CaseSample], NDArray[np.float64]]
"""Gives the responses of a sample's rows `high`."""


@dataclass(frozen=True, eq=False)
class Nodule:
    """A case, its voxels, and its sample, which holds every described voxel, in the order of the grid."""

    data: CaseData
    sample: CaseSample


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d and lidc2d_predictions.")] = lidc2d.DEFAULT_DATA,
    nnunet: Annotated[Path | None, typer.Option(help="Work folder of lidc2d_nnunet.py.")] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/evidence/few_cases_designs.md"),
) -> None:
    """Cross-validate every design and write the page."""
    warnings.simplefilter("ignore", TwinTrackWarning)
    cohorts = {"Small U-Nets": lidc2d.cohort(data, "calibration")}
    if nnunet is not None:
        predicted = nnunet / "segmentation" / "members"
        cohorts["nnU-Nets"] = lidc2d_nnunet.cohort(data, "calibration", members=predicted)
    sections = [INTRODUCTION.format(groups=GROUPS)]
    for name, cohort in cohorts.items():
        cases = few_cases.in_memory(cohort)
        sections.append(f"## {name}, {len(cases)} nodules\n\n{designs_table(cases)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def designs_table(cases: Sequence[tt.Case]) -> str:
    """Cross-validate every design on these cases."""
    nodules = [Nodule(one, CaseSample.of(case, one)) for case in cases if (one := case.read())]
    read = [one.data for one in nodules]
    raw = few_cases.score(read, [one.probability() for one in read])
    group = lidc2d.patient_groups(cases, GROUPS)
    rows = [["raw ensemble", *(few_cases.number(value) for value in raw)]]
    for name, fit in DESIGNS.items():
        found = few_cases.score(read, left_out(fit, nodules, group))
        rows.append([name, *(few_cases.cell(value, base) for value, base in zip(found, raw, strict=True))])
        print(rows[-1], flush=True)
    return as_markdown(["", *few_cases.SCORES], rows)


INTRODUCTION = """<!-- written by experiments/few_cases_designs.py -->

# Designs of a case-aware calibration

Nodules of the calibration split that four radiologists drew, {groups}-fold by patient; in brackets the change from the
raw ensemble. The test split is not in it. "Volume kept": the ensemble's own volumes are kept (t = 0), else the model's
are taken (t = 1). The reference's networks are like the small U-Nets."""


def left_out(
    fit: Callable[[Sequence[CaseSample]], Predictor], nodules: Sequence[Nodule], group: NDArray[np.intp]
) -> list[NDArray[np.float32]]:
    """Give each case's responses by a fit that did not see its patient."""
    fits = [fit([one.sample for one, g in zip(nodules, group, strict=True) if g != k]) for k in range(GROUPS)]
    return [respond(fits[k], one) for one, k in zip(nodules, group, strict=True)]


def respond(predictor: Predictor, nodule: Nodule) -> NDArray[np.float32]:
    """Give a case's responses on its grid; probabilities below the floor stay."""
    response = nodule.data.probability()
    described = np.float64(response) >= nodule.sample.high.probability.min(initial=2.0)
    response[described] = predictor(nodule.sample)
    return response


def case_aware(*, volume: float, reference: bool = False) -> Callable[[Sequence[CaseSample]], Predictor]:
    """The method "conditional", drawn to no change or to the reference's map."""

    def fit(samples: Sequence[CaseSample]) -> Predictor:
        fitted = conditional(samples, volume=volume, reference=reference)
        return lambda sample: judge(fitted, sample).high

    return fit


def conditional(samples: Sequence[CaseSample], *, volume: float, reference: bool = False) -> ConditionalMap:
    """Fit the map of the method "conditional"."""
    if reference:
        return fit_conditional(samples, shipped_reference(), prior_cases=100, volume=volume, towards="reference")
    return fit_conditional(samples, shipped_reference(), prior_cases=1, volume=volume)


def reference_alone(*, volume: float) -> Callable[[Sequence[CaseSample]], Predictor]:
    """The reference's map as it is: no calibration case is looked at."""

    def fit(samples: Sequence[CaseSample]) -> Predictor:
        found = conditional(samples, volume=volume)
        alone = found.model_copy(update={"coefficients": shipped_reference().coefficients})
        return lambda sample: judge(alone, sample).high

    return fit


def then_isotonic(samples: Sequence[CaseSample]) -> Predictor:
    """The case-aware map, and an isotonic one from its responses to the raters'."""
    first = conditional(samples, volume=1.0)
    after = [replace(one, high=replace(one.high, probability=judge(first, one).high)) for one in samples]
    second = fit_map("isotonic", curve_of(after))
    return lambda sample: second(judge(first, sample).high)


def boosted(samples: Sequence[CaseSample]) -> Predictor:
    """Gradient boosting on the same features, monotone in the probability."""
    model = HistGradientBoostingRegressor(
        max_iter=150,
        learning_rate=0.06,
        max_leaf_nodes=16,
        min_samples_leaf=200,
        random_state=0,
        monotonic_cst=MONOTONE,
    )
    terms = [Terms.of(one, shipped_reference().units) for one in samples]
    weight = np.concatenate([one.weight * one.scale for one in terms if one is not None])
    response = np.concatenate([one.high.response for one in samples])
    model.fit(np.concatenate([table(one) for one in samples]), response, sample_weight=weight)
    return lambda sample: np.clip(model.predict(table(sample)), 0, 1)


def table(sample: CaseSample) -> NDArray[np.float64]:
    """Give all features of a sample's voxels."""
    if sample.traits is None:
        raise ValueError("nothing was predicted")
    case = np.broadcast_to(sample.traits.features, (len(sample.voxel), sample.traits.features.size))
    return np.concatenate([sample.voxel, case], axis=1)


def case_effect(samples: Sequence[CaseSample]) -> Predictor:
    """Every case has an offset of its own, normal around 0, over which a further case's response is averaged."""
    reference = shipped_reference()
    n = len(samples)
    terms = []
    for k, sample in enumerate(samples):
        term = Terms.of(sample, reference.units)
        if term is not None:
            own = np.zeros((len(term.x), n), np.float32)
            own[:, k] = 1
            terms.append(replace(term, x=np.concatenate([term.x, own], axis=1)))
    scale = float(np.mean([term.scale for term in terms]))
    precision = np.zeros((N_COEFFICIENTS + n,) * 2)
    precision[:N_COEFFICIENTS, :N_COEFFICIENTS] = reference.precision
    precision[range(N_COEFFICIENTS, N_COEFFICIENTS + n), range(N_COEFFICIENTS, N_COEFFICIENTS + n)] = (
        scale / CASE_EFFECT**2
    )
    found = fit_coefficients(terms, precision, centre=np.zeros(N_COEFFICIENTS + n))
    spread = float(found[N_COEFFICIENTS:].std())

    def predict(sample: CaseSample) -> NDArray[np.float64]:
        if sample.traits is None:
            raise ValueError("nothing was predicted")
        x = design(sample.voxel, sample.traits, reference.units)
        logit = sample.voxel[:, 0] + x @ found[:N_COEFFICIENTS]
        return np.asarray(expit(logit[:, None] + spread * NODES) @ (SHARES / SHARES.sum()))

    return predict


def by_curve(method: str) -> Callable[[Sequence[CaseSample]], Predictor]:
    """A map of the probability alone."""

    def fit(samples: Sequence[CaseSample]) -> Predictor:
        curve: Curve = curve_of(samples)
        fitted = fit_map(method, curve)
        return lambda sample: fitted(sample.high.probability)

    return fit


DESIGNS: dict[str, Callable[[Sequence[CaseSample]], Predictor]] = {
    "temperature": by_curve("temperature"),
    "isotonic": by_curve("isotonic"),
    "reference as it is, volume kept": reference_alone(volume=0.0),
    "reference as it is": reference_alone(volume=1.0),
    "case-aware to the reference, volume kept": case_aware(volume=0.0, reference=True),
    "case-aware to the reference": case_aware(volume=1.0, reference=True),
    "case-aware to no change, volume kept": case_aware(volume=0.0),
    "case-aware to no change": case_aware(volume=1.0),
    "case-aware, then isotonic": then_isotonic,
    "case-aware with a case effect": case_effect,
    "gradient boosting, monotone": boosted,
}


if __name__ == "__main__":
    typer.run(main)
