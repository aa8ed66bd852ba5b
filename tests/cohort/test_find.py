"""Every layout a cohort may have on disk, and every way in which a case of it can be unusable."""

from __future__ import annotations

import numpy as np
import pytest

from twintrack.cohort import Cohort
from twintrack.cohort.find import find_cohort
from twintrack.errors import CohortError, InputError
from twintrack.images import Volume, write_volume


@pytest.fixture
def curvas(tmp_path, write, mask):
    """A folder per case; rater 2 did not draw b."""
    for case, raters in (("a", (1, 2, 10)), ("b", (1, 10))):
        for rater in raters:
            write(f"raters/{case}/annotation_{rater}.nii.gz", mask(rater))
        write(f"raters/{case}/image.nii.gz", np.zeros((2, 3, 4), np.int16))
        write(f"raters/{case}/vessels.nii.gz", np.full((2, 3, 4), 3, np.uint8))
        write(f"raters/{case}/roi.nii.gz", np.ones((2, 3, 4), np.uint8))
    return tmp_path / "raters"


@pytest.fixture
def members(tmp_path, write_nnunet, probability):
    """Two members' nnU-Net folders."""
    for member in (1, 2):
        for case in ("a", "b"):
            write_nnunet(f"members/m{member}", case, probability(member))
    return tmp_path / "members"


def ids(cohort):
    return [case.id for case in cohort]


def problems(cohort):
    return {case.id: case.problem for case in cohort.problems}


# Layouts


def test_a_folder_per_case(curvas):
    cohort = find_cohort(raters=[curvas])
    assert isinstance(cohort, Cohort)
    a, b = cohort
    assert (a.id, list(a.raters), b.id, list(b.raters)) == ("a", ["1", "2", "10"], "b", ["1", "10"])
    assert a.files[:3] == tuple(curvas / "a" / f"annotation_{rater}.nii.gz" for rater in (1, 2, 10))
    assert (a.image.path.name, a.vessels.path.name, a.roi.path.name) == ("image.nii.gz", "vessels.nii.gz", "roi.nii.gz")
    assert (a.read_image().array.dtype, a.read(members=False, vessels=True).vessels.max()) == (np.int16, 3)


def test_a_missing_annotation_is_no_empty_mask(curvas):
    data = find_cohort(raters=[curvas])[1].read(members=False)
    assert list(data.raters) == ["1", "10"]


def test_one_folder_of_a_case_may_be_given_by_itself(curvas):
    assert ids(find_cohort(raters=[curvas / "b"])) == ["b"]
    assert ids(find_cohort(raters=[curvas / "b", curvas / "a"])) == ["a", "b"]


@pytest.mark.parametrize("parent", [True, False], ids=["common parent", "one by one"])
def test_a_folder_per_rater(tmp_path, write, mask, parent):
    for rater, cases in (("ann", "ab"), ("bob", "b")):
        for case in cases:
            write(f"drawn/{rater}/{case}.mha", mask(ord(case)))
    folders = [tmp_path / "drawn"] if parent else [tmp_path / "drawn" / "ann", tmp_path / "drawn" / "bob"]
    cohort = find_cohort(raters=folders)
    assert {case.id: list(case.raters) for case in cohort} == {"a": ["ann"], "b": ["ann", "bob"]}
    np.testing.assert_array_equal(cohort[1].read(members=False).raters["bob"], mask(ord("b")))


@pytest.mark.parametrize("parent", [True, False], ids=["common parent", "one by one"])
def test_nnunet_prediction_folders(members, probability, parent):
    cohort = find_cohort(members=[members] if parent else [members / "m1", members / "m2"])
    assert ids(cohort) == ["a", "b"]
    assert [case.foreground for case in cohort] == [("tumour",)] * 2
    assert [file.parent.name for file in cohort[0].files] == ["m1", "m2"]
    data = cohort[0].read(raters=False)
    np.testing.assert_allclose(data.probability(), (probability(1) + probability(2)) / 2, rtol=1e-6)
    assert (data.grid.spacing, data.grid.origin) == ((2.0, 0.75, 0.5), (-7.0, 3.5, 90.0))


def test_a_flat_folder_per_member(tmp_path, write, probability):
    for member in (1, 2):
        write(f"maps/m{member}/a.nii.gz", probability(member))
        np.savez(tmp_path / f"maps/m{member}/b.npz", probability=probability(member))
    cohort = find_cohort(members=[tmp_path / "maps"])
    assert ids(cohort) == ["a", "b"]
    assert cohort[0].foreground is None
    for case in cohort:
        assert [member.shape for member in case.read(raters=False).members] == [(2, 3, 4)] * 2


