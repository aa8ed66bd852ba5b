"""Which rater a member learns from, and what happens where a rater is missing."""

import numpy as np
import pytest

from twintrack.errors import InputError
from twintrack.segmentation.training.datasets import Lesson
from twintrack.segmentation.training.teach import Teach, parse_teach

MASKS = {name: np.array(mask, bool) for name, mask in {"a": [1, 0, 1, 0], "b": [1, 1, 0, 0], "c": [1, 1, 1, 0]}.items()}
EVERYONE = ("a", "b", "c")


def label(text, member, masks, *, case_id="x", seed=0):
    return parse_teach(text, EVERYONE).label(member, masks, everyone=EVERYONE, case_id=case_id, seed=seed)


@pytest.mark.parametrize("text", ["one:b", "b"])
def test_one_rater_teaches_every_member(text):
    for member in range(4):
        np.testing.assert_array_equal(label(text, member, MASKS), MASKS["b"])


def test_a_case_which_the_one_rater_did_not_draw_is_left_out_and_not_taught_by_another():
    assert label("b", 0, {"a": MASKS["a"], "c": MASKS["c"]}) is None


def test_each_member_learns_from_its_own_rater_and_round_again():
    for member, name in enumerate("abcab"):
        np.testing.assert_array_equal(label("each", member, MASKS), MASKS[name])


def test_each_leaves_out_for_that_member_only_what_its_rater_did_not_draw():
    drawn = {"a": MASKS["a"], "c": MASKS["c"]}
    assert label("each", 1, drawn) is None
    np.testing.assert_array_equal(label("each", 2, drawn), MASKS["c"])


def test_a_majority_is_more_than_half_of_those_who_drew_the_case():
    np.testing.assert_array_equal(label("majority", 0, MASKS), [True, True, True, False])
    pair = {"a": MASKS["a"], "b": MASKS["b"]}
    np.testing.assert_array_equal(label("majority", 0, pair), [True, False, False, False])


def test_a_majority_of_hundreds_does_not_wrap_around():
    masks = {str(k): np.array([k < 200]) for k in range(300)}
    assert Teach("majority").label(0, masks, everyone=(), case_id="x", seed=0)[0]


def test_random_chooses_among_those_present_differently_by_case_and_member_and_alike_by_seed():
    choose = Teach("random").teacher
    chosen = [
        [choose(member, EVERYONE, everyone=EVERYONE, case_id=f"c{k}", seed=3) for k in range(60)] for member in range(3)
    ]
    assert all(set(row) == set(EVERYONE) for row in chosen)
    assert chosen[0] != chosen[1] != chosen[2]
    again = [choose(0, ["c", "b", "a"], everyone=EVERYONE, case_id=f"c{k}", seed=3) for k in range(60)]
    assert again == chosen[0]
    assert again != [choose(0, EVERYONE, everyone=EVERYONE, case_id=f"c{k}", seed=4) for k in range(60)]
    assert {choose(0, ["b"], everyone=EVERYONE, case_id=f"c{k}", seed=3) for k in range(9)} == {"b"}


@pytest.mark.parametrize("text", ["d", "one:d", "", "Majority"])
def test_an_unknown_choice_names_the_raters(text):
    with pytest.raises(InputError, match="the raters are: a, b, c"):
        parse_teach(text, EVERYONE)


def test_a_rater_called_like_a_rule_can_be_chosen():
    assert parse_teach("each", ("each", "x")) == Teach("one", "each")
    assert parse_teach("one:each", ("each", "x")).describe() == "one:each"
    assert parse_teach("random", EVERYONE).describe() == "random"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("majority", [0, 0, 0, 0, 0]), ("each", [0, 1, 2, 0, 1]), ("random", [0, 1, 2, 3, 4])],
)
def test_members_that_learn_alike_share_a_dataset(rule, expected):
    lesson = Lesson(Teach(rule), EVERYONE, None, "tumour", 0)
    assert [lesson.dataset_of(member, 5) for member in range(5)] == expected
