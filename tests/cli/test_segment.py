"""`twintrack segment` in processes of its own, on an ensemble of precomputed maps: what it does beside the networks."""

from __future__ import annotations

import json
import signal
import sys
import time

import numpy as np
import pytest

from twintrack.images import Grid, Volume, read_volume, write_volume
from twintrack.segmentation.create import create_bundle

GRID = Grid(shape=(6, 12, 14), spacing=(2.5, 0.8, 0.7), origin=(1.0, 2.0, 3.0), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1))


def ct_of(seed, shape=GRID.shape):
    array = np.random.default_rng(seed).integers(-1000, 400, shape).astype(np.int16)
    return Volume(array, Grid(shape=shape, spacing=GRID.spacing, origin=GRID.origin, direction=GRID.direction), "ct")


def make(files, *, cases, shape=GRID.shape):
    """CTs, two members' maps, and the bundle that names them."""
    for folder in ("cts", "maps/a", "maps/b"):
        (files.root / folder).mkdir(parents=True)
    for number, name in enumerate(cases):
        ct = ct_of(number, shape)
        write_volume(files.root / "cts" / f"{name}.nii.gz", ct)
        for member in ("a", "b"):
            maps = np.random.default_rng(number + 10 * (member == "b")).random(shape, np.float32)
            write_volume(files.root / "maps" / member / f"{name}.mha", Volume(maps, ct.grid))
    members = [files.root / "maps" / member for member in ("a", "b")]
    create_bundle(files.root / "bundle", members=members, names=["a", "b"], foreground=["tumour"])


@pytest.fixture
def prepared(files):
    make(files, cases=("x1", "x2", "x10"))
    return files


def given(files, *more):
    return ("segment", files.root / "cts", "--models", files.root / "bundle", "--out", files.root / "out", *more)


def outputs(*cases, ending="nii.gz"):
    places = ("members/a/{}.{}", "members/b/{}.{}", "rois/{}.{}")
    return {f"out/{place.format(case, ending)}" for case in cases for place in places} | {
        f"out/segmentations/{case}.json" for case in cases
    }


def test_maps_rois_and_records_are_written_on_the_cts_grid_and_fit_reads_them(process, prepared):
    before = prepared.tree()
    done = process(*given(prepared))
    assert done.code == 0, done.err
    assert prepared.new_since(before) == outputs("x1", "x2", "x10")
    assert "case x2 (2 of 3): member a" in done.err
    assert "wrote 3 cases" in done.out
    written = read_volume(prepared.root / "out/members/b/x10.nii.gz")
    np.testing.assert_array_equal(written.array, read_volume(prepared.root / "maps/b/x10.mha").array)
    assert written.grid.difference(GRID) is None
    members = [prepared.root / "out/members" / name for name in ("a", "b")]
    applied = process("inspect", "--members", *members, "--roi", prepared.root / "out/rois", "--json")
    assert json.loads(applied.out)["cases"] == 3


def test_json_is_for_machines_and_a_second_run_has_nothing_to_do(process, prepared):
    first = process(*given(prepared, "--json", "--format", "mha"))
    content = json.loads(first.out)
    assert [record["case"] for record in content["cases"]] == ["x1", "x2", "x10"]
    assert content["skipped"] == {}
    assert content["cases"][0]["roi"]["source"] == "whole"
    before = prepared.tree()
    second = process(*given(prepared, "--json", "--format", "mha"))
    assert json.loads(second.out) == content
    assert "reading" not in second.err
    assert prepared.tree() == before
    again = process(*given(prepared, "--json", "--format", "mha", "--overwrite"))
    assert "case x1 (1 of 3): reading" in again.err
    assert prepared.tree() == before


