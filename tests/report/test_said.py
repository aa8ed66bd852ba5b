"""Reading what was said of a case: summaries of `predict`, volumes of `apply`, and what is neither."""

from __future__ import annotations

import json

import pytest

from twintrack.errors import InputError
from twintrack.report.said import read_said

SUMMARY = {
    "case": "c1",
    "expected_volume_mm3": 100.0,
    "expected_interval": {"low_mm3": 90.0, "high_mm3": 120.0, "level": 0.9, "n_replicates": 200},
    "interval": {"low_mm3": 50.0, "high_mm3": 150.0, "level": 0.9, "promised": 0.67, "n_cases": 5},
    "no_interval": None,
    "distribution": {"mean_mm3": 99.0, "quantiles_mm3": {"0.05": 60.0, "0.5": 98.0}, "probability_empty": 0.0},
    "n_raters": 5,
    "foreground": ["tumour"],
    "notes": ["a note"],
    "flags": ["a flag"],
    "bundle": {"name": "b", "sha256": "00"},
    "calibration": {"sha256": "11", "method": "isotonic", "n_cases": 5},
}
RESPONSE_ONLY = {"expected_volume_mm3": None, "no_interval": "the voxel size is not known"}


@pytest.fixture
def said(tmp_path):
    def read(content, *, response="c1.nii.gz"):
        path = tmp_path / "said.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_said(path, response=tmp_path / response)

    return read


def test_a_summary_of_predict(said):
    found = said(SUMMARY)
    assert (found.n_raters, found.foreground, found.notes, found.flags) == (5, ("tumour",), ("a note",), ("a flag",))
    assert found.interval.promised == 0.67
    assert found.distribution.quantiles_mm3 == {0.05: 60.0, 0.5: 98.0}
    assert found.parameters == {
        "bundle": "b",
        "bundle_sha256": "00",
        "calibration_method": "isotonic",
        "calibration_sha256": "11",
    }


def test_of_the_volumes_of_apply_the_maps_case_is_taken(said):
    cases = {
        "c1": {**RESPONSE_ONLY, "files": {"responses": "c1.nii.gz"}},
        "c2": {"files": {"responses": "sub/c2.nii.gz"}, "expected_volume_mm3": 7.0},
    }
    assert said({"schema_version": 1, "cases": cases}, response="c2.nii.gz").expected_volume_mm3 == 7.0
    first = said({"cases": cases})
    assert (first.expected_volume_mm3, first.n_raters, first.parameters) == (None, None, {})
    with pytest.raises(InputError, match=r"says nothing of c3.nii.gz; it holds the cases c1, c2"):
        said({"cases": cases}, response="c3.nii.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is neither a summary"),
        ({}, "expected_volume_mm3: Field required"),
        ({**SUMMARY, "n_raters": 0}, "n_raters"),
        ({**SUMMARY, "expected_volume_mm3": -1}, "expected_volume_mm3"),
        ('{"expected_volume_mm3": NaN}', "expected_volume_mm3"),
        ({**SUMMARY, "interval": {"low_mm3": 1}}, r"interval\.high_mm3"),
        ({"cases": {"c1": 3}}, "says nothing of"),
        ({"cases": {"c1": {"files": {"responses": "c1.nii.gz"}}}}, "expected_volume_mm3"),
    ],
)
def test_what_is_neither_is_refused(said, content, message):
    with pytest.raises(InputError, match=message):
        said(content)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot read .*none.json"):
        read_said(tmp_path / "none.json", response=tmp_path / "a.nii.gz")
