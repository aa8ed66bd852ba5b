"""The whole protocol: its result, its symmetries, its edge cases, real data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import curvas2024

ORGANS = ["pancreas", "kidney", "liver"]


def read(path):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def one_hot(labels, n):
    return np.stack([labels == label for label in range(n + 1)]).astype(np.float32)


def test_the_result_has_every_part(said, random_case):
    scores, _ = said(curvas2024.score, **random_case(1))
    assert list(scores) == [
        "consensus_dice",
        "consensus_dice_mean",
        "confidence",
        "confidence_mean",
        "crps",
        "ece",
        "ece_mean",
    ]
    assert list(scores["consensus_dice"]) == list(scores["confidence"]) == list(scores["crps"]) == ORGANS
    assert list(scores["ece"]) == ["0", "1", "2"]
    assert list(scores["confidence"]["liver"]) == ["foreground", "background", "mean"]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), variant=st.sampled_from(curvas2024.VARIANTS))
def test_ranges_and_means(said, random_case, seed, variant):
    scores, _ = said(curvas2024.score, **random_case(seed), variant=variant)
    means = [value["mean"] for value in scores["confidence"].values()]
    for mean, parts in (
        (scores["consensus_dice_mean"], list(scores["consensus_dice"].values())),
        (scores["confidence_mean"], means),
        (scores["ece_mean"], list(scores["ece"].values())),
    ):
        assert all(math.isnan(part) or 0 <= part <= 1 for part in parts)
        assert mean == pytest.approx(sum(parts) / len(parts), nan_ok=True)
    assert all(math.isnan(value) or value >= -1e-12 for value in scores["crps"].values())


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), variant=st.sampled_from(curvas2024.VARIANTS))
def test_the_order_of_the_raters_does_not_matter(said, random_case, seed, variant):
    case = random_case(seed)
    forth, _ = said(curvas2024.score, **case, variant=variant)
    case["raters"] = case["raters"][::-1]
    back, _ = said(curvas2024.score, **case, variant=variant)
    assert list(forth.pop("ece").values()) == list(back.pop("ece").values())[::-1]
    assert forth.pop("ece_mean") == pytest.approx(back.pop("ece_mean"), nan_ok=True)
    crps = back.pop("crps")
    assert forth.pop("crps") == pytest.approx(crps, abs=1e-9, nan_ok=True)
    np.testing.assert_equal(forth, back)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_labels_of_the_structures_do_not_matter(said, random_case, seed):
    case = random_case(seed)
    expected, _ = said(curvas2024.score, **case, variant="corrected")
    new = np.array([0, 3, 1, 2], np.uint8)  # pancreas is now 3, kidney 1, liver 2
    case = {
        "raters": new[case["raters"]],
        "probabilities": case["probabilities"][np.argsort(new)],
        "labels": new[case["labels"]],
    }
    names = {1: "kidney", 2: "liver", 3: "pancreas"}
    scores, _ = said(curvas2024.score, **case, structures=names, variant="corrected")
    for key in ("consensus_dice", "confidence", "crps"):
        np.testing.assert_equal({name: scores[key][name] for name in ORGANS}, expected[key])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_corrected_is_the_same_for_a_transposed_volume(said, random_case, seed):
    case = random_case(seed)
    expected, _ = said(curvas2024.score, **case, variant="corrected")
    turned = {key: np.swapaxes(array, -1, -2)[..., ::-1] for key, array in case.items()}
    scores, _ = said(curvas2024.score, **turned, variant="corrected")
    np.testing.assert_allclose(list(scores["consensus_dice"].values()), list(expected["consensus_dice"].values()))
    assert scores["ece_mean"] == pytest.approx(expected["ece_mean"], abs=1e-12)
    assert scores["crps"] == pytest.approx(expected["crps"], abs=1e-9)


def test_official_is_not(said):
    raters = np.zeros((2, 1, 3, 3), np.uint8)
    raters[:, 0, 1] = 1
    raters[:, 0, 2, 0] = 1
    raters[0, 0, 0, 0] = 1
    hard = np.zeros((1, 3, 3), np.uint8)
    hard[0, 1] = 1
    values = []
    for axes in ((0, 1, 2), (0, 2, 1)):
        turned, maps = hard.transpose(axes), np.stack([rater.transpose(axes) for rater in raters])
        scores, _ = said(curvas2024.score, maps, turned[None], structures={1: "a"})
        values.append(scores["consensus_dice"]["a"])
    # Rows 1 and 2: 1 and 0. Transposed: row 0, voxels 1 and 2, is dropped; rows 1 and 2: 1 and 1.
    assert values == [0.5, 1]


@pytest.mark.parametrize("variant", curvas2024.VARIANTS)
def test_without_labels_the_likeliest_is_taken(said, random_case, variant):
    case = random_case(3)
    p = case["probabilities"]
    expected, _ = said(curvas2024.score, case["raters"], p, labels=p.argmax(axis=0), variant=variant)
    found, _ = said(curvas2024.score, case["raters"], p, variant=variant)
    np.testing.assert_equal(found, expected)


@pytest.mark.parametrize("variant", curvas2024.VARIANTS)
def test_the_background_may_be_left_out(said, random_case, variant):
    case = random_case(4)
    expected, _ = said(curvas2024.score, case["raters"], case["probabilities"], variant=variant)
    found, _ = said(curvas2024.score, case["raters"], case["probabilities"][1:], variant=variant)
    np.testing.assert_equal(found, expected)


def test_a_perfect_prediction_of_raters_who_agree():
    rater = np.zeros((3, 6, 6), np.uint8)
    rater[1, 1:4, 1:3], rater[1, 1:4, 4], rater[2, 2:5, 2:5] = 1, 2, 3
    scores = curvas2024.score(np.stack([rater] * 3), one_hot(rater, 3), variant="corrected")
    assert scores["consensus_dice"] == dict.fromkeys(ORGANS, 1)
    assert scores["confidence_mean"] == 1
    assert scores["crps"] == dict.fromkeys(ORGANS, 0)
    assert scores["ece_mean"] == 0


def test_a_single_rater(said, random_case):
    case = random_case(2, n_raters=1)
    corrected, warned = said(curvas2024.score, **case, variant="corrected")
    assert warned == []
    volume = (case["raters"] == 3).sum()
    assert corrected["crps"]["liver"] == pytest.approx(abs(case["probabilities"][3].sum() - volume))
    official, warned = said(curvas2024.score, **case)
    assert official["crps"] == dict.fromkeys(ORGANS, 0)
    assert len(warned) == 1
    assert list(official["ece"]) == ["0"]


def test_nobody_drew_anything_and_nothing_was_predicted(said):
    raters, p = np.zeros((3, 2, 3, 4), np.uint8), np.zeros((3, 2, 3, 4), np.float32)
    corrected, warned = said(curvas2024.score, raters, p, variant="corrected")
    assert corrected["consensus_dice_mean"] == 1
    assert corrected["ece_mean"] == 0
    assert corrected["crps"] == dict.fromkeys(ORGANS, 0)
    assert math.isnan(corrected["confidence_mean"])
    assert corrected["confidence"]["liver"]["background"] == 1
    assert len(warned) == 1
    official, warned = said(curvas2024.score, raters, p)
    assert official["consensus_dice_mean"] == 0
    assert all(math.isnan(value) for value in official["crps"].values())
    assert [text.split(" ")[0] for text in warned] == ["consensus_dice", "confidence", "crps"]


def test_one_structure_that_nobody_drew_leaves_the_others_alone_in_corrected(said, random_case):
    case = random_case(8)
    expected, _ = said(curvas2024.score, **case, variant="corrected")
    case["probabilities"] = np.concatenate([case["probabilities"], 0 * case["probabilities"][:1]])
    names = {**curvas2024.STRUCTURES, 4: "spleen"}
    scores, warned = said(curvas2024.score, **case, structures=names, variant="corrected")
    assert scores["consensus_dice"] == {**expected["consensus_dice"], "spleen": 1}
    assert scores["ece"] == expected["ece"]
    assert [text for text in warned if not text.endswith(": spleen")] == []


def test_the_arrays_are_left_as_they_are_and_the_result_is_the_same_again(said, random_case):
    case = random_case(9)
    before = {key: array.copy() for key, array in case.items()}
    first, second = (said(curvas2024.score, **case)[0] for _ in range(2))
    np.testing.assert_equal(first, second)
    for key, array in case.items():
        assert (array == before[key]).all()


def test_warnings_point_at_the_caller():
    with pytest.warns(TwinTrackWarning) as caught:
        curvas2024.score(np.zeros((2, 2, 2, 2), np.uint8), np.zeros((3, 2, 2, 2), np.float32))
    assert {warning.filename for warning in caught} == {__file__}


def test_real_raters_of_kidneys_and_tumours(data_dir):
    case = sorted((data_dir / "kits23_raters").iterdir())[0]
    raters = np.stack([read(path) for path in sorted(case.glob("annotation_*.nii.gz"))]).astype(np.uint8)
    assert len(raters) == 3
    assert set(np.unique(raters)) == {0, 1, 2}
    response = np.mean([one_hot(rater, 2) for rater in raters], axis=0)
    scores = curvas2024.score(raters, response, structures={1: "kidney", 2: "tumour"}, variant="corrected")
    # The response has its most votes wherever all agree.
    assert scores["consensus_dice"] == {"kidney": 1, "tumour": 1}
    assert scores["confidence_mean"] == 1
    for label, name in ((1, "kidney"), (2, "tumour")):
        voxels = (raters == label).sum(axis=(1, 2, 3)).astype(float)
        # Its volume is the raters' mean volume: the score is that at the centre of their Gaussian.
        centre = voxels.std() * (np.sqrt(2) - 1) / np.sqrt(np.pi)
        assert scores["crps"][name] == pytest.approx(centre, rel=1e-4, abs=1e-2)
    assert 0 < scores["ece_mean"] < 0.01
    official = curvas2024.score(raters, response[1:], structures={1: "kidney", 2: "tumour"})
    assert official["consensus_dice"] == {"kidney": 1, "tumour": 1}
