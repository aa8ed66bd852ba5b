"""`twintrack predict` on a bundle of predictions made elsewhere: needs no network, and its answer is known."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.pipeline import embedded
from twintrack.segmentation.bundle import Bundle, MemberEntry
from twintrack.segmentation.bundle_files import write_bundle

from .conftest import CASES, SHAPE, write

MAPS = ("responses", "levels", "rois")


def write_ct(path, number=0):
    hu = np.random.default_rng(number).normal(40, 30, SHAPE).round().astype(np.int16)
    hu[:, 0] = -1000
    write(path, hu)
    return path


def make_bundle(folder, files, *, calibration=True, foreground=("tumour",)):
    folder.mkdir()
    if calibration:
        shutil.copy(files.calibration, folder / "calibration.json")
    members = tuple(
        MemberEntry(name=name, kind="precomputed", path=path) for name, path in zip("ab", files.members, strict=True)
    )
    entry = "calibration.json" if calibration else None
    write_bundle(folder, Bundle(name="t", structure="s", members=members, foreground=foreground, calibration=entry))
    return folder


@pytest.fixture
def given(files):
    """CTs of the cohort's cases, and a bundle of its members with its calibration."""
    for number, case in enumerate(CASES):
        write_ct(files.root / "cts" / f"{case}.nii.gz", number)
    return (files.root / "cts", "--models", make_bundle(files.root / "bundle", files))


def voxels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_predict_gives_what_apply_gives(process, files, given):
    before = files.tree()
    done = process("predict", *given, "--out", files.root / "p")
    assert done.code == 0, done.err
    names = {f"p/{name}/{case}.nii.gz" for name in MAPS for case in CASES}
    assert files.new_since(before) == names | {f"p/summaries/{case}.json" for case in CASES}
    assert process("apply", files.calibration, *files.predicted, "--out", files.root / "a").code == 0
    for case in CASES:
        response = voxels(files.root / "p" / "responses" / f"{case}.nii.gz")
        assert (response == voxels(files.root / "a" / f"{case}.nii.gz")).all()
        levels = voxels(files.root / "p" / "levels" / f"{case}.nii.gz")
        assert (levels == np.floor(response * 3 + 0.5)).all()
    assert "Volumes" in done.out
    assert "≥2 of 3 ml" in done.out
    assert "a further rater's median ml" in done.out
    assert "(67 %)" in done.out  # what five calibration cases can promise
    assert "wrote 5 cases into" in done.out
    assert "Predicting: case c5 (5 of 5): writing" in done.err


def test_the_result_as_json_is_what_was_written(run, files, given):
    done = run("predict", *given, "--out", files.root / "p", "--json", "--n-raters", 5)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["skipped"] == {}
    for summary, case in zip(found["cases"], CASES, strict=True):
        assert summary == json.loads((files.root / "p" / "summaries" / f"{case}.json").read_text(encoding="utf-8"))
        assert summary["n_raters"] == 5
        assert summary["calibration"]["n_cases"] == 5
        assert summary["interval"]["n_cases"] == 5
        quantiles = list(summary["distribution"]["quantiles_mm3"].values())
        assert quantiles == sorted(quantiles)
        assert summary["interval"]["low_mm3"] <= quantiles[1] <= quantiles[3] <= summary["interval"]["high_mm3"]


def test_a_second_run_does_nothing_unless_told_to(run, files, given):
    out = files.root / "p"
    run("predict", *given, "--out", out)
    path = out / "responses" / "c1.nii.gz"
    written = path.stat().st_mtime_ns
    done = run("predict", *given, "--out", out)
    assert done.code == 0
    assert "writing" not in done.err
    assert "wrote 5 cases" in done.out
    assert path.stat().st_mtime_ns == written
    assert run("predict", *given, "--out", out, "--overwrite").code == 0
    assert path.stat().st_mtime_ns > written


