"""Figures of the two libraries the challenge's evaluator relies on, for one case.

MONAI 1.6.1's DiceMetric (without background, mean, empty ones ignored) of the masks within the consensus area, and
torchmetrics 1.9.0's MulticlassCalibrationError (4 classes, 50 bins) on PyTorch 2.13, both given these very arrays.
"""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import curvas2024

DICE = {"pancreas": 0.7962962985038757, "kidney": 0.9063491821289062, "liver": 0.7222222685813904}
ECE = {"0": 0.23489585518836975, "1": 0.17421875894069672, "2": 0.17343752086162567}
ECE_OF_LOGITS = {"0": 0.5136423707008362, "1": 0.46733734011650085, "2": 0.48400405049324036}


@pytest.fixture
def case():
    i = np.arange(120).reshape(3, 5, 8)
    label = (i * i // 7 + i) % 4
    raters = [np.where((i + 3 * k) % (7 + k) == 0, (label + 1) % 4, label) for k in range(3)]
    return {
        "raters": np.stack(raters).astype(np.uint8),
        "probabilities": np.stack([np.where(label == s, 40 + i % 12, i * s % 7) / 64 for s in (1, 2, 3)]),
        "labels": np.where(i % 9 == 0, (label + 2) % 4, label),
    }


def test_official_agrees_with_them(case):
    scores = curvas2024.score(**case)
    assert scores["consensus_dice"] == pytest.approx(DICE, abs=2e-7)
    assert scores["ece"] == pytest.approx(ECE, abs=2e-7)


def test_official_agrees_with_them_where_they_take_probabilities_for_logits(case):
    case["probabilities"][:, 0, 0, 0] = 1, 1e-7, 0
    with pytest.warns(TwinTrackWarning, match="for logits"):
        assert curvas2024.score(**case)["ece"] == pytest.approx(ECE_OF_LOGITS, abs=2e-7)


def test_corrected_does_not(case):
    scores = curvas2024.score(**case, variant="corrected")
    assert scores["consensus_dice"] != pytest.approx(DICE, abs=1e-3)
    case["probabilities"][:, 0, 0, 0] = 1, 1e-7, 0
    assert curvas2024.score(**case, variant="corrected")["ece"] == pytest.approx(ECE, abs=0.05)
