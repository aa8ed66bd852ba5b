"""What is written of a case's volume for machines: plain data, the same wherever it is written."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from twintrack.calibration.case_uncertainty import ExpectedInterval
from twintrack.calibration.volumes.distribution import VolumeDistribution
from twintrack.calibration.volumes.volume import VolumeEstimate, VolumeInterval

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Where the distribution of a further rater's volume is written down."""

NOT_MEASURED = "the voxel size is not known"


def volume_record(volume: VolumeEstimate | None, expected_interval: ExpectedInterval | None) -> dict[str, Any]:
    """Describe the volume of a case.

    Volumes are in mm³; in 2-D they are areas in mm². Keys:

    * ``expected_volume_mm3``; null where the voxel size is not known;
    * ``expected_interval``: how sure that is: ``low_mm3`` and ``high_mm3``, between which it lies with other draws of
      the calibration patients, with ``level`` (the share of the draws) and ``n_replicates``; null where the calibration
      does not know how sure it is;
    * ``interval``: ``low_mm3`` and ``high_mm3``, between which a further rater's volume is to be expected with
      probability ``level``, ``promised`` (what the calibration cases can promise of it) and ``n_cases``; null where it
      cannot be said, with the reason in ``no_interval``;
    * ``distribution`` of a further rater's volume: ``mean_mm3``, ``quantiles_mm3`` (by probability, as text) and
      ``probability_empty``, that nothing is drawn; null where ``interval`` is.

    Args:
        volume: The estimate; None where the voxel size is not known.
        expected_interval: The interval of the expected volume, where it is known.

    Returns:
        Plain data that JSON can hold.
    """
    if volume is None:
        return {
            "expected_volume_mm3": None,
            "expected_interval": None,
            "interval": None,
            "no_interval": NOT_MEASURED,
            "distribution": None,
        }
    return {
        "expected_volume_mm3": volume.expected,
        "expected_interval": None if expected_interval is None else _in_mm3(expected_interval),
        "interval": None if volume.interval is None else _in_mm3(volume.interval),
        "no_interval": volume.reason,
        "distribution": None if volume.distribution is None else _in_numbers(volume.distribution),
    }


def _in_numbers(distribution: VolumeDistribution) -> dict[str, Any]:
    return {
        "mean_mm3": distribution.mean,
        "quantiles_mm3": {str(share): distribution.quantile(share) for share in QUANTILES},
        "probability_empty": distribution.probability_empty,
    }


def _in_mm3(interval: ExpectedInterval | VolumeInterval) -> dict[str, Any]:
    return {(f"{name}_mm3" if name in ("low", "high") else name): value for name, value in asdict(interval).items()}
