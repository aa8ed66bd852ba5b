"""The recall of the region of interest, with numbers worked out by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from twintrack.cohort import Case, Cohort
from twintrack.errors import CohortError, GeometryError, InputError, ModelError
from twintrack.images import Grid, Volume, write_volume
from twintrack.pipeline.validate_roi import summarise, validate_roi
from twintrack.segmentation.bundle import Bundle, MemberEntry, RoiSettings
from twintrack.segmentation.bundle_files import LoadedBundle
from twintrack.segmentation.cts import find_cts
from twintrack.segmentation.segmenter import Segmenter

SHAPE = (10, 10, 20)


class Brightest:
    """Finds what is brighter than 200 HU, voxel by voxel."""

    name = "coarse"
    asked = 0

    def locate(self, ct):
        self.asked += 1
        return ct.array > 200


class Networks:
    def __init__(self, coarse):
        self.coarse = coarse
        self.members = ()


@pytest.fixture
def coarse():
    return Brightest()


@pytest.fixture
def segmenter(coarse, tmp_path):
    members = (MemberEntry(name="a", path="a"),)
    roi = RoiSettings(margin=2.0, smallest=5)
    bundle = Bundle(name="b", structure="tumour", foreground=("tumour",), members=members, roi=roi)
    return Segmenter(LoadedBundle(bundle, tmp_path, ""), networks=Networks(coarse))


def ct_of(found=True):
    """One millimetre voxels; x from 4 up to 8 is found."""
    array = np.full(SHAPE, -500, np.int16)
    array[0, 0, 0] = 0
    if found:
        array[:, :, 4:8] = 300
    return Volume.from_array(array, spacing=(1, 1, 1), name="ct")


def drawn(start, stop):
    mask = np.zeros(SHAPE, np.uint8)
    mask[5, 5, start:stop] = 1
    return mask


def case(name="c1", *, masks, image=None):
    return Case(name, raters=masks, image=ct_of() if image is None else image, spacing=(1, 1, 1))


def test_the_recall_of_each_rater_and_of_their_union(segmenter, coarse):
    # With a margin of 2 mm, x from 2 up to 10 is inside: two voxels on each side.
    masks = {"ann": drawn(4, 8), "bob": drawn(6, 14), "cy": drawn(0, 0)}
    (entry,) = validate_roi(Cohort([case(masks=masks)]), segmenter=segmenter)
    assert entry.margin == 2.0
    assert entry.union == pytest.approx(6 / 10)
    assert entry.raters == {"ann": 1.0, "bob": 0.5, "cy": None}
    assert entry.share == pytest.approx(8 / 20)
    assert entry.found
    assert coarse.asked == 1


def test_several_margins_cost_one_run_of_the_network(segmenter, coarse):
    found = validate_roi(Cohort([case(masks=[drawn(6, 14)])]), segmenter=segmenter, margins=[0, 2, 6])
    assert [(entry.margin, entry.union, entry.share) for entry in found] == [
        (0, 2 / 8, 4 / 20),
        (2, 4 / 8, 8 / 20),
        (6, 1.0, 14 / 20),
    ]
    assert coarse.asked == 1


def test_the_summary_names_the_cases_that_are_not_wholly_inside(segmenter):
    cohort = Cohort(
        [
            case("c1", masks=[drawn(4, 8), drawn(2, 10)]),
            case("c2", masks=[drawn(6, 14), drawn(4, 8)]),
            case("c3", masks=[drawn(0, 0)]),
            case("c4", masks=[drawn(15, 20)], image=ct_of(found=False)),
        ]
    )
    summary, wider = summarise(validate_roi(cohort, segmenter=segmenter, margins=[2, 20]))
    assert (summary.margin, wider.margin) == (2, 20)
    assert summary.cases == 3
    assert summary.mean == pytest.approx((1 + 0.6 + 1) / 3)
    assert summary.minimum == pytest.approx(0.6)
    assert summary.mean_rater == pytest.approx((1 + 1 + 0.5 + 1 + 1) / 5)
    assert summary.minimum_rater == pytest.approx(0.5)
    assert summary.below_one == ("c2",)
    assert summary.not_found == ("c4",)
    assert summary.mean_share == pytest.approx((0.4 + 0.4 + 0.4 + 1) / 4)
    assert wider.below_one == ()


def test_nobody_drew_anything(segmenter):
    with pytest.raises(CohortError, match="no rater drew anything"):
        summarise(validate_roi(Cohort([case(masks=[drawn(0, 0)])]), segmenter=segmenter))


def test_cts_may_lie_elsewhere(segmenter, tmp_path):
    write_volume(tmp_path / "c1.nii.gz", ct_of())
    cts = {ct.case_id: ct for ct in find_cts([tmp_path])}
    cohort = Cohort([Case("c1", raters=[drawn(4, 8)], spacing=(1, 1, 1)), Case("c2", raters=[drawn(4, 8)])])
    (entry,) = validate_roi(cohort[:1], segmenter=segmenter, cts=cts)
    assert entry.union == 1
    with pytest.raises(CohortError, match=r"case c2: there is no CT of it among the images"):
        validate_roi(cohort[1:], segmenter=segmenter, cts=cts)
    with pytest.raises(CohortError, match=r"case c2: there is no CT of it; say where"):
        validate_roi(cohort[1:], segmenter=segmenter)
    bad = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = validate_roi(cohort, segmenter=segmenter, cts=cts, on_bad=lambda c, e: bad.update({c.id: e}))
    assert [entry.case for entry in found] == ["c1"]
    assert list(bad) == ["c2"]


def test_a_ct_of_another_grid_and_what_is_no_ct_are_refused(segmenter):
    moved = Grid(shape=SHAPE, spacing=(1, 1, 1), origin=(9, 0, 0), direction=tuple(np.eye(3).ravel()))
    with pytest.raises(GeometryError, match="the raters' masks of case c1"):
        validate_roi(Cohort([case(masks=[drawn(4, 8)], image=Volume(ct_of().array, moved, "ct"))]), segmenter=segmenter)
    picture = Volume.from_array(np.zeros(SHAPE, np.uint8), spacing=(1, 1, 1), name="picture")
    with pytest.raises(InputError, match="picture: is no CT"):
        validate_roi(Cohort([case(masks=[drawn(4, 8)], image=picture)]), segmenter=segmenter)


def test_a_bundle_without_a_coarse_network_has_no_region(segmenter):
    segmenter.networks.coarse = None
    with pytest.raises(ModelError, match="no coarse network"):
        validate_roi(Cohort([case(masks=[drawn(4, 8)])]), segmenter=segmenter)
