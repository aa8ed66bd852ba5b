"""What is written about one prediction for machines: plain data."""

from __future__ import annotations

import hashlib
from typing import Any

from twintrack.calibration import Calibration
from twintrack.calibration.agreement import volumes_at_least
from twintrack.calibration.volumes.record import volume_record
from twintrack.pipeline.prediction import Prediction
from twintrack.segmentation.write import describe

SCHEMA_VERSION = 1
"""Version of the summary; raised when a key changes its meaning."""

PACKAGES = ("twintrack", "numpy", "scipy", "SimpleITK", "torch", "nnunetv2")
"""Whose versions are recorded with a prediction, where they are installed."""


def summarise(prediction: Prediction) -> dict[str, Any]:
    """Describe one prediction.

    Volumes are in mm³; in 2-D they are areas in mm². Keys:

    * ``case``, ``grid``, ``members``, ``foreground``, ``roi`` as in the record of a segmentation
      (`twintrack.segmentation.write.describe`); ``notes``: what a reader must know of it, in words;
    * ``flags``: in what the case is unlike those of the calibration, in words; empty where it is like them;
    * ``expected_volume_mm3``, ``expected_interval``, ``interval``, ``no_interval`` and ``distribution``: see
      `twintrack.calibration.volumes.record`;
    * ``n_raters`` (K) and ``at_least_mm3``: for k = 1 … K the volume where at least k of K experts are to be expected;
    * ``highest_response``.

    `twintrack.pipeline.predict` adds ``input`` (name and SHA-256), ``bundle``, ``calibration``, ``margin_mm``,
    ``software``, ``files``, ``seconds`` (by stage) and ``fingerprint``.

    Args:
        prediction: What was predicted.

    Returns:
        Plain data that JSON can hold.
    """
    voxel_volume = prediction.segmentation.grid.voxel_volume
    at_least = volumes_at_least(prediction.levels, n_raters=prediction.n_raters, voxel_volume=voxel_volume)
    return {
        "schema_version": SCHEMA_VERSION,
        **describe(prediction.segmentation),
        **volume_record(prediction.volume, prediction.expected_interval),
        "n_raters": prediction.n_raters,
        "at_least_mm3": {str(k): size for k, size in at_least.items()},
        "highest_response": float(prediction.response.max(initial=0.0)),
        "notes": list(prediction.notes),
        "flags": list(prediction.flags),
    }


def describe_calibration(calibration: Calibration) -> dict[str, Any]:
    """Say which calibration was used.

    Args:
        calibration: The calibration.

    Returns:
        ``sha256`` (of its content as `Calibration.save` writes it), ``method``, ``target`` and ``n_cases``.
    """
    content = calibration.model_dump_json(indent=1) + "\n"
    return {
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
        "method": calibration.method,
        "target": calibration.provenance.target,
        "n_cases": calibration.provenance.n_cases,
    }
