"""Which cases are kept from training, to judge every network on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twintrack.errors import InputError
from twintrack.segmentation.training.cases import TrainingCase

HELD_OUT = 0.2
"""Fraction of the patients that is kept from training."""


def held_out_ids(cases: Sequence[TrainingCase], *, fraction: float = HELD_OUT, seed: int = 0) -> frozenset[str]:
    """Choose patients to judge networks on; all cases of a patient stay together.

    Args:
        cases: The cases.
        fraction: Fraction of the patients, at least one of them.
        seed: Chooses.

    Returns:
        The ids of their cases.

    Raises:
        InputError: If there are fewer than two patients, or nothing would be left to learn from.
    """
    patients = sorted({case.who for case in cases})
    if len(patients) < 2:
        raise InputError(
            f"networks are judged on patients they did not learn from: at least two are needed, and there is "
            f"{len(patients)}"
        )
    if not 0 < fraction < 1:
        raise InputError(f"the fraction of patients held out is {fraction}; it lies between 0 and 1")
    n = min(max(1, round(fraction * len(patients))), len(patients) - 1)
    chosen = {patients[k] for k in np.random.default_rng(seed).permutation(len(patients))[:n]}
    return frozenset(case.id for case in cases if case.who in chosen)
