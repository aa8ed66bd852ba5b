"""The structured report says the volumes, refers to the segmentations, and says it in sentences too."""

from __future__ import annotations

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom import sr

from twintrack.report.dicom.identity import Identity
from twintrack.report.dicom.measurement_report import measurement_report, sentences
from twintrack.report.dicom.result import VolumeStatement
from twintrack.report.dicom.segmentations import levels_segmentation, response_segmentation


def report_of(result, path):
    identity = Identity.of(result.sha256, result.series)
    response = response_segmentation(result, identity)
    levels = levels_segmentation(result, identity) if result.highest_level else None
    measurement_report(result, identity, response, levels).save_as(path, enforce_file_format=True)
    return sr.srread(path), response, levels


def numbers(group):
    """The measurements of a group as (meaning, value, unit)."""
    return [(item.name.meaning, float(item.value), item.unit.value) for item in group.get_measurements()]


def comments(report):
    return [
        item.TextValue
        for item in report.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeMeaning == "Comment"
    ]


def test_the_volumes_and_their_intervals_are_those_of_the_result(result, tmp_path):
    report, response, levels = report_of(result, tmp_path / "d.dcm")
    first, *others = report.content.get_volumetric_roi_measurement_groups()
    assert [name for name, _, _ in numbers(first)] == [
        "Volume",
        "Expected volume, lower end of interval",
        "Expected volume, upper end of interval",
        "A further rater's volume, lower end of interval",
        "A further rater's volume, upper end of interval",
    ]
    values = [value for _, value, _ in numbers(first)]
    expected = float(result.response.sum(dtype=float)) * 4.0 * 3.0 * 2.5
    assert values == pytest.approx([expected, 30_000, 42_000, 20_000, 60_000])
    assert {unit for group in (first, *others) for _, _, unit in numbers(group)} == {"mm3"}
    assert first.reference_type.meaning == "Referenced Segment"
    assert first.referenced_segment.referenced_sop_instance_uid == response.SOPInstanceUID
    for level, group in enumerate(others, start=1):
        ((name, value, _),) = numbers(group)
        assert (name, value) == ("Volume", pytest.approx(30.0 * np.count_nonzero(result.levels >= level)))
        assert group.referenced_segment.referenced_sop_instance_uid == levels.SOPInstanceUID
        assert group.referenced_segment.referenced_segment_numbers == [level]
        assert group.tracking_uid == levels.get_segment_description(level).tracking_uid
        assert group.finding_type.meaning == "Neoplasm"


def test_the_quantiles_of_a_further_raters_volume_are_population_statistics(result, tmp_path):
    report, _, _ = report_of(result, tmp_path / "d.dcm")
    group = report.content.get_volumetric_roi_measurement_groups()[0]
    volume = group.get_measurements()[0]
    said = {
        item.ConceptNameCodeSequence[0].CodeMeaning: float(item.MeasuredValueSequence[0].NumericValue)
        for item in volume[0].ContentSequence
        if item.ValueType == "NUM"
    }
    assert said == {
        "5th Percentile Value of population": 21_000,
        "Median Value of population": 34_000,
        "95th Percentile Value of population": 58_000,
    }


def test_it_says_so_in_sentences(make_result, oblique, phantom, tmp_path):
    result = make_result(oblique, phantom.response, notes=("the coarse network found nothing",))
    report, _, _ = report_of(result, tmp_path / "d.dcm")
    said = comments(report)
    assert said == list(sentences(result))
    assert said[0] == "TwinTrack, for research use only: not for diagnosis or treatment."
    assert said[1] == f"Expected volume of pancreatic tumour: {result.expected_volume / 1000:.2f} ml."
    assert said[2].startswith("With other calibration patients it would lie between 30.00 and 42.00 ml in 90 %")
    assert said[3].endswith("lies between 20.00 and 60.00 ml with a probability of 80 %.")
    assert said[4:] == ["the coarse network found nothing"]


def test_what_is_not_known_is_left_out_with_its_reason(make_result, oblique, phantom, tmp_path):
    result = make_result(oblique, phantom.response, volume=VolumeStatement(reason="too few cases"))
    report, _, _ = report_of(result, tmp_path / "d.dcm")
    assert [name for name, _, _ in numbers(report.content.get_volumetric_roi_measurement_groups()[0])] == ["Volume"]
    assert "No interval of a further rater's volume: too few cases." in comments(report)


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [
        (0.8, "No voxel where 5 of 5 experts are expected."),
        (0.6, "No voxel where 4 or more of 5 experts are expected."),
        (0.0, "No voxel where 1 or more of 5 experts are expected."),
    ],
)
def test_levels_that_no_voxel_reaches_are_said(make_result, oblique, phantom, tmp_path, factor, sentence):
    result = make_result(oblique, phantom.response * np.float32(factor))
    report, _, levels = report_of(result, tmp_path / "d.dcm")
    assert sentence in comments(report)
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 1 + result.highest_level
    if levels is None:
        assert numbers(groups[0])[0] == ("Volume", 0.0, "mm3")


def test_it_is_complete_but_verified_by_nobody_and_says_who_made_it(result, tmp_path):
    report_of(result, tmp_path / "d.dcm")
    made = pydicom.dcmread(tmp_path / "d.dcm")
    assert (made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    assert made.ContentQualification == "RESEARCH"
    assert made.Manufacturer == "TwinTrack"
    evidence = made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    classes = [item.ReferencedSOPSequence[0].ReferencedSOPClassUID.name for item in evidence]
    assert classes == ["CT Image Storage", "Segmentation Storage", "Segmentation Storage"]
    assert highdicom.__version__ in made.file_meta.ImplementationVersionName
