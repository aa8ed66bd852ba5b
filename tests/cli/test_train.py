"""`twintrack train`: with a pretence in the place of the training, and once for real on a few small blobs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.calibration import load_calibration
from twintrack.errors import ModelError
from twintrack.images.atomic import make_folder
from twintrack.pipeline import train as pipeline
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.training.train import TrainedNetworks
from twintrack.segmentation.verify import verify_bundle

from .conftest import CASES, SHAPE, write

SPLITS = {"c1": "train", "c2": "train", "c3": "train", "c4": "calibration", "c5": "calibration"}


def figures(measured, mean, least, *, attempt=1, passed=True):
    return {"measured": measured, "held_out": {"mean": mean, "min": least}, "attempt": attempt, "passed": passed}


REPORT = {
    "held_out_cases": ["c3"],
    "networks": {
        "coarse": figures("recall in the ROI", 0.98765, 0.9),
        "member_1": figures("Dice", 0.7, 0.65),
        "member_2": figures("Dice", 0.61, 0.5, attempt=2),
        "member_3": figures("Dice", None, None, attempt=2, passed=False),
    },
    "rejected": {"member_3": "mean Dice nan [on] the held-out cases"},
}


class Pretence:
    """In the place of `train_networks`: gives two members whose predictions are there already."""

    def __init__(self, files):
        self.members = {f"member_{k}": files.root / "members" / name for k, name in enumerate("ab", start=1)}
        self.calls = []
        self.raised = None

    def __call__(self, cases, settings, *, work, on_event=None, say=None, progress=None):
        self.calls.append((cases, settings))
        make_folder(work)
        if self.raised:
            raise self.raised
        say("training member_1, member_2")
        return TrainedNetworks(None, self.members, REPORT["rejected"], REPORT)

    @property
    def cases(self):
        """What the last call learnt from."""
        return self.calls[-1][0]

    @property
    def settings(self):
        return self.calls[-1][1]


@pytest.fixture
def extra(monkeypatch):
    """As if networks could be run, whether or not they can."""
    monkeypatch.setattr("twintrack.segmentation.extra.find_spec", lambda name: name)


def write_ct(path, number):
    hu = np.random.default_rng(number).normal(40, 30, SHAPE).round().astype(np.int16)
    hu[:, 0] = -1000
    write(path, hu)


@pytest.fixture
def given(files):
    """Raters' masks with CTs beside them, and a list of which cases are for what."""
    for number, case in enumerate(CASES):
        write_ct(files.root / "raters" / case / "image.nii.gz", number)
    return (*files.drawn, "--cases", files.case_list(**SPLITS))


@pytest.fixture
def pretence(extra, files, monkeypatch):
    """Nothing is trained, and networks need not be installed."""
    pretending = Pretence(files)
    monkeypatch.setattr(pipeline, "train_networks", pretending)
    return pretending


@pytest.fixture
def train(run, files, given, pretence):
    """Run the command with options, on the files there are."""

    def call(*more, out="bundle"):
        return run("train", *given, "--out", files.root / out, *more)

    return call


def test_help_names_presets_options_and_an_example(process):
    done = process("train", "--help")
    assert (done.code, done.err) == (0, "")
    for text in ("--raters", "--regions", "--train-split", "--teach", "--keep-work", "tiny-cpu-2d", "resenc-xl"):
        assert text in done.out
    assert "twintrack train --raters raters --regions pancreas --cases cases.csv --preset tiny-cpu" in done.out


def test_the_bundle_is_calibrated_as_fit_would_on_the_calibration_cases(train, run, files):
    before = files.tree()
    done = train()
    assert done.code == 0, done.err
    assert files.new_since(before) == {"bundle/bundle.json", "bundle/calibration.json"}
    listed = ("--cases", files.root / "cases.csv", "--split", "calibration")
    fitted = run("fit", *files.drawn, *files.predicted, *listed, "--out", files.root / "fitted.json")
    assert fitted.code == 0, fitted.err
    made, expected = (load_calibration(files.root / name) for name in ("bundle/calibration.json", "fitted.json"))
    assert made.map == expected.map
    assert made.provenance.n_cases == 2
    assert made.provenance.n_cases != load_calibration(files.calibration).provenance.n_cases
    bundle = load_bundle(files.root / "bundle").bundle
    assert bundle.training == REPORT
    assert "judged on a few held-out cases only" in bundle.intended_use
    for line in ("training member_1, member_2", "running the networks on 2 calibration cases", "calibrating: auto"):
        assert line in done.err.splitlines()
    assert "Segmenting: 2 of 2 cases" in done.err


