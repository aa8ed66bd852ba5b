"""What can be chosen from: its order, its costs, its fits and the volumes they give."""

import itertools

import pytest

from twintrack.calibration.conditional.model import ConditionalMap
from twintrack.calibration.methods.identity import IdentityMap
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import (
    CONDITIONAL,
    PRIOR_CASES,
    VOLUMES,
    Candidate,
    all_candidates,
    conditional_candidates,
    judge,
    volume_summary,
)
from twintrack.calibration.volumes.summary import VolumeSummary

from .conftest import STRENGTHS, expected_volume, make_case, samples_of


def test_auto_chooses_from_the_simplest_to_the_most_flexible():
    candidates = all_candidates()
    assert candidates[0] == Candidate("identity")
    assert set(conditional_candidates()) < set(candidates)
    assert len({one.name for one in candidates}) == len(candidates)
    assert {one.method for one in candidates} == {"identity", "temperature", "conditional", "isotonic"}


def test_the_case_aware_candidates_are_all_pairs_of_prior_and_volume_the_volume_keeping_first():
    candidates = conditional_candidates()
    assert len(candidates) == len(STRENGTHS) * len(VOLUMES)
    assert {one.method for one in candidates} == {CONDITIONAL}
    found = {(one.towards, one.prior_cases, one.volume) for one in candidates}
    assert found == {(*strength, volume) for strength in STRENGTHS for volume in VOLUMES}
    volumes = [one.volume for one in candidates]
    assert volumes == sorted(volumes)
    for volume, towards in itertools.product(VOLUMES, PRIOR_CASES):
        priors = [one.prior_cases for one in candidates if (one.volume, one.towards) == (volume, towards)]
        assert priors == sorted(priors, reverse=True)


def test_what_changes_volumes_has_to_gain_more():
    assert Candidate("identity").cost == 0
    moving, half, whole = (Candidate(CONDITIONAL, 1.0, volume).cost for volume in (0.0, 0.5, 1.0))
    assert 0 < moving < half < whole
    strict, lax = (Candidate(CONDITIONAL, cases, 0.0).cost for cases in (10.0, 0.3))
    assert 0 < strict <= lax < half
    assert moving < Candidate("temperature").cost <= Candidate("isotonic").cost
    # How far volumes are off is not the same for other networks.
    assert Candidate(CONDITIONAL, 1.0, 1.0, "reference").cost == whole


def test_a_candidate_is_named_by_its_settings():
    assert Candidate("isotonic").name == "isotonic"
    assert Candidate(CONDITIONAL, 0.3, 0.5).name == "conditional, identity counts as 0.3 cases, volume 0.5"
    assert Candidate(CONDITIONAL, 30.0, 0.0, "reference").name == "conditional, reference counts as 30 cases, volume 0"


def test_candidates_that_differ_in_volume_share_a_fit(reference):
    samples = samples_of(4, sharpness=3.0)
    one, other = Candidate(CONDITIONAL, 1.0, 0.0), Candidate(CONDITIONAL, 1.0, 1.0)
    fitted = one.fit(samples, reference)
    assert isinstance(fitted, ConditionalMap)
    assert (fitted.volume, fitted.prior_cases) == (0.0, 1.0)
    assert other.variant_of(fitted) == other.fit(samples, reference)
    identity = IdentityMap()
    assert Candidate("identity").variant_of(identity) is identity


@pytest.mark.parametrize("candidate", all_candidates(), ids=lambda one: one.name)
def test_the_candidate_of_a_map_is_the_one_that_fitted_it(candidate, reference):
    found = Candidate.of(candidate.fit(samples_of(3), reference))
    assert found.name == candidate.name


def test_a_fit_that_begins_near_its_end_ends_there(reference):
    samples = samples_of(5, sharpness=3.0)
    candidate = Candidate(CONDITIONAL, 1.0, 1.0)
    whole = candidate.fit(samples, reference)
    one, other = candidate.fit(samples[1:], reference), candidate.fit(samples[1:], reference, near=whole)
    for sample in samples:
        assert judge(one, sample).high == pytest.approx(judge(other, sample).high, abs=2e-3)


@pytest.mark.parametrize("method", ["temperature", "isotonic", CONDITIONAL])
def test_a_case_that_counts_twice_is_as_good_as_two(method, reference):
    samples = samples_of(3, sharpness=2.0)
    weighted = Candidate(method).fit(samples, reference, weights=[2, 1, 0])
    repeated = Candidate(method).fit([samples[0], *samples[:2]], reference)
    assert judge(weighted, samples[2]).high == pytest.approx(judge(repeated, samples[2]).high, abs=1e-4)


def test_the_expected_volume_is_the_sum_of_the_responses(reference):
    case = make_case(3, sharpness=2.0)
    data = case.read()
    sample = CaseSample.of(case, data)
    assert expected_volume(IdentityMap(), sample) == pytest.approx(data.probability().sum(dtype=float))
    fitted = Candidate(CONDITIONAL, 1.0, 1.0).fit(samples_of(4, sharpness=2.0), reference)
    response = fitted.respond(data, data.probability())
    assert expected_volume(fitted, sample) == pytest.approx(response.sum(dtype=float), rel=1e-5)
    assert abs(expected_volume(fitted, sample) - expected_volume(IdentityMap(), sample)) > 0.5


def test_the_volumes_of_a_sample_are_those_of_the_voxels(reference):
    case = make_case(4, sharpness=2.0)
    data = case.read()
    sample = CaseSample.of(case, data)
    fitted = Candidate(CONDITIONAL, 1.0, 1.0).fit(samples_of(4, sharpness=2.0), reference)
    for one, response in (
        (IdentityMap(), data.probability()),
        (fitted, fitted.respond(data, data.probability())),
    ):
        found, wanted = volume_summary(one, sample), VolumeSummary.of(response)
        assert found.expected == pytest.approx(wanted.expected, rel=1e-5)
        assert found.majority == pytest.approx(wanted.majority, rel=1e-5)
        assert found.disagreement == pytest.approx(wanted.disagreement, rel=1e-4)