def test_members_and_raters_are_brought_together_by_case(curvas, members):
    for case in find_cohort(raters=[curvas], members=[members]):
        data = case.read()
        assert len(data.members) == 2
        assert data.roi is not None
        assert case.problem is None


def test_a_manifest_that_names_every_file(tmp_path, write, write_nnunet, probability, mask):
    write_nnunet("m1", "x", probability(1))
    write_nnunet("m2", "y", probability(2))
    write("drawn/first.nrrd", mask(1))
    write("drawn/third.nrrd", mask(3))
    write("region.nii.gz", np.ones((2, 3, 4), np.uint8))
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "case, members, raters, roi, split, patient\n"
        "c9, m1/x.npz; m2/y.npz, drawn/first.nrrd;;drawn/third.nrrd, region.nii.gz, test, p1\n"
    )
    (case,) = find_cohort(cases=manifest, split="test")
    assert (case.id, case.patient, case.split, case.foreground) == ("c9", "p1", "test", ("tumour",))
    data = case.read()
    assert list(data.raters) == ["1", "3"]
    assert data.roi is not None
    np.testing.assert_allclose(data.probability(), (probability(1) + probability(2)) / 2, rtol=1e-6)


def test_a_manifest_of_one_probability_per_case(tmp_path, write, probability, mask):
    write("p.nii.gz", probability(0))
    write("r.nii.gz", 2 * mask(0))
    (tmp_path / "manifest.csv").write_text("case,probability,raters\nc1,p.nii.gz,r.nii.gz\n")
    (case,) = find_cohort(cases=tmp_path / "manifest.csv", rater_labels=[2])
    data = case.read()
    np.testing.assert_array_equal(data.probability(), probability(0))
    np.testing.assert_array_equal(data.raters["1"], mask(0))
    assert case.foreground is None


def test_a_list_selects_and_orders_the_cases_of_folders(curvas, members, tmp_path):
    listing = tmp_path / "cases.csv"
    listing.write_text("case,patient,raters,split\nb,p2,2,test\na,p1,3,calibration\n")
    cohort = find_cohort(raters=[curvas], members=[members], cases=listing)
    assert [(case.id, case.patient, case.split) for case in cohort] == [("b", "p2", "test"), ("a", "p1", "calibration")]
    assert ids(find_cohort(raters=[curvas], members=[members], cases=listing, split="calibration")) == ["a"]
    assert not cohort.problems


def test_cases_and_raters_come_in_natural_order(tmp_path, write, mask):
    for rater in ("r10", "r9"):
        for case in ("c10", "c9", "c1²"):
            write(f"drawn/{rater}/{case}.nii.gz", mask(0))
    cohort = find_cohort(raters=[tmp_path / "drawn"])
    assert ids(cohort) == ["c1²", "c9", "c10"]
    assert list(cohort[0].raters) == ["r9", "r10"]


