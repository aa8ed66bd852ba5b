"""Triage: which cases and which of their regions an expert should look at, and what that is worth.

Two uses, kept apart. *Ranking* new cases needs no raters: `rank_cases` gives a worklist cut at a budget. *Measuring* on
held-out cases with raters says how much of the errors a ranking finds within a budget: `measure`. The rules that
accept, review or defer a case are learnt on the calibration cases (`fit_rules`) and measured on others.
"""

from twintrack.evaluation.triage.budget import Budget, Reading
from twintrack.evaluation.triage.learn import fit_rules
from twintrack.evaluation.triage.measure import Measured, measure, risk_coverages
from twintrack.evaluation.triage.priority import DEFAULT, RANKINGS
from twintrack.evaluation.triage.rank import Worklist, rank_cases
from twintrack.evaluation.triage.rules import TriageRules, load_rules

__all__ = [
    "DEFAULT",
    "RANKINGS",
    "Budget",
    "Measured",
    "Reading",
    "TriageRules",
    "Worklist",
    "fit_rules",
    "load_rules",
    "measure",
    "rank_cases",
    "risk_coverages",
]