def test_another_calibration_and_format_and_roi(run, files, given):
    roi = np.zeros(SHAPE, np.uint8)
    roi[2:5, 3:9, 3:9] = 1
    write(files.root / "roi.nii.gz", roi)
    fitted = ("fit", *files.drawn, *files.predicted, "--method", "temperature", "--out", files.root / "t.json")
    assert run(*fitted).code == 0
    options = ("--calibration", files.root / "t.json", "--format", "mha", "--roi", files.root / "roi.nii.gz")
    one = (files.root / "cts" / "c1.nii.gz", *given[1:])
    done = run("predict", *one, "--out", files.root / "p", *options)
    assert done.code == 0, done.err
    response = voxels(files.root / "p" / "responses" / "c1.mha")
    assert (response[roi == 0] == 0).all()
    assert response[roi == 1].all()
    summary = json.loads((files.root / "p" / "summaries" / "c1.json").read_text(encoding="utf-8"))
    assert summary["calibration"]["method"] == "temperature"
    assert summary["roi"]["source"] == "given"


def test_without_models_the_embedded_bundle_is_used_and_said(run, files, given, monkeypatch, tmp_path):
    package = tmp_path / "package"
    (package / "embedded").mkdir(parents=True)
    shutil.copytree(given[2], package / "embedded" / "phantom")
    monkeypatch.setattr(embedded.twintrack, "__file__", str(package / "__init__.py"))
    done = run("predict", given[0], "--out", files.root / "p")
    assert done.code == 0, done.err
    assert "the embedded bundle is used, which was trained on phantoms" in done.err


def test_a_calibration_without_volumes_says_why_there_is_no_interval(run, files, given):
    content = json.loads(files.calibration.read_text(encoding="utf-8"))
    del content["volume"]
    (files.root / "old.json").write_text(json.dumps(content | {"schema_version": 1}))
    done = run("predict", *given, "--calibration", files.root / "old.json", "--out", files.root / "p")
    assert done.code == 0, done.err
    assert "no interval: the calibration holds no volumes of its raters" in done.err
    summary = json.loads((files.root / "p" / "summaries" / "c1.json").read_text(encoding="utf-8"))
    assert summary["interval"] is None
    assert summary["distribution"] is None
    assert "fit it again" in summary["no_interval"]


@pytest.mark.filterwarnings("default::twintrack.errors.TwinTrackWarning")
def test_a_case_unlike_those_of_the_calibration_is_flagged(run, files, given):
    def predict_nothing(softmax):
        softmax[0] += softmax[2]
        softmax[2] = 0

    for member in ("a", "b"):
        files.change(member, "c3", predict_nothing)
    shutil.rmtree(files.root / "bundle")  # it holds the hashes of the predictions
    make_bundle(files.root / "bundle", files)
    out = files.root / "p"
    reason = "nothing was predicted: no probability reaches 0.001; in every fitted case some did"
    for again in (False, True):  # the second run passes over what is done
        done = run("predict", *given, "--out", out)
        assert done.code == 0, done.err
        assert (f"warning: case c3 is unlike the cases of the calibration: {reason}" in done.err) != again
        assert "flagged: 1 of 5 cases are unlike those of the calibration" in done.err
        summary = json.loads((out / "summaries" / "c3.json").read_text(encoding="utf-8"))
        assert (summary["flags"], summary["notes"]) == ([reason], [])
        assert json.loads((out / "summaries" / "c1.json").read_text(encoding="utf-8"))["flags"] == []


def test_lower_and_upper_maps_are_written_where_they_are_asked_for(run, files, given):
    out = files.root / "p"
    assert run("predict", *given, "--out", out).code == 0
    assert not (out / "lower").exists()
    done = run("predict", *given, "--out", out, "--uncertainty")  # not passed over: they are not there yet
    assert done.code == 0, done.err
    assert "90 % of draws ml" in done.out
    assert run("apply", files.calibration, *files.predicted, "--out", files.root / "a", "--uncertainty").code == 0
    volumes = json.loads((files.root / "a" / "volumes.json").read_text(encoding="utf-8"))["cases"]
    for case in CASES:
        summary = json.loads((out / "summaries" / f"{case}.json").read_text(encoding="utf-8"))
        assert set(summary["files"]) == {*MAPS, "lower", "upper"}
        for name in ("lower", "upper"):
            found = voxels(out / summary["files"][name])
            assert found.dtype == np.float32
            assert (found == voxels(files.root / "a" / name / f"{case}.nii.gz")).all()
        for key in ("expected_volume_mm3", "expected_interval", "interval", "no_interval", "distribution"):
            assert summary[key] == volumes[case][key]


