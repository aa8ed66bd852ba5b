"""Several values after one option's name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.cli.arguments import SEVERAL, spread


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ([], []),
        (["fit", "--out", "x"], ["fit", "--out", "x"]),
        (["--members", "a"], ["--members", "a"]),
        (["--members", "a", "b", "c"], ["--members", "a", "--members", "b", "--members", "c"]),
        (["--members", "a", "b", "--out", "c", "d"], ["--members", "a", "--members", "b", "--out", "c", "d"]),
        (["--members", "a", "--members", "b", "c"], ["--members", "a", "--members", "b", "--members", "c"]),
        (
            ["--raters", "r", "s", "--members", "a", "b"],
            ["--raters", "r", "--raters", "s", "--members", "a", "--members", "b"],
        ),
        (["--members=a", "b"], ["--members=a", "--members", "b"]),
        (["apply", "k.json", "--members", "a", "b"], ["apply", "k.json", "--members", "a", "--members", "b"]),
        (["--members", "a", "--", "b"], ["--members", "a", "--", "b"]),
        (["--members", "a", "-h", "b"], ["--members", "a", "-h", "b"]),
        (["--members", "--out", "x"], ["--members", "--out", "x"]),
        (["--memberships", "a", "b"], ["--memberships", "a", "b"]),
    ],
)
def test_each_value_gets_the_name_of_its_option(typed, meant):
    assert spread(typed) == meant


WORDS = st.lists(st.sampled_from([*SEVERAL, "--out", "--json", "a", "b", "c"]))


@settings(deadline=None)
@given(WORDS)
def test_values_and_other_options_stay_in_their_order(words):
    without = [word for word in spread(words) if word not in SEVERAL]
    assert without == [word for word in words if word not in SEVERAL]


@settings(deadline=None)
@given(WORDS)
def test_what_is_spread_already_stays_as_it_is(words):
    assert spread(spread(words)) == spread(words)
