"""What is scored of a case beside its raters: the raw ensemble, what calibrations make of it, and other predictions."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration import Calibration
from twintrack.calibration.guard.case_summary import CaseSummary
from twintrack.cohort import Case, CaseData, Cohort
from twintrack.errors import CalibrationError, CohortError, InputError, TwinTrackWarning
from twintrack.evaluation.predictions import CALIBRATED, RAW, require_names

SHOWN = 5
"""Cases that a message names."""


@dataclass(frozen=True)
class Candidates:
    """What is scored of each case.

    Attributes:
        calibrations: By name; applied to the case's own members.
        others: For each further set of predictions the cases, by id, that hold it as their members.
        members: Whether the cases' own members are scored.
    """

    _: KW_ONLY
    calibrations: Mapping[str, Calibration]
    others: Mapping[str, Mapping[str, Case]]
    members: bool

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        calibration: Calibration | Mapping[str, Calibration] | None,
        predictions: Mapping[str, Iterable[Case]] | None,
    ) -> Candidates:
        """Name and check what is to be scored.

        Args:
            cohort: The cases.
            calibration: One calibration, several by name, or none.
            predictions: Other predictions of the same cases, by name.

        Returns:
            What is scored.

        Raises:
            InputError: If a name cannot be given, occurs twice, or one calibration has two.
            CohortError: If calibrations are given and no case has members, beside other predictions.
        """
        others = by_name(cohort, predictions or {})
        calibrations = {CALIBRATED: calibration} if isinstance(calibration, Calibration) else dict(calibration or {})
        require_names([*calibrations, *others])
        _require_different(calibrations)
        if twice := sorted(calibrations.keys() & others.keys()):
            raise InputError(f"a calibration and a set of predictions are both called {twice[0]!r}")
        members = any(case.members for case in cohort)
        if others and calibrations and not members:
            raise CohortError("a calibration needs the ensemble's own members (--members); no case has any")
        return cls(calibrations=calibrations, others=others, members=members)

    def __bool__(self) -> bool:
        return self.members or bool(self.others)

    def predict(self, case: Case, data: CaseData) -> tuple[dict[str, NDArray[np.float32]], dict[str, tuple[str, ...]]]:
        """Give every prediction of a case.

        Args:
            case: The case.
            data: Its voxels.

        Returns:
            The predictions by name, float32 in [0, 1] on the case's grid; for each calibration its flags.

        Raises:
            TwinTrackError: If a calibration does not fit the case, or another prediction is missing or cannot be read.
        """
        found = {RAW: data.probability()} if self.members else {}
        flags = {}
        # What the guards look at depends on the members alone, so that it is made once for all of them.
        guarded = any(calibration.guard for calibration in self.calibrations.values())
        summary = CaseSummary.of(data) if guarded and self.members else None
        for name, calibration in self.calibrations.items() if self.members else ():
            with self._naming(name):
                calibration.check(case)
                found[name], flags[name] = calibration.apply_and_flag(data, summary=summary)
        found |= {name: read_other(case, data, cases, name=name) for name, cases in self.others.items()}
        return found, flags

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Say in errors and warnings which calibration they are about, where there are several."""
        if len(self.calibrations) == 1:
            yield
            return
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", TwinTrackWarning)
            try:
                yield
            except CalibrationError as error:
                raise CalibrationError(f"calibration {name!r}: {error}") from error
        for warning in said:
            warnings.warn(f"{warning.message} (calibration {name!r})", warning.category, stacklevel=3)


def _require_different(calibrations: Mapping[str, Calibration]) -> None:
    texts: dict[str, str] = {}
    for name, calibration in calibrations.items():
        text = calibration.model_dump_json()
        if text in texts:
            raise InputError(f"{texts[text]!r} and {name!r} are the same calibration; each is given once")
        texts[text] = name


def by_name(cohort: Cohort, predictions: Mapping[str, Iterable[Case]]) -> dict[str, dict[str, Case]]:
    """Give for each set of predictions the cases of a cohort that it has, by id."""
    ids = {case.id for case in cohort}
    return {name: {case.id: case for case in cases if case.id in ids} for name, cases in predictions.items()}


def require_all(cohort: Cohort, others: Mapping[str, Mapping[str, Case]]) -> None:
    """Refuse a cohort of which a set of predictions lacks a case, before any work is done.

    Args:
        cohort: The cases.
        others: Sets of predictions, as `by_name` gives them.

    Raises:
        CohortError: If one does.
    """
    for name, cases in others.items():
        lacking = [case.id for case in cohort if case.id not in cases]
        if lacking:
            more = f", … ({len(lacking)} in all)" if len(lacking) > SHOWN else ""
            raise CohortError(f"the predictions {name!r} have none of {', '.join(lacking[:SHOWN])}{more}")
        for case in cohort:
            if problem := cases[case.id].problem:
                raise CohortError(f"the predictions {name!r}, case {case.id}: {problem}")


def read_other(case: Case, data: CaseData, cases: Mapping[str, Case], *, name: str) -> NDArray[np.float32]:
    """Read another prediction of a case.

    Args:
        case: The case.
        data: Its voxels.
        cases: The cases of the set of predictions, by id.
        name: What the set is called.

    Returns:
        The prediction, float32 in [0, 1] on the case's grid.

    Raises:
        TwinTrackError: If it is missing, cannot be read, or lies on another grid.
    """
    if case.id not in cases:
        raise CohortError(f"case {case.id}: the predictions {name!r} have none of it")
    other = cases[case.id].read(raters=False)
    data.grid.require_same(other.grid, name=f"case {case.id}", other_name=f"its prediction {name!r}")
    return other.probability()