def rows(out):
    """Give the cells of a table by its first column."""
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if line[:1] == "│"]
    return {first: rest for first, *rest in lines}


def test_each_networks_figures_and_verdict_are_shown_and_why_one_was_left_out(train, files):
    done = train("--no-calibrate")
    assert done.code == 0, done.err
    assert done.out.startswith("On the 1 held-out cases (preset nnunet-default)\n")
    assert rows(done.out) == {
        "coarse": ["recall in the ROI", "0.988", "0.900", "1", "bundled"],
        "member_1": ["Dice", "0.700", "0.650", "1", "bundled"],
        "member_2": ["Dice", "0.610", "0.500", "2", "bundled"],
        "member_3": ["Dice", "–", "–", "2", "left out"],
    }
    assert "member_3 is not in the bundle: mean Dice nan [on] the held-out cases\n" in done.err
    assert "member_2 is not" not in done.err
    assert done.out.endswith(f"wrote {files.root / 'bundle'}\n")


def test_the_result_as_json_is_all_there_is_on_standard_output(train, files):
    done = train("--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"bundle": str(files.root / "bundle"), **REPORT, "calibrated": True}
    assert json.loads(train("--json", "--no-calibrate", out="other").out)["calibrated"] is False


def test_the_splits_of_the_list_say_what_is_learnt_from(train, files, pretence):
    assert train("--no-calibrate").code == 0
    assert [case.id for case in pretence.cases] == ["c1", "c2", "c3"]
    assert [case.patient for case in pretence.cases] == ["pc1", "pc2", "pc3"]
    assert list(pretence.cases[1].raters) == ["1", "3"]
    assert train("--train-split", "calibration", "--calibration-split", "train", out="other").code == 0
    assert [case.id for case in pretence.cases] == ["c4", "c5"]
    assert load_calibration(files.root / "other" / "calibration.json").provenance.n_cases == 3


def test_without_a_list_all_cases_are_learnt_from_and_there_is_no_calibration(run, files, given, pretence):
    done = run("train", *files.drawn, "--out", files.root / "bundle")
    assert done.code == 0, done.err
    assert [case.id for case in pretence.cases] == list(CASES)
    assert (
        "no calibration cases (--cases with a split): the bundle gets no calibration; see `twintrack fit`" in done.err
    )
    assert load_bundle(files.root / "bundle").calibration_path is None


def test_options_arrive_where_networks_are_trained(train, pretence):
    options = "--preset tiny-cpu --members 2 --no-coarse --teach majority --structure lesion --epochs 3 --margin 5"
    more = "--retries 0 --held-out 0.4 --seed 7 --device cpu --threads 2 --workers 3 --no-calibrate"
    assert train(*options.split(), *more.split()).code == 0
    chosen = pretence.settings
    assert (chosen.preset.name, chosen.preset.fine.schedule.epochs, chosen.coarse) == ("tiny-cpu", 3, False)
    assert (chosen.n_members, chosen.teach, chosen.structure, chosen.seed) == (2, "majority", "lesion", 7)
    assert (chosen.held_out, chosen.retries, chosen.roi.margin) == (0.4, 0, 5.0)
    assert (chosen.device, chosen.threads, chosen.workers) == ("cpu", 2, 3)


@pytest.mark.parametrize(("preset", "coarse"), [("tiny-cpu", True), ("resenc-l", True), ("tiny-cpu-2d", False)])
def test_a_coarse_network_is_trained_where_the_preset_has_one(train, pretence, preset, coarse):
    assert train("--preset", preset, "--no-calibrate").code == 0
    assert pretence.settings.coarse is coarse


def test_cts_and_regions_may_lie_elsewhere(train, files, pretence):
    for number, case in enumerate(CASES):
        (files.root / "raters" / case / "image.nii.gz").unlink()
        write_ct(files.root / "cts" / f"{case}.nii.gz", number)
        write(files.root / "organs" / case / "region.nii.gz", np.ones(SHAPE, np.uint8))
    done = train("--images", files.root / "cts", "--regions", files.root / "organs")
    assert done.code == 0, done.err
    assert [case.image.path.parent.name for case in pretence.cases] == ["cts"] * 3
    assert [case.region.parent.name for case in pretence.cases] == ["c1", "c2", "c3"]
    assert load_calibration(files.root / "bundle" / "calibration.json").provenance.n_cases == 2


def folders(files):
    return {path.name for path in files.root.iterdir() if path.is_dir()} - {"members", "raters", "scratch"}


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ((), {"bundle"}),
        (("--keep-work",), {"bundle", "bundle-work"}),
        (("--work", "steps"), {"bundle"}),
        (("--work", "steps", "--keep-work"), {"bundle", "steps"}),
    ],
)
def test_the_work_folder_is_removed_unless_it_is_to_be_kept(train, files, monkeypatch, options, left):
    monkeypatch.chdir(files.root)
    assert train(*options).code == 0
    assert folders(files) == left


