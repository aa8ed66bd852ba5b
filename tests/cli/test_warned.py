import warnings

from twintrack.cli.warned import Warned
from twintrack.errors import TwinTrackWarning


def told(capsys, *messages):
    with warnings.catch_warnings():
        warnings.simplefilter("always", TwinTrackWarning)
        with Warned() as warnings.showwarning:
            for message in messages:
                warnings.warn(message, TwinTrackWarning, stacklevel=1)
    return [line for line in capsys.readouterr().err.splitlines() if line]


def test_a_kind_is_shown_once_and_its_cases_are_counted(capsys):
    lines = told(capsys, "case a: ece is NaN", "case a: ece is NaN", "case b: ece is NaN", "case c: ece is NaN")
    assert lines == ["warning: case a: ece is NaN", "warning: the same in 2 more cases: ece is NaN"]


def test_other_kinds_are_shown_each(capsys):
    lines = told(capsys, "case a: ece is NaN", "case a: crps is 0", "no rater drew anything")
    assert lines == [
        "warning: case a: ece is NaN",
        "warning: case a: crps is 0",
        "warning: no rater drew anything",
    ]


def test_marks_in_a_name_are_no_markup(capsys):
    assert told(capsys, "case [red]x[/red]: odd") == ["warning: case [red]x[/red]: odd"]
