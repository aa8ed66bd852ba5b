import math

import pytest

from twintrack.errors import InputError
from twintrack.evaluation.choice import example_cases, median_case


def rows(*values, prediction="raw"):
    return [{"case": f"case_{k}", "prediction": prediction, "dice": value} for k, value in enumerate(values)]


def test_the_median_of_an_odd_number_is_the_one_in_the_middle():
    assert median_case(rows(0.9, 0.1, 0.5), score="dice", prediction="raw") == ("case_2", 0.5)


def test_of_an_even_number_it_is_the_lower_one_in_the_middle():
    assert median_case(rows(0.9, 0.1, 0.5, 0.6), score="dice", prediction="raw") == ("case_2", 0.5)


def test_equal_scores_go_by_name():
    assert median_case(rows(0.5, 0.5, 0.5), score="dice", prediction="raw") == ("case_1", 0.5)


def test_cases_without_a_score_and_other_predictions_do_not_count():
    table = [*rows(math.nan, 0.2, 0.4, 0.6), *rows(1, 1, 1, 1, 1, prediction="calibrated")]
    assert median_case(table, score="dice", prediction="raw") == ("case_2", 0.4)
    with pytest.raises(InputError, match="no case has a volume of the raw prediction"):
        median_case(table, score="volume", prediction="raw")


SCORES = {"mse": {"better": "lower"}, "dice": {"better": "higher"}, "error": {"better": "zero"}}


def example(values, name):
    table = [{"case": f"case_{k}", "prediction": "raw", name: value} for k, value in enumerate(values)]
    return [(one.case, one.roles) for one in example_cases(table, SCORES, prediction="raw")]


def test_examples_go_from_the_best_to_the_worst():
    values = [0.3, -0.9, 0.1]
    order = [("median",), ("best",), ("worst",)]
    assert example(values, "dice") == [("case_0", order[1]), ("case_2", order[0]), ("case_1", order[2])]
    assert example(values, "mse") == [("case_1", order[1]), ("case_2", order[0]), ("case_0", order[2])]
    assert example(values, "error") == [("case_2", order[1]), ("case_0", order[0]), ("case_1", order[2])]


def test_of_few_cases_one_is_several_examples():
    assert example([0.5], "dice") == [("case_0", ("best", "median", "worst"))]
    assert example([0.5, 0.7], "dice") == [("case_1", ("best",)), ("case_0", ("median", "worst"))]
    assert example([math.nan], "dice") == []


def test_a_dice_is_preferred():
    rows = [{"case": "a", "prediction": "raw", "mse": 1.0, "thresh_dsc": 0.5}]
    (chosen,) = example_cases(rows, {"mse": SCORES["mse"], "thresh_dsc": SCORES["dice"]}, prediction="raw")
    assert (chosen.score, chosen.value) == ("thresh_dsc", 0.5)
