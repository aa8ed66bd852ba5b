import math

import pytest

from twintrack.report.html.words import count, interval, listing, number, percent, plain


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0123456, "0.0123"),
        (12345.6, "12\u202f300"),
        (-0.5, "−0.500"),
        (0.99996, "1.00"),
        (999.7, "1\u202f000"),
        (0, "0"),
        (5.4512e-5, "5.45·10⁻⁵"),
        (-1e-12, "−1.00·10⁻¹²"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_numbers_have_three_figures(value, words):
    assert number(value) == words


def test_other_words():
    assert interval(-1, 2.5) == "−1.00 to 2.50"
    assert plain(1000) == "1\u202f000"
    assert plain(-0.2) == "−0.2"
    assert percent(0.9) == "90\u202f%"
    assert percent(None) == "–"
    assert count(1, "case") == "1 case"
    assert count(1200, "case") == "1\u202f200 cases"
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing([]) == ""