def test_a_roi_is_a_mask_or_a_folder_of_masks(run, prepared):
    mask = np.zeros(GRID.shape, np.uint8)
    mask[1:3, 4:6, 7:9] = 1
    (prepared.root / "rois").mkdir()
    for name in ("x1", "x2"):
        write_volume(prepared.root / "rois" / f"{name}.nii.gz", Volume(mask, GRID))
    one = (*given(prepared, "--roi", prepared.root / "rois" / "x1.nii.gz"),)
    assert "one ROI cannot be that of 3 CTs" in run(*one).err
    assert "has none for x10; expected x10.nii.gz" in run(*given(prepared, "--roi", prepared.root / "rois")).err
    arguments = ("segment", prepared.root / "cts" / "x2.nii.gz", *given(prepared)[2:], "--roi")
    for roi in (prepared.root / "rois", prepared.root / "rois" / "x1.nii.gz"):
        done = run(*arguments, roi, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["cases"][0]["roi"]["voxels"] == 8


def no_cts(files):
    return ("segment", files.root / "none", *given(files)[2:])


def four_axes(files):
    import SimpleITK as sitk

    sitk.WriteImage(sitk.Image([3, 4, 5, 2], sitk.sitkInt16), str(files.root / "cts" / "x2.nii.gz"))
    return given(files)


def a_mask(files):
    write_volume(files.root / "cts" / "x2.nii.gz", Volume(np.ones(GRID.shape, np.uint8), GRID))
    return given(files)


def a_map_of_another_grid(files):
    write_volume(files.root / "maps/b/x2.mha", Volume.from_array(np.zeros((3, 4, 5), np.float32), spacing=(1, 1, 1)))
    return given(files)


def no_map(files):
    (files.root / "maps/b/x2.mha").unlink()
    return given(files)


def twice(files):
    return ("segment", files.root / "cts" / "x1.nii.gz", *given(files)[1:])


def no_bundle(files):
    (files.root / "bundle" / "bundle.json").unlink()
    return given(files)


def changed_bundle(files):
    (files.root / "bundle" / "more.txt").write_text("")
    return given(files)


def no_place(files):
    (files.root / "out").write_text("")
    return given(files)


def over_the_input(files):
    (files.root / "out").mkdir()
    (files.root / "cts").rename(files.root / "out" / "rois")
    return ("segment", files.root / "out" / "rois", *given(files)[2:])


REFUSED = {
    no_cts: "there is no such file or folder",
    twice: "would both be case x1",
    no_bundle: "holds no bundle.json",
    changed_bundle: "more.txt: is not part of the bundle",
    no_place: "cannot make the folder",
    over_the_input: "lies where results are written",
    lambda files: given(files, "--format", "tif"): "--format tif: is not written",
}
REFUSED_LATER = {
    four_axes: "this one has 4 axes",
    a_mask: "is no CT",
    a_map_of_another_grid: "do not lie on the same grid",
    no_map: "holds no probability of case x2",
}


@pytest.mark.parametrize(("spoil", "message"), REFUSED.items())
def test_bad_input_is_refused_before_work_begins(run, prepared, spoil, message):
    arguments = spoil(prepared)
    before = prepared.tree()
    done = run(*arguments)
    assert done.code == 1
    assert message in done.err
    assert prepared.new_since(before) == set()


@pytest.mark.parametrize(("spoil", "message"), REFUSED_LATER.items())
def test_a_bad_case_ends_the_run_or_is_left_out_and_listed(run, prepared, spoil, message):
    arguments = spoil(prepared)
    before = prepared.tree()
    done = run(*arguments)
    assert done.code == 1
    assert message in done.err
    assert prepared.new_since(before) == outputs("x1")
    done = run(*arguments, "--skip-bad")
    assert done.code == 0
    assert "cases left out: 1" in done.err
    assert message in done.err
    assert prepared.new_since(before) == outputs("x1", "x10")


def test_where_every_ct_is_left_out_that_is_an_error(run, prepared):
    for name in ("x1", "x2", "x10"):
        (prepared.root / "maps/a" / f"{name}.mha").unlink()
    done = run(*given(prepared, "--skip-bad"))
    assert done.code == 1
    assert "every CT was skipped" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_the_finished_cases_and_the_next_run_goes_on(start, run, files, number):
    cases = [f"x{k:02}" for k in range(12)]
    make(files, cases=cases, shape=(40, 120, 120))
    before, out = files.tree(), files.root / "out"

    def obey_interrupts():
        # A process started in the background ignores Ctrl-C, and so would its children.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with start(*given(files), preexec_fn=obey_interrupts) as running:
        deadline = time.monotonic() + 60
        while not list(out.glob("segmentations/*.json")):
            assert running.poll() is None, "it ended before it could be interrupted"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "error: interrupted" in err
    assert "Traceback" not in err
    new = files.new_since(before)
    records = sorted(out.glob("segmentations/*.json"))
    assert 1 <= len(records) < len(cases)
    assert not [name for name in new if "/." in name]
    assert outputs(*(path.stem for path in records)) <= new
    stamps = {path: path.stat().st_mtime_ns for path in records}
    assert run(*given(files)).code == 0
    assert files.new_since(before) == outputs(*cases)
    assert {path: path.stat().st_mtime_ns for path in records} == stamps


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are those of POSIX")
def test_a_full_disk_is_said_and_leaves_no_record(process, prepared):
    import resource

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    for path in prepared.root.glob("maps/*/*.mha"):
        np.save(path.with_suffix(".npy"), read_volume(path).array)
        path.unlink()
    before = prepared.tree()
    # A CT unpacks to 2.4 kB; a member's map is 4.4 kB before it is compressed: too much for such a disk.
    done = process(*given(prepared, "--skip-bad", "--format", "mha"), preexec_fn=full)
    assert done.code == 1
    assert "File too large" in done.err
    assert "left out" not in done.err
    assert prepared.new_since(before) == set()
