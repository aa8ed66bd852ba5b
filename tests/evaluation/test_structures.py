import warnings

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import CohortError, InputError, TwinTrackWarning
from twintrack.evaluation import curvas2024, evaluate_structures

NAMES = ("pancreas", "kidney", "liver")
SHAPE = (4, 24, 30)


def simulate(seed, *, n_raters=3):
    rng = np.random.default_rng(seed)
    _, y, x = np.indices(SHAPE)
    centres = ((12, 6), (12, 15), (12, 24))
    distance = np.stack([np.hypot(y - cy, x - cx) for cy, cx in centres])
    maps = []
    for _ in range(n_raters):
        labels = np.zeros(SHAPE, np.uint8)
        for k in range(3):
            labels[distance[k] < 3.5 + rng.uniform(-0.7, 0.7)] = k + 1
        maps.append(labels)
    p = (0.9 / (1 + np.exp(2 * (distance - 3.5)))).astype(np.float32)
    return maps, p


def cohorts(n_cases, *, image=False, drop_rater_of=None, overlap=False, n_raters=3):
    found = {name: [] for name in NAMES}
    for seed in range(n_cases):
        maps, p = simulate(seed, n_raters=n_raters)
        for k, name in enumerate(NAMES):
            raters = [(labels == k + 1).astype(np.uint8) for labels in maps]
            if name == drop_rater_of:
                raters[-1] = None
            if overlap and name == "liver":
                raters[0] = (maps[0] > 0).astype(np.uint8)
            ct = np.zeros(SHAPE, np.int16)
            ct[:, 4:22, 2:28] = 40
            case = tt.Case(f"c{seed}", probability=p[k], raters=raters, spacing=(3, 1, 1), image=ct if image else None)
            found[name].append(case)
    return {name: tt.Cohort(cases) for name, cases in found.items()}


@pytest.mark.parametrize("variant", ["official", "corrected"])
def test_scores_are_those_of_the_protocol_on_label_maps(variant):
    maps, p = simulate(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinTrackWarning)
        expected = curvas2024.score(maps, p, voxel_volume=3.0, variant=variant)
        found = evaluate_structures(cohorts(1), variant=variant, repeats=2)
    (row,) = found.per_case
    assert row["consensus_dice"] == expected["consensus_dice_mean"]
    assert row["confidence"] == expected["confidence_mean"]
    assert row["ece"] == expected["ece_mean"]
    assert row["crps_of_kidney"] == expected["crps"]["kidney"]
    assert row["confidence_of_liver"] == expected["confidence"]["liver"]["mean"]
    assert found.summary["protocol"] == ("curvas-2024" if variant == "official" else "curvas-2024-corrected")
    assert found.summary["scores"]["crps_of_liver"]["label"] == "volume CRPS, liver"


def test_official_crops_to_the_reference_image_as_the_challenge_does():
    maps, p = simulate(0)
    box = (slice(None), slice(4, 22), slice(2, 28))
    expected = curvas2024.score([one[box] for one in maps], p[(slice(None), *box)], voxel_volume=3.0)
    found = evaluate_structures(cohorts(1, image=True), repeats=2)
    assert found.per_case[0]["ece"] == expected["ece_mean"]
    corrected = [
        evaluate_structures(cohorts(1, image=image), variant="corrected", repeats=2).per_case[0]["ece"]
        for image in (True, False)
    ]
    assert corrected[0] == corrected[1]


def test_the_ceiling_scores_each_rater_against_the_others():
    found = evaluate_structures(cohorts(2), variant="corrected", ceiling=True, repeats=5)
    maps, _ = simulate(0)
    one_hot = (maps[0] == np.array([1, 2, 3])[:, None, None, None]).astype(np.float32)
    first = curvas2024.score(maps[1:], one_hot, voxel_volume=3.0, variant="corrected")
    human = [row for row in found.per_case if row["prediction"] == "human"]
    assert len(human) == 2
    assert 0 < first["ece_mean"] < 1
    assert human[0]["ece"] != 0
    assert "confidence" not in human[0]
    pairs = {(gap["of"], gap["to"]) for gap in found.summary["scores"]["ece"]["differences"]}
    assert pairs == {("raw_vs_others", "human")}


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(CohortError, match="case c0: the structures do not have the same raters"):
        evaluate_structures(cohorts(1, drop_rater_of="kidney"))
    with pytest.raises(InputError, match="case c0: rater 1 labels a voxel liver and another structure too"):
        evaluate_structures(cohorts(1, overlap=True))
    unlike = cohorts(2)
    unlike["liver"] = unlike["liver"][:1]
    with pytest.raises(CohortError, match="pancreas and liver do not have the same cases"):
        evaluate_structures(unlike)


def test_bad_cases_are_skipped_with_their_reason():
    skipped = {}
    with pytest.raises(CohortError, match="every case was skipped"):
        evaluate_structures(cohorts(1, overlap=True), on_bad=lambda case, error: skipped.update({case.id: str(error)}))
    assert "labels a voxel" in skipped["c0"]
