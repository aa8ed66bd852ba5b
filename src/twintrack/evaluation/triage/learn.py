"""Setting the rules' thresholds by calibration cases, and saying what they bring on other cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration import Calibration
from twintrack.cohort import Case, CaseData, OnBad, Progress, map_cases
from twintrack.compute.executors import Executor
from twintrack.errors import CohortError, InputError
from twintrack.evaluation.bootstrap import Interval, weighted_means
from twintrack.evaluation.triage.priority import HALF, case_priorities, experts_of, require_ranking
from twintrack.evaluation.triage.rules import Decision, TriageRules, hash_of
from twintrack.evaluation.triage.targets import Overlap
from twintrack.raters.majority import majority

TOLERANCE = 0.3
"""1 − Dice; a Dice of 0.7."""

ACCEPT_RISK = 0.1
DEFER_RISK = 0.5


def fit_rules(
    calibration: Calibration,
    cases: Iterable[Case],
    *,
    ranking: str = "dice_loss",
    tolerance: float = TOLERANCE,
    accept_risk: float = ACCEPT_RISK,
    defer_risk: float = DEFER_RISK,
    n_raters: int | None = None,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> TriageRules:
    """Set the thresholds by cases with raters: calibration cases, never those that the rules are measured on.

    Where these are the cases that the calibration was fitted to, their errors are a little smaller than those of
    others; how much is seen when the rules are measured (`twintrack.evaluation.triage.measure`).

    Args:
        calibration: What makes the responses.
        cases: Cases with members and raters, read one at a time.
        ranking: The number of a case that decides.
        tolerance: The largest tolerable 1 − Dice of response > 1/2 and the raters' majority.
        accept_risk: How often an accepted case may be beyond tolerance.
        defer_risk: How often a deferred case must be beyond tolerance.
        n_raters: K of the margin; None: the most raters that a calibration case had.
        on_bad: Called with a case that cannot be used and the reason. None: raise.
        progress: Wraps the cases to show progress.
        executor: Who reads the cases; None: this process.

    Returns:
        The rules.

    Raises:
        InputError: If the ranking is not known, a number is out of range, or a case has no such number.
        TwinTrackError: If a case cannot be used and `on_bad` is None, or no case is left.
    """
    require_ranking(ranking)
    if not (0 <= tolerance <= 1 and 0 < accept_risk < 1 and 0 < defer_risk < 1):
        raise InputError(
            "the tolerance lies in [0, 1] and the risks between 0 and 1; got "
            f"{tolerance}, accept {accept_risk} and defer {defer_risk}"
        )
    judge = _Judge(calibration, ranking, experts_of(calibration) if n_raters is None else n_raters)
    walk = map_cases(judge, cases, label="Judging", on_bad=on_bad, progress=progress, executor=executor)
    found = np.array(list(walk), np.float64).reshape(-1, 2)
    if not found.size:
        raise CohortError("no case is left to set the rules by: every case was skipped")
    if not np.isfinite(found[:, 0]).all():
        raise InputError(f"the cases cannot be ranked by {ranking}: they have one member")
    beyond = found[:, 1] > tolerance
    accept, defer = thresholds(found[:, 0], beyond, accept_risk=accept_risk, defer_risk=defer_risk)
    return TriageRules(
        ranking=ranking,
        tolerance=tolerance,
        accept_risk=accept_risk,
        defer_risk=defer_risk,
        accept=accept,
        defer=defer,
        n_cases=len(found),
        n_beyond=int(beyond.sum()),
        calibration_sha256=hash_of(calibration),
    )


@dataclass(frozen=True)
class _Judge:
    """Gives a case's number and its error."""

    calibration: Calibration
    ranking: str
    n_raters: int

    def __call__(self, case: Case, data: CaseData) -> tuple[float, float]:
        self.calibration.check(case)
        response = self.calibration.apply(data)
        probability = data.probability()
        known = case_priorities(data, probability=probability, response=response, n_raters=self.n_raters)
        overlap = Overlap()
        overlap.add(response > HALF, majority(list(data.raters.values())) != 0)
        return known[self.ranking], overlap.loss


def thresholds(
    priority: NDArray[np.float64], beyond: NDArray[np.bool_], *, accept_risk: float, defer_risk: float
) -> tuple[float | None, float | None]:
    """Set two thresholds.

    `accept` is the largest priority t such that of the n cases up to t, of which b are beyond tolerance, (b + 1) / (n
    + 1) is at most the risk: one more case, as bad as can be, is counted in, so that few cases accept nothing. `defer`
    is the smallest t, not below `accept`, such that of the n cases above t at least the share b / (n + 1) is beyond
    tolerance.

    Args:
        priority: Number of each case, shape (n,).
        beyond: Whether its error is beyond tolerance.
        accept_risk: Largest share beyond tolerance among the accepted.
        defer_risk: Smallest share beyond tolerance among the deferred.

    Returns:
        The thresholds; None where no priority is one.
    """
    distinct, place = np.unique(priority, return_inverse=True)
    n, bad = np.bincount(place), np.bincount(place, weights=beyond)
    below, bad_below = np.cumsum(n), np.cumsum(bad)
    above, bad_above = below[-1] - below, bad_below[-1] - bad_below
    good = distinct[(bad_below + 1) / (below + 1) <= accept_risk]
    accept = float(good[-1]) if good.size else None
    poor = distinct[(bad_above / (above + 1) >= defer_risk) & (distinct >= (-np.inf if accept is None else accept))]
    return accept, float(poor[0]) if poor.size else None


def consequences(
    decisions: Sequence[Decision],
    *,
    error: NDArray[np.float64],
    tolerance: float,
    weights: NDArray[np.float64],
) -> dict[str, Any]:
    """Say what rules bring.

    Args:
        decisions: The decision on each case.
        error: Its 1 − Dice.
        tolerance: The largest that is tolerable.
        weights: How often each case counts in each resample of the patients, (B, cases).

    Returns:
        For "accept", "review", "defer" and "all": ``n``, the number of cases, and with intervals ``share`` of the
        cases, ``error``, their mean error, and ``beyond``, the share of them beyond tolerance; plain numbers, NaN
        where there is no case.
    """
    chosen: dict[str, NDArray[np.bool_]] = {name: np.array([one == name for one in decisions]) for name in _DECISIONS}
    chosen["all"] = np.ones(len(decisions), bool)
    return {
        name: {
            "n": int(among.sum()),
            "share": _interval(among.astype(np.float64), weights),
            "error": _interval(np.where(among, error, np.nan), weights),
            "beyond": _interval(np.where(among, error > tolerance, np.nan), weights),
        }
        for name, among in chosen.items()
    }


_DECISIONS: tuple[Decision, ...] = ("accept", "review", "defer")


def _interval(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Mapping[str, float]:
    finite = values[np.isfinite(values)]
    return asdict(Interval.of(float(finite.mean()) if finite.size else float("nan"), weighted_means(weights, values)))
