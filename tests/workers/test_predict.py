"""`predict` and `segment` side by side: the same files whoever works, networks loaded once, dying workers named."""

from __future__ import annotations

import json
import re

import pytest
import worker_tasks as tasks

import twintrack as tt
from twintrack.errors import InputError, OutputError, WorkerError
from twintrack.pipeline.predict import predict
from twintrack.segmentation.bundle import Bundle, MemberEntry
from twintrack.segmentation.bundle_files import load_bundle, write_bundle
from twintrack.segmentation.cts import Ct
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import _SegmentCt, segment_cts

# Where all workers of the cluster have just died, those that take their place are waited for.
pytestmark = pytest.mark.filterwarnings("ignore:the Dask scheduler has no worker")


@pytest.fixture(scope="module")
def calibration(cases):
    return tt.fit(cases, method="isotonic", replicates=10)


@pytest.fixture
def cts(images):
    return images[:4]


@pytest.fixture
def segmenter(cases, tmp_path):
    """The cases' members as a bundle of precomputed probabilities."""
    (tmp_path / "bundle").mkdir()
    folders = [source.files[0].parent for source in cases[0].members]
    members = tuple(MemberEntry(name=folder.name, kind="precomputed", path=str(folder)) for folder in folders)
    write_bundle(tmp_path / "bundle", Bundle(name="b", structure="s", members=members, foreground=("tumour",)))
    return Segmenter(load_bundle(tmp_path / "bundle"))


@pytest.fixture(params=["1", "2", "dask"])
def several(request):
    return request.getfixturevalue("dask") if request.param == "dask" else tt.Processes(int(request.param))


def tree(folder):
    """Every file; of summaries all but how long it took."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.parent.name == "summaries":
            content = {key: value for key, value in json.loads(content).items() if key != "seconds"}
        found[str(path.relative_to(folder))] = content
    return found


def without_times(summaries):
    return [{key: value for key, value in one.items() if key != "seconds"} for one in json.loads(json.dumps(summaries))]


def test_predictions_are_the_same(cts, segmenter, calibration, several, tmp_path):
    options = {"segmenter": segmenter, "calibration": calibration, "band": True}
    alone = predict(cts, folder=tmp_path / "alone", **options)
    found = predict(cts, folder=tmp_path / "out", executor=several, **options)
    assert without_times(found) == without_times(alone)
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")
    assert len(tree(tmp_path / "out")) == 4 * 6
    # What is finished is passed over, also by workers.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert predict(cts, folder=tmp_path / "out", executor=several, **options) == json.loads(json.dumps(found))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")} == before


def test_segmentations_are_the_same(cts, segmenter, workers, tmp_path):
    alone = segment_cts(cts, segmenter=segmenter, folder=tmp_path / "alone")
    assert segment_cts(cts, segmenter=segmenter, folder=tmp_path / "out", executor=workers) == alone
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")
    assert len(tree(tmp_path / "out")) == 4 * 4


def test_a_worker_loads_the_networks_once(cts, segmenter, workers, tmp_path):
    loaded = tmp_path / "loaded"
    loaded.mkdir()
    segmenter.networks = tasks.Ensemble(loaded)
    assert len(segment_cts(cts, segmenter=segmenter, folder=tmp_path / "out", executor=workers)) == len(cts)
    networks = [path.name.rpartition("-")[0] for path in loaded.iterdir()]
    assert len(set(networks)) == len(networks) <= 2 * 2


def test_a_bad_ct_and_one_that_kills_its_workers_are_named_and_left_out(cts, segmenter, calibration, workers, tmp_path):
    bad = tmp_path / "c9.nii.gz"
    bad.write_bytes(cts[0].path.read_bytes()[:200])
    given = [cts[0], tasks.DeadlyCt("c1", cts[1].path), Ct("c2", bad), cts[3]]
    told, seen, stages = {}, [], []

    def progress(some):
        for ct in some:
            seen.append(ct.id)
            yield ct

    found = predict(
        given,
        segmenter=segmenter,
        calibration=calibration,
        folder=tmp_path / "out",
        executor=workers,
        on_bad=lambda ct, error: told.update({ct.id: error}),
        on_stage=stages.append,
        progress=progress,
    )
    assert [one["case"] for one in found] == ["c0", "c3"]
    assert {name: type(error) for name, error in told.items()} == {"c1": WorkerError, "c2": InputError}
    assert re.match(r"case c1: .*died.*out of memory\?", str(told["c1"]))
    assert "c9.nii.gz" in str(told["c2"])
    assert not [path for name in ("c1", "c2") for path in (tmp_path / "out").rglob(f"{name}*")]
    # Stages of several at once would tell nobody anything.
    assert (seen, stages) == (["c0", "c1", "c2", "c3"], [])


def test_a_worker_that_dies_once_loses_nothing(cts, segmenter, workers, tmp_path):
    given = [cts[0], tasks.DeadlyCt("c1", cts[1].path, mark=tmp_path / "killed"), cts[2]]
    segment_cts(given, segmenter=segmenter, folder=tmp_path / "out", executor=workers)
    assert (tmp_path / "killed").exists()
    segment_cts(cts[:3], segmenter=segmenter, folder=tmp_path / "alone")
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")


def test_one_case_that_two_workers_write_at_once_is_whole(cts, segmenter, calibration, dask, tmp_path):
    options = {"segmenter": segmenter, "calibration": calibration}
    predict([cts[0]] * 6, folder=tmp_path / "out", executor=dask, resume=False, **options)
    predict(cts[:1], folder=tmp_path / "alone", **options)
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")


def test_a_worker_that_does_not_see_the_folder_writes_nothing(cts, segmenter, tmp_path):
    one = _SegmentCt(segmenter, folder=tmp_path / "not here", rois=None, ending=".mha", resume=True, on_stage=None)
    with pytest.raises(OutputError, match=r"no folder .*not here where the work is done"):
        one(cts[0])
    assert not (tmp_path / "not here").exists()
