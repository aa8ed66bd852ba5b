import pytest
from pydantic import ValidationError

from twintrack.calibration.outlines import RaterField


def test_a_field_is_the_same_after_json():
    field = RaterField(correlation=0.3, length_mm=7.5)
    assert RaterField.model_validate_json(field.model_dump_json()) == field
    assert RaterField.model_validate_json("{}") == RaterField()


def test_the_slope_worked_out_by_hand():
    # √(1 − 0.75) / 10 mm = 0.05 per mm
    assert RaterField(correlation=0.75, length_mm=10).slope == pytest.approx(0.05)
    assert RaterField(correlation=1, length_mm=1).slope == 0


def test_a_field_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        RaterField().correlation = 0.1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"correlation": -0.1}, "correlation"),
        ({"correlation": 1.1}, "correlation"),
        ({"correlation": float("nan")}, "correlation"),
        ({"length_mm": 0}, "length_mm"),
        ({"length_mm": float("inf")}, "length_mm"),
        ({"lenght_mm": 3}, "lenght_mm"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(wrong, named):
    with pytest.raises(ValidationError, match=named):
        RaterField(**wrong)
