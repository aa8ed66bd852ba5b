"""Who does the work makes no difference: files are the same to the last byte, and so are rows, errors and warnings."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import worker_tasks as tasks

import twintrack as tt
from twintrack.calibration.learning_curve import learning_curve
from twintrack.calibration.rater_sensitivity import rater_sensitivity
from twintrack.calibration.writing.masks import write_masks
from twintrack.calibration.writing.responses import write_responses
from twintrack.cohort import map_cases
from twintrack.errors import CohortError, InputError, TwinTrackWarning, WorkerError
from twintrack.evaluation import evaluate_structures
from twintrack.pipeline.validate_roi import validate_roi
from twintrack.raters.effects import rater_effects
from twintrack.raters.survey import survey
from twintrack.segmentation.bundle import Bundle, MemberEntry, RoiSettings
from twintrack.segmentation.bundle_files import load_bundle, write_bundle
from twintrack.segmentation.segmenter import Segmenter

# Where all workers of the cluster have just died, those that take their place are waited for.
pytestmark = pytest.mark.filterwarnings("ignore:the Dask scheduler has no worker")


@pytest.fixture(scope="session")
def calibration(cases):
    return tt.fit(cases, method="isotonic", replicates=10)


@pytest.fixture(scope="session")
def cohort(cases):
    """The cases, one that is unlike them, and two that cannot be used."""
    first = cases[0]
    odd = tt.Case("odd", members=first.members[:1], raters=first.raters)
    lost = tt.Case("lost", members=["not/there.nii.gz"], raters=["not/there.nii.gz"])
    known = tt.Case("known", problem="nobody drew it")
    return [cases[1], lost, odd, *cases[2:], known]


@pytest.fixture(params=["1", "2", "4", "dask"])
def workers(request):
    """Executors that must do what this process does alone: so many processes, or a Dask cluster."""
    return request.getfixturevalue("dask") if request.param == "dask" else tt.Processes(int(request.param))


@pytest.fixture(params=["2", "dask"])
def several(request):
    return request.getfixturevalue("dask") if request.param == "dask" else tt.Processes(2)


class Bad:
    """Notes the cases that cannot be used."""

    def __init__(self):
        self.reasons = []

    def __call__(self, case, error):
        self.reasons.append((case.id, type(error), str(error)))


def fits(cases, executor=None, method=None, **options):
    bad = Bad()
    return tt.fit(cases, method=method, on_bad=bad, executor=executor, **options), bad.reasons


@pytest.fixture(scope="session")
def fitted(cohort):
    return fits(cohort, replicates=3)


def test_a_calibration_is_the_same(cohort, workers, fitted):
    calibration, reasons = fits(cohort, executor=workers, replicates=3)
    assert [name for name, _, _ in reasons] == ["lost", "known"]
    assert (calibration.model_dump_json(), reasons) == (fitted[0].model_dump_json(), fitted[1])


def test_a_calibration_with_every_further_walk_is_the_same(cases, dask):
    options = {"method": "isotonic", "exact": True, "masks": True, "replicates": 3}
    alone = tt.fit(cases[:4], **options).model_dump_json()
    assert tt.fit(cases[:4], executor=dask, **options).model_dump_json() == alone
    assert tt.fit(cases[:4], executor=tt.Processes(2), **options).model_dump_json() == alone


def written(table, folder):
    tt.save_table(table, folder / "table")
    return (folder / "table").read_bytes()


def test_a_table_is_the_same(cases, dask, tmp_path):
    found = [written(tt.tabulate(cases, executor=executor), tmp_path) for executor in (None, tt.Processes(2), dask)]
    assert found[0] == found[1] == found[2]


def applied(calibration, cohort, folder, executor=None):
    """Apply, and give everything that is left behind or said."""
    bad, flagged, told = Bad(), [], []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", TwinTrackWarning)
        paths = write_responses(
            calibration,
            cohort,
            folder=folder,
            band=True,
            on_flagged=lambda case, reasons: flagged.append((case.id, reasons)),
            on_written=lambda case, volume: told.append((case.id, dict(volume))),
            on_bad=bad,
            executor=executor,
        )
    tree = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return [path.name for path in paths], bad.reasons, flagged, told, [str(one.message) for one in said], tree


@pytest.fixture(scope="session")
def applied_alone(calibration, cohort, tmp_path_factory):
    return applied(calibration, cohort, tmp_path_factory.mktemp("alone"))


def test_response_maps_are_the_same(calibration, cohort, workers, applied_alone, tmp_path):
    (tmp_path / "flags.json").write_text("of an earlier call")
    found = applied(calibration, cohort, tmp_path, workers)
    assert found == applied_alone
    paths, reasons, flagged, _, said, tree = found
    assert paths == ["c1.nii.gz", "odd.nii.gz", "c2.nii.gz", "c3.nii.gz", "c4.nii.gz", "c5.nii.gz"]
    assert [name for name, _, _ in reasons] == ["lost", "known"]
    assert [name for name, _ in flagged] == ["odd"]
    assert [text[:19] for text in said] == ["case odd is unlike "]
    assert set(json.loads(tree["volumes.json"])["cases"]) == {"c1", "odd", "c2", "c3", "c4", "c5"}
    assert len(tree) == 3 * 6 + 2


def test_relative_paths_mean_the_same_to_workers(calibration, cases, several, tmp_path, monkeypatch):
    monkeypatch.chdir(cases[0].files[0].parents[2])
    relative = [tt.Case(one.id, members=[f"member/{k}/{one.id}.nii.gz" for k in range(2)]) for one in cases[:2]]
    folder = Path(os.path.relpath(tmp_path))
    assert write_responses(calibration, relative, folder=folder, executor=several) == [
        folder / "c0.nii.gz",
        folder / "c1.nii.gz",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c0.nii.gz", "c1.nii.gz", "flags.json", "volumes.json"]


def evaluated(calibration, cohort, executor=None):
    bad = Bad()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", TwinTrackWarning)
        options = {"protocol": "extended", "ceiling": True, "repeats": 20}
        found = tt.evaluate(cohort, calibration=calibration, on_bad=bad, executor=executor, **options)
    return json.dumps([found.per_case, found.summary]), bad.reasons, [str(one.message) for one in said]


@pytest.fixture(scope="session")
def evaluated_alone(calibration, cohort):
    return evaluated(calibration, cohort)


def test_scores_are_the_same(calibration, cohort, workers, evaluated_alone):
    assert evaluated(calibration, cohort, workers) == evaluated_alone


def test_scores_by_the_benchmark_are_the_same(cases, dask):
    def rows(executor):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TwinTrackWarning)
            found = tt.evaluate(cases[:3], protocol="pdacvi-official", repeats=5, executor=executor)
        return json.dumps([found.per_case, found.summary])

    assert rows(tt.Processes(2)) == rows(dask) == rows(None)


def test_scores_of_several_structures_are_the_same(cases, dask):
    empty = np.zeros((4, 14, 16), np.uint8)
    others = [
        tt.Case(one.id, probability=empty.astype(np.float32), raters=[empty] * len(one.raters), spacing=(3.0, 0.8, 0.8))
        for one in cases
    ]
    structures = {"tumour": tt.Cohort(cases), "nothing": tt.Cohort(others)}

    def rows(executor):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TwinTrackWarning)
            found = evaluate_structures(structures, repeats=5, executor=executor)
        return json.dumps([found.per_case, found.summary])

    assert rows(tt.Processes(2)) == rows(dask) == rows(None)


def test_cases_in_memory_are_sent(cases, dask, tmp_path):
    kept = [
        tt.Case(
            one.id,
            members=[source.read() for source in one.members],
            raters={name: source.read() for name, source in one.raters.items()},
        )
        for one in cases
    ]
    alone = written(tt.tabulate(kept), tmp_path)
    for executor in (tt.Processes(2), dask):
        assert written(tt.tabulate(kept, executor=executor), tmp_path) == alone


def test_without_skipping_the_first_bad_case_ends_the_work(cohort, several):
    def refused(executor):
        with pytest.raises((CohortError, InputError)) as caught:
            tt.tabulate(cohort, executor=executor)
        return type(caught.value), str(caught.value)

    assert refused(several) == refused(None)


def test_progress_is_told_of_every_case(cases, several):
    seen = []

    def progress(given, label):
        for one in given:
            seen.append((one.id, label))
            yield one

    tt.tabulate(cases, executor=several, progress=progress)
    assert seen == [(one.id, "Fitting") for one in cases]


# Dying workers


def test_a_case_that_kills_its_workers_is_named(cases, several):
    with pytest.raises(WorkerError, match=r"^case c2: .*died.*out of memory\?"):
        list(map_cases(tasks.DeadlyCase("c2"), cases, label="", executor=several))


def test_a_case_that_kills_its_workers_can_be_skipped(cases, several):
    bad = Bad()
    found = list(map_cases(tasks.DeadlyCase("c2"), cases, label="", executor=several, on_bad=bad))
    assert found == [(one.id, float(one.read().probability().sum())) for one in cases if one.id != "c2"]
    assert [(name, kind) for name, kind, _ in bad.reasons] == [("c2", WorkerError)]


def test_a_worker_that_dies_while_cases_are_counted_counts_nothing_twice(cases, several, tmp_path):
    first = cases[2].members[0]
    deadly = tasks.DeadlySource(first, tmp_path / "killed")
    spoilt = tt.Case("c2", members=[deadly, *cases[2].members[1:]], raters=cases[2].raters, patient=cases[2].patient)
    found = tt.tabulate([*cases[:2], spoilt, *cases[3:]], executor=several)
    assert (tmp_path / "killed").exists()
    assert written(found, tmp_path) == written(tt.tabulate(cases), tmp_path)


def test_a_worker_that_dies_before_it_writes_leaves_every_map(calibration, cases, several, tmp_path):
    deadly = tasks.DeadlySource(cases[2].members[0], tmp_path / "killed")
    spoilt = tt.Case("c2", members=[deadly, *cases[2].members[1:]])
    for folder, third, executor in (("alone", cases[2], None), ("workers", spoilt, several)):
        write_responses(calibration, [*cases[:2], third, *cases[3:]], folder=tmp_path / folder, executor=executor)
    trees = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("alone", "workers")]
    assert trees[0] == trees[1]
    assert len(trees[0]) == len(cases) + 2


# Surveys, raters, masks, learning curves, regions: each with a worker that dies in the middle


@pytest.fixture(scope="session")
def with_masks(cases):
    return tt.fit(cases, method="isotonic", masks=True, replicates=0)


def ask_everything(cases, calibration, segmenter, cts, folder, executor=None, again=lambda: None):
    """Ask what walks through cases and writes no calibration or score; `again` is called before each."""
    steps = [
        lambda: asdict(survey(cases, executor=executor)),
        lambda: asdict(rater_effects(cases, executor=executor)),
        lambda: learning_curve(cases, method="isotonic", sizes=[4], repeats=1, executor=executor).model_dump_json(),
        lambda: [str(path.name) for path in write_masks(calibration, cases, folder=folder, n=2, executor=executor)],
        lambda: [asdict(one) for one in validate_roi(cases, segmenter=segmenter, cts=cts, executor=executor)],
    ]
    found = []
    for step in steps:
        again()
        found.append(step())
    return found, {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def test_everything_else_is_the_same_also_where_a_worker_dies(cases, images, with_masks, several, tmp_path):
    (tmp_path / "bundle").mkdir()
    members = (MemberEntry(name="0", kind="precomputed", path="elsewhere"),)
    bundle = Bundle(name="b", structure="s", members=members, roi=RoiSettings(margin=1.0, smallest=1.0))
    write_bundle(tmp_path / "bundle", bundle)
    segmenter = Segmenter(load_bundle(tmp_path / "bundle"), networks=tasks.Finder())
    cts = {ct.id: ct for ct in images}
    cases = [tt.Case(one.id, members=one.members, raters=one.raters) for one in cases]  # each a patient's own
    alone = ask_everything(tt.Cohort(cases), with_masks, segmenter, cts, tmp_path / "alone")
    mark, third = tmp_path / "killed", cases[2]
    deadly = {"members": [tasks.DeadlySource(third.members[0], mark), third.members[1]]}
    deadly["raters"] = {name: tasks.DeadlySource(source, mark) for name, source in third.raters.items()}
    spoilt = tt.Cohort([*cases[:2], tt.Case("c2", **deadly), *cases[3:]])
    deaths = []

    def again():
        deaths.append(mark.exists())
        mark.unlink(missing_ok=True)

    found = ask_everything(spoilt, with_masks, segmenter, cts, tmp_path / "workers", several, again)
    assert found == alone
    again()
    assert deaths == [False] + 5 * [True]
    assert len(found[1]) == len(cases) * 3 + 1


def test_what_is_owed_to_each_rater_is_the_same(cases, dask):
    alone = rater_sensitivity(cases, method="isotonic")
    assert rater_sensitivity(cases, method="isotonic", executor=dask) == alone
