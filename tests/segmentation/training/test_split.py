"""Which cases networks are judged on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.segmentation.training.cases import TrainingCase
from twintrack.segmentation.training.split import held_out_ids


def cases_of(patients):
    return [TrainingCase(f"c{k}", None, patient=patient) for k, patient in enumerate(patients)]


@given(
    st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=40).filter(lambda found: len(set(found)) > 1),
    st.floats(0.01, 0.99),
    st.integers(0, 5),
)
def test_no_patient_is_on_both_sides_and_neither_side_is_empty(patients, fraction, seed):
    cases = cases_of(patients)
    chosen = held_out_ids(cases, fraction=fraction, seed=seed)
    inside = {case.patient for case in cases if case.id in chosen}
    outside = {case.patient for case in cases if case.id not in chosen}
    assert inside
    assert outside
    assert not inside & outside
    assert chosen == held_out_ids(cases[::-1], fraction=fraction, seed=seed)


def test_a_fifth_of_the_patients_is_held_out_and_the_seed_chooses():
    cases = cases_of("abcdefghijklmno")
    assert len(held_out_ids(cases)) == 3
    assert len({held_out_ids(cases, seed=seed) for seed in range(6)}) > 1


def test_a_case_without_patient_is_a_patient_of_its_own():
    assert len(held_out_ids(cases_of([None] * 10), fraction=0.3)) == 3


def test_one_patient_is_too_few():
    with pytest.raises(InputError, match="at least two are needed, and there is 1"):
        held_out_ids(cases_of("aaa"))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_a_fraction_lies_between_0_and_1(fraction):
    with pytest.raises(InputError, match="lies between 0 and 1"):
        held_out_ids(cases_of("ab"), fraction=fraction)
