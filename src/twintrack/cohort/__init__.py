"""Cases and cohorts: what belongs together, where it lies, and whether it fits."""

from twintrack.cohort.case import Case, CaseData
from twintrack.cohort.cohort import Cohort
from twintrack.cohort.find import find_cohort
from twintrack.cohort.walk import OnBad, Progress, map_cases, map_cases_in_parts, merge_cases

__all__ = [
    "Case",
    "CaseData",
    "Cohort",
    "OnBad",
    "Progress",
    "find_cohort",
    "map_cases",
    "map_cases_in_parts",
    "merge_cases",
]
