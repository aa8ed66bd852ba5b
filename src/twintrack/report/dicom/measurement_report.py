"""The volumes as a structured report: a measurement report (TID 1500) that refers to the segmentations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.seg import Segmentation
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from twintrack.report.dicom.identity import MANUFACTURER, RESEARCH, Identity
from twintrack.report.dicom.result import Interval, Result

SCHEME = "99TWINTRACK"
"""Designator of the codes that no public scheme has (PS3.16, 8.2: private designators begin with 99)."""

EXPECTED_LOW = Code("EXPECTED_LOW", SCHEME, "Expected volume, lower end of interval")
EXPECTED_HIGH = Code("EXPECTED_HIGH", SCHEME, "Expected volume, upper end of interval")
RATER_LOW = Code("RATER_LOW", SCHEME, "A further rater's volume, lower end of interval")
RATER_HIGH = Code("RATER_HIGH", SCHEME, "A further rater's volume, upper end of interval")

QUANTILES = MappingProxyType(
    {
        0.05: codes.cid226._5thPercentileValueOfPopulation,
        0.5: codes.cid226.MedianValueOfPopulation,
        0.95: codes.cid226._95thPercentileValueOfPopulation,
    }
)
"""CID 226, population statistical descriptors."""


def measurement_report(
    result: Result, identity: Identity, response: Segmentation, levels: Segmentation | None
) -> sr.Comprehensive3DSR:
    """Make the structured report.

    One group of measurements refers to the response: the expected volume, its interval and that of a further rater's
    volume as far as they are known; one to each agreement level: its volume. Sentences say the same for people.

    Args:
        result: The result.
        identity: Its identity.
        response: The segmentation of the response.
        levels: The segmentation of the agreement levels; None where no voxel reaches one.

    Returns:
        The object: complete, neither final nor verified.
    """
    groups = [_group(result, identity, response, 1, _volumes(result))]
    if levels is not None:
        for level in range(1, result.highest_level + 1):
            volume = sr.Measurement(codes.SCT.Volume, result.volume_at_least(level), codes.UCUM.CubicMillimeter)
            groups.append(_group(result, identity, levels, level, [volume]))
    report = sr.MeasurementReport(
        observation_context=_observers(identity),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    report[0].ContentSequence.extend(
        sr.TextContentItem(codes.DCM.Comment, sentence, relationship_type=sr.RelationshipTypeValues.CONTAINS)
        for sentence in sentences(result)
    )
    made = sr.Comprehensive3DSR(
        evidence=[*result.series.headers, response, *([] if levels is None else [levels])],
        content=report[0],
        is_complete=True,
        coding_schemes=[CodingSchemeIdentificationItem(SCHEME, name=MANUFACTURER)],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **identity.options(result.series, "measurements", 4),
    )
    identity.settle(made, result.series)
    return made


def sentences(result: Result) -> Iterator[str]:
    """Say the result in sentences.

    Args:
        result: The result.

    Yields:
        One sentence after the other; volumes in ml.
    """
    said, n_raters = result.volume, result.n_raters
    yield f"{MANUFACTURER}, {RESEARCH}: not for diagnosis or treatment."
    yield f"Expected volume of {result.structure.name}: {_ml(result.expected_volume)}."
    if said.expected_interval is not None:
        yield (
            f"With other calibration patients it would lie between {_between(said.expected_interval)} in "
            f"{_share(said.expected_interval)} of the draws."
        )
    if said.rater_interval is not None:
        yield (
            f"The volume that a further rater draws lies between {_between(said.rater_interval)} with a probability of "
            f"{_share(said.rater_interval)}."
        )
    elif said.reason is not None:
        yield f"No interval of a further rater's volume: {said.reason}."
    if result.highest_level < n_raters:
        level = result.highest_level + 1
        yield f"No voxel where {level if level == n_raters else f'{level} or more'} of {n_raters} experts are expected."
    yield from result.notes


def _volumes(result: Result) -> list[sr.Measurement]:
    said = result.volume
    quantiles = [
        sr.NumContentItem(
            code,
            said.rater_quantiles[share],
            codes.UCUM.CubicMillimeter,
            relationship_type=sr.RelationshipTypeValues.HAS_PROPERTIES,
        )
        for share, code in QUANTILES.items()
        if share in said.rater_quantiles
    ]
    statistics = sr.MeasurementStatisticalProperties(quantiles, description="Volumes that further raters would draw")
    expected = sr.Measurement(
        codes.SCT.Volume,
        result.expected_volume,
        codes.UCUM.CubicMillimeter,
        derivation=codes.SCT.Mean,
        properties=sr.MeasurementProperties(measurement_statistical_properties=statistics) if quantiles else None,
    )
    ends = (
        (EXPECTED_LOW, EXPECTED_HIGH, said.expected_interval),
        (RATER_LOW, RATER_HIGH, said.rater_interval),
    )
    return [
        expected,
        *(
            sr.Measurement(code, value, codes.UCUM.CubicMillimeter)
            for low, high, interval in ends
            if interval is not None
            for code, value in ((low, interval.low), (high, interval.high))
        ),
    ]


def _group(
    result: Result, identity: Identity, segmentation: Segmentation, number: int, measurements: Sequence[sr.Measurement]
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    segment = segmentation.get_segment_description(number)
    region = result.structure.region
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=segment.tracking_uid, identifier=segment.tracking_id),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(result.series.headers[0].SeriesInstanceUID),
        ),
        finding_type=result.structure.kind,
        finding_sites=None if region is None else [sr.FindingSite(region)],
        algorithm_id=sr.AlgorithmIdentification(
            name=MANUFACTURER,
            version=identity.version,
            parameters=[f"{name}: {value}" for name, value in result.parameters.items()] or None,
        ),
        measurements=measurements,
    )


def _observers(identity: Identity) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=identity.device_uid,
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=f"{MANUFACTURER} {identity.version}",
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _ml(volume: float) -> str:
    return f"{volume / 1000:.2f} ml"


def _between(interval: Interval) -> str:
    return f"{interval.low / 1000:.2f} and {_ml(interval.high)}"


def _share(interval: Interval) -> str:
    return f"{100 * interval.level:.0f} %"