def test_the_empty_folder_one_is_in_can_become_the_bundle(run, files, given, pretence, monkeypatch):
    (files.root / "here").mkdir()
    monkeypatch.chdir(files.root / "here")
    done = run("train", *given, "--out", ".")
    assert done.code == 0, done.err
    assert load_bundle(files.root / "here").bundle.name == "here"
    assert folders(files) == {"here"}


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (ModelError("no member is good enough"), 1, "error: no member is good enough"),
    ],
)
def test_a_training_that_ends_early_keeps_its_work_and_a_second_one_goes_on(train, files, pretence, raised, code, said):
    pretence.raised = raised
    done = train()
    assert done.code == code
    assert said in done.err
    assert done.out == ""
    assert folders(files) == {"bundle-work"}
    pretence.raised = None
    assert train().code == 0
    assert folders(files) == {"bundle"}


def refused(done, message):
    """Expect a refusal in one line."""
    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


REFUSED = {
    "a preset": (("--preset", "huge"), "there is no preset 'huge'; choose one of nnunet-default, resenc-m"),
    "a split": (("--train-split", "learn"), "no case has split 'learn'; its splits are calibration, train"),
    "a calibration split": (("--calibration-split", "test"), "no case has split 'test'"),
    "one split twice": (("--calibration-split", "train"), "case c1 is of a patient the networks learn from (3 in all)"),
    "a method": (("--method", "magic"), "unknown method 'magic'; known are identity"),
    "a margin": (("--margin", "inf"), "the margin is inf mm"),
    "regions": (("--regions", "nowhere"), "nowhere: there is no such folder"),
    "images": (("--images", "nowhere"), "nowhere: there is no such file or folder"),
    "labels": (("--rater-labels", "tumour"), "--rater-labels takes whole numbers"),
    "a bundle in the work folder": (("--work", "."), "must not lie in one another"),
    "a work folder with other things": (("--work", "raters"), "raters is no work folder of a training: it holds c1"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_is_refused_in_a_line_before_any_work(train, files, pretence, monkeypatch, kind):
    options, message = REFUSED[kind]
    monkeypatch.chdir(files.root)
    before = files.tree()
    refused(train(*options), message)
    assert pretence.calls == []
    assert files.new_since(before) == set()
    assert folders(files) == set()


SETTINGS = {
    "a rater": (("--teach", "9"), "--teach 9: is neither random, each, majority nor the name of a rater; the raters"),
    "a structure": (("--structure", "lung nodule"), "the structure's name is 'lung nodule'"),
    "nnU-Net's own word for a structure": (("--structure", "ignore"), "the structure's name is 'ignore'"),
    "a fraction": (("--held-out", "1"), "the fraction of patients held out is 1.0"),
    "a coarse network": (("--preset", "tiny-cpu-2d", "--coarse"), "tiny-cpu-2d has no coarse network"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_that_cannot_be_trained_with_are_refused_in_a_line(run, extra, files, given, monkeypatch, kind):
    def begin(*_, **__):
        raise AssertionError("work began")

    monkeypatch.setattr("twintrack.segmentation.training.train.write_datasets", begin)
    options, message = SETTINGS[kind]
    before = files.tree()
    refused(run("train", *given, "--out", files.root / "bundle", *options), message)
    assert files.new_since(before) == set()
    assert folders(files) == set()


def test_cases_that_lack_a_ct_or_a_region_are_named(train, files):
    (files.root / "raters" / "c5" / "image.nii.gz").unlink()
    refused(train(), "case c5: there is no CT beside its raters' masks; say where it is with --images")
    refused(train("--images", files.root / "raters"), "case c5: there is no CT of it; expected c5.nii.gz in --images")
    write(files.root / "organs" / "c1.nii.gz", np.ones(SHAPE, np.uint8))
    refused(train("--regions", files.root / "organs"), "case c2: there is no region of it; expected c2.nii.gz")


def test_a_bundle_that_is_there_is_not_touched(train, files, pretence):
    assert train().code == 0
    before = files.tree()
    refused(train(), f"cannot make the bundle {files.root / 'bundle'}: it exists and is not an empty folder")
    assert len(pretence.calls) == 1
    assert files.new_since(before) == set()
    root = files.root.anchor
    refused(train(out=root), f"cannot make the bundle {root}: it exists")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--out", "bundle", "--epochs", "0"),
        ("--out", "bundle", "--members", "0"),
        ("--out", "bundle", "--margin", "-1"),
        ("--out", "bundle", "--seed", "one"),
        ("--out", "bundle", "--colour", "red"),
    ],
)
def test_options_that_cannot_be_read_are_wrong_usage(run, files, given, pretence, options):
    done = run("train", *given, *options)
    assert (done.code, done.out) == (2, "")
    assert "Usage: twintrack train" in done.err
    assert (options[2] if options else "--out") in done.err
    assert pretence.calls == []


def test_without_the_extra_one_line_says_how_to_install_it_before_anything_is_looked_at(run, files, monkeypatch):
    monkeypatch.setattr("twintrack.segmentation.extra.find_spec", lambda _: None)
    before = files.tree()
    done = run("train", "--raters", files.root / "nowhere", "--out", files.root / "bundle")
    refused(done, "networks need torch and nnunetv2, which are not installed: pip install")
    assert files.new_since(before) == set()


def blob(folder, seed):
    """Write a bright ball in a grey one in fat, and three raters who draw the ball a little differently."""
    rng = np.random.default_rng(seed)
    shape, spacing = (14, 20, 24), (3.0, 2.0, 2.0)
    center = [size / 2 + rng.uniform(-2, 2) for size in shape]
    axes = np.ogrid[tuple(slice(0, size) for size in shape)]
    distance = np.sqrt(sum(((a - c) * step) ** 2 for a, c, step in zip(axes, center, spacing, strict=True)))
    hu = np.where(distance < 7, 160, np.where(distance < 14, 40, -90)) + rng.normal(0, 8, shape)
    hu[:, 0] = -1000
    images = {"image": hu.round().astype(np.int16), "region": (distance < 14).astype(np.uint8)}
    images |= {f"annotation_{k}": (distance < 5.5 + k).astype(np.uint8) for k in (1, 2, 3)}
    folder.mkdir(parents=True)
    for name, array in images.items():
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(spacing[::-1])
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return distance


@pytest.fixture
def threads():
    """Networks this small are slower on several threads; and what training sets is not to last."""
    torch = pytest.importorskip("torch", reason="training needs the extra nnunet")
    pytest.importorskip("nnunetv2", reason="training needs the extra nnunet")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_networks_are_really_trained_calibrated_and_bundled_and_predict(threads, run, files):
    splits = dict.fromkeys(("b1", "b2", "b3", "b4", "b5"), "train") | dict.fromkeys(("b6", "b7"), "calibration")
    for seed, name in enumerate(splits):
        blob(files.root / "blobs" / name, seed)
    out = files.root / "bundle"
    blobs = ("--raters", files.root / "blobs", "--regions", files.root / "blobs", "--cases", files.case_list(**splits))
    small = "--preset tiny-cpu --epochs 2 --members 1 --teach majority --margin 8 --retries 0 --device cpu --json"
    done = run("train", *blobs, *small.split(), "--out", out)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["calibrated"] is True
    assert found["n_cases"] == 5
    assert len(found["held_out_cases"]) == 1
    assert {name: one["passed"] for name, one in found["networks"].items()} == {"coarse": True, "member_1": True}
    assert "member_1: epoch 2 of 2, loss " in done.err
    assert "Segmenting: 2 of 2 cases" in done.err
    assert folders(files) == {"blobs", "bundle"}
    assert verify_bundle(out) == []
    assert load_calibration(out / "calibration.json").provenance.n_cases == 2

    distance = blob(files.root / "new", 99)
    ct = files.root / "new" / "image.nii.gz"
    done = run("predict", ct, "--models", out, "--out", files.root / "p", "--device", "cpu", "--threads", 1)
    assert done.code == 0, done.err
    response = sitk.GetArrayFromImage(sitk.ReadImage(str(files.root / "p" / "responses" / "new.nii.gz")))
    assert response[distance < 5].mean() > 0.7
    assert response[distance > 14].mean() < 0.1
