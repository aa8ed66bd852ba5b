"""From outlined CTs to a bundle, with a pretence in the place of the training that takes hours."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import CalibrationError, CohortError, InputError, OutputError
from twintrack.images.atomic import make_folder
from twintrack.pipeline import train as train_module
from twintrack.pipeline.train import (
    INTENDED_USE,
    Watching,
    find_regions,
    require_other_patients,
    train_bundle,
    training_cases,
)
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.create import create_bundle
from twintrack.segmentation.cts import Ct
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.training.cases import TrainingCase
from twintrack.segmentation.training.job import Event
from twintrack.segmentation.training.presets import preset_named
from twintrack.segmentation.training.settings import Settings
from twintrack.segmentation.training.train import TrainedNetworks
from twintrack.segmentation.verify import verify_bundle

ROI = RoiSettings(margin=1.5, smallest=10.0)
REPORT = {"networks": {"member_1": {"held_out": {"mean": 0.9}}}, "rejected": {"member_2": "it learnt nothing"}}
THRESHOLDS = (0.3, 0.45, 0.6)
"""Each rater draws what the networks say is above one of them."""
GRID = tt.Grid(
    shape=(16, 24, 24),
    spacing=(2.5, 1.2, 1.2),
    origin=(-30.0, 12.5, 400.0),
    # Stored so that the networks see it flipped.
    direction=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)


class Unreadable:
    """What only training may read."""

    def read(self):
        raise AssertionError("the calibration looked at a case that networks learn from")


def learnt(*names, patient=None):
    return [TrainingCase(name, Unreadable(), {"1": Unreadable()}, patient=patient) for name in names]


def settings_of(**more):
    # Its networks are never averaged over mirrored images, which must arrive in the bundle.
    return Settings(preset_named("tiny-cpu"), **{"n_members": 2, "roi": ROI, "device": "cpu", **more})


class Pretence:
    """In the place of `train_networks`: gives networks that are there already."""

    def __init__(self, coarse=None, members=None):
        self.coarse, self.members = coarse, members or {}
        self.calls = []
        self.raised = None

    def __call__(self, cases, settings, *, work, on_event=None, say=None, progress=None):
        self.calls.append(SimpleNamespace(ids=[case.id for case in cases], settings=settings, work=work))
        make_folder(work)
        for _ in progress(cases) if progress else cases:
            pass
        if on_event:
            on_event(Event(network="member_1", stage="training"))
        if self.raised:
            raise self.raised
        return TrainedNetworks(self.coarse, self.members, REPORT["rejected"], REPORT)


@pytest.fixture
def pretence(monkeypatch):
    """Nothing is trained, and networks need not be installed."""
    pretending = Pretence()
    monkeypatch.setattr(train_module, "train_networks", pretending)
    return pretending


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Tiny networks, two calibration CTs, what the networks say there, and raters who draw by that.

    Each rater draws what has a probability above a threshold, so that the response to every probability is known.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("nnunetv2")
    from ..segmentation import tiny_nnunet  # noqa: TID252  (the maker of networks)

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small are slower on several
    root = tmp_path_factory.mktemp("train")
    nets = {}
    for name, seed in (("coarse", 10), ("member_1", 1), ("member_3", 2)):
        dataset = tiny_nnunet.make_dataset({"background": 0, "region" if name == "coarse" else "tumour": 1})
        nets[name] = tiny_nnunet.write_result_folder(
            root / "nets" / name, dataset=dataset, seed=seed, mirroring=(0, 1, 2)
        )
    members = {name: nets[name] for name in ("member_1", "member_3")}
    create_bundle(
        root / "reference",
        members=list(members.values()),
        foreground=["tumour"],
        coarse=nets["coarse"],
        coarse_labels=["region"],
        orientation="LPS",
        roi=ROI,
        mirroring=False,
    )
    segmenter = Segmenter(load_bundle(root / "reference"), device="cpu")
    cases, images = [], {}
    for seed in (1, 2):
        ct = tt.Volume(tiny_nnunet.make_ct(GRID.shape, seed=seed), GRID)
        folder = root / "calibration" / f"c{seed}"
        folder.mkdir(parents=True)
        tt.write_volume(folder / "image.nii.gz", ct)
        images[f"c{seed}"] = Ct(f"c{seed}", folder / "image.nii.gz")
        found = segmenter.segment(ct, case_id=f"c{seed}")
        p = found.whole(np.mean(found.members, axis=0)).array
        assert 0.05 < found.roi.sum() / p.size < 0.95
        assert p[p > 0].min() < 0.1 < 0.65 < p.max()
        masks = {f"above_{least}": tt.Volume((p > least).astype(np.uint8), GRID) for least in THRESHOLDS}
        cases.append(tt.Case(f"c{seed}", image=folder / "image.nii.gz", raters=masks, patient=f"p{seed}"))
    yield SimpleNamespace(root=root, coarse=nets["coarse"], members=members, cohort=tt.Cohort(cases), images=images)
    torch.set_num_threads(before)


@pytest.fixture
def trained(pretence, world):
    """The pretence with networks to give."""
    pretence.coarse, pretence.members = world.coarse, world.members
    return pretence


def train(tmp_path, world, **more):
    # Two calibration cases, whose raters are thresholds of the probability: a map of it alone has a known answer.
    given = {"calibration": world.cohort, "work": tmp_path / "work", "method": "isotonic", **more}
    return train_bundle(tmp_path / "out", learnt("t1", "t2"), settings_of(), **given)


def test_the_bundle_is_whole_and_carries_calibration_and_training(trained, world, tmp_path):
    (tmp_path / "card.md").write_text("what it is")
    made = train(tmp_path, world, name="mine", extra_files={"MODEL_CARD.md": tmp_path / "card.md"})
    assert verify_bundle(tmp_path / "out") == []
    loaded = load_bundle(tmp_path / "out")
    assert loaded.bundle == made.bundle
    assert loaded.bundle.name == "mine"
    assert [member.name for member in loaded.bundle.members] == ["member_1", "member_3"]
    assert loaded.bundle.foreground == ("tumour",)
    assert loaded.bundle.coarse.labels == ("region",)
    assert loaded.bundle.orientation == "LPS"
    assert loaded.bundle.roi == ROI
    assert loaded.bundle.mirroring is False
    assert loaded.bundle.intended_use == INTENDED_USE
    assert json.loads((tmp_path / "out" / "bundle.json").read_text(encoding="utf-8"))["training"] == REPORT
    assert (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8") == "what it is"
    assert made.networks.report == REPORT
    assert tt.load_calibration(loaded.calibration_path) == made.calibration
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.md", "out", "work"]


def test_the_calibration_is_what_the_raters_of_the_calibration_cases_say(trained, world, tmp_path):
    made = train(tmp_path, world)
    p = np.array([0.1, 0.29, 0.31, 0.44, 0.46, 0.59, 0.61, 0.65], np.float32)
    assert made.calibration.apply(p) == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1, 1], abs=1e-6)
    about = made.calibration.provenance
    assert (about.n_cases, about.raters, about.members, about.roi) == (2, {3: 2}, (2,), True)
    assert about.foreground == ("tumour",)
    assert made.calibration.method == "isotonic"


def test_networks_learn_from_the_training_cases_only(trained, world, tmp_path):
    settings = settings_of(seed=4)
    work = tmp_path / "work"
    train_bundle(tmp_path / "out", learnt("t1", "t2"), settings, calibration=world.cohort, work=work, method="isotonic")
    (call,) = trained.calls
    assert call.ids == ["t1", "t2"]
    assert call.settings is settings
    assert work in call.work.parents


def test_another_method_of_calibration_can_be_chosen(trained, world, tmp_path):
    train(tmp_path, world, method="platt")
    assert tt.load_calibration(load_bundle(tmp_path / "out").calibration_path).method == "platt"


def test_cts_that_the_cohort_does_not_know_can_be_given(trained, world, tmp_path):
    bare = tt.Cohort(tt.Case(case.id, raters=case.raters, patient=case.patient) for case in world.cohort)
    made = train(tmp_path, world, calibration=bare, images=world.images)
    assert made.calibration.apply(np.array([0.4, 0.5], np.float32)) == pytest.approx([1 / 3, 2 / 3], abs=1e-6)


def test_without_calibration_cases_there_is_no_calibration_and_nothing_is_run(trained, world, tmp_path):
    stages = []
    made = train(tmp_path, world, calibration=None, watching=Watching(on_stage=stages.append))
    assert verify_bundle(tmp_path / "out") == []
    assert made.calibration is None
    assert load_bundle(tmp_path / "out").calibration_path is None
    assert made.bundle.training == REPORT
    assert stages == []


def test_an_ensemble_without_a_coarse_network_searches_the_whole_image(trained, world, tmp_path):
    trained.coarse = None
    made = train(tmp_path, world)
    assert verify_bundle(tmp_path / "out") == []
    assert made.bundle.coarse is None
    assert made.calibration.provenance.n_voxels == 2 * np.prod(GRID.shape)


def test_an_empty_folder_may_be_there_and_a_work_folder_with_hidden_files(trained, world, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".DS_Store").touch()
    train(tmp_path, world)
    assert verify_bundle(tmp_path / "out") == []


def test_what_happens_is_told(trained, world, tmp_path):
    said, events, stages, walked = [], [], [], []

    def walking(items):
        for item in items:
            yield item
            walked.append(item.id)

    train(
        tmp_path,
        world,
        watching=Watching(said.append, on_event=events.append, cases=walking, on_stage=stages.append, cts=walking),
    )
    assert said == ["running the networks on 2 calibration cases", "calibrating: isotonic"]
    assert [event.network for event in events] == ["member_1"]
    assert walked == ["t1", "t2", "c1", "c2"]
    assert stages.count("member member_1") == stages.count("member member_3") == 2


def segmented_again(tmp_path, world, **more):
    """Train once more into another bundle; give which stages were gone through, and what was made."""
    stages = []
    out = tmp_path / "again"
    given = {"calibration": world.cohort, "work": tmp_path / "work", "name": "out", "method": "isotonic", **more}
    made = train_bundle(out, learnt("t1", "t2"), settings_of(), watching=Watching(on_stage=stages.append), **given)
    assert verify_bundle(out) == []
    return [stage for stage in stages if stage.startswith("member ")], made


def test_a_second_call_with_the_same_networks_runs_them_no_more(trained, world, tmp_path):
    first = train(tmp_path, world)
    ran, second = segmented_again(tmp_path, world)
    assert ran == []
    assert second.calibration == first.calibration
    assert second.bundle == first.bundle


def test_a_second_call_with_other_networks_runs_those(trained, world, tmp_path):
    first = train(tmp_path, world)
    trained.members = {"member_1": world.members["member_3"]}
    ran, second = segmented_again(tmp_path, world)
    assert ran == ["member member_1"] * 2
    assert second.calibration.provenance.members == (1,)
    assert second.calibration.map != first.calibration.map


class Stopping:
    """Interrupts when something is said."""

    def __init__(self, said):
        self.said = said

    def __call__(self, said):
        if said == self.said:
            raise KeyboardInterrupt


def interrupted_while_training(pretending, monkeypatch, tmp_path):
    pretending.raised = KeyboardInterrupt()


def interrupted_between_two_cases(pretending, monkeypatch, tmp_path):
    def first(cts):
        yield cts[0]
        raise KeyboardInterrupt

    return Watching(cts=first)


def interrupted_within_a_case(pretending, monkeypatch, tmp_path):
    return Watching(on_stage=Stopping("member member_3"))


def interrupted_before_the_fit(pretending, monkeypatch, tmp_path):
    return Watching(say=Stopping("calibrating: isotonic"))


def interrupted_in_the_last_copies(pretending, monkeypatch, tmp_path):
    real, copied = shutil.copyfile, []

    def copy(source, target):
        if not target.is_relative_to(tmp_path / "work"):  # not the draft the calibration cases are run with
            copied.append(target)
        if len(copied) == 4:
            target.write_bytes(b"half")
            raise KeyboardInterrupt
        return real(source, target)

    monkeypatch.setattr("shutil.copyfile", copy)


@pytest.mark.parametrize(
    ("interrupted", "cases_left"),
    [
        (interrupted_while_training, 2),
        (interrupted_between_two_cases, 1),
        (interrupted_within_a_case, 2),
        (interrupted_before_the_fit, 0),
        (interrupted_in_the_last_copies, 0),
    ],
)
def test_an_interrupt_leaves_no_bundle_and_a_second_call_goes_on(
    trained, world, tmp_path, monkeypatch, interrupted, cases_left
):
    with monkeypatch.context() as patched:
        watching = interrupted(trained, patched, tmp_path)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, world, watching=watching)
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
    trained.raised = None
    ran, made = segmented_again(tmp_path, world)
    assert ran == ["member member_1", "member member_3"] * cases_left
    assert made.calibration.apply(np.array([0.4, 0.5], np.float32)) == pytest.approx([1 / 3, 2 / 3], abs=1e-6)


def drawn(name, **more):
    """A calibration case in memory, without a CT."""
    return tt.Case(name, raters=[np.ones((2, 3, 4), np.uint8)], **more)


def refused(pretence, tmp_path, error, match, *, out=None, calibration=None, **more):
    """Expect a refusal before any work."""
    before = sorted(tmp_path.rglob("*"))
    given = {"work": tmp_path / "work", "calibration": calibration and tt.Cohort(calibration), **more}
    with pytest.raises(error, match=match):
        train_bundle(out or tmp_path / "out", learnt("t1", "t2", patient="p1"), settings_of(), **given)
    assert pretence.calls == []
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_that_is_there_is_refused_before_any_work(pretence, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        refused(pretence, tmp_path, OutputError, f"{name}: it exists and is not an empty folder", out=tmp_path / name)


@pytest.mark.parametrize(
    ("out", "work"), [("a", "a"), ("a/out", "a"), ("a", "a/work"), ("a/bundle", "a"), ("a/../b/out", "b")]
)
def test_bundle_and_work_folder_do_not_lie_in_one_another(pretence, tmp_path, out, work):
    refused(pretence, tmp_path, OutputError, "must not lie in one another", out=tmp_path / out, work=tmp_path / work)


def test_a_folder_with_other_files_is_no_work_folder(pretence, tmp_path):
    (tmp_path / "work" / "networks").mkdir(parents=True)
    (tmp_path / "work" / "scans").mkdir()
    refused(pretence, tmp_path, OutputError, "work is no work folder of a training: it holds scans")


def test_a_method_that_is_not_known_is_refused_before_any_work(pretence, tmp_path):
    refused(
        pretence, tmp_path, CalibrationError, "unknown method 'magic'; known are identity, .*isotonic", method="magic"
    )


def test_leaving_patients_out_of_one_is_refused_before_any_work(pretence, tmp_path):
    one = [drawn(name, patient="p0", image=tmp_path / "image.nii.gz") for name in ("c1", "c2")]
    refused(pretence, tmp_path, CalibrationError, "auto leaves patients out, but .* of one patient", calibration=one)


def test_calibrating_on_patients_that_networks_learn_from_is_refused(pretence, tmp_path):
    image = tmp_path / "image.nii.gz"
    both = [drawn("c1", patient="p0", image=image), drawn("c2", patient="p1", image=image)]
    refused(pretence, tmp_path, CohortError, r"calibration case c2 is of a patient .*\(1 in all\)", calibration=both)


def test_a_calibration_case_without_a_ct_is_named(pretence, tmp_path):
    image = tmp_path / "image.nii.gz"
    refused(
        pretence, tmp_path, CohortError, "case c2: there is no CT", calibration=[drawn("c1", image=image), drawn("c2")]
    )
    images = {"c2": Ct("c2", image)}
    refused(
        pretence,
        tmp_path,
        CohortError,
        r"case c1: there is no CT of it; expected c1\.nii\.gz in --images",
        calibration=[drawn("c1", image=image), drawn("c2")],
        images=images,
    )


def test_who_is_the_same_patient_is_told_by_patient_or_else_by_case():
    require_other_patients([], [drawn("a")])
    require_other_patients(learnt("a", "b"), [])
    require_other_patients(learnt("a", patient="p"), [drawn("a", patient="q")])
    require_other_patients(learnt("a", patient="p"), tt.Cohort([drawn("b")]))
    with pytest.raises(CohortError, match=r"calibration case a is .*\(2 in all\); calibrate on other patients"):
        require_other_patients(learnt("a", "b"), tt.Cohort([drawn("c"), drawn("a"), drawn("d", patient="b")]))


def test_training_cases_bring_together_ct_raters_region_and_patient(tmp_path):
    cohort = tt.Cohort([drawn("c2", image=tmp_path / "x.mha", patient="p"), drawn("c1", image=tmp_path / "y.mha")])
    regions = {name: tmp_path / f"{name}.nii.gz" for name in ("c1", "c2", "c3")}
    first, second = training_cases(cohort, regions=regions)
    assert (first.id, first.patient, first.region) == ("c2", "p", tmp_path / "c2.nii.gz")
    assert first.image == Ct("c2", tmp_path / "x.mha")
    assert first.raters == cohort[0].raters
    assert (second.id, second.who, second.image.path) == ("c1", "c1", tmp_path / "y.mha")
    assert training_cases(cohort)[0].region is None
    series = Ct("c2", tmp_path / "dicom", "2")
    assert training_cases(cohort[:1], images={"c2": series})[0].image is series


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "case c2: there is no CT beside its raters' masks; say where it is with --images"),
        ({"images": {}}, r"case c1: there is no CT of it; expected c1\.nii\.gz in --images"),
        ({"regions": {"c1": None}}, r"case c2: there is no region of it; expected c2\.nii\.gz in --regions"),
    ],
)
def test_a_training_case_that_lacks_something_is_named(tmp_path, given, message):
    cohort = tt.Cohort([drawn("c1", image=tmp_path / "x.mha"), drawn("c2")])
    with pytest.raises(CohortError, match=message):
        training_cases(cohort, **given)


def test_regions_are_found_as_files_and_in_case_folders(tmp_path):
    for name in ("c1.nii.gz", "c2.mha", "notes.txt", "c3/region.nrrd", "c4/annotation_1.nii.gz", ".c5/region.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_regions(tmp_path) == {
        "c1": tmp_path / "c1.nii.gz",
        "c2": tmp_path / "c2.mha",
        "c3": tmp_path / "c3" / "region.nrrd",
    }


def test_a_folder_without_regions_is_refused_with_what_is_expected(tmp_path):
    with pytest.raises(CohortError, match="none: there is no such folder"):
        find_regions(tmp_path / "none")
    (tmp_path / "c1").mkdir()
    (tmp_path / "c1" / "annotation_1.nii.gz").touch()
    with pytest.raises(CohortError, match=r"no region found; expected <case>\.nii\.gz or <case>/region\.nii\.gz"):
        find_regions(tmp_path)
    for name in ("c2.mha", "c2.nii.gz"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="differ in their ending only"):
        find_regions(tmp_path)
