"""What a response table keeps of each case beside the counts, and the order in which cases are worked on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from twintrack.calibration.guard.case_summary import CaseSummary
from twintrack.calibration.record import CaseRecord
from twintrack.calibration.tally import CaseTally


@dataclass(frozen=True, eq=False)
class CountedCase:
    """One case of a response table.

    Attributes:
        patient: Whose case it is; only which cases share it matters.
        record: What a calibration remembers of it.
        tally: What its volumes, and curves of other draws of the patients, are counted from.
        summary: What it looks like without its raters, for the guard.
    """

    patient: str
    record: CaseRecord
    tally: CaseTally
    summary: CaseSummary

    def key(self) -> tuple[str, str, str]:
        """Give what cases are sorted by: all there is of the case but its patient."""
        tally = self.tally
        digest = hashlib.sha256(repr((tally.votes.shape, tally.drawn)).encode())
        for array in (tally.group, tally.probability, tally.votes):
            digest.update(array.tobytes())
        return self.record.model_dump_json(), digest.hexdigest(), self.summary.model_dump_json()


def in_order(cases: Sequence[CountedCase]) -> list[tuple[int, int]]:
    """Sort cases and number their patients by content, so that neither names nor their order leave a trace.

    Args:
        cases: The cases.

    Returns:
        For each case, in the new order, its index and the number of its patient, from 0. Patients that are not told
        apart by their cases are exchangeable.
    """
    keys = [case.key() for case in cases]
    of_patient = defaultdict(list)
    for case, key in zip(cases, keys, strict=True):
        of_patient[case.patient].append(key)
    ranked = sorted(of_patient, key=lambda patient: sorted(of_patient[patient]))
    number = {patient: rank for rank, patient in enumerate(ranked)}
    order = sorted(range(len(cases)), key=lambda index: (keys[index], number[cases[index].patient]))
    return [(index, number[cases[index].patient]) for index in order]
