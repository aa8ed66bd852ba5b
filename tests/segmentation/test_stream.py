"""Several CTs are segmented one after the other; what is done stays done, and nothing is half-written."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest

from twintrack.errors import InputError, MissingExtraError, OutputError
from twintrack.images import Volume, read_volume, write_volume
from twintrack.segmentation.bundle import MemberEntry
from twintrack.segmentation.cts import find_cts
from twintrack.segmentation.records import read_finished
from twintrack.segmentation.segmentation import Segmentation
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import each_ct, require_other_files, segment_cts
from twintrack.segmentation.write import record_of, write_segmentation

from . import fakes


@pytest.fixture
def cts(tmp_path):
    (tmp_path / "cts").mkdir()
    for number in range(3):
        write_volume(tmp_path / "cts" / f"c{number}.nii.gz", fakes.ct_volume(seed=number))
    return find_cts([tmp_path / "cts"])


@pytest.fixture
def segmenter():
    return make_segmenter()


def make_segmenter(*members, **options):
    networks = fakes.FakeNetworks(*members, coarse=fakes.FakeCoarse())
    return Segmenter(fakes.loaded_bundle(roi=fakes.small_roi()), networks=networks, **options)


def tree(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def names(case, ending=".nii.gz"):
    return {
        f"members/a/{case}{ending}",
        f"members/b/{case}{ending}",
        f"rois/{case}{ending}",
        f"segmentations/{case}.json",
    }


def test_each_case_has_its_maps_roi_and_record(cts, segmenter, tmp_path):
    out = tmp_path / "out"
    records = segment_cts(cts, segmenter=segmenter, folder=out)
    assert set(tree(out)) == names("c0") | names("c1") | names("c2")
    expected = segmenter.segment(cts[1].read(), case_id="c1")
    for name, part in zip(("a", "b"), expected.members, strict=True):
        written = read_volume(out / "members" / name / "c1.nii.gz")
        np.testing.assert_array_equal(written.array, expected.whole(part).array)
        assert written.array.dtype == np.float32
        assert written.grid.difference(expected.grid) is None
    np.testing.assert_array_equal(read_volume(out / "rois" / "c1.nii.gz").array, expected.whole(expected.roi).array)
    record = json.loads((out / "segmentations" / "c1.json").read_text(encoding="utf-8"))
    assert record == json.loads(json.dumps(records[1]))
    assert record["case"] == "c1"
    assert record["ct"] == "c1.nii.gz"
    assert record["members"] == ["a", "b"]
    assert record["foreground"] == ["tumour"]
    assert record["inputs"]["ct"] == cts[1].sha256()
    voxels = int(expected.roi.sum())
    box = [[part.start, part.stop] for part in expected.box]
    assert record["roi"] == {"source": "coarse", "voxels": voxels, "volume_mm3": voxels * 3.0, "box": box}


def test_what_is_done_is_passed_over_and_what_changed_is_done_again(cts, tmp_path):
    out = tmp_path / "out"

    def asked(**given):
        a = fakes.FakeMember("a")
        options = {name: given.pop(name) for name in ("margin",) if name in given}
        records = segment_cts(cts, segmenter=make_segmenter(a, fakes.FakeMember("b"), **options), folder=out, **given)
        assert [record["case"] for record in records] == ["c0", "c1", "c2"]
        return [view.case_id for view in a.views]

    assert asked() == ["c0", "c1", "c2"]
    assert asked() == []
    assert asked(resume=False) == ["c0", "c1", "c2"]
    assert asked(margin=4.0) == ["c0", "c1", "c2"]
    assert asked(margin=4.0) == []
    write_volume(cts[1].path, fakes.ct_volume(seed=9))
    assert asked(margin=4.0) == ["c1"]
    (out / "members" / "b" / "c2.nii.gz").unlink()
    assert asked(margin=4.0) == ["c2"]
    assert asked(margin=4.0, ending=".mha") == ["c0", "c1", "c2"]
    (out / "segmentations" / "c0.json").write_text("{")
    assert asked(margin=4.0, ending=".mha") == ["c0"]


def test_a_damaged_record_counts_as_not_done(cts, segmenter, tmp_path):
    record = segment_cts(cts[:1], segmenter=segmenter, folder=tmp_path)[0]
    assert read_finished(record_of(tmp_path, "c0"), fingerprint=record["fingerprint"])
    assert not read_finished(record_of(tmp_path, "c0"), fingerprint="another")
    assert not read_finished(record_of(tmp_path, "c1"), fingerprint=record["fingerprint"])
    for content in ("{", "[]", "{}", "3", '{"fingerprint": "x"}'):
        (tmp_path / "segmentations" / "c0.json").write_text(content)
        assert read_finished(record_of(tmp_path, "c0"), fingerprint="x") is None


def test_a_given_roi_is_part_of_what_makes_a_case_done(cts, segmenter, tmp_path):
    mask = np.zeros(fakes.ct_volume().array.shape, np.uint8)
    mask[2:5, 2:5, 2:5] = 1
    roi = tmp_path / "roi.nii.gz"
    write_volume(roi, Volume(mask, fakes.ct_volume().grid))
    (plain,) = segment_cts(cts[:1], segmenter=segmenter, folder=tmp_path / "out")
    (given,) = segment_cts(cts[:1], segmenter=segmenter, folder=tmp_path / "out", rois={"c0": roi})
    assert (plain["roi"]["source"], given["roi"]["source"]) == ("coarse", "given")
    assert given["roi"]["voxels"] == 27
    assert given["fingerprint"] != plain["fingerprint"]


def test_a_changed_precomputed_map_is_noticed(cts, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    ct = fakes.ct_volume()
    entries = (MemberEntry(name="m", kind="precomputed", path=str(maps)),)
    segmenter = Segmenter(fakes.loaded_bundle(members=entries, foreground=()))
    fingerprints = set()
    for value in (0.25, 0.5):
        write_volume(maps / "c0.nii.gz", Volume(np.full(ct.array.shape, value, np.float32), ct.grid))
        (record,) = segment_cts(cts[:1], segmenter=segmenter, folder=tmp_path / "out")
        fingerprints.add(record["fingerprint"])
        assert read_volume(tmp_path / "out/members/m/c0.nii.gz").array.max() == value
    assert len(fingerprints) == 2


def test_a_bad_ct_is_left_out_where_that_is_wanted(cts, segmenter, tmp_path):
    cts[1].path.write_bytes(cts[1].path.read_bytes()[:100])
    bad = {}
    records = segment_cts(
        cts, segmenter=segmenter, folder=tmp_path / "out", on_bad=lambda ct, error: bad.update({ct.id: str(error)})
    )
    assert [record["case"] for record in records] == ["c0", "c2"]
    assert "cut short" in bad["c1"]
    with pytest.raises(InputError, match="cut short"):
        segment_cts(cts, segmenter=segmenter, folder=tmp_path / "out")


@pytest.mark.parametrize("error", [OutputError("full"), MissingExtraError("torch")])
def test_what_is_no_fault_of_the_ct_is_raised(cts, error):
    def fail(_):
        raise error

    with pytest.raises(type(error)):
        list(each_ct(fail, cts, on_bad=lambda *_: None))


def test_progress_wraps_the_cts(cts):
    seen = []

    def progress(those):
        for ct in those:
            seen.append(ct.case_id)
            yield ct

    assert list(each_ct(lambda ct: ct.case_id, cts, progress=progress)) == seen == ["c0", "c1", "c2"]


STAGES = ["checking what is done", "reading", "coarse network", "loading the members", "member b", "writing"]


@pytest.mark.parametrize("stage", STAGES)
def test_interrupted_in_any_stage_the_finished_case_stays_and_the_next_run_goes_on(cts, segmenter, tmp_path, stage):
    whole, out, passed = tmp_path / "whole", tmp_path / "out", []
    segment_cts(cts, segmenter=segmenter, folder=whole)

    def stop(now):
        passed.append(now)
        if passed.count(stage) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment_cts(cts, segmenter=segmenter, folder=out, on_stage=stop)
    assert set(tree(out)) == names("c0")
    segment_cts(cts, segmenter=segmenter, folder=out)
    assert tree(out) == tree(whole)


@pytest.mark.parametrize("written", range(4))
@pytest.mark.parametrize(
    ("raised", "expected"),
    [(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OutputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_full_disk_or_an_interrupt_while_writing_leaves_no_part_and_no_record(
    cts, segmenter, tmp_path, monkeypatch, written, raised, expected
):
    out = tmp_path / "out"
    segment_cts(cts[:1], segmenter=make_segmenter(margin=9.0), folder=out)
    from twintrack.segmentation import records, write

    real, calls = write.write_volume, []

    def fail(path, volume):
        calls.append(path)
        if len(calls) > written:
            from twintrack.images.atomic import replacing

            with replacing(path) as temporary:
                temporary.write_bytes(b"half")
                raise raised
        real(path, volume)

    def no_text(path, text):
        raise OutputError("cannot write: No space left on device") if expected is OutputError else raised

    monkeypatch.setattr(write, "write_volume", fail)
    monkeypatch.setattr(records, "write_text", no_text)
    with pytest.raises(expected, match="No space left" if expected is OutputError else None):
        segment_cts(cts[:1], segmenter=segmenter, folder=out)
    assert set(tree(out)) == names("c0") - {"segmentations/c0.json"}
    for name in tree(out):
        assert read_volume(out / name).array.shape == (12, 14, 16)
    monkeypatch.undo()
    (record,) = segment_cts(cts[:1], segmenter=segmenter, folder=out)
    assert read_finished(record_of(out, "c0"), fingerprint=record["fingerprint"])


def test_a_record_that_cannot_be_replaced_is_said_before_anything_is_written(cts, segmenter, tmp_path):
    (tmp_path / "segmentations" / "c0.json").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot replace .*c0\.json"):
        segment_cts(cts[:1], segmenter=segmenter, folder=tmp_path)
    assert not list(tmp_path.glob("members/*/*"))


def test_the_same_input_gives_the_same_bytes(cts, segmenter, tmp_path):
    segment_cts(cts[:1], segmenter=segmenter, folder=tmp_path / "1")
    segment_cts(cts[:1], segmenter=make_segmenter(), folder=tmp_path / "2")
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


def test_results_never_replace_the_cts(cts, tmp_path):
    require_other_files(cts, tmp_path)
    (tmp_path / "rois").mkdir()
    write_volume(tmp_path / "rois" / "c9.nii.gz", fakes.ct_volume())
    with pytest.raises(OutputError, match="lies where results are written"):
        require_other_files(find_cts([tmp_path / "rois"]), tmp_path)


@pytest.mark.parametrize("case", ["", ".", "..", "a/b", "a\\b", ".hidden"])
def test_an_id_that_cannot_be_a_file_name_is_refused(tmp_path, case):
    ct = fakes.ct_volume((3, 4, 5))
    part = np.zeros((1, 1, 1), np.float32)
    found = Segmentation(case, ct.grid, (slice(0, 1),) * 3, np.ones((1, 1, 1), np.uint8), (part,), ("a",), "whole")
    with pytest.raises(InputError, match="cannot be a file name"):
        write_segmentation(found, tmp_path, fingerprint="x")
    assert tree(tmp_path) == {}