def test_a_calibration_that_is_not_sure_of_anything(run, files, given):
    bare = files.root / "bare.json"
    assert run("fit", *files.drawn, *files.predicted, "--replicates", 0, "--out", bare).code == 0
    options = ("--calibration", bare, "--out", files.root / "p")
    refused(run("predict", *given, *options, "--uncertainty"), "this calibration does not say how sure it is")
    assert not (files.root / "p").exists()
    done = run("predict", *given, *options)
    assert done.code == 0, done.err
    summary = json.loads((files.root / "p" / "summaries" / "c1.json").read_text(encoding="utf-8"))
    assert summary["expected_interval"] is None


def refused(done, message):
    assert done.code == 1
    assert f"error: {message}" in done.err or message in done.err
    assert done.out == ""


def test_what_cannot_be_predicted_is_refused_before_anything_is_written(run, files, given, tmp_path):
    out = ("--out", files.root / "p")
    bare = make_bundle(files.root / "bare", files, calibration=False)
    refused(run("predict", given[0], "--models", bare, *out), "has no calibration; give one")
    other = make_bundle(files.root / "other", files, foreground=("pancreas",))
    refused(run("predict", given[0], "--models", other, *out), "its probability is of pancreas; this calibration was")
    (files.root / "broken.json").write_text("{")
    refused(run("predict", *given, "--calibration", files.root / "broken.json", *out), "is not a calibration")
    refused(run("predict", *given, "--calibration", files.root / "none.json", *out), "cannot read the calibration")
    refused(run("predict", *given, "--format", "png", *out), "--format png: is not written")
    refused(run("predict", given[0], "--models", files.root / "cts", *out), "is no bundle")
    refused(run("predict", files.root / "none.nii.gz", *given[1:], *out), "there is no such file or folder")
    assert not (files.root / "p").exists()


def test_a_bad_ct_stops_the_run_or_is_left_out(run, files, given):
    write(files.root / "cts" / "c2.nii.gz", np.zeros(SHAPE, np.uint8))
    refused(run("predict", *given, "--out", files.root / "p"), "is no CT")
    done = run("predict", *given, "--out", files.root / "p", "--skip-bad", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert [summary["case"] for summary in found["cases"]] == ["c1", "c3", "c4", "c5"]
    assert "is no CT" in found["skipped"]["c2"]
    only = run("predict", files.root / "cts" / "c2.nii.gz", *given[1:], "--out", files.root / "q", "--skip-bad")
    refused(only, "there is nothing to write: every CT was skipped")


if sys.platform != "win32":
    import resource

    def test_a_full_disk_is_said_and_leaves_nothing_half_written(process, run, files, given):
        assert run("predict", *given, "--out", files.root / "whole").code == 0
        before = files.tree()

        def full():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

        done = process("predict", *given, "--out", files.root / "p", "--skip-bad", preexec_fn=full)
        assert done.code == 1
        assert "error: " in done.err
        assert "left out" not in done.err
        assert files.new_since(before) == set()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupted_run_goes_on_where_it_stopped(start, run, files, given, number):
        out = files.root / "p"

        def obey_interrupts():
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        with start("predict", *given, "--out", out, preexec_fn=obey_interrupts) as running:
            deadline = time.monotonic() + 60
            while not list(out.glob("summaries/*.json")):
                assert running.poll() is None, "it ended before it could be interrupted"
                assert time.monotonic() < deadline
                time.sleep(0.001)
            running.send_signal(number)
            _, err = running.communicate(timeout=60)
        done = {path.stem: path.stat().st_mtime_ns for path in out.glob("summaries/*.json")}
        if running.returncode == 0:
            pytest.skip("it was done before it could be interrupted")
        assert running.returncode == 130
        assert "error: interrupted" in err
        assert not [path for path in out.rglob(".*") if path.is_file()]
        assert run("predict", *given, "--out", out).code == 0
        again = {path.stem: path.stat().st_mtime_ns for path in out.glob("summaries/*.json")}
        assert set(again) == set(CASES)
        assert all(again[case] == when for case, when in done.items())
