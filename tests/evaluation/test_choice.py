import math

import pytest

from twintrack.errors import InputError
from twintrack.evaluation.choice import median_case


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
