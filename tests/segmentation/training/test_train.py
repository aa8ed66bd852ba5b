"""From cases to networks that were judged: attempts, rejections, and going on after an interrupt."""

import dataclasses
import json

import pytest

from twintrack.errors import InputError, ModelError
from twintrack.images.atomic import make_folder
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.training import train as train_module
from twintrack.segmentation.training.gate import Gate
from twintrack.segmentation.training.job import TrainJob
from twintrack.segmentation.training.settings import Settings
from twintrack.segmentation.training.train import train_networks


@pytest.fixture
def crew(monkeypatch):
    """A crew that notes its jobs and only pretends to train."""
    ran = []

    class Pretending:
        def __init__(self, folder, *, at_once, on_event):
            self.at_once = at_once

        def run(self, jobs):
            for job in jobs:
                if getattr(Pretending, "stop_at", None) == job.name:
                    raise KeyboardInterrupt
                ran.append(job)
                if isinstance(job, TrainJob):
                    make_folder(job.out)
                    (job.out / "done.json").write_text(json.dumps(job.key))

    Pretending.ran = ran
    monkeypatch.setattr(train_module, "Crew", Pretending)
    return Pretending


@pytest.fixture
def judged(monkeypatch):
    """Judges by a table: figures by folder's name."""
    table = {}

    def judge(networks, cases, held_out, *, lesson, settings):
        return {
            one.name: {"held_out": {"mean": table.get(one.folder.name, 0.95)}, "attempt": one.attempt + 1}
            for one in networks
        }

    monkeypatch.setattr(train_module, "judge", judge)
    monkeypatch.setattr(train_module, "require_nnunet", lambda: None)
    return table


def settings_of(preset, **more):
    return Settings(preset(), **{"n_members": 2, "teach": "majority", "roi": RoiSettings(margin=8.0), **more})


def names(ran, kind):
    return [job.name for job in ran if job.kind == kind]


def test_every_network_is_trained_with_a_seed_of_its_own(crew, judged, cases, preset, tmp_path):
    trained = train_networks([cases(k) for k in range(3)], settings_of(preset, seed=5), work=tmp_path)
    jobs = [job for job in crew.ran if job.kind == "train"]
    assert [job.name for job in jobs] == ["coarse", "member_1", "member_2"]
    assert len({job.seed for job in jobs}) == 3
    assert [job.role for job in jobs] == ["coarse", "fine", "fine"]
    assert names(crew.ran, "prepare") == ["coarse", "fine_1"]
    assert trained.coarse == tmp_path / "networks" / "coarse"
    assert list(trained.members) == ["member_1", "member_2"]
    assert trained.rejected == {}
    report = trained.report
    assert json.loads(json.dumps(report)) == report
    assert report["n_cases"] == 3
    assert len(report["held_out_cases"]) == 1
    assert report["networks"]["member_1"]["cases_learnt_from"] == 2
    assert report["margin_mm"] == 8.0


def test_members_with_teachers_of_their_own_are_prepared_for_each(crew, judged, cases, preset, tmp_path):
    train_networks([cases(k) for k in range(3)], settings_of(preset, teach="each"), work=tmp_path)
    assert names(crew.ran, "prepare") == ["coarse", "fine_1", "fine_2"]
    by_name = {job.name: job for job in crew.ran if job.kind == "train"}
    assert by_name["member_1"].dataset != by_name["member_2"].dataset


def test_a_member_that_fails_is_tried_again_with_another_seed_and_the_others_are_not(
    crew, judged, cases, preset, tmp_path
):
    judged["member_2"] = 0.1
    said = []
    trained = train_networks([cases(k) for k in range(3)], settings_of(preset), work=tmp_path, say=said.append)
    assert names(crew.ran, "train") == ["coarse", "member_1", "member_2", "member_2_retry_1"]
    seeds = {job.name: job.seed for job in crew.ran if job.kind == "train"}
    assert seeds["member_2"] != seeds["member_2_retry_1"]
    assert trained.members["member_2"] == tmp_path / "networks" / "member_2_retry_1"
    assert trained.report["networks"]["member_2"]["attempt"] == 2
    assert any("network member_2: mean Dice 0.100" in text for text in said)


def test_a_member_that_fails_again_is_reported_and_not_given(crew, judged, cases, preset, tmp_path):
    judged.update({"member_2": 0.1, "member_2_retry_1": 0.2})
    trained = train_networks([cases(k) for k in range(3)], settings_of(preset), work=tmp_path)
    assert list(trained.members) == ["member_1"]
    assert "mean Dice 0.200" in trained.rejected["member_2"]
    assert trained.report["networks"]["member_2"]["passed"] is False
    assert trained.report["rejected"] == trained.rejected


def test_without_retries_there_is_one_attempt(crew, judged, cases, preset, tmp_path):
    judged["member_1"] = 0.1
    train_networks([cases(k) for k in range(3)], settings_of(preset, retries=0), work=tmp_path)
    assert "member_1_retry_1" not in names(crew.ran, "train")


