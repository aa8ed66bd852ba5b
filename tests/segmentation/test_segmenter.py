"""A CT goes in, the members' probabilities on its own grid come out, however it lies."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import GeometryError, InputError, ModelError, TwinTrackWarning
from twintrack.images import Grid, Volume
from twintrack.segmentation.bundle import MemberEntry
from twintrack.segmentation.segmenter import Segmenter, with_margin

from . import fakes


def segmenter(*members, coarse=None, **fields):
    roi = fields.pop("roi", fakes.small_roi())
    options = {name: fields.pop(name) for name in ("margin",) if name in fields}
    networks = fakes.FakeNetworks(*members, coarse=coarse)
    return Segmenter(fakes.loaded_bundle(roi=roi, **fields), networks=networks, **options)


def flipped(volume, axes):
    """Flip array axes and the geometry with them: another file of the same patient."""
    grid, n = volume.grid, len(volume.grid.shape)
    direction = np.reshape(grid.direction, (n, n)).copy()
    origin = np.array(grid.origin)
    for axis in axes:
        column = n - 1 - axis
        origin += direction[:, column] * grid.spacing[axis] * (grid.shape[axis] - 1)
        direction[:, column] *= -1
    turned = Grid(
        shape=grid.shape,
        spacing=grid.spacing,
        origin=tuple(origin.tolist()),
        direction=tuple(direction.ravel().tolist()),
    )
    return Volume(np.flip(volume.array, axes), turned, volume.name)


def permuted(volume, order):
    grid = volume.grid
    columns = [2 - order[2 - column] for column in range(3)]
    direction = np.reshape(grid.direction, (3, 3))[:, columns]
    turned = Grid(
        shape=tuple(grid.shape[axis] for axis in order),
        spacing=tuple(grid.spacing[axis] for axis in order),
        origin=grid.origin,
        direction=tuple(direction.ravel().tolist()),
    )
    return Volume(np.transpose(volume.array, order), turned, volume.name)


def test_the_members_are_asked_about_the_rois_box_and_nothing_is_outside_the_roi():
    ct = fakes.ct_volume()
    a, b = fakes.FakeMember("a"), fakes.FakeMember("b", change=lambda array: array / 4)
    settings = fakes.small_roi(margin=5.0)
    found = segmenter(a, b, coarse=fakes.FakeCoarse(), roi=settings).segment(ct, case_id="c")
    assert found.roi_source == "coarse"
    assert found.notes == ()
    assert found.names == ("a", "b")
    assert found.foreground == ("tumour",)
    assert found.grid == ct.grid
    assert a.views[0].box == found.box
    assert a.views[0].case_id == "c"
    assert a.views[0].ct is ct
    inside = found.roi != 0
    assert 0 < inside.sum() < inside.size < ct.array.size
    expected = fakes.FakeMember().probability(a.views[0])
    np.testing.assert_array_equal(found.members[0], np.where(inside, expected, 0))
    np.testing.assert_array_equal(found.members[1], np.where(inside, expected / 4, 0))
    assert found.members[0].dtype == np.float32
    whole = found.whole(found.members[0])
    assert whole.grid == ct.grid
    assert np.count_nonzero(whole.array) == inside.sum()
    assert found.whole(found.roi).array[ct.array > 200].all()


rotations = st.tuples(*[st.floats(-0.4, 0.4)] * 3)


@given(
    st.permutations(range(3)),
    st.sets(st.integers(0, 2)),
    rotations,
    st.sampled_from(["LPS", "RAS", "PIR", "SAL"]),
    st.integers(0, 50),
)
@settings(max_examples=40, deadline=None)
def test_however_the_file_is_stored_the_result_is_the_same_in_the_patient(order, axes, angles, code, seed):
    a, b, c = angles
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_y = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    ct = fakes.ct_volume((8, 10, 12), direction=about_z @ about_x @ about_y, seed=seed)
    other = flipped(permuted(ct, order), tuple(axes))

    def run(volume):
        found = segmenter(coarse=fakes.FakeCoarse(), orientation=code).segment(volume, case_id="c")
        assert found.grid == volume.grid
        return [found.whole(part).array for part in (*found.members, found.roi)]

    for here, there in zip(run(ct), run(other), strict=True):
        np.testing.assert_array_equal(np.flip(np.transpose(here, order), tuple(axes)), there)


def test_as_stored_the_networks_see_the_array_as_it_is():
    ct = flipped(fakes.ct_volume(), (0, 2))
    member = fakes.FakeMember()
    segmenter(member).segment(ct, case_id="c")
    assert member.views[0].image.base is ct.array.base or member.views[0].ct is ct
    np.testing.assert_array_equal(member.views[0].image, ct.array)


@pytest.mark.parametrize("lesion", [False, True])
def test_where_the_coarse_network_finds_nothing_plausible_the_whole_image_is_searched_and_this_is_said(lesion):
    ct = fakes.ct_volume(lesion=lesion)
    model = segmenter(coarse=fakes.FakeCoarse(), roi=fakes.small_roi(smallest=1e6))
    with pytest.warns(TwinTrackWarning, match="case c: the coarse network found no region of at least 1e\\+06 mm³"):
        found = model.segment(ct, case_id="c")
    assert found.roi_source == "whole"
    assert found.roi.all()
    assert found.roi.shape == ct.array.shape
    assert "the whole image was searched" in found.notes[0]


def test_without_a_coarse_network_the_whole_image_is_the_roi_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = segmenter().segment(fakes.ct_volume(), case_id="c")
    assert found.roi_source == "whole"
    assert found.notes == ()
    assert found.roi.all()


def test_a_given_roi_replaces_the_coarse_network():
    ct, coarse = fakes.ct_volume(), fakes.FakeCoarse()
    mask = np.zeros(ct.array.shape, np.uint8)
    mask[2:4, 5:7, 8] = 1
    roi = Volume(mask, ct.grid, "roi.nii.gz")
    found = segmenter(coarse=coarse, orientation="RAS").segment(ct, case_id="c", roi=roi)
    assert coarse.asked == 0
    assert found.roi_source == "given"
    assert found.box == (slice(2, 4), slice(5, 7), slice(8, 9))
    part = Volume(mask[1:], ct.grid.crop((slice(1, None), slice(None), slice(None))), "part.nii.gz")
    with pytest.raises(GeometryError, match=r"part\.nii\.gz"):
        segmenter().segment(ct, case_id="c", roi=part)


def test_two_dimensional_images_need_no_coarse_network():
    ct = fakes.ct_volume((20, 24), spacing=(1.0, 1.0))
    found = segmenter(orientation="RAS").segment(ct, case_id="c")
    assert found.members[0].shape == (20, 24)
    with pytest.raises(ModelError, match="needs a 3-D CT of known voxel size"):
        segmenter(coarse=fakes.FakeCoarse()).segment(ct, case_id="c")
    unknown = Volume.from_array(fakes.ct_volume().array)
    with pytest.raises(ModelError, match="no geometry"):
        segmenter(coarse=fakes.FakeCoarse()).segment(unknown, case_id="c")


def test_a_larger_margin_gives_a_larger_roi_and_one_run_of_the_coarse_network_serves_all_margins():
    ct, coarse = fakes.ct_volume(), fakes.FakeCoarse()
    model = segmenter(coarse=coarse)
    sizes = [roi.voxels for roi in model.regions(ct, [0, 2, None, 5])]
    assert coarse.asked == 1
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4
    assert sizes[2] == int(model.segment(ct, case_id="c").roi.sum())
    assert sizes[3] == int(segmenter(coarse=coarse, margin=5).segment(ct, case_id="c").roi.sum())
    with pytest.raises(ModelError, match="no coarse network"):
        segmenter().regions(ct)


@pytest.mark.parametrize("margin", [-1.0, float("nan"), float("inf")])
def test_a_margin_must_be_a_distance(margin):
    with pytest.raises(InputError, match="the margin is"):
        with_margin(fakes.small_roi(), margin)


def test_the_stages_are_told_in_order():
    stages = []
    segmenter(coarse=fakes.FakeCoarse()).segment(fakes.ct_volume(), case_id="c", on_stage=stages.append)
    assert stages == ["coarse network", "loading the members", "member a", "member b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: array * np.nan, "go from nan to nan"),
        (lambda array: array + 1, "probabilities lie in"),
        (lambda array: array - 1, "probabilities lie in"),
        (lambda array: array[1:], "float32 of shape"),
        (lambda array: array.astype(np.float64), "gave float64"),
    ],
)
def test_what_is_no_probability_is_refused_with_the_members_name(change, message):
    with pytest.raises(ModelError, match=rf"member x: .*{message}"):
        segmenter(fakes.FakeMember("x", change=change)).segment(fakes.ct_volume(), case_id="c")


def test_rounding_beyond_0_and_1_is_cut_off():
    member = fakes.FakeMember(change=lambda array: np.where(array > 0.5, np.float32(1.000001), np.float32(-1e-7)))
    found = segmenter(member).segment(fakes.ct_volume(), case_id="c")
    assert set(np.unique(found.members[0])) == {0.0, 1.0}


@pytest.mark.parametrize("change", [lambda a: a.astype(np.uint8), lambda a: a[0], lambda a: a[:0]])
def test_a_coarse_network_that_gives_no_mask_is_refused(change):
    with pytest.raises(ModelError, match="instead of a 3-D mask"):
        segmenter(coarse=fakes.FakeCoarse(change=change)).segment(fakes.ct_volume(), case_id="c")


def test_what_is_no_ct_is_refused_before_any_network_runs():
    coarse = fakes.FakeCoarse()
    mask = Volume.from_array(np.ones((4, 4, 4), np.uint8), spacing=(1, 1, 1), name="mask.nii.gz")
    with pytest.raises(InputError, match="mask.nii.gz: is no CT"):
        segmenter(coarse=coarse).segment(mask, case_id="c")
    assert coarse.asked == 0


def test_the_fingerprint_tells_bundle_and_margin_but_not_the_device():
    bundle = fakes.loaded_bundle()
    same = {Segmenter(bundle).fingerprint, Segmenter(bundle, device="cpu", threads=1).fingerprint}
    assert len(same) == 1
    assert Segmenter(bundle, margin=7).fingerprint not in same
    assert Segmenter(fakes.loaded_bundle(roi=fakes.small_roi())).fingerprint not in same


@pytest.mark.parametrize("stage", ["coarse network", "loading the members", "member a", "member b"])
def test_an_interrupt_in_any_stage_comes_through(stage):
    def stop(now):
        if now == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmenter(coarse=fakes.FakeCoarse()).segment(fakes.ct_volume(), case_id="c", on_stage=stop)


def test_the_foreground_is_the_bundles_where_no_member_says_it():
    found = segmenter(fakes.FakeMember(foreground=None)).segment(fakes.ct_volume(), case_id="c")
    assert found.foreground == ("tumour",)
    entries = (MemberEntry(name="a", path="/a", kind="precomputed"),)
    silent = segmenter(fakes.FakeMember(foreground=None), members=entries, foreground=())
    assert silent.segment(fakes.ct_volume(), case_id="c").foreground is None
