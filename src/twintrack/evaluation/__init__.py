"""Scores of a prediction against several raters, per case and over a cohort, and comparisons of predictions."""

from twintrack.evaluation.compare import Comparison, compare
from twintrack.evaluation.compare_files import write_comparison
from twintrack.evaluation.entries import Entry, read_entries
from twintrack.evaluation.evaluate import Evaluation, evaluate
from twintrack.evaluation.files import write_evaluation
from twintrack.evaluation.structures import evaluate_structures

__all__ = [
    "Comparison",
    "Entry",
    "Evaluation",
    "compare",
    "evaluate",
    "evaluate_structures",
    "read_entries",
    "write_comparison",
    "write_evaluation",
]
