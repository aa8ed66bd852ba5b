"""The real entry point in processes of its own: success, and every kind of bad input (variants run in this process).

After bad input there is a message that says what, where and what to do, an exit code that is not 0, no traceback (all
results are checked for one), and nothing on disk that was not there before.
"""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import SimpleITK as sitk


def test_the_commands_work_together_and_speak_json(process, files):
    both, calibration = (*files.drawn, *files.predicted), files.root / "new.json"
    inspected = process("inspect", *both, "--json")
    fitted = process("fit", *both, "--out", calibration, "--json")
    applied = process("apply", calibration, *files.predicted, "--out", files.root / "r", "--json")
    given = ("--calibration", calibration, "--out", files.root / "scores", "--repeats", 20, "--json")
    evaluated = process("evaluate", *both, *given)
    assert [done.code for done in (inspected, fitted, applied, evaluated)] == [0, 0, 0, 0]
    assert json.loads(inspected.out)["cases"] == json.loads(fitted.out)["n_cases"] == 5
    assert len(json.loads(applied.out)["written"]) == len(list((files.root / "r").glob("c*.nii.gz"))) == 5
    assert json.loads(evaluated.out)["n_cases"] == 5
    assert "Evaluating: 5 of 5 cases" in evaluated.err


def test_the_commands_work_together_and_speak_to_people_in_any_encoding(process, files):
    def shown(*arguments):
        done = process(*arguments, env={"PYTHONIOENCODING": "ascii"})
        assert done.code == 0, done.err
        assert done.out.isascii()
        return done.out

    both, calibration = (*files.drawn, *files.predicted), files.root / "new.json"
    assert "usable cases" in shown("inspect", *both)
    assert f"wrote {calibration}" in shown("fit", *both, "--out", calibration)
    assert "wrote 5 response maps" in shown("apply", calibration, *files.predicted, "--out", files.root / "r")
    given = ("--calibration", calibration, "--out", files.root / "scores", "--repeats", 20)
    assert "MSE to response" in shown("evaluate", *both, *given)


def no_raters_at_all(files):
    for path in (files.root / "raters").rglob("*.nii.gz"):
        path.unlink()


def nobody_drew_c3(files):
    for rater in (1, 2, 3):
        files.mask("c3", rater).unlink()


def changed(path, change):
    sitk.WriteImage(change(sitk.ReadImage(str(path))), str(path))


def not_binary(files):
    changed(files.mask("c3", 2), lambda image: image * 4)


def moved(image):
    image.SetOrigin((1.0, 2.0, 3.0))
    return image


def elsewhere(files):
    changed(files.mask("c3", 2), moved)


def turned(files):
    changed(files.mask("c3", 2), lambda image: sitk.PermuteAxes(image, (2, 1, 0)))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def cut_mask(files):
    cut(files.mask("c3", 2))


