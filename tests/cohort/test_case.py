"""A `Case`: lazy, checked when read, and clear about what is wrong with it."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.cohort import Case
from twintrack.cohort.sources import PredictionSource
from twintrack.errors import CohortError, GeometryError, InputError
from twintrack.images import Grid, Volume, write_volume

SPACING = (2.0, 0.75, 0.5)


def test_a_case_gives_members_raters_and_grid(probability, mask):
    members, masks = [probability(0), probability(1)], [mask(2), mask(3), mask(4)]
    data = Case("c1", members=members, raters=masks, spacing=SPACING).read()
    assert (data.id, data.grid.spacing, data.roi, data.vessels) == ("c1", SPACING, None, None)
    assert list(data.raters) == ["1", "2", "3"]
    for given, found in zip([*members, *masks], [*data.members, *data.raters.values()], strict=True):
        np.testing.assert_array_equal(found, given)


def test_the_probability_is_the_mean_of_the_members(probability):
    members = [probability(seed) for seed in range(3)]
    data = Case("c1", members=members).read(raters=False)
    np.testing.assert_allclose(data.probability(), np.mean(members, axis=0), rtol=1e-6)
    assert data.probability().dtype == np.float32
    assert not np.shares_memory(data.probability(), members[0])


def test_the_probability_is_exactly_0_outside_the_roi(probability, mask):
    roi = mask(5)
    data = Case("c1", probability=probability(0) + np.float32(1e-9), roi=roi).read(raters=False)
    np.testing.assert_array_equal(data.probability(), np.where(roi == 1, probability(0), 0))


def test_one_probability_is_one_member(probability, mask):
    data = Case("c1", probability=probability(0), raters=[mask(1)]).read()
    assert len(data.members) == 1
    np.testing.assert_array_equal(data.probability(), probability(0))


def test_a_missing_rater_is_missing_and_an_empty_mask_is_a_vote(probability, mask):
    empty = np.zeros((2, 3, 4), np.uint8)
    data = Case("c1", probability=probability(0), raters=[mask(1), None, empty]).read()
    assert list(data.raters) == ["1", "3"]
    assert not data.raters["3"].any()


def test_raters_may_have_names(probability, mask):
    case = Case("c1", probability=probability(0), raters={"Ann": mask(1), "Bob": mask(2)})
    assert repr(case) == "Case('c1', members=1, raters=['Ann', 'Bob'])"
    np.testing.assert_array_equal(case.read().raters["Bob"], mask(2))


def test_patient_is_the_case_unless_it_is_said(mask):
    assert Case("c1", raters=[mask(0)]).patient == "c1"
    case = Case("c1", raters=[mask(0)], patient="p7", split="test", foreground=("tumour",))
    assert (case.patient, case.split, case.foreground) == ("p7", "test", ("tumour",))


def test_nothing_is_read_before_read(tmp_path):
    lost = tmp_path / "lost.nii.gz"
    case = Case("c1", members=[lost, str(lost)], raters=[lost], roi=lost, vessels=lost, image=lost)
    assert case.files == (lost, lost, lost, lost)
    with pytest.raises(InputError, match=r"lost\.nii\.gz: there is no such file"):
        case.read()


class Counting:
    """A source that counts how often it is read."""

    name, files = "counting", ()

    def __init__(self, array):
        self.array, self.n_reads = array, 0

    def read(self):
        self.n_reads += 1
        return Volume.from_array(self.array, name=self.name)


@pytest.mark.parametrize(
    ("wanted", "reads"),
    [
        ({}, (1, 1, 1, 0, 0)),
        ({"raters": False}, (1, 0, 1, 0, 0)),
        ({"members": False}, (0, 1, 0, 0, 0)),
        ({"vessels": True}, (1, 1, 1, 1, 0)),
    ],
)
def test_only_what_is_asked_for_is_read_and_once(probability, mask, wanted, reads):
    sources = [Counting(array) for array in (probability(0), mask(1), mask(2), mask(3), mask(4))]
    member, rater, roi, vessels, image = sources
    Case("c1", members=[member], raters=[rater], roi=roi, vessels=vessels, image=image).read(**wanted)
    assert tuple(source.n_reads for source in sources) == reads


def test_vessels_and_image_are_given_as_they_are(probability):
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    image = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 1000
    case = Case("c1", probability=probability(0), vessels=labels, image=image, spacing=SPACING)
    np.testing.assert_array_equal(case.read(raters=False, vessels=True).vessels, labels)
    np.testing.assert_array_equal(case.read_image().array, image)
    assert Case("c2", probability=probability(0)).read_image() is None


@pytest.mark.parametrize("shape", [(5, 6), (1, 5, 6), (3, 5, 6)])
def test_cases_are_2d_one_slice_or_3d(probability, mask, shape):
    spacing = (2.0, 0.75, 0.5)[-len(shape) :]
    data = Case("c1", members=[probability(0, shape)], raters=[mask(1, shape)], spacing=spacing).read()
    assert data.probability().shape == data.grid.shape == shape
    assert data.grid.spacing == spacing


def test_a_2d_prediction_of_nnunet_fits_2d_masks(write, write_nnunet, probability, mask):
    folder = write_nnunet("member", "c1", probability(0, (5, 6)))
    case = Case("c1", members=[PredictionSource(folder / "c1.npz")], raters=[write("r.nii.gz", mask(1, (5, 6)))])
    data = case.read()
    assert data.grid.shape == (5, 6)
    np.testing.assert_array_equal(data.probability(), probability(0, (5, 6)))


def test_one_slice_and_2d_are_not_taken_for_each_other(probability, mask):
    case = Case("c1", members=[probability(0, (1, 5, 6))], raters=[mask(1, (5, 6))])
    with pytest.raises(GeometryError, match=r"shape \(1, 5, 6\), no geometry\n.*shape \(5, 6\), no geometry"):
        case.read()


def test_members_and_one_probability_contradict_each_other(probability):
    with pytest.raises(CohortError, match="case c1: give members or one probability, not both"):
        Case("c1", members=[probability(0)], probability=probability(0))


def test_a_case_of_nothing_is_refused(mask):
    with pytest.raises(CohortError, match="case c1: neither members nor raters are given"):
        Case("c1", roi=mask(0))


@pytest.mark.parametrize("what", ["members", "raters"])
def test_one_thing_is_not_walked_through_as_if_it_were_several(what, probability, tmp_path):
    for one in (
        probability(0),
        probability(0)[0],
        "map.nii.gz",
        tmp_path / "map.nii.gz",
        Volume.from_array(probability(0)),
    ):
        with pytest.raises(CohortError, match=rf"case c1: {what}: a sequence is expected; write \[x\]"):
            Case("c1", **{what: one})


def test_a_4d_array_counts_members_and_raters_along_its_first_axis(probability, mask):
    data = Case("c1", members=probability(0, (2, 2, 3, 4)), raters=mask(1, (3, 2, 3, 4))).read()
    assert (len(data.members), list(data.raters), data.grid.shape) == (2, ["1", "2", "3"], (2, 3, 4))


def test_a_case_that_lacks_what_is_needed_says_so(probability, mask):
    with pytest.raises(CohortError, match=r"case c1: no member predicted it; .*--members"):
        Case("c1", raters=[mask(0)]).read()
    with pytest.raises(CohortError, match=r"case c2: no rater drew it; .* at least one .*--raters"):
        Case("c2", probability=probability(0), raters=[None, None]).read()


def test_a_known_problem_is_said_before_anything_is_read(tmp_path):
    case = Case("c1", members=[tmp_path / "lost.npy"], raters=[tmp_path / "lost.npy"], problem="nobody drew it")
    with pytest.raises(CohortError, match=r"^case c1: nobody drew it$"):
        case.read()
    assert Case("c2", problem="nothing was found").files == ()


def test_errors_name_the_case_once(tmp_path, write, probability, mask):
    path = write("second reading.nii.gz", 2 * mask(0))
    with pytest.raises(InputError) as caught:
        Case("c1", members=[write("p.nii.gz", probability(0))], raters=[path]).read()
    assert str(caught.value).startswith(f"case c1: {path}: a mask holds 0 and 1; this one holds 0, 2. Name the values")
    assert "--rater-labels 2" in str(caught.value)
    with pytest.raises(InputError, match=r"^rater 2 of case c1: a mask holds"):
        Case("c1", probability=probability(0), raters=[mask(0), 3 * mask(0)]).read()


def test_an_roi_that_is_not_binary_is_refused(probability, mask):
    with pytest.raises(InputError, match=r"ROI of case c1: a mask holds 0 and 1; .* An ROI is one region\."):
        Case("c1", probability=probability(0), roi=5 * mask(0)).read(raters=False)


@pytest.mark.parametrize("part", ["member", "rater", "roi", "vessels"])
def test_everything_must_lie_on_one_grid(write, probability, mask, part):
    where = {
        name: {"origin": (0.0, 0.0, 0.0)} if name == part else {} for name in ("member", "rater", "roi", "vessels")
    }
    case = Case(
        "c1",
        members=[write("reference.nii.gz", probability(0)), write("member.nii.gz", probability(1), **where["member"])],
        raters=[write("rater.nii.gz", mask(2), **where["rater"])],
        roi=write("roi.nii.gz", mask(3), **where["roi"]),
        vessels=write("vessels.nii.gz", mask(4), **where["vessels"]),
    )
    with pytest.raises(GeometryError) as caught:
        case.read(vessels=True)
    message = str(caught.value)
    assert message.startswith("case c1: ")
    assert f"reference.nii.gz and {case.files[0].with_name(part)}.nii.gz do not lie on the same grid" in message
    assert "origin (-7, 3.5, 90) mm" in message
    assert "origin (0, 0, 0) mm" in message


def test_a_file_without_geometry_takes_that_of_the_others(tmp_path, write, probability, mask):
    np.save(tmp_path / "p.npy", probability(0))
    data = Case("c1", members=[tmp_path / "p.npy"], raters=[write("r.nii.gz", mask(1))]).read()
    assert (data.grid.spacing, data.grid.origin) == (SPACING, (-7.0, 3.5, 90.0))


def test_an_array_that_does_not_fit_the_grid_is_refused_at_once(probability):
    with pytest.raises(GeometryError, match=r"member 1 of case c1: .*\(2, 3, 4\).*\(2, 2, 2\)"):
        Case("c1", members=[probability(0)], grid=Grid.plain((2, 2, 2)))


def test_the_grid_comes_from_the_first_source_that_knows_it(tmp_path):
    grid = Grid.plain((2, 3, 4), spacing=(3, 1, 1))
    write_volume(tmp_path / "a.nii.gz", Volume(np.zeros((2, 3, 4), np.uint8), grid))
    p = np.zeros((2, 3, 4), np.float32)
    assert Case("c", probability=p, raters=[tmp_path / "a.nii.gz"]).grid.spacing == pytest.approx((3, 1, 1))
    assert not Case("c", probability=p).grid.known
    with pytest.raises(CohortError, match="case c: nobody drew it"):
        Case("c", problem="nobody drew it").grid  # noqa: B018


def test_more_raters_than_a_byte_counts_are_refused():
    mask = np.zeros((1, 1), np.uint8)
    with pytest.raises(CohortError, match="256 raters; at most 255"):
        Case("c", raters=[mask] * 256)
