"""The response as a fractional segmentation object, the agreement levels as a binary one."""

from __future__ import annotations

import highdicom
import numpy as np
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from twintrack.report.dicom.colours import level_colour
from twintrack.report.dicom.identity import MANUFACTURER, Identity
from twintrack.report.dicom.result import Result

MAX_FRACTION = 255
"""The stored value of a response of 1."""


def response_segmentation(result: Result, identity: Identity) -> Segmentation:
    """Make the fractional segmentation of the response: PROBABILITY, 8 bit, round(255 × response).

    Slices in which every stored value is 0 are left out; where all are, the first one stays.

    Args:
        result: The result.
        identity: Its identity.

    Returns:
        The object, with one segment.
    """
    label = f"response, {result.structure.name}"
    smallest_stored = np.float32(0.5 / MAX_FRACTION)  # numpy rounds a half to the even number, which is 0
    kept = np.flatnonzero((result.response > smallest_stored).any(axis=(1, 2)))
    slices = kept if kept.size else np.array([0])
    return _segmentation(
        result,
        identity,
        slices,
        result.response[slices][..., np.newaxis],
        [_segment(result, identity, 1, label, level=result.n_raters)],
        kind=SegmentationTypeValues.FRACTIONAL,
        what="response",
        number=1,
        description="fraction of experts who would label the voxel",
    )


def levels_segmentation(result: Result, identity: Identity) -> Segmentation:
    """Make the binary segmentation of the agreement levels; segment k is where at least k of K experts are expected.

    Args:
        result: The result; a voxel of it reaches a level.
        identity: Its identity.

    Returns:
        The object, with the segments 1 … highest level reached.
    """
    reached = range(1, result.highest_level + 1)
    slices = np.flatnonzero((result.levels > 0).any(axis=(1, 2)))
    masks = np.stack([result.levels[slices] >= level for level in reached], axis=-1)
    segments = [_segment(result, identity, level, result.level_name(level), level=level) for level in reached]
    return _segmentation(
        result,
        identity,
        slices,
        masks,
        segments,
        kind=SegmentationTypeValues.BINARY,
        what="agreement levels",
        number=2,
        description=f"where at least k of {result.n_raters} experts are expected",
    )


def algorithm(result: Result, identity: Identity) -> highdicom.AlgorithmIdentificationSequence:
    """Say which algorithm it was, with the model and the calibration as its parameters."""
    return highdicom.AlgorithmIdentificationSequence(
        name=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence,
        version=identity.version,
        parameters=result.parameters or None,
    )


def _segment(result: Result, identity: Identity, number: int, label: str, *, level: int) -> SegmentDescription:
    structure = result.structure
    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=structure.category,
        segmented_property_type=structure.kind,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(result, identity),
        tracking_uid=identity.uid("finding", label),
        tracking_id=label,
        anatomic_regions=None if structure.region is None else [structure.region],
        display_color=highdicom.color.CIELabColor.from_rgb(*level_colour(level, result.n_raters)),
    )


def _segmentation(
    result: Result,
    identity: Identity,
    slices: NDArray[np.intp],
    pixels: NDArray[np.float32] | NDArray[np.bool_],
    segments: list[SegmentDescription],
    *,
    kind: SegmentationTypeValues,
    what: str,
    number: int,
    description: str,
) -> Segmentation:
    made = Segmentation(
        source_images=[result.series.headers[k] for k in slices],
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=segments,
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=MAX_FRACTION,
        content_label=what.upper().replace(" ", "_"),
        content_description=description,
        omit_empty_frames=bool(pixels.any()),
        **identity.options(result.series, what, number),
    )
    identity.settle(made, result.series)
    # It is of the series, so highdicom does not take it over; what it is decides whether a side must be said (C.7.3.1).
    if body_part := result.series.headers[0].get("BodyPartExamined"):
        made.BodyPartExamined = body_part
    return made
