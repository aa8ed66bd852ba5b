"""What is written about one prediction for machines: plain data."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from twintrack.calibration import Calibration
from twintrack.calibration.volume_distribution import VolumeDistribution
from twintrack.pipeline.agreement import volumes_at_least
from twintrack.pipeline.prediction import Prediction
from twintrack.segmentation.write import describe

SCHEMA_VERSION = 1
"""Version of the summary; raised when a key changes its meaning."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Where the distribution of a further rater's volume is written down."""

PACKAGES = ("twintrack", "numpy", "scipy", "SimpleITK", "torch", "nnunetv2")
"""Whose versions are recorded with a prediction, where they are installed."""


def summarise(prediction: Prediction) -> dict[str, Any]:
    """Describe one prediction.

    Volumes are in mm³; in 2-D they are areas in mm². Keys:

    * ``case``, ``grid``, ``members``, ``foreground``, ``roi`` as in the record of a segmentation
      (`twintrack.segmentation.write.describe`); ``notes``: what a reader must know of it, in words;
    * ``flags``: in what the case is unlike those of the calibration, in words; empty where it is like them;
    * ``expected_volume_mm3``; ``interval``: ``low_mm3`` and ``high_mm3``, between which a further rater's volume is to
      be expected with probability ``level``, ``promised`` (what the calibration cases can promise of it) and
      ``n_cases``; null where it cannot be said, with the reason in ``no_interval``;
    * ``distribution`` of a further rater's volume: ``mean_mm3``, ``quantiles_mm3`` (by probability, as text) and
      ``probability_empty``, that nothing is drawn; null where ``interval`` is;
    * ``n_raters`` (K) and ``at_least_mm3``: for k = 1 … K the volume where at least k of K experts are to be expected;
    * ``highest_response``.

    `twintrack.pipeline.predict` adds ``input`` (name and SHA-256), ``bundle``, ``calibration``, ``margin_mm``,
    ``software``, ``files``, ``seconds`` (by stage) and ``fingerprint``.

    Args:
        prediction: What was predicted.

    Returns:
        Plain data that JSON can hold.
    """
    volume = prediction.volume
    voxel_volume = prediction.segmentation.grid.voxel_volume
    at_least = volumes_at_least(prediction.levels, n_raters=prediction.n_raters, voxel_volume=voxel_volume)
    return {
        "schema_version": SCHEMA_VERSION,
        **describe(prediction.segmentation),
        "expected_volume_mm3": volume.expected,
        "interval": None if volume.interval is None else _in_mm3(asdict(volume.interval)),
        "no_interval": volume.reason,
        "distribution": None if volume.distribution is None else _in_numbers(volume.distribution),
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


def _in_numbers(distribution: VolumeDistribution) -> dict[str, Any]:
    return {
        "mean_mm3": distribution.mean,
        "quantiles_mm3": {str(share): distribution.quantile(share) for share in QUANTILES},
        "probability_empty": distribution.probability_empty,
    }


def _in_mm3(interval: dict[str, Any]) -> dict[str, Any]:
    return {(f"{name}_mm3" if name in ("low", "high") else name): value for name, value in interval.items()}
