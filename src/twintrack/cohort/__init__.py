"""Cases and cohorts: what belongs together, where it lies, and whether it fits."""

from twintrack.cohort.case import Case, CaseData
from twintrack.cohort.cohort import Cohort, OnBad, Progress, map_cases

__all__ = ["Case", "CaseData", "Cohort", "OnBad", "Progress", "map_cases"]
