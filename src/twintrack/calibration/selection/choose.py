"""Leaves patients out, judges every candidate on them, and chooses the one that helps most for its flexibility."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from twintrack.calibration.conditional.reference import Reference
from twintrack.calibration.methods.identity import IdentityMap
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import Candidate, judge
from twintrack.calibration.selection.losses import TERMS, losses
from twintrack.errors import CalibrationError

FOLDS = 20
"""Up to so many patients, each is left out by itself; more are left out in so many groups."""

MARGIN = 0.5
"""A term counts as harmed where it is not below the identity's by so many standard errors."""

_ROUNDING = 1e-6


class CandidateScore(BaseModel):
    """How a candidate did on cases it was not fitted on.

    Attributes:
        name: The candidate.
        criterion: Mean of the losses relative to the identity's (1: no better than leaving probabilities alone).
        terms: The relative losses, by name of `TERMS`.
        standard_error: Of the criterion, over patients.
        penalised: The criterion with its standard error and the candidate's cost added: the lowest is chosen of those
            that do no harm.
        harms: The terms that may be worse than the identity's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    criterion: float
    terms: dict[str, float]
    standard_error: float
    penalised: float
    harms: tuple[str, ...]


class Selection(BaseModel):
    """Which candidate was chosen, and how all did.

    Attributes:
        chosen: The name of the chosen one.
        n_patients: How many patients were left out in turn.
        candidates: All, from the simplest to the most flexible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    chosen: str
    n_patients: int
    candidates: tuple[CandidateScore, ...]


def choose(
    candidates: Sequence[Candidate],
    samples: Sequence[CaseSample],
    reference: Reference,
    *,
    weights: Sequence[float] | None = None,
) -> tuple[Candidate, Selection]:
    """Choose a candidate.

    Every patient (or group of patients) is left out in turn, each candidate is fitted to the others, and its losses on
    those left out are collected. The criterion is the mean over `TERMS` of the candidate's mean loss divided by the
    identity's; 1 is no better than leaving probabilities alone. Chosen is the lowest sum of the criterion, its standard
    error and `Candidate.cost` / number of cases: a change must help by more than chance may have it, what is more
    flexible the more so the fewer cases there are, and of equals the earlier is taken. One score is not bought with
    another: a candidate of which a single term may be worse than the identity's (by `MARGIN`) is only taken if there is
    none without.

    Args:
        candidates: From the simplest on.
        samples: The cases, of at least two patients.
        reference: For case-aware candidates.
        weights: How often each case counts in a fit; by default once.

    Returns:
        The candidate, and how all of them did.

    Raises:
        CalibrationError: If there is only one patient, or no candidate could be fitted.
    """
    groups = patient_groups([sample.patient for sample in samples])
    if max(groups) == 0:
        raise CalibrationError(
            "choosing a method needs cases of at least two patients, to leave one out; name a method instead (--method)"
        )
    unchanged = np.array([losses(sample, judge(IdentityMap(), sample)) for sample in samples])
    unit = unchanged.mean(axis=0)
    unit[unit == 0] = 1.0
    left_out = _left_out(candidates, samples, groups, reference, weights) / unit
    criterion = left_out.mean(axis=(1, 2))
    patients = [sample.patient for sample in samples]
    change = left_out - unchanged / unit
    error = _standard_error(change.mean(axis=2), patients)
    penalised = criterion + error + np.array([candidate.cost for candidate in candidates]) / len(samples)
    worst = np.stack(
        [change[..., k].mean(axis=1) + MARGIN * _standard_error(change[..., k], patients) for k in range(len(TERMS))]
    )
    harmed = worst > _ROUNDING
    harmless = ~harmed.any(axis=0)
    chosen = int(np.argmin(np.where(harmless, penalised, np.inf) if harmless.any() else penalised))
    scores = tuple(
        CandidateScore(
            name=candidate.name,
            criterion=float(criterion[k]),
            terms=dict(zip(TERMS, left_out[k].mean(axis=0).tolist(), strict=True)),
            standard_error=float(error[k]),
            penalised=float(penalised[k]),
            harms=tuple(term for term, harm in zip(TERMS, harmed[:, k], strict=True) if harm),
        )
        for k, candidate in enumerate(candidates)
    )
    n = len({sample.patient for sample in samples})
    return candidates[chosen], Selection(chosen=candidates[chosen].name, n_patients=n, candidates=scores)


def patient_groups(patients: Sequence[str]) -> list[int]:
    """Put patients into at most `FOLDS` groups, as equal in number of cases as may be; those of a patient together.

    Args:
        patients: Of each case.

    Returns:
        The group of each case, from 0.
    """
    names, counts = np.unique(patients, return_counts=True)
    sizes = np.zeros(min(FOLDS, names.size))
    group = {}
    for k in np.argsort(-counts, kind="stable"):
        smallest = int(np.argmin(sizes))
        group[str(names[k])] = smallest
        sizes[smallest] += counts[k]
    return [group[patient] for patient in patients]


def _left_out(
    candidates: Sequence[Candidate],
    samples: Sequence[CaseSample],
    groups: Sequence[int],
    reference: Reference,
    weights: Sequence[float] | None,
) -> NDArray[np.float64]:
    """Give each case's losses by maps that were not fitted on its patient, (candidates, cases, terms)."""
    found = np.zeros((len(candidates), len(samples), len(TERMS)))
    for alike in _fitted_alike(candidates):
        first = candidates[alike[0]]
        whole = first.fit(samples, reference, weights=weights)
        for group in range(max(groups) + 1):
            others = [k for k, other in enumerate(groups) if other != group]
            theirs = None if weights is None else [weights[k] for k in others]
            fitted = first.fit([samples[k] for k in others], reference, weights=theirs, near=whole)
            for k, sample in enumerate(samples):
                if groups[k] == group:
                    for j in alike:
                        found[j, k] = losses(sample, judge(candidates[j].variant_of(fitted), sample))
    return found


def _fitted_alike(candidates: Sequence[Candidate]) -> list[list[int]]:
    """Group the candidates that need one fit together."""
    groups: dict[tuple[str, str, float], list[int]] = {}
    for k, candidate in enumerate(candidates):
        groups.setdefault((candidate.method, candidate.towards, candidate.prior_cases), []).append(k)
    return list(groups.values())


def _standard_error(differences: NDArray[np.float64], patients: Sequence[str]) -> NDArray[np.float64]:
    """Give the standard error of the mean over cases, cases of a patient together, for each row."""
    _, where = np.unique(patients, return_inverse=True)
    centred = differences - differences.mean(axis=1, keepdims=True)
    sums = np.stack([np.bincount(where, row) for row in centred])
    n, n_patients = len(patients), sums.shape[1]
    return np.asarray(np.sqrt((sums**2).sum(axis=1) * n_patients / (n_patients - 1)) / n)
