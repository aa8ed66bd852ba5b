"""From several raters' masks to one reference: mean human response, majority, STAPLE, and their agreement."""

from __future__ import annotations

from twintrack.raters.agreement import CaseAgreement, CohortAgreement, case_agreement, cohort_agreement
from twintrack.raters.kappa import fleiss_kappa
from twintrack.raters.majority import majority
from twintrack.raters.response import response, vote_count
from twintrack.raters.staple import Staple, staple, staple_patterns

__all__ = [
    "CaseAgreement",
    "CohortAgreement",
    "Staple",
    "case_agreement",
    "cohort_agreement",
    "fleiss_kappa",
    "majority",
    "response",
    "staple",
    "staple_patterns",
    "vote_count",
]