def corrupt_mask(files):
    content = bytearray(files.mask("c3", 2).read_bytes())
    content[len(content) // 2] ^= 0xFF
    files.mask("c3", 2).write_bytes(content)


def listed_twice(files):
    (files.root / "cases.csv").write_text("case\nc1\nc2\nc1\n")


MASK = "raters/c3/annotation_2.nii.gz"
FIT = {
    "an empty cohort": (
        "process",
        no_raters_at_all,
        ["raters: no masks found", "Expected a folder per case with annotation_1"],
    ),
    "a case nobody drew": ("process", nobody_drew_c3, ["1 of 5 cases", "c3: no rater drew it", "--skip-bad"]),
    "a mask that is not binary": (
        "process",
        not_binary,
        ["case c3", MASK, "holds 0 and 1", "holds 0, 4", "--rater-labels"],
    ),
    "another place": (
        "process",
        elsewhere,
        ["case c3", MASK, "members/a/c3.npz", "origins differ", "(-20.5, 13.25, 400)", "(1, 2, 3)", "resample"],
    ),
    "another order of axes": (
        "run",
        turned,
        ["case c3", MASK, "members/a/c3.npz", "another order", "(6, 12, 12)", "(12, 12, 6)"],
    ),
    "a mask cut short": ("process", cut_mask, ["case c3", MASK, "cut short", "again"]),
    "a corrupt mask": ("run", corrupt_mask, ["case c3", MASK, "again"]),
    "a case listed twice": ("process", listed_twice, ["cases.csv", "case 'c1' is listed 2 times"]),
}


@pytest.mark.parametrize("kind", FIT)
def test_a_fit_to_bad_input_writes_nothing_and_says_why(request, files, kind):
    runner, spoil, fragments = FIT[kind]
    spoil(files)
    before = files.tree()
    listing = ("--cases", files.root / "cases.csv") if (files.root / "cases.csv").exists() else ()
    run = request.getfixturevalue(runner)
    done = run("fit", *files.drawn, *files.predicted, *listing, "--out", files.root / "new.json")
    assert done.code == 1
    assert done.out == ""
    for fragment in fragments:
        assert fragment in done.err
    assert files.new_since(before) == set()


def out_of_range(files):
    def change(softmax):
        softmax[2, 1, 2, 3] = np.nan
        softmax[2, 4, 5, 6] = 1.5

    files.change("b", "c3", change)


def cut_prediction(files):
    cut(files.npz("b", "c3"))


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def pickle_in_the_prediction(files):
    np.savez(files.npz("b", "c3"), probabilities=np.array([Trap(files.root / "trapped")], object))


APPLY = {
    "values that are no probabilities": (
        out_of_range,
        ["case c3", "b/c3.npz", "2 of 864 probabilities", "1 of them NaN", "index (1, 2, 3)", "not logits"],
    ),
    "a prediction cut short": (cut_prediction, ["case c3", "b/c3.npz", "cut short", "again"]),
    "code in a prediction": (pickle_in_the_prediction, ["case c3", "b/c3.npz", "pickled content is never loaded"]),
}


@pytest.mark.parametrize("kind", APPLY)
def test_apply_keeps_what_was_whole_before_the_bad_case(process, files, kind):
    spoil, fragments = APPLY[kind]
    spoil(files)
    before = files.tree()
    done = process("apply", files.calibration, *files.predicted, "--out", files.root / "r")
    assert done.code == 1
    for fragment in fragments:
        assert fragment in done.err
    assert files.new_since(before) == {"r/c1.nii.gz", "r/c2.nii.gz", "r/flags.json", "r/volumes.json"}


def test_apply_goes_on_without_the_bad_case_if_asked(process, files):
    assert process("apply", files.calibration, *files.predicted, "--out", files.root / "whole").code == 0
    out_of_range(files)
    before = files.tree()
    done = process("apply", files.calibration, *files.predicted, "--out", files.root / "r", "--skip-bad")
    assert done.code == 0
    assert "cases left out: 1\n  c3: " in done.err
    names = {f"c{n}.nii.gz" for n in (1, 2, 4, 5)}
    assert files.new_since(before) == {f"r/{name}" for name in (*names, "flags.json", "volumes.json")}
    for name in names:
        assert (files.root / "r" / name).read_bytes() == (files.root / "whole" / name).read_bytes()


def test_a_member_that_lacks_a_case_stops_the_work_before_it_begins(process, files):
    files.npz("b", "c3").unlink()
    before = files.tree()
    done = process("apply", files.calibration, *files.predicted, "--out", files.root / "r")
    assert done.code == 1
    assert f"c3: {files.root}/members/b has no probability for it" in done.err
    assert "--save_probabilities" in done.err
    assert files.new_since(before) == set()


def no_json(path):
    path.write_text("isotonic: 3\n")


def no_calibration(path):
    path.write_text('{"schema_version": 1, "map": {"method": "magic"}}')


def decreasing(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    content["map"]["response"] = content["map"]["response"][::-1]
    path.write_text(json.dumps(content))


def from_the_future(path):
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"schema_version": 99}))


def code(path):
    path.write_bytes(pickle.dumps(Trap(path.with_name("trapped"))))


def missing(path):
    path.unlink()


CALIBRATIONS = {
    "no JSON": ("process", no_json, ["is not a calibration", "not JSON"]),
    "another JSON": ("run", no_calibration, ["is not a valid calibration", "map"]),
    "a map that decreases": ("run", decreasing, ["is not a valid calibration", "map"]),
    "a newer version": ("run", from_the_future, ["schema version 99", "Upgrade TwinTrack"]),
    "a pickle with code in it": ("process", code, ["is not a calibration"]),
    "no file": ("run", missing, ["No such file"]),
}


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_a_calibration_that_cannot_be_read_is_refused_and_runs_no_code(request, files, kind):
    runner, spoil, fragments = CALIBRATIONS[kind]
    spoil(files.calibration)
    before = files.tree()
    run = request.getfixturevalue(runner)
    done = run("apply", files.calibration, *files.predicted, "--out", files.root / "r")
    assert done.code == 1
    for fragment in (str(files.calibration), *fragments):
        assert fragment in done.err
    assert files.new_since(before) == set()


def test_the_pickle_nnunet_leaves_beside_a_prediction_is_never_opened(process, files):
    for case in ("c1", "c2", "c3", "c4", "c5"):
        files.npz("a", case).with_suffix(".pkl").write_bytes(pickle.dumps(Trap(files.root / "trapped")))
    before = files.tree()
    assert process("fit", *files.drawn, *files.predicted, "--out", files.root / "new.json").code == 0
    assert files.new_since(before) == {"new.json"}


def test_the_trap_is_a_trap(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "trapped"))).close()
    assert (tmp_path / "trapped").exists()
