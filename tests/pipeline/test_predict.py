"""Several CTs to files: what is written, what is done already, and what stops a run."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

import twintrack as tt
from twintrack.calibration.writing.responses import write_responses
from twintrack.errors import CalibrationError, InputError, OutputError, TwinTrackWarning
from twintrack.pipeline.predict import load_calibration_of, predict
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.cts import Ct, find_cts
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import segment_cts

from .conftest import Coarse, Ensemble, calibration_of, ct_of, write_bundle_with

MAPS = ("responses", "levels", "rois")


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def run(cts, segmenter, calibration, folder, **options):
    return predict(cts, segmenter=segmenter, calibration=calibration, folder=folder, **options)


def seen(segmenter):
    return segmenter.networks.members[0].seen


def test_maps_lie_on_the_cts_own_grid(cts, segmenter, calibration, tmp_path):
    found = run(cts, segmenter, calibration, tmp_path / "out")
    assert [summary["case"] for summary in found] == ["c1", "c2", "c3"]
    types = {"responses": sitk.sitkFloat32, "levels": sitk.sitkUInt8, "rois": sitk.sitkUInt8}
    for ct in cts:
        original = sitk.ReadImage(str(ct.path))
        for name in MAPS:
            image = sitk.ReadImage(str(tmp_path / "out" / name / f"{ct.case_id}.nii.gz"))
            assert image.GetPixelID() == types[name]
            assert image.GetSize() == original.GetSize()
            assert image.GetSpacing() == pytest.approx(original.GetSpacing())
            assert image.GetOrigin() == pytest.approx(original.GetOrigin(), abs=1e-4)
            assert image.GetDirection() == pytest.approx(original.GetDirection(), abs=1e-6)


def test_predicting_is_segmenting_and_applying(cts, segmenter, calibration, tmp_path):
    run(cts, segmenter, calibration, tmp_path / "p")
    segment_cts(cts, segmenter=segmenter, folder=tmp_path / "s")
    members = [tmp_path / "s" / "members" / name for name in "ab"]
    cohort = tt.find_cohort(members=members, roi=tmp_path / "s" / "rois")
    for path in write_responses(calibration, cohort, folder=tmp_path / "r"):
        response = tt.read_volume(path)
        assert response.array.any()
        assert (response.array == tt.read_volume(tmp_path / "p" / "responses" / path.name).array).all()


def test_the_maps_agree_with_each_other_and_with_the_summary(cts, segmenter, calibration, tmp_path):
    for summary in run(cts, segmenter, calibration, tmp_path, n_raters=4):
        response, levels, roi = (tt.read_volume(tmp_path / summary["files"][name]).array for name in MAPS)
        assert (levels == np.floor(response * 4 + 0.5)).all()
        assert (response[roi == 0] == 0).all()
        assert 0 < roi.sum() < roi.size
        voxel = 2.5 * 0.8 * 0.7
        assert summary["expected_volume_mm3"] == pytest.approx(response.sum(dtype=float) * voxel)
        assert summary["at_least_mm3"]["2"] == pytest.approx((levels >= 2).sum() * voxel)
        assert summary["roi"]["volume_mm3"] == pytest.approx(roi.sum() * voxel)
        assert summary["highest_response"] == response.max()
        assert summary["interval"]["low_mm3"] < summary["interval"]["high_mm3"]


def test_the_summary_says_what_was_used(cts, segmenter, calibration, tmp_path):
    run(cts, segmenter, calibration, tmp_path)
    stored = json.loads((tmp_path / "summaries" / "c1.json").read_text(encoding="utf-8"))
    assert stored["input"]["name"] == "c1.mha"
    assert stored["input"]["sha256"] == cts[0].sha256()
    assert stored["bundle"] == {"name": "test", "sha256": segmenter.bundle.sha256}
    assert stored["calibration"]["n_cases"] == 6
    assert stored["margin_mm"] == 1.0
    assert stored["members"] == ["a", "b"]
    assert stored["roi"]["source"] == "coarse"
    assert {"python", "twintrack", "numpy"} <= stored["software"].keys()
    assert list(stored["seconds"])[:2] == ["checking what is done", "reading"]
    assert list(stored["seconds"])[-2:] == ["calibrating", "writing"]
    assert all(seconds >= 0 for seconds in stored["seconds"].values())
    assert str(tmp_path) not in json.dumps(stored)


def test_what_is_done_is_not_done_again(cts, segmenter, calibration, tmp_path):
    first = run(cts, segmenter, calibration, tmp_path / "out")
    before = times(tmp_path / "out")
    again = run(cts, segmenter, calibration, tmp_path / "out")
    assert json.dumps(again) == json.dumps(first)
    assert times(tmp_path / "out") == before
    assert seen(segmenter) == ["c1", "c2", "c3"]
    run(cts, segmenter, calibration, tmp_path / "out", resume=False)
    assert len(seen(segmenter)) == 6


def test_the_same_run_gives_the_same_maps(cts, segmenter, calibration, tmp_path):
    for name in ("one", "two"):
        run(cts, segmenter, calibration, tmp_path / name)
    one, two = (tree(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(one[name] == two[name] for name in one if not name.startswith("summaries"))


def twice(cts, segmenter, calibration, out, **options):
    """Run again and once more after something changed: the case is worked on again, and then it is done."""
    run(cts, segmenter, calibration, out, **options)
    assert seen(segmenter) == ["c1", "c1"]
    run(cts, segmenter, calibration, out, **options)
    assert len(seen(segmenter)) == 2


@pytest.mark.parametrize("options", [{"n_raters": 7}, {"ending": "mha"}])
def test_a_case_is_done_again_with_other_options(cts, segmenter, calibration, tmp_path, options):
    run(cts[:1], segmenter, calibration, tmp_path / "out")
    twice(cts[:1], segmenter, calibration, tmp_path / "out", **options)


def test_a_case_is_done_again_when_its_ct_changed(cts, segmenter, calibration, tmp_path):
    run(cts[:1], segmenter, calibration, tmp_path / "out")
    ct = cts[0].read()
    ct.array[3, 5, 5] += 1
    tt.write_volume(cts[0].path, ct)
    twice(cts[:1], segmenter, calibration, tmp_path / "out")


def test_a_case_is_done_again_with_another_margin_or_calibration(cts, segmenter, calibration, tmp_path):
    run(cts[:1], segmenter, calibration, tmp_path / "a")
    twice(cts[:1], segmenter, calibration_of(method="temperature"), tmp_path / "a")
    wider = Segmenter(segmenter.bundle, margin=2.0, networks=Ensemble())
    run(cts[:1], Segmenter(segmenter.bundle, networks=wider.networks), calibration, tmp_path / "b")
    twice(cts[:1], wider, calibration, tmp_path / "b")


def test_a_case_is_done_again_in_another_roi(cts, segmenter, calibration, tmp_path):
    run(cts[:1], segmenter, calibration, tmp_path / "out")
    ct = cts[0].read()
    tt.write_volume(tmp_path / "roi.mha", tt.Volume((ct.array > -500).astype(np.uint8), ct.grid))
    twice(cts[:1], segmenter, calibration, tmp_path / "out", rois={"c1": tmp_path / "roi.mha"})


@pytest.mark.parametrize("content", ['{"fingerprint"', "[]", "{}", None])
def test_a_case_is_done_again_when_its_summary_is_broken(cts, segmenter, calibration, tmp_path, content):
    (summary,) = run(cts[:1], segmenter, calibration, tmp_path / "out")
    stored = content or json.dumps({"fingerprint": summary["fingerprint"], "files": [1]})
    (tmp_path / "out" / "summaries" / "c1.json").write_text(stored)
    twice(cts[:1], segmenter, calibration, tmp_path / "out")


def test_a_case_is_done_again_when_a_map_is_gone(cts, segmenter, calibration, tmp_path):
    run(cts[:1], segmenter, calibration, tmp_path / "out")
    (tmp_path / "out" / "levels" / "c1.nii.gz").unlink()
    twice(cts[:1], segmenter, calibration, tmp_path / "out")


def test_a_given_roi_is_used(cts, segmenter, calibration, tmp_path):
    ct = cts[0].read()
    roi = np.zeros(ct.array.shape, np.uint8)
    roi[2:4, 2:5, 3:9] = 1
    tt.write_volume(tmp_path / "roi.mha", tt.Volume(roi, ct.grid))
    (summary,) = run(cts[:1], segmenter, calibration, tmp_path / "out", rois={"c1": tmp_path / "roi.mha"})
    assert summary["roi"]["source"] == "given"
    assert (tt.read_volume(tmp_path / "out" / "rois" / "c1.nii.gz").array == roi).all()


def test_where_nothing_is_found_the_whole_image_is_searched_and_noted(cts, segmenter, calibration, tmp_path):
    segmenter = Segmenter(segmenter.bundle, networks=Ensemble(coarse=Coarse(finds=False)))
    with pytest.warns(TwinTrackWarning, match="case c1: the coarse network found no region"):
        (summary,) = run(cts[:1], segmenter, calibration, tmp_path)
    assert summary["roi"]["source"] == "whole"
    assert any("the whole image was searched" in note for note in summary["notes"])


def test_another_foreground_is_refused_before_any_work(cts, segmenter, tmp_path):
    with pytest.raises(CalibrationError, match=r"the bundle .*: its probability is of tumour; .* fitted for cyst"):
        run(cts, segmenter, calibration_of(foreground=("cyst",)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not seen(segmenter)


def test_an_impossible_number_of_experts_is_refused_before_any_work(cts, segmenter, calibration, tmp_path):
    with pytest.raises(InputError, match="the number of raters is 0"):
        run(cts, segmenter, calibration, tmp_path / "out", n_raters=0)
    assert not seen(segmenter)


def test_a_bad_ct_stops_the_run_or_is_left_out(cts, segmenter, calibration, tmp_path):
    tt.write_volume(cts[1].path, tt.Volume(np.zeros((6, 10, 12), np.uint8), ct_of().grid))
    with pytest.raises(InputError, match="is no CT"):
        run(cts, segmenter, calibration, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "summaries").iterdir()) == ["c1.json"]
    left_out = {}
    found = run(cts, segmenter, calibration, tmp_path / "out", on_bad=lambda ct, error: left_out.update({ct.id: error}))
    assert [summary["case"] for summary in found] == ["c1", "c3"]
    assert list(left_out) == ["c2"]


def test_results_may_not_replace_the_cts(segmenter, calibration, tmp_path):
    (tmp_path / "responses").mkdir()
    tt.write_volume(tmp_path / "responses" / "c1.nii.gz", ct_of())
    with pytest.raises(OutputError, match="lies where results are written"):
        run(find_cts([tmp_path / "responses"]), segmenter, calibration, tmp_path)


def test_a_case_id_that_is_no_file_name_is_refused(cts, segmenter, calibration, tmp_path):
    with pytest.raises(InputError, match="its id cannot be a file name"):
        run([Ct("../c1", cts[0].path)], segmenter, calibration, tmp_path / "out")
    assert not [path for path in tmp_path.rglob("c1*") if path != cts[0].path]


def test_an_output_that_cannot_be_made_is_named(cts, segmenter, calibration, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        run(cts, segmenter, calibration, tmp_path / "file" / "out")
    (tmp_path / "out" / "summaries" / "c1.json").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot replace"):
        run(cts, segmenter, calibration, tmp_path / "out")


STAGES = [
    "checking what is done",
    "reading",
    "coarse network",
    "loading the members",
    "member a",
    "member b",
    "calibrating",
    "writing",
]


def test_every_stage_is_reported(cts, segmenter, calibration, tmp_path):
    stages = []
    run(cts[:1], segmenter, calibration, tmp_path, on_stage=stages.append)
    assert stages == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_in_any_stage_leaves_whole_files_and_can_be_gone_on_from(
    cts, segmenter, calibration, tmp_path, stage
):
    run(cts, segmenter, calibration, tmp_path / "whole")
    times_met = []

    def stop(now):
        times_met.append(now)
        if now == stage and times_met.count(stage) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cts, segmenter, calibration, tmp_path / "out", on_stage=stop)
    assert sorted(path.name for path in (tmp_path / "out" / "summaries").iterdir()) == ["c1.json"]
    whole = tree(tmp_path / "whole")
    assert all(content == whole[name] for name, content in tree(tmp_path / "out").items() if "summ" not in name)
    run(cts, segmenter, calibration, tmp_path / "out")
    after = tree(tmp_path / "out")
    assert after.keys() == whole.keys()
    assert all(after[name] == whole[name] for name in whole if not name.startswith("summaries"))


@pytest.mark.parametrize("failing", ["responses", "levels", "rois", "summaries"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_written_ends_the_run_without_a_summary(
    cts, segmenter, calibration, tmp_path, monkeypatch, failing, error
):
    run(cts[:1], segmenter, calibration, tmp_path / "out", n_raters=2)
    replace = type(tmp_path).replace

    def full(self, target):
        if target.parent.name == failing:
            raise error
        return replace(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", full)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        run(cts, segmenter, calibration, tmp_path / "out", on_bad=lambda ct, error: None)
    monkeypatch.undo()
    # The summary of the earlier run, with other levels, must not vouch for the maps of this one.
    assert not list((tmp_path / "out" / "summaries").iterdir())
    assert not [path for path in (tmp_path / "out").rglob(".*") if path.is_file()]
    assert len(run(cts, segmenter, calibration, tmp_path / "out")) == 3


def test_the_bundles_own_calibration_is_used_unless_another_is_given(segmenter, calibration, tmp_path):
    assert load_calibration_of(segmenter.bundle) == calibration
    other = calibration_of(method="temperature")
    other.save(tmp_path / "other.json")
    assert load_calibration_of(segmenter.bundle, tmp_path / "other.json") == other


def test_without_any_calibration_nothing_is_predicted(tmp_path):
    bundle = load_bundle(write_bundle_with(tmp_path / "bare"))
    with pytest.raises(CalibrationError, match="has no calibration; give one"):
        load_calibration_of(bundle)