def test_labels_are_chosen_on_both_sides(tmp_path, write, probability):
    labels = np.random.default_rng(0).integers(0, 4, (2, 3, 4)).astype(np.uint8)
    write("raters/a/annotation_1.nii.gz", labels)
    softmax = np.random.default_rng(1).random((4, 2, 3, 4), np.float32)
    softmax /= softmax.sum(axis=0)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/dataset.json").write_text('{"labels": {"background": 0, "organ": 1, "tumour": 2, "cyst": 3}}')
    np.savez(tmp_path / "m/a.npz", probabilities=softmax)
    given = {"raters": [tmp_path / "raters"], "members": [tmp_path / "m"]}
    (case,) = find_cohort(**given, foreground=["tumour", "cyst"], rater_labels=[2, 3])
    data = case.read()
    assert case.foreground == ("tumour", "cyst")
    np.testing.assert_allclose(data.probability(), softmax[2:].sum(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(data.raters["1"], labels >= 2)
    with pytest.raises(InputError, match=r"which labels are the foreground\?.*'cyst' \(3\).*--foreground"):
        find_cohort(**given)


@pytest.mark.parametrize("layout", ["flat", "beside"])
def test_an_roi_for_every_case(curvas, members, tmp_path, write, layout):
    roi = np.zeros((2, 3, 4), np.uint8)
    roi[0] = 1
    name = "rois/{}.nii.gz" if layout == "flat" else "rois/{}/roi.nii.gz"
    for case in "ab":
        write(name.format(case), roi)
    for case in find_cohort(raters=[curvas], members=[members], roi=tmp_path / "rois"):
        np.testing.assert_array_equal(case.read().roi, roi)


def test_what_is_no_image_is_passed_over(curvas, members):
    for folder in (curvas, curvas / "a", members, members / "m1"):
        (folder / "notes.txt").write_text("x")
        (folder / ".hidden.nii.gz").write_text("a write under way")
        (folder / ".cache").mkdir()
        (folder / ".cache" / "c.nii.gz").write_text("x")
    (curvas / "empty").mkdir()
    (members / "m1" / "a.pkl").write_bytes(b"never opened")
    assert ids(find_cohort(raters=[curvas], members=[members])) == ["a", "b"]


def test_no_voxel_is_read_to_find_cases(curvas, members):
    for path in [*curvas.rglob("*.nii.gz"), *members.rglob("*.nii.gz"), *members.rglob("*.npz")]:
        path.write_bytes(b"not an image")
    cohort = find_cohort(raters=[curvas], members=[members], roi=curvas)
    assert ids(cohort) == ["a", "b"]
    assert not cohort.problems
    with pytest.raises(InputError, match=r"case a: .*damaged or cut short"):
        cohort[0].read()


# Problems


def test_a_case_nobody_drew_is_a_problem_of_that_case(curvas, members):
    for path in (curvas / "b").iterdir():
        path.unlink()
    assert problems(find_cohort(raters=[curvas], members=[members])) == {
        "b": "no rater drew it: there is neither b/annotation_… nor b in a rater's folder"
    }


def test_a_case_folder_with_an_image_only_is_a_case_nobody_drew(curvas):
    for path in (curvas / "b").glob("annotation_*"):
        path.unlink()
    cohort = find_cohort(raters=[curvas])
    assert ids(cohort) == ["a", "b"]
    assert problems(cohort)["b"].startswith("no rater drew it")


def test_raters_are_not_looked_for_unless_asked(members):
    cohort = find_cohort(members=[members])
    assert not cohort.problems
    with pytest.raises(CohortError, match="case a: no rater drew it"):
        cohort[0].read()


def test_a_member_that_lacks_a_case_is_named(members, curvas):
    (members / "m2" / "b.npz").unlink()
    (members / "m2" / "b.nii.gz").unlink()
    found = find_cohort(raters=[curvas], members=[members])
    assert problems(found) == {"b": f"{members / 'm2'} has no probability for it"}


def test_a_segmentation_is_no_probability_and_the_option_is_named(members, curvas):
    (members / "m2" / "b.npz").unlink()
    assert problems(find_cohort(members=[members])) == {
        "b": f"{members / 'm2'} has no probability for it (a segmentation is there; predict with --save_probabilities)"
    }
    (members / "m1" / "b.npz").unlink()
    assert problems(find_cohort(members=[members]))["b"].startswith("no member has a probability for it (a segm")


def test_a_listed_case_that_is_nowhere_is_a_problem(curvas, members, tmp_path):
    (tmp_path / "cases.csv").write_text("case\na\nzzz\n")
    for given, reason in (
        ({"members": [members]}, "no member has a probability for it"),
        ({"raters": [curvas]}, "no rater drew it"),
        ({}, "the list of cases names neither members nor raters of it"),
    ):
        assert problems(find_cohort(cases=tmp_path / "cases.csv", **given))["zzz"].startswith(reason)


def test_another_number_of_raters_than_the_list_says_is_a_problem(curvas, tmp_path):
    (tmp_path / "cases.csv").write_text("case,raters\na,3\nb,3\n")
    found = find_cohort(raters=[curvas], cases=tmp_path / "cases.csv")
    assert problems(found) == {"b": "the list of cases says 3 raters; found are 2: 1, 10"}


def test_a_case_that_alone_lacks_an_roi_is_a_problem(curvas, members, tmp_path, write):
    write("rois/a.nii.gz", np.ones((2, 3, 4), np.uint8))
    found = find_cohort(raters=[curvas], members=[members], roi=tmp_path / "rois")
    assert problems(found) == {"b": "the folder of ROIs has none for it"}


# Refusals


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for given in ({"raters": [tmp_path / "x"]}, {"members": [tmp_path / "x"]}):
        with pytest.raises(CohortError, match=r"x: there is no such folder"):
            find_cohort(**given)


def test_an_empty_folder_is_named_with_what_was_expected(curvas, tmp_path):
    (tmp_path / "void").mkdir()
    for given, expected in (
        ({"raters": [tmp_path / "void"]}, "no masks found. Expected a folder per case with annotation_1"),
        ({"members": [tmp_path / "void"]}, "no predictions found; expected <case>.npz of nnU-Net, or an image"),
        ({"raters": [curvas], "roi": tmp_path / "void"}, "no roi found; expected <case>.nii.gz or <case>/roi"),
    ):
        with pytest.raises(CohortError) as caught:
            find_cohort(**given)
        assert str(caught.value).startswith(f"{tmp_path / 'void'}: {expected}")


def test_the_same_case_in_two_folders_is_refused_with_both(curvas, tmp_path, write, mask):
    write("more/a/annotation_1.nii.gz", mask(0))
    with pytest.raises(CohortError) as caught:
        find_cohort(raters=[curvas, tmp_path / "more"])
    assert str(caught.value) == (
        f"case a is found in two folders, {curvas / 'a'} and {tmp_path / 'more' / 'a'}; case ids must be unique"
    )


def test_two_raters_of_one_name_do_not_replace_each_other(tmp_path, write, mask):
    one, two = (write(f"{site}/rater/a.nii.gz", mask(0)) for site in ("here", "there"))
    with pytest.raises(CohortError) as caught:
        find_cohort(raters=[one.parent, two.parent])
    assert str(caught.value) == (
        f"{one} and {two} are both of case a and rater rater; folders of different raters must have different names"
    )


def test_raters_of_one_name_at_two_sites_may_draw_different_cases(tmp_path, write, mask):
    folders = [write(f"{site}/rater/{case}.nii.gz", mask(0)).parent for site, case in (("here", "a"), ("there", "b"))]
    assert {case.id: list(case.raters) for case in find_cohort(raters=folders)} == {"a": ["rater"], "b": ["rater"]}


def test_a_folder_given_twice_does_not_count_twice(members, curvas):
    for given in (
        {"members": [members / "m1", members / "m2", members / "m1"]},
        {"members": [members, members / ".." / "members" / "m2"]},
        {"raters": [curvas, curvas]},
    ):
        with pytest.raises(CohortError, match="this folder is given twice; give each once"):
            find_cohort(**given)


def test_two_files_of_one_case_are_refused_with_both(curvas, write, mask):
    write("raters/a/annotation_1.mha", mask(0))
    with pytest.raises(CohortError, match=r"annotation_1\.mha and .*annotation_1\.nii\.gz differ in their ending only"):
        find_cohort(raters=[curvas])


def test_members_must_predict_the_same_structure(tmp_path, write_nnunet, probability):
    write_nnunet("m/one", "a", probability(0), label="tumour")
    write_nnunet("m/two", "a", probability(0), label="cyst")
    with pytest.raises(CohortError, match=r"same foreground: .*one: tumour; .*two: cyst\. Choose it with --foreground"):
        find_cohort(members=[tmp_path / "m"])
    (tmp_path / "list.csv").write_text("case,members\na,m/one/a.npz;m/two/a.npz\n")
    with pytest.raises(CohortError, match=r"case a: .* same foreground: tumour; cyst\. Choose it with --foreground"):
        find_cohort(cases=tmp_path / "list.csv")


def test_a_member_that_does_not_say_its_structure_goes_with_the_others(tmp_path, write, write_nnunet, probability):
    write("m/maps/a.nii.gz", probability(0))
    write_nnunet("m/net", "a", probability(1))
    (case,) = find_cohort(members=[tmp_path / "m"])
    assert (len(case.members), case.foreground) == (2, ("tumour",))


def test_a_split_needs_a_list(members):
    with pytest.raises(CohortError, match="--cases"):
        find_cohort(members=[members], split="test")


def test_nothing_at_all_is_an_empty_cohort():
    with pytest.raises(CohortError, match="the cohort is empty: no case was found"):
        find_cohort()


def test_one_folder_may_be_given_as_a_string(tmp_path):
    mask = Volume.from_array(np.zeros((2, 2, 2), np.uint8), spacing=(1, 1, 1))
    (tmp_path / "raters" / "c1").mkdir(parents=True)
    write_volume(tmp_path / "raters" / "c1" / "annotation_1.nii.gz", mask)
    assert [case.id for case in find_cohort(raters=str(tmp_path / "raters"))] == ["c1"]
