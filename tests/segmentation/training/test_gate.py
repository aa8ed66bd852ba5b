"""Networks that learnt nothing are noticed."""

from types import SimpleNamespace

import numpy as np
import pytest

from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.training.cases import LoadedCase, load_case
from twintrack.segmentation.training.gate import Gate, dice, member_dice, region_recall, summary
from twintrack.segmentation.training.judge import failures
from twintrack.segmentation.training.settings import Settings


def test_dice_by_hand():
    a, b = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(a, b) == pytest.approx(2 * 2 / 6)
    assert dice(~a & a, ~a & a) == 1.0
    assert dice(a, ~a & a) == 0.0


def test_a_member_must_reach_a_limit_of_its_own_and_one_relative_to_the_best():
    gate = Gate(dice=0.3, of_best=0.75)
    assert gate.failed({"a": 0.8, "b": 0.6, "c": 0.59}).keys() == {"c"}
    assert gate.failed({"a": 0.31, "b": 0.3, "c": 0.29}).keys() == {"c"}
    assert gate.failed({"a": 0.2}).keys() == {"a"}
    assert "mean Dice 0.590 on the held-out cases is below 0.600" in gate.failed({"a": 0.8, "c": 0.59})["c"]


def test_what_could_not_be_measured_does_not_pass():
    assert Gate().failed({"a": 0.8, "b": float("nan")}).keys() == {"b"}


def test_a_member_is_judged_on_the_box_against_its_teacher(cases):
    case = load_case(cases(0))
    asked = []

    def probability(view):
        asked.append(view)
        return case.raters["1"][view.box].astype(np.float32) * 0.51

    model = SimpleNamespace(probability=probability)
    assert member_dice(model, case, case.raters["1"], margin=4.0) == 1.0
    expected = dice(case.raters["1"], case.raters["2"])
    assert member_dice(model, case, case.raters["2"], margin=4.0) == pytest.approx(expected)
    assert asked[0].box == case.box(4.0)
    assert asked[0].case_id == "case_0"


def test_a_case_without_a_box_is_no_judge(cases):
    case = load_case(cases(0))
    nothing = np.zeros(case.region.shape, bool)
    empty = LoadedCase("x", case.ct, {"1": nothing}, nothing)
    assert member_dice(SimpleNamespace(), empty, nothing, margin=1.0) is None
    assert region_recall(SimpleNamespace(locate=lambda ct: case.region), empty, RoiSettings()) is None


def test_the_coarse_network_is_judged_by_what_of_any_rater_lies_in_its_region(cases):
    case = load_case(cases(0))
    settings = RoiSettings(margin=0.0, smallest=1.0)
    whole = SimpleNamespace(locate=lambda ct: case.region)
    assert region_recall(whole, case, settings) == 1.0
    half = case.union.copy()
    half[:, :, half.shape[2] // 2 :] = False
    partly = SimpleNamespace(locate=lambda ct: half)
    assert region_recall(partly, case, settings) == pytest.approx(half.sum() / case.union.sum())


def test_a_coarse_network_that_finds_nothing_has_recall_0_although_the_whole_image_would_be_searched(cases):
    case = load_case(cases(0))
    blind = SimpleNamespace(locate=lambda ct: np.zeros(case.region.shape, bool))
    assert region_recall(blind, case, RoiSettings()) == 0.0


def test_figures_are_summed_up():
    assert summary([0.5, 1.0, 0.75]) == {"mean": 0.75, "min": 0.5, "n": 3}
    assert summary([]) == {"mean": None, "min": None, "n": 0}


def test_the_coarse_network_fails_by_its_recall_and_members_by_their_dice(preset):
    networks = [
        SimpleNamespace(name=name, role=role)
        for name, role in (("coarse", "coarse"), ("member_1", "fine"), ("member_2", "fine"))
    ]

    def failed(coarse, first, second):
        figures = {
            name: {"held_out": {"mean": mean}}
            for name, mean in (("coarse", coarse), ("member_1", first), ("member_2", second))
        }
        return failures(networks, figures, Settings(preset(), gate=Gate(dice=0.3, of_best=0.5, recall=0.9)))

    assert failed(0.9, 0.8, 0.4) == {}
    assert failed(0.89, 0.8, 0.8).keys() == {"coarse"}
    assert failed(1.0, 0.8, 0.39).keys() == {"member_2"}
    assert failed(None, None, 0.8).keys() == {"coarse", "member_1"}
