"""The commands on sound input, in this process: what they write and what they say."""

from __future__ import annotations

import csv
import json
import signal
import threading
from importlib.metadata import version

import numpy as np
import pytest
import SimpleITK as sitk
from sklearn.isotonic import IsotonicRegression

from twintrack.calibration import load_calibration
from twintrack.cli import main

CASES = ("c1", "c2", "c3", "c4", "c5")
COMMANDS = ("inspect", "fit", "apply", "masks", "evaluate", "compare")


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def mean_probability(files, case):
    return (files.tumour("a", case) + files.tumour("b", case)) / 2


def mean_response(files, case):
    masks = [read(files.mask(case, rater)) for rater in (1, 2, 3) if files.mask(case, rater).is_file()]
    assert len(masks) == (2 if case == "c2" else 3)
    return np.mean(masks, axis=0)


def test_inspect_says_what_was_found(run, files):
    done = run("inspect", *files.drawn, *files.predicted)
    assert done.code == 0
    for label, value in (
        ("usable cases", "5"),
        ("members per case", "2 (5 cases)"),
        ("foreground", "tumour"),
        ("cases with an ROI", "0"),
        ("spacing (mm), smallest", "2.5 × 0.8 × 0.7"),
        ("raters per case", "2 (1 case), 3 (4 cases)"),
    ):
        assert [line for line in done.out.splitlines() if label in line and f" {value} " in line], (label, value)
    assert "Reading: 5 of 5 cases" in done.err
    assert "left out" not in done.err


def test_inspect_tells_a_machine_the_same(run, files):
    found = json.loads(run("inspect", *files.drawn, *files.predicted, "--json").out)
    assert (found["cases"], found["members"], found["foreground"], found["problems"]) == (5, {"2": 5}, ["tumour"], {})
    assert found["agreement"]["cases_by_raters"] == {"2": 1, "3": 4}
    np.testing.assert_allclose(found["smallest_spacing"], (2.5, 0.8, 0.7), rtol=1e-6)
    volume = np.mean([mean_response(files, case).sum() * 2.5 * 0.8 * 0.7 for case in CASES])
    assert found["agreement"]["mean_volume"] == pytest.approx(volume)


@pytest.mark.parametrize("side", ["raters", "members"])
def test_inspect_takes_one_side_alone(run, files, side):
    done = run("inspect", *(files.drawn if side == "raters" else files.predicted), "--json")
    found = json.loads(done.out)
    assert (done.code, found["cases"]) == (0, 5)
    assert (found["agreement"] is None) == (side == "members")
    assert found["members"] == ({"0": 5} if side == "raters" else {"2": 5})
    shown = run("inspect", *(files.drawn if side == "raters" else files.predicted)).out
    assert ("pairwise Dice" in shown) == (side == "raters")


def test_inspect_can_speak_of_raters_who_drew_nothing(run, files):
    for path in (files.root / "raters").rglob("annotation_*"):
        image = sitk.ReadImage(str(path))
        sitk.WriteImage(image * 0, str(path))
    for more in ((), ("--json",)):
        assert run("inspect", *files.drawn, *more).code == 0


def test_fit_writes_a_calibration_and_says_of_what(run, files):
    out = files.root / "new.json"
    done = run("fit", *files.drawn, *files.predicted, "--method", "platt", "--out", out)
    assert (done.code, load_calibration(out).method) == (0, "platt")
    assert done.out == (
        f"platt fitted to the response: 5 cases (1 with 2 raters, 4 with 3 raters), 4,320 voxels\nwrote {out}\n"
    )


def test_fit_takes_the_split_that_is_asked_for(run, files):
    listing = files.case_list(c1="calibration", c2="test", c3="calibration")
    given = ("--cases", listing, "--split", "calibration", "--out", files.root / "new.json", "--json")
    told = json.loads(run("fit", *files.drawn, *files.predicted, *given).out)
    assert (told["n_cases"], told["n_voxels"], told["raters"]) == (2, 2 * 864, {"3": 2})
    assert told["calibration"] == str(files.root / "new.json")
    assert told["skipped"] == {}
    assert "cases" not in told


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("--target", "majority"), {"target": "majority"}),
        (("--target", "rater:1"), {"target": "rater:1"}),
        (("--weighting", "cases"), {"weighting": "cases"}),
        (("--exact",), {"exact": True}),
    ],
)
def test_options_of_the_fit_reach_it(run, files, given, found):
    out = files.root / "new.json"
    assert run("fit", *files.drawn, *files.predicted, *given, "--out", out).code == 0
    provenance = load_calibration(out).provenance.model_dump()
    assert {name: provenance[name] for name in found} == found


