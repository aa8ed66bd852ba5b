"""The two methods that leave cases out to decide how they fit: "conditional" and "auto"."""

from __future__ import annotations

from collections.abc import Sequence

from twintrack.calibration.conditional.reference import shipped_reference
from twintrack.calibration.methods import AnyMap
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import CONDITIONAL, all_candidates, conditional_candidates
from twintrack.calibration.selection.choose import Selection, choose

AUTO = "auto"
"""The method that chooses among all."""

CASE_AWARE = (CONDITIONAL, AUTO)
"""Methods that need the cases, not only a response table."""


def fit_selected(
    method: str, samples: Sequence[CaseSample], *, weights: Sequence[float] | None = None
) -> tuple[AnyMap, Selection]:
    """Fit by leaving cases out.

    Args:
        method: "conditional" chooses how strongly the case-aware map is drawn to the identity; "auto" also whether it
            is better than the methods that look at the probability alone, and than none.
        samples: The calibration cases, of at least two patients.
        weights: How often each case counts in a fit; by default once.

    Returns:
        The map, and how all candidates did.

    Raises:
        CalibrationError: If there is only one patient, or nothing to fit.
    """
    reference = shipped_reference()
    candidates = all_candidates() if method == AUTO else conditional_candidates()
    chosen, selection = choose(candidates, samples, reference, weights=weights)
    return chosen.fit(samples, reference, weights=weights), selection
