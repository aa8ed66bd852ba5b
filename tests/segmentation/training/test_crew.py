"""Jobs in child processes: what they say is passed on, what goes wrong is said, an interrupt stops them."""

import os
import signal
import subprocess
import sys
import threading
import time
import types

import pytest

from twintrack.errors import ModelError
from twintrack.segmentation.training import crew as crew_module
from twintrack.segmentation.training.crew import Crew
from twintrack.segmentation.training.job import Event, PrepareJob, TrainJob, read_job, write_job
from twintrack.segmentation.training.presets import preset_named
from twintrack.segmentation.training.worker import environment


def job_named(name, tmp_path):
    return PrepareJob(
        name=name, data=tmp_path, dataset="Dataset001_x", role="fine", preset=preset_named("tiny-cpu"), processes=1
    )


@pytest.fixture
def children(monkeypatch):
    """Child processes that run given code instead of the worker."""

    def use(code):
        class Child(subprocess.Popen):
            def __init__(self, command, **options):
                assert command[:3] == [sys.executable, "-m", "twintrack.segmentation.training.worker"]
                super().__init__([sys.executable, "-c", code, command[3]], **options)

        fake = types.SimpleNamespace(**{**vars(subprocess), "Popen": Child})
        monkeypatch.setattr(crew_module, "subprocess", fake)

    return use


def test_a_job_survives_the_way_through_its_file(tmp_path):
    train = TrainJob(
        name="a",
        data=tmp_path,
        dataset="Dataset001_x",
        role="coarse",
        preset=preset_named("resenc-m"),
        results=tmp_path / "r",
        out=tmp_path / "o",
        seed=7,
        threads=3,
        key="k",
    )
    for job in (train, job_named("b", tmp_path)):
        write_job(tmp_path / "job.json", job)
        assert read_job(tmp_path / "job.json") == job


def test_an_event_is_one_line_and_other_lines_are_none():
    event = Event(network="member_1", epoch=3, epochs=9, loss=-0.5)
    assert "\n" not in event.line()
    assert Event.of(event.line() + "\n") == event
    assert Event.of("nnU-Net says hello\n") is None
    assert Event.of('{"other": 1}') is None


def test_planning_needs_a_process_for_augmentation_and_training_on_a_processor_must_have_none(tmp_path):
    prepare = environment(job_named("a", tmp_path))
    assert prepare["nnUNet_n_proc_DA"] == "1"
    assert "nnUNet_results" not in prepare
    given = {
        "name": "a",
        "data": tmp_path,
        "dataset": "x",
        "role": "fine",
        "results": tmp_path / "r",
        "out": tmp_path,
        "seed": 0,
    }
    small = environment(TrainJob(**given, preset=preset_named("tiny-cpu")))
    assert small["nnUNet_n_proc_DA"] == "0"
    assert small["nnUNet_results"] == str(tmp_path / "r")
    assert "nnUNet_n_proc_DA" not in environment(TrainJob(**given, preset=preset_named("resenc-m")))


def test_what_children_say_arrives_and_what_libraries_print_does_not_disturb(children, tmp_path):
    children(
        'import sys; print(\'{"network": "n", "stage": "training"}\'); print(\'noise\'); print(1, file=sys.stderr)'
    )
    told = []
    Crew(tmp_path / "jobs", at_once=2, on_event=told.append).run([job_named("a", tmp_path), job_named("b", tmp_path)])
    assert [(event.network, event.stage) for event in told] == [("n", "training")] * 2


def test_a_child_that_fails_is_reported_with_its_last_lines_after_the_others_came_to_their_end(children, tmp_path):
    children(
        "import sys, time, pathlib\n"
        "if 'bad' in sys.argv[1]:\n"
        "    sys.exit('first line\\nout of memory')\n"
        "time.sleep(0.3); pathlib.Path(sys.argv[1] + '.finished').touch()"
    )
    jobs = [job_named("bad", tmp_path), job_named("good", tmp_path)]
    with pytest.raises(
        ModelError, match=r"(?s)network bad: its data could not be prepared \(exit code 1\).*out of memory"
    ):
        Crew(tmp_path / "jobs", at_once=2).run(jobs)
    assert (tmp_path / "jobs" / "prepare-good.json.finished").exists()


def test_what_a_child_says_on_purpose_is_the_message(children, tmp_path):
    children("import sys; print('traceback', file=sys.stderr); print('no such device', file=sys.stderr); sys.exit(2)")
    with pytest.raises(ModelError, match=r"^network a: its data could not be prepared: no such device$"):
        Crew(tmp_path / "jobs").run([job_named("a", tmp_path)])


def test_a_child_that_was_killed_raises_the_question_of_memory(children, tmp_path):
    children("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ModelError, match="is there enough memory"):
        Crew(tmp_path / "jobs").run([job_named("a", tmp_path)])


def test_no_more_jobs_run_at_once_than_wanted(children, tmp_path):
    children(
        "import sys, time, pathlib\n"
        "folder = pathlib.Path(sys.argv[1]).parent\n"
        "mark = folder / (pathlib.Path(sys.argv[1]).name + '.running'); mark.touch(); time.sleep(0.1)\n"
        "n = len(list(folder.glob('*.running'))); mark.unlink()\n"
        'print(\'{"network": "n", "stage": "%d"}\' % n)'
    )
    told = []
    Crew(tmp_path / "jobs", at_once=1, on_event=told.append).run([job_named(name, tmp_path) for name in "abc"])
    assert [event.stage for event in told] == ["1", "1", "1"]


@pytest.fixture
def interruptible():
    """A process started in the background of a shell ignores interrupts; so would this test."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_stops_the_children_and_begins_no_other(children, tmp_path):
    children('import time; print(\'{"network": "n", "stage": "here"}\', flush=True); time.sleep(60)')
    told = []

    def interrupt(event):
        told.append(event)
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()

    began = time.monotonic()
    crew = Crew(tmp_path / "jobs", at_once=1, on_event=interrupt)
    with pytest.raises(KeyboardInterrupt):
        crew.run([job_named("a", tmp_path), job_named("b", tmp_path)])
    assert time.monotonic() - began < 20
    assert len(told) == 1
    assert not (tmp_path / "jobs" / "prepare-b.json").exists()


def test_the_real_worker_says_in_a_line_what_is_wrong(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("nnunetv2")
    job = TrainJob(
        name="a",
        data=tmp_path,
        dataset="Dataset001_x",
        role="fine",
        preset=preset_named("tiny-cpu"),
        results=tmp_path / "r",
        out=tmp_path / "o",
        seed=0,
        device="nonsense",
    )
    prepared = tmp_path / "preprocessed" / "Dataset001_x"
    prepared.mkdir(parents=True)
    for name in ("TwinTrackTinyPlans", "dataset", "configuration"):
        (prepared / f"{name}.json").write_text("{}")
    with pytest.raises(ModelError, match="^network a: its training failed: there is no device 'nonsense'"):
        Crew(tmp_path / "jobs").run([job])
