"""Cases and cohorts: what belongs together, where it lies, and whether it fits."""

from twintrack.cohort.case import Case, CaseData
from twintrack.cohort.cohort import Cohort, OnBad, Progress, map_cases
from twintrack.cohort.find import find_cohort

__all__ = ["Case", "CaseData", "Cohort", "OnBad", "Progress", "find_cohort", "map_cases"]
