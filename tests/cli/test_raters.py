"""`twintrack raters`: rates and changes that are known, what it says of them, and what it refuses."""

from __future__ import annotations

import functools
import inspect
import json

import numpy as np
import pytest
import SimpleITK as sitk
from sklearn.isotonic import IsotonicRegression

from twintrack.cli import raters
from twintrack.compute.levels import level_values, levels
from twintrack.raters import effects, near

CASES = ("c1", "c2", "c3", "c4", "c5")
SHAPE = (6, 12, 12)
WHOLE = ("--margin", 1000)
"""Reaches over the whole image."""


def drawn_masks(files, case):
    paths = {rater: files.mask(case, rater) for rater in (1, 2, 3)}
    return {rater: sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for rater, path in paths.items() if path.is_file()}


def slab(first, end, *, z=2):
    """A mask of rows of one slice, 12 voxels each."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[z, first:end] = 1
    return mask


@pytest.fixture
def known(files, write_image):
    """Three cases in which raters 1 and 3 agree on 72 voxels and rater 2 labels some of them, and 66 others; options.

    Rater 2 labels 54, 36 and 45 of the 72: 3/4, 1/2 and 5/8. Of the 792 others 66 are a twelfth.
    """
    truth = slab(0, 6)
    for case, hits in zip(CASES[:3], (54, 36, 45), strict=True):
        second = np.zeros(SHAPE, np.uint8)
        second.flat[np.concatenate([np.flatnonzero(truth)[:hits], np.flatnonzero(truth == 0)[:66]])] = 1
        for rater, mask in ((1, truth), (2, second), (3, truth)):
            write_image(files.mask(case, rater), mask)
    return (*files.drawn, "--cases", files.case_list(c1="x", c2="x", c3="x", c4="y"), "--split", "x", *WHOLE)


def test_rates_worked_by_hand_and_their_standard_errors(run, known):
    done = run("raters", *known, "--json")
    told = json.loads(done.out)
    assert done.code == 0
    assert (told["n_cases"], told["n_left_out"], told["margin_mm"], told["converged"]) == (3, 0, 1000, True)
    assert (told["skipped"], told["without"]) == ({}, None)
    assert list(told["raters"]) == ["1", "2", "3"]
    # One voxel is added to each count. Without one case of rater 2: 9/16, 11/16 and 5/8, so √(2/3 · 2/16²).
    for rater, hits, left in (("1", 216, 2376), ("2", 135, 2376 - 198), ("3", 216, 2376)):
        found = told["raters"][rater]
        assert found["n_cases"] == 3
        assert found["sensitivity"] == pytest.approx((hits + 1) / 218, abs=1e-4)
        assert found["specificity"] == pytest.approx((left + 1) / 2378, abs=1e-4)
        assert found["sensitivity_error"] == pytest.approx(np.sqrt(1 / 192) if rater == "2" else 0, abs=2e-3)
        assert found["specificity_error"] == pytest.approx(0, abs=1e-4)


def test_the_table_says_the_same_and_that_names_must_mean_persons(run, known):
    told = json.loads(run("raters", *known, "--json").out)
    done = run("raters", *known)
    assert done.code == 0
    rows = [line.replace("│", " ").split() for line in done.out.splitlines() if "│" in line]
    assert rows == [
        [
            name,
            "3",
            f"{rater['sensitivity']:.4f}",
            f"{rater['sensitivity_error']:.4f}",
            f"{rater['specificity']:.4f}",
            f"{rater['specificity_error']:.4f}",
        ]
        for name, rater in told["raters"].items()
    ]
    assert "standard error over 3 cases; background: within 1000 mm of what was drawn\n" in done.out
    assert "Each name is taken for one person." in done.out
    assert told["note"] in done.out
    assert "Responses" not in done.out
    assert "Reading: 3 of 3 cases" in done.err


def test_the_rates_of_the_cohort_are_those_of_plain_expectation_maximisation(run, files):
    told = json.loads(run("raters", *files.drawn, *WHOLE, "--json").out)
    masks = [drawn_masks(files, case) for case in CASES]
    w = [np.mean(list(case.values()), axis=0) for case in masks]
    for _ in range(300):
        s, q = {}, {}
        for rater in (1, 2, 3):
            pairs = [(weight, case[rater]) for weight, case in zip(w, masks, strict=True) if rater in case]
            inside, outside = (sum(part.sum() for part, _ in ps) for ps in (pairs, [(1 - a, b) for a, b in pairs]))
            s[rater] = (sum((a * b).sum() for a, b in pairs) + 1) / (inside + 2)
            q[rater] = (sum(((1 - a) * (1 - b)).sum() for a, b in pairs) + 1) / (outside + 2)
        g = [(weight.sum() + 1) / (weight.size + 2) for weight in w]
        w = []
        for case, share in zip(masks, g, strict=True):
            a = share * np.prod([np.where(mask, s[rater], 1 - s[rater]) for rater, mask in case.items()], axis=0)
            b = (1 - share) * np.prod([np.where(mask, 1 - q[rater], q[rater]) for rater, mask in case.items()], axis=0)
            w.append(a / (a + b))
    found = told["raters"]
    assert [found[str(rater)]["n_cases"] for rater in (1, 2, 3)] == [5, 4, 5]
    assert [found[str(rater)]["sensitivity"] for rater in (1, 2, 3)] == pytest.approx([s[1], s[2], s[3]], abs=1e-5)
    assert [found[str(rater)]["specificity"] for rater in (1, 2, 3)] == pytest.approx([q[1], q[2], q[3]], abs=1e-5)


@pytest.mark.parametrize(("given", "margin", "slices"), [((), 5.0, 4), (("--margin", 2.5), 2.5, 2), (WHOLE, 1000, 5)])
def test_background_is_counted_as_far_as_the_margin(run, files, write_image, given, margin, slices):
    # All raters draw all of the third of six slices, which are 2.5 mm apart.
    for case in CASES:
        for path in (files.root / "raters" / case).glob("annotation_*"):
            write_image(path, slab(0, 12))
    told = json.loads(run("raters", *files.drawn, *given, "--json").out)
    assert told["margin_mm"] == margin
    background = 5 * 144 * slices
    assert told["raters"]["1"]["specificity"] == pytest.approx((background + 1) / (background + 2), abs=1e-7)
    assert told["raters"]["1"]["sensitivity"] == pytest.approx(721 / 722, abs=1e-6)


def test_the_margin_is_that_of_the_library():
    assert inspect.signature(raters.command).parameters["margin"].default == near.MARGIN_MM


def test_values_of_a_label_map_are_chosen(run, files, known, write_image):
    before = run("raters", *known, "--json").out
    for case in CASES[:3]:
        for rater, mask in drawn_masks(files, case).items():
            write_image(files.mask(case, rater), 2 * mask + (mask == 0))
    assert run("raters", *known, "--rater-labels", "2", "--json").out == before


def test_a_rater_of_one_case_has_no_standard_error_and_cases_that_tell_nothing_are_counted(run, files):
    for case in CASES[1:]:
        files.mask(case, 3).unlink()
    done = run("raters", *files.drawn)
    assert done.code == 0
    rows = [line.replace("│", " ").split() for line in done.out.splitlines() if "│" in line]
    assert [(*row[:2], row[3] == "–", row[5] == "–") for row in rows] == [
        ("1", "4", False, False),
        ("2", "4", False, False),
        ("3", "1", True, True),
    ]
    # c2 is left with rater 1 alone.
    assert "cases with one rater, or with nothing drawn, which tell nothing: 1\n" in done.out


def test_rates_that_still_move_are_told(run, files, monkeypatch):
    monkeypatch.setattr(effects, "rater_effects", functools.partial(effects.rater_effects, max_iterations=1))
    assert "the rates were still moving after 1 updates\n" in run("raters", *files.drawn).out


def test_what_leaving_a_rater_out_changes_agrees_with_scikit_learn(run, files):
    told = json.loads(run("raters", *files.drawn, *files.predicted, "--json").out)["without"]
    assert told["method"] == "isotonic"
    masks = [drawn_masks(files, case) for case in CASES]
    p = np.concatenate([((files.tumour("a", c) + files.tumour("b", c)) / 2).ravel() for c in CASES])
    fitted_at = level_values()[levels(p)]

    def response(without=None):
        kept = [[mask for rater, mask in case.items() if rater != without] for case in masks]
        y = np.concatenate([np.mean(case, axis=0).ravel() for case in kept])
        return IsotonicRegression(out_of_bounds="clip").fit(fitted_at, y).predict(p.astype(float))

    whole = response()
    assert [(one["rater"], one["n_cases"], one["n_lost"]) for one in told["raters"]] == [
        ("1", 5, 0),
        ("2", 4, 0),
        ("3", 5, 0),
    ]
    for one in told["raters"]:
        change = response(int(one["rater"])) - whole
        assert one["largest_change"] == pytest.approx(np.abs(change).max(), abs=1e-5)
        assert one["rms_change"] == pytest.approx(np.sqrt(np.mean(change**2)), abs=1e-5)
        assert one["volume_change"] == pytest.approx(change.sum() / whole.sum(), abs=1e-5)


def test_the_table_of_changes_says_the_same(run, files):
    told = json.loads(run("raters", *files.drawn, *files.predicted, "--method", "platt", "--json").out)["without"]
    done = run("raters", *files.drawn, *files.predicted, "--method", "platt")
    assert done.code == 0
    table = done.out[done.out.index("Responses (platt) fitted without one rater") :]
    rows = [line.replace("│", " ").split() for line in table.splitlines() if "│" in line]
    assert rows == [
        [
            one["rater"],
            str(one["n_cases"]),
            "0",
            f"{one['largest_change']:.4f}",
            f"{one['rms_change']:.4f}",
            f"{100 * one['volume_change']:+.2f}",
            "%",
        ]
        for one in told["raters"]
    ]
    assert told["method"] == "platt"
    assert "Comparing: 5 of 5 cases" in done.err
    assert table.endswith(raters.PERSONS + "\n")


def test_without_any_response_there_is_no_relative_change_of_volume(run, files, write_image):
    # What is drawn lies where every member says exactly 0.
    for case in CASES:
        for path in (files.root / "raters" / case).glob("annotation_*"):
            write_image(path, slab(0, 1))
        for member in "ab":
            files.change(member, case, lambda softmax: softmax[2, 2, 0].fill(0))
    done = run("raters", *files.drawn, *files.predicted)
    assert done.code == 0
    table = done.out[done.out.index("fitted without one rater") :]
    rows = [line.replace("│", " ").split() for line in table.splitlines() if "│" in line]
    assert [row[3:] for row in rows] == [["0.0000", "0.0000", "–"]] * 3


def test_an_identity_owes_nothing_to_anyone(run, files):
    told = json.loads(run("raters", *files.drawn, *files.predicted, "--method", "identity", "--json").out)
    assert {(one["largest_change"], one["volume_change"]) for one in told["without"]["raters"]} == {(0, 0)}


def test_bad_cases_are_left_out_and_listed(run, files):
    good = json.loads(run("raters", *files.drawn, "--cases", files.case_list(c1="", c2="", c4="", c5=""), "--json").out)
    files.mask("c3", 2).write_bytes(b"not an image")
    stopped = run("raters", *files.drawn)
    assert (stopped.code, stopped.out) == (1, "")
    assert "case c3" in stopped.err
    done = run("raters", *files.drawn, "--skip-bad", "--json")
    told = json.loads(done.out)
    assert done.code == 0
    assert "cases left out: 1\n  c3: " in done.err
    assert list(told.pop("skipped")) == ["c3"]
    assert told == {name: value for name, value in good.items() if name != "skipped"}


def test_bad_members_are_left_out_of_the_fits(run, files):
    files.change("a", "c3", lambda softmax: softmax.__imul__(100))
    done = run("raters", *files.drawn, *files.predicted, "--skip-bad", "--json")
    told = json.loads(done.out)
    assert done.code == 0
    assert list(told["skipped"]) == ["c3"]
    assert [one["n_cases"] for one in told["without"]["raters"]] == [4, 3, 4]


@pytest.mark.parametrize(
    ("given", "fragments"),
    [
        ((), ("say where the cases are: --raters",)),
        (("{p}",), ("case c1: no rater drew it", "--raters")),
        (("{d}", "--cases", "{one}", "--split", "x"), ("at least 2 cases that 2 or more raters drew", "0 of 1 cases")),
        (("{d}", "{p}", "--method", "magic"), ("unknown method 'magic'", "isotonic")),
        (("{d}", "--margin", "inf"), ("the margin must be a finite number of mm, at least 0; got inf",)),
        (("{d}", "--rater-labels", "a"), ("--rater-labels takes whole numbers", "'a'")),
        (("{d}", "--split", "x"), ("a split needs a list of cases", "--cases")),
        (("--raters", "{root}/none"), ("none: there is no such folder",)),
    ],
)
def test_wrong_use_is_explained_in_a_line_and_nothing_is_written(run, files, given, fragments):
    files.mask("c5", 2).unlink()
    files.mask("c5", 3).unlink()
    places = {"{d}": files.drawn, "{p}": files.predicted, "{one}": [files.case_list(c5="x", c1="y")]}
    words = [part for word in given for part in places.get(word, [word.replace("{root}", str(files.root))])]
    before = files.tree()
    done = run("raters", *words)
    assert (done.code, done.out) == (1, "")
    told = [line for line in done.err.splitlines() if not line.startswith(("Reading: ", "Fitting: "))]
    assert len(told) == 1
    assert told[0].startswith("error: ")
    assert all(fragment in told[0] for fragment in fragments)
    assert files.new_since(before) == set()


def test_names_that_no_one_keeps_are_refused_before_anything_is_fitted(run, files):
    for case in CASES:
        for rater, path in enumerate(sorted((files.root / "raters" / case).glob("annotation_*")), start=1):
            folder = files.root / "readers" / f"{case}-{rater}"
            folder.mkdir(parents=True)
            path.rename(folder / f"{case}.nii.gz")
    done = run("raters", "--raters", *sorted((files.root / "readers").iterdir()), *files.predicted)
    assert (done.code, done.out) == (1, "")
    assert "error: no rater drew two of the 5 cases; the raters are c1-1, c1-2" in done.err
    assert "Fitting" not in done.err


@pytest.mark.parametrize("margin", ["-1", "nan", "near"])
def test_a_margin_that_is_no_distance_is_a_wrong_argument(run, files, margin):
    done = run("raters", *files.drawn, "--margin", margin)
    assert (done.code, done.out) == (2, "")
    assert "--margin" in done.err


def test_the_help_says_that_names_must_mean_persons(run):
    done = run("raters", "--help")
    assert done.code == 0
    assert "only where names mean persons" in " ".join(done.out.replace("│", " ").split())


def test_the_command_runs_in_a_process_of_its_own_and_changes_nothing(process, files):
    before = files.tree()
    done = process("raters", *files.drawn, *files.predicted)
    assert done.code == 0
    assert "Raters" in done.out
    assert "Responses (isotonic) fitted without one rater" in done.out
    assert files.new_since(before) == set()