def test_zero_may_be_left_unpinned(run, files):
    for given, pinned in (("--no-pin-zero", False), ("--pin-zero", True)):
        run("fit", *files.drawn, *files.predicted, given, "--out", files.root / "new.json")
        assert load_calibration(files.root / "new.json").pin_zero is pinned


def test_fit_and_apply_agree_with_scikit_learn(run, files):
    run("fit", *files.drawn, *files.predicted, "--exact", "--out", files.root / "exact.json")
    done = run("apply", files.root / "exact.json", *files.predicted, "--out", files.root / "responses")
    assert done.out == f"wrote 5 response maps into {files.root / 'responses'}\n"
    p = {case: mean_probability(files, case) for case in CASES}
    reference = IsotonicRegression(out_of_bounds="clip").fit(
        np.concatenate([p[case].ravel() for case in CASES]).astype(np.float64),
        np.concatenate([mean_response(files, case).ravel() for case in CASES]),
    )
    for case in CASES:
        found = read(files.root / "responses" / f"{case}.nii.gz")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.ravel(), reference.predict(p[case].ravel().astype(np.float64)), atol=2e-6)


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "mha", "nrrd"])
def test_a_response_lies_on_the_grid_of_its_input(run, files, ending):
    assert run("apply", files.calibration, *files.predicted, "--out", files.root / "r", "--format", ending).code == 0
    image = sitk.ReadImage(str(files.root / "r" / f"c3.{ending}"))
    template = sitk.ReadImage(str(files.npz("a", "c3").with_suffix(".nii.gz")))
    assert image.GetSize() == template.GetSize()
    for found, expected in (
        (image.GetSpacing(), template.GetSpacing()),
        (image.GetOrigin(), template.GetOrigin()),
        (image.GetDirection(), template.GetDirection()),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_outside_the_roi_the_response_is_exactly_0(run, files, write_image):
    roi = np.zeros((6, 12, 12), np.uint8)
    roi[1:4, 2:9, 2:9] = 1
    for case in CASES:
        write_image(files.root / "rois" / f"{case}.nii.gz", roi)
    given = ("--roi", files.root / "rois")
    run("fit", *files.drawn, *files.predicted, *given, "--out", files.root / "new.json")
    run("apply", files.root / "new.json", *files.predicted, *given, "--out", files.root / "r")
    for case in CASES:
        response = read(files.root / "r" / f"{case}.nii.gz")
        assert not response[roi == 0].any()
        assert response[roi == 1].any()


def test_apply_tells_a_machine_what_it_wrote(run, files):
    told = json.loads(run("apply", files.calibration, *files.predicted, "--out", files.root / "r", "--json").out)
    maps = [str(files.root / "r" / f"{case}.nii.gz") for case in CASES]
    volumes = json.loads((files.root / "r" / "volumes.json").read_text(encoding="utf-8"))["cases"]
    assert list(volumes) == list(CASES)
    assert told == {"written": maps, "volumes": volumes, "skipped": {}, "flags": {}}


def test_apply_says_how_sure_the_volumes_are(run, files):
    done = run("apply", files.calibration, *files.predicted, "--out", files.root / "r", "--uncertainty")
    assert done.code == 0
    assert done.out == f"wrote 5 response maps, each with a lower and an upper one, into {files.root / 'r'}\n"
    volumes = json.loads((files.root / "r" / "volumes.json").read_text(encoding="utf-8"))["cases"]
    for case in CASES:
        response = read(files.root / "r" / f"{case}.nii.gz")
        lower, upper = (read(files.root / "r" / name / f"{case}.nii.gz") for name in ("lower", "upper"))
        assert lower.dtype == upper.dtype == np.float32
        assert (lower <= response).all()
        assert (response <= upper).all()
        assert (lower < upper).any()
        found = volumes[case]
        assert found["expected_volume_mm3"] == pytest.approx(response.sum(dtype=float) * 2.5 * 0.8 * 0.7)
        low, high = found["expected_interval"]["low_mm3"], found["expected_interval"]["high_mm3"]
        assert low < found["expected_volume_mm3"] < high
        assert found["expected_interval"]["n_replicates"] == 50


def test_a_calibration_without_replicates_does_not_say_how_sure_it_is(run, files):
    bare = files.root / "bare.json"
    assert run("fit", *files.drawn, *files.predicted, "--replicates", 0, "--out", bare).code == 0
    before = files.tree()
    done = run("apply", bare, *files.predicted, "--out", files.root / "r", "--uncertainty")
    assert done.code == 1
    assert "error: this calibration does not say how sure it is" in done.err
    assert files.new_since(before) == set()
    told = json.loads(run("apply", bare, *files.predicted, "--out", files.root / "r", "--json").out)
    assert {found["expected_interval"] for found in told["volumes"].values()} == {None}


def test_apply_does_not_ask_for_raters(run, files):
    listing = files.root / "cases.csv"
    listing.write_text("case,raters\nc2,3\n")
    assert run("apply", files.calibration, *files.predicted, "--cases", listing, "--out", files.root / "r").code == 0
    assert sorted(path.name for path in (files.root / "r").iterdir()) == ["c2.nii.gz", "flags.json", "volumes.json"]


def test_a_response_replaces_an_older_one_but_never_its_input(run, files, write_image):
    for _ in range(2):
        assert run("apply", files.calibration, *files.predicted, "--out", files.root / "r").code == 0
    write_image(files.root / "maps" / "c1.nii.gz", files.tumour("a", "c1"))
    before = files.tree()
    done = run("apply", files.calibration, "--members", files.root / "maps", "--out", files.root / "maps")
    assert done.code == 1
    assert "case c1: its response would replace its input" in done.err
    assert files.new_since(before) == set()


@pytest.mark.filterwarnings("default::twintrack.errors.TwinTrackWarning")
def test_apply_warns_of_a_case_unlike_those_of_the_fit(run, files):
    done = run(
        "apply", files.calibration, "--members", files.members[0], "--foreground", "tumour", "--out", files.root / "r"
    )
    assert done.code == 0
    assert "warning: case c1 is unlike the cases of the calibration: it has 1 members" in done.err


def predict_nothing(softmax):
    softmax[0] += softmax[2]
    softmax[2] = 0


def flags_of(folder):
    return json.loads((folder / "flags.json").read_text(encoding="utf-8"))


def test_apply_writes_which_cases_are_unlike_those_of_the_fit(run, files):
    out = files.root / "r"
    assert run("apply", files.calibration, *files.predicted, "--out", out).code == 0
    assert flags_of(out) == {
        "schema_version": 1,
        "n_cases": 5,
        "n_flagged": 0,
        "n_fitted": 5,
        "checked": list(CASES),
        "flags": {},
    }


@pytest.mark.filterwarnings("default::twintrack.errors.TwinTrackWarning")
def test_a_flagged_case_is_named_everywhere(run, files):
    for member in ("a", "b"):
        files.change(member, "c3", predict_nothing)
    out = files.root / "r"
    done = run("apply", files.calibration, *files.predicted, "--out", out)
    assert done.code == 0
    reason = "nothing was predicted: no probability reaches 0.001; in every fitted case some did"
    assert f"warning: case c3 is unlike the cases of the calibration: {reason}" in done.err
    assert "flagged: 1 of 5 cases are unlike those of the calibration" in done.err
    assert f"The reasons are in {out / 'flags.json'}" in done.err
    assert done.err.count(reason) == 1
    found = flags_of(out)
    assert (found["n_cases"], found["n_flagged"], found["flags"]) == (5, 1, {"c3": [reason]})
    told = json.loads(run("apply", files.calibration, *files.predicted, "--out", out, "--json").out)
    assert told["flags"] == {"c3": [reason]}


def test_an_older_calibration_says_that_it_knows_little_of_its_cases(run, files):
    content = json.loads(files.calibration.read_text(encoding="utf-8"))
    del content["guard"]
    (files.root / "old.json").write_text(json.dumps(content | {"schema_version": 2}))
    for member in ("a", "b"):
        files.change(member, "c3", predict_nothing)
    done = run("apply", files.root / "old.json", *files.predicted, "--out", files.root / "r")
    assert done.code == 0
    assert "the calibration does not say what its cases looked like" in done.err
    assert "flagged" not in done.err
    assert (flags_of(files.root / "r")["n_fitted"], flags_of(files.root / "r")["flags"]) == (0, {})


def test_evaluate_writes_scores_that_can_be_recomputed(run, files):
    given = ("--calibration", files.calibration, "--repeats", 20, "--out", files.root / "scores")
    done = run("evaluate", *files.drawn, *files.predicted, *given)
    assert done.code == 0
    with (files.root / "scores" / "scores.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["prediction"]) for row in rows] == [(c, p) for c in CASES for p in ("raw", "calibrated")]
    assert {row["flags"] for row in rows} == {"0"}
    for row in rows[::2]:
        error = np.mean((mean_probability(files, row["case"]) - mean_response(files, row["case"])) ** 2)
        assert float(row["mse"]) == pytest.approx(error, rel=1e-5)
    summary = json.loads((files.root / "scores" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["n_cases"], summary["n_cases_seen_by_the_fit"]) == (5, 5)
    assert "warning: the calibration was fitted on 5 of these cases" in done.err
    assert f"wrote {files.root / 'scores' / 'scores.csv'}\n" in done.out


def test_evaluate_shows_every_column_in_80(run, files, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    given = ("--calibration", files.calibration, "--repeats", 20, "--out", files.root / "scores")
    done = run("evaluate", *files.drawn, *files.predicted, *given)
    summary = json.loads((files.root / "scores" / "summary.json").read_text(encoding="utf-8"))
    (line,) = [line for line in done.out.splitlines() if "MSE to response" in line]
    mse = summary["scores"]["mse"]
    figures = [mse["predictions"][name]["value"] for name in ("raw", "calibrated")]
    for value in (*figures, *(mse["differences"][0][name] for name in ("value", "low", "high"))):
        assert f"{value:.4g}" in line
    assert "calibrated − raw [95 %], cases better/worse" in done.out


def test_evaluate_scores_the_raw_ensemble_alone(run, files):
    given = ("--repeats", 20, "--out", files.root / "scores")
    done = run("evaluate", *files.drawn, *files.predicted, *given)
    assert done.code == 0
    assert "calibrated" not in done.out
    assert "5 cases, 5 patients" in done.out


def test_evaluate_tells_a_machine_the_summary(run, files):
    given = ("--repeats", 20, "--seed", 3, "--out", files.root / "scores", "--json")
    told = json.loads(run("evaluate", *files.drawn, *files.predicted, *given).out)
    assert told.pop("skipped") == {}
    assert told == json.loads((files.root / "scores" / "summary.json").read_text(encoding="utf-8"))
    assert told["bootstrap"]["seed"] == 3


def test_compare_ranks_evaluations_of_the_same_cases(run, files):
    evaluations = [files.root / "scores" / name for name in ("fitted", "other")]
    for folder, method in zip(evaluations, ("isotonic", "temperature"), strict=True):
        run("fit", *files.drawn, *files.predicted, "--method", method, "--out", files.root / f"{method}.json")
        given = ("--calibration", files.root / f"{method}.json", "--repeats", 5, "--out", folder)
        assert run("evaluate", *files.drawn, *files.predicted, *given).code == 0
    given = (*evaluations, "--repeats", 20, "--out", files.root / "comparison")
    told = json.loads(run("compare", *given, "--json").out)
    entries = {"fitted/calibrated", "other/calibrated", "raw"}
    assert {row["entry"] for row in told["ranking"]} == entries
    done = run("compare", *given, "--scores", "mse")
    assert done.code == 0
    assert all(f" {entry} " in done.out for entry in entries)
    assert f"wrote {files.root / 'comparison' / 'ranking.csv'}" in done.out


def test_one_value_per_option_and_several_mean_the_same(run, files):
    a, b = files.members
    told = [
        json.loads(run("inspect", *given, "--foreground", "tumour", "--json").out)
        for given in (("--members", a, b), ("--members", a, "--members", b), (f"--members={a}", b))
    ]
    assert told[0] == told[1] == told[2]


def test_it_can_be_called_outside_the_main_thread(files, capsys):
    ended = []

    def work():
        try:
            main(["inspect", *files.drawn, *files.predicted])
        except SystemExit as stopped:
            ended.append(stopped.code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [0]
    assert "usable cases" in capsys.readouterr().out


def test_what_ends_a_process_is_handled_as_before_afterwards(run, files):
    before = signal.getsignal(signal.SIGTERM)
    run("inspect", *files.drawn)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(run, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = run(command, "--help")
    text = " ".join(done.out.replace("│", " ").split())
    assert done.code == 0
    assert f"Example: twintrack {command}" in text
    if command != "compare":
        assert "--members DIR [DIR ...]" in text
        assert "CASE.nii.gz or CASE/roi.nii.gz" in text


def test_help_names_the_commands(run):
    done = run("-h")
    assert done.code == 0
    assert all(command in done.out for command in COMMANDS)


def test_version_is_that_of_the_package(run):
    assert run("--version").out == version("twintrack") + "\n"


def test_without_a_command_there_is_help_and_no_success(run):
    done = run()
    assert done.code == 2
    assert "Usage: twintrack" in done.out + done.err
