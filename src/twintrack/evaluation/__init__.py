"""Scores of a prediction against several raters, per case and over a cohort."""

from twintrack.evaluation.evaluate import Evaluation, evaluate
from twintrack.evaluation.files import write_evaluation

__all__ = ["Evaluation", "evaluate", "write_evaluation"]
