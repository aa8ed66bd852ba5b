"""Judging networks on cases they did not learn from, so that none is bundled that learnt nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.model import CoarseModel, FineModel, View
from twintrack.segmentation.roi import recall, region_of_interest
from twintrack.segmentation.training.cases import LoadedCase


class Gate(BaseModel):
    """What a network must reach on the held-out cases.

    Attributes:
        dice: A member's mean Dice to the masks of its teachers, at p > 0.5.
        of_best: And at least this fraction of the best member's.
        recall: The mean fraction of what any rater drew that lies in the coarse network's region of interest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dice: float = Field(default=0.3, ge=0, le=1)
    of_best: float = Field(default=0.75, ge=0, le=1)
    recall: float = Field(default=0.9, ge=0, le=1)

    def failed(self, scores: Mapping[str, float]) -> dict[str, str]:
        """Say which members are not good enough.

        Args:
            scores: Mean Dice by member.

        Returns:
            The reason by member, for those that fail.
        """
        best = max(scores.values(), default=0.0)
        least = max(self.dice, self.of_best * best)
        return {
            name: f"mean Dice {score:.3f} on the held-out cases is below {least:.3f} (the larger of {self.dice:g} and "
            f"{self.of_best:g} of the best member's {best:.3f})"
            for name, score in scores.items()
            # Rounding must not decide; and NaN is not enough.
            if not score >= least * (1 - 1e-9)
        }


def dice(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Give the Dice of two masks; 1 where both are empty."""
    total = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0


def member_dice(model: FineModel, case: LoadedCase, truth: NDArray[np.bool_], *, margin: float | None) -> float | None:
    """Judge a member on a case, on the box it would be trained on.

    Args:
        model: The member.
        case: The case.
        truth: What its teacher drew, of the CT's shape.
        margin: Of the box, mm; None is the whole image.

    Returns:
        Dice at p > 0.5; None where the case has no box.
    """
    box = case.box(margin)
    if box is None:
        return None
    return dice(model.probability(View(case.id, case.ct, box)) > 0.5, truth[box])


def region_recall(model: CoarseModel, case: LoadedCase, settings: RoiSettings) -> float | None:
    """Judge a coarse network on a case.

    Args:
        model: The network.
        case: The case.
        settings: How the region of interest is made.

    Returns:
        Fraction of what any rater drew inside the region of interest; 0 where it finds none (falling back to the whole
        image is not finding); None where nothing was drawn.
    """
    truth = case.union if case.raters else case.region
    roi = region_of_interest(model.locate(case.ct), case.ct.grid, settings)
    found = recall(roi, truth)
    return 0.0 if roi is None and found is not None else found


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Say the mean, the least and the number of held-out figures."""
    if not values:
        return {"mean": None, "min": None, "n": 0}
    return {"mean": round(float(np.mean(values)), 4), "min": round(float(np.min(values)), 4), "n": len(values)}
