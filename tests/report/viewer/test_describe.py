"""What the page says of a case."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twintrack.calibration.agreement import agreement_levels
from twintrack.images import Grid
from twintrack.report.said import SaidOfCase
from twintrack.report.viewer.cases import find_cases
from twintrack.report.viewer.describe import describe, levels

from .conftest import write


def test_says_the_volume_as_it_was_written(cases):
    facts = dict(describe(cases[0])["facts"])

    assert facts == {
        "expected volume": "2.35 ml",
        "volume, with 90% of other draws of the calibration patients": "2.00 ml to 2.70 ml",
        "a further rater's volume (89% promised)": "1.50 ml to 3.50 ml",
        "a further rater's median volume": "2.30 ml",
    }


def test_says_what_is_not_known(cases):
    known = SaidOfCase(
        expected_volume_mm3=None,
        no_interval="the voxel size is not known",
        flags=("too bright",),
        notes=("no region found",),
    )

    said = describe(replace(cases[1], said=known))

    assert dict(said["facts"]) == {
        "expected volume": "not written",
        "a further rater's volume": "not known: the voxel size is not known",
    }
    assert (said["flags"], said["notes"]) == (["too bright"], ["no region found"])


def test_small_volumes_are_in_mm3_and_areas_in_mm2(cases, tmp_path):
    for size, said in ((12.34, "12.3 mm³"), (348.2, "0.348 ml"), (98_760.0, "98.8 ml"), (123_456.0, "123 ml")):
        assert describe(replace(cases[0], said=SaidOfCase(expected_volume_mm3=size)))["facts"][0][1] == said
    write(tmp_path / "flat" / "c.nii.gz", np.eye(4, dtype=np.float32), Grid.plain((4, 4), spacing=(1.0, 1.0)))
    (flat,) = find_cases(tmp_path / "flat")
    said = describe(replace(flat, said=SaidOfCase(expected_volume_mm3=1234.5)))
    assert (said["flat"], said["facts"]) == (True, [["expected area", "1234.5 mm²"]])


@pytest.mark.parametrize("n_raters", [1, 2, 3, 5, 7])
def test_the_contour_is_that_of_the_agreement_levels(n_raters):
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    wanted = agreement_levels(values, n_raters=n_raters)

    for k, position in enumerate(levels(n_raters), start=1):
        assert ((values >= np.float32(position["threshold"])) == (wanted >= k)).all()

    assert levels(5)[2]["label"] == "at least 3 of 5 experts"


def test_without_a_number_of_experts_the_contour_moves_by_the_response():
    found = levels(None)
    assert found[0] == {"label": "response at least 0.05", "threshold": 0.05}
    assert [position["threshold"] for position in found] == pytest.approx(np.arange(1, 20) / 20)


def test_names_the_volumes_to_ask_for(cases):
    said = describe(cases[0])
    assert [name for name, _ in said["volumes"]] == ["ct", "response", "lower", "probability", "raters"]
    assert (said["has_ct"], said["known"], said["flat"], said["n_raters"]) == (True, True, False, 3)