def test_no_good_member_or_no_good_coarse_network_is_an_error(crew, judged, cases, preset, tmp_path):
    found = [cases(k) for k in range(3)]
    judged.update({"member_1": 0.1, "member_2": 0.2})
    with pytest.raises(ModelError, match="no member is good enough, and nothing is bundled: member_1: mean Dice 0.100"):
        train_networks(found, settings_of(preset, retries=0), work=tmp_path / "a")
    judged.update({"member_1": 0.8, "member_2": 0.8, "coarse": 0.5})
    with pytest.raises(ModelError, match="the coarse network is not good enough.*mean recall 0.500"):
        train_networks(found, settings_of(preset, retries=0), work=tmp_path / "b")


def test_an_interrupted_training_goes_on_where_it_stopped(crew, judged, cases, preset, tmp_path):
    found = [cases(k) for k in range(3)]
    crew.stop_at = "member_2"
    with pytest.raises(KeyboardInterrupt):
        train_networks(found, settings_of(preset), work=tmp_path)
    crew.stop_at = None
    crew.ran.clear()
    train_networks(found, settings_of(preset), work=tmp_path)
    assert [(job.kind, job.name) for job in crew.ran] == [("train", "member_2")]
    crew.ran.clear()
    train_networks(found, settings_of(preset), work=tmp_path)
    assert crew.ran == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": 1}, {"coarse", "member_1", "member_2"}),
        ({"half": False}, {"coarse", "member_1", "member_2"}),
        ({"roi": RoiSettings(margin=4.0)}, {"member_1", "member_2"}),
        ({"n_members": 3}, {"member_3"}),
        ({"workers": 1, "threads": 2}, set()),
    ],
)
def test_what_changes_a_network_trains_it_anew(crew, judged, cases, preset, tmp_path, change, expected):
    found = [cases(k) for k in range(3)]
    train_networks(found, settings_of(preset, held_out=0.5), work=tmp_path)
    crew.ran.clear()
    train_networks(found, settings_of(preset, held_out=0.5, **change), work=tmp_path)
    assert set(names(crew.ran, "train")) == expected


def test_another_case_trains_anew(crew, judged, cases, preset, tmp_path):
    train_networks([cases(k) for k in range(3)], settings_of(preset), work=tmp_path)
    crew.ran.clear()
    train_networks([cases(k) for k in range(4)], settings_of(preset), work=tmp_path)
    assert set(names(crew.ran, "prepare")) == {"coarse", "fine_1"}
    assert len(names(crew.ran, "train")) == 3


def test_longer_training_needs_no_new_preparation(crew, judged, cases, preset, tmp_path):
    found = [cases(k) for k in range(3)]
    train_networks(found, settings_of(preset), work=tmp_path)
    crew.ran.clear()
    longer = dataclasses.replace(settings_of(preset), preset=preset(epochs=9))
    train_networks(found, longer, work=tmp_path)
    assert names(crew.ran, "prepare") == []
    assert len(names(crew.ran, "train")) == 3


def test_a_case_given_twice_is_refused(crew, judged, cases, preset, tmp_path):
    with pytest.raises(InputError, match="case case_0 is given more than once"):
        train_networks([cases(0), cases(1), cases(0)], settings_of(preset), work=tmp_path)


def test_a_preset_can_be_named(crew, judged, cases, tmp_path):
    train_networks([cases(k) for k in range(3)], "tiny-cpu", work=tmp_path)
    assert {job.preset.name for job in crew.ran} == {"tiny-cpu"}


def test_presets_for_a_gpu_prepare_in_several_processes(crew, judged, cases, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    train_networks([cases(k) for k in range(3)], "nnunet-default", work=tmp_path)
    assert {job.processes for job in crew.ran if job.kind == "prepare"} == {4}


def test_networks_are_really_trained_and_judged(cases, preset, tmp_path, in_process, monkeypatch):
    class InProcess:
        def __init__(self, folder, *, at_once, on_event):
            self.on_event = on_event

        def run(self, jobs):
            for job in jobs:
                in_process(job, self.on_event)

    monkeypatch.setattr(train_module, "Crew", InProcess)
    told = []
    settings = Settings(
        preset(epochs=6, iterations=15),
        n_members=1,
        teach="majority",
        roi=RoiSettings(margin=8.0, smallest=10.0),
        device="cpu",
        gate=Gate(dice=0.4, recall=0.8),
        retries=0,
    )
    trained = train_networks([cases(k) for k in range(4)], settings, work=tmp_path, on_event=told.append)
    networks = trained.report["networks"]
    assert networks["member_1"]["measured"] == "Dice"
    assert networks["member_1"]["held_out"]["mean"] >= 0.4
    assert networks["coarse"]["measured"] == "recall in the ROI"
    assert networks["coarse"]["held_out"]["mean"] >= 0.8
    assert set(networks["coarse"]["cases"]) == set(trained.report["held_out_cases"])
    assert (trained.coarse / "fold_0" / "checkpoint_final.pth").stat().st_size < 200_000
    assert {event.network for event in told} == {"coarse", "fine_1", "member_1"}
