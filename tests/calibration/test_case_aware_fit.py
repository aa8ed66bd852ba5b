"""Case-aware calibrations from cases to file and back: `fit(method="conditional")` and `fit(method="auto")`."""

import json

import numpy as np
import pytest
from scipy.special import expit

import twintrack as tt
from twintrack.calibration.conditional.describe import FLOOR
from twintrack.calibration.methods import ConditionalMap
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection import selected
from twintrack.calibration.selection.candidates import Candidate, all_candidates, conditional_candidates, judge
from twintrack.calibration.selection.losses import losses
from twintrack.calibration.volumes.distribution import VolumeModel
from twintrack.calibration.volumes.summary import VolumeSummary
from twintrack.errors import CalibrationError, InputError, TwinTrackWarning

from .conftest import make_case as make_flat_case

# One fresh case in twenty is flagged by chance; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:case .* is unlike the cases:twintrack.errors.TwinTrackWarning")

METHODS = ("conditional", "auto")
SPACING = {2: (0.9, 0.8), 3: (3.0, 1.1, 1.0)}


def make_case(seed, *, name=None, dimensions=2, n_members=3, n_raters=3, sharpness=1.0, bias=0.0, roi=False, **options):
    """A blob of uneven outline; each rater has a taste for size, the ensemble is as sharp and as biased as asked for.

    Logits are in mm from the true border.
    """
    rng = np.random.default_rng(seed)
    shape, spacing = ((26, 28), SPACING[2]) if dimensions == 2 else ((8, 16, 17), SPACING[3])
    middle = [(size - 1) / 2 + rng.uniform(-1, 1) for size in shape]
    axes = [(np.arange(size) - m) * step for size, m, step in zip(shape, middle, spacing, strict=True)]
    away = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    inside = rng.uniform(4, 8) - away + 0.5 * rng.normal(size=shape)
    members = [expit(sharpness * (inside + 0.4 * rng.normal(size=shape)) + bias) for _ in range(n_members)]
    members = [np.where(member < 1e-5, 0, member).astype(np.float32) for member in members]
    raters = [
        (inside + 0.8 * rng.normal() + 1.2 * rng.normal(size=shape) > 0).astype(np.uint8) for _ in range(n_raters)
    ]
    region = np.zeros(shape, np.uint8)
    region[..., 2:-2, 2:-3] = 1
    if roi:
        options["roi"] = region
    return tt.Case(name or f"case{seed}", members=members, raters=raters, **({"spacing": spacing} | options))


def cohort(n, *, first=0, **options):
    return [make_case(seed, **options) for seed in range(first, first + n)]


def fit(cases, **options):
    """Fit without asking how sure the map is, which would take a fit for each replicate."""
    return tt.fit(cases, **({"replicates": 0} | options))


@pytest.fixture(scope="module", params=[2, 3], ids=["2-D", "3-D"])
def cases(request):
    return cohort(5, dimensions=request.param, sharpness=4.0)


@pytest.fixture(scope="module")
def fitted(cases):
    return {method: fit(cases, method=method, replicates=3) for method in METHODS}


@pytest.fixture(scope="module")
def conditional():
    return fit(cohort(4, sharpness=4.0), method="conditional")


# --- What a fit gives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_calibration_is_the_same_when_loaded_and_applied(fitted, method, tmp_path):
    one = fitted[method]
    one.save(tmp_path / "c.json")
    loaded = tt.load_calibration(tmp_path / "c.json")
    assert loaded == one
    case = make_case(50, dimensions=len(one.provenance.spacing_range), sharpness=4.0)
    assert (loaded.apply(case) == one.apply(case)).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_file_does_not_depend_on_the_order_of_the_cases(cases, fitted, method, tmp_path):
    fitted[method].save(tmp_path / "a.json")
    fit([cases[k] for k in (3, 0, 4, 2, 1)], method=method, replicates=3).save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_the_method_is_that_of_the_map(fitted):
    assert fitted["conditional"].method == "conditional"
    assert isinstance(fitted["conditional"].map, ConditionalMap)
    assert fitted["auto"].method == fitted["auto"].map.method


@pytest.mark.parametrize(("method", "candidates"), [("conditional", conditional_candidates), ("auto", all_candidates)])
def test_the_selection_is_in_the_file(fitted, method, candidates, tmp_path):
    fitted[method].save(tmp_path / "c.json")
    found = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["selection"]
    assert [one["name"] for one in found["candidates"]] == [one.name for one in candidates()]
    assert found["chosen"] in [one["name"] for one in found["candidates"]]
    assert found["n_patients"] == 5
    chosen = next(one for one in found["candidates"] if one["name"] == found["chosen"])
    assert chosen["penalised"] == min(one["penalised"] for one in found["candidates"])
    assert chosen["criterion"] < 1
    assert "case0" not in (tmp_path / "c.json").read_text(encoding="utf-8")


def test_other_methods_have_no_selection(cases):
    assert fit(cases, method="isotonic").selection is None


@pytest.mark.parametrize("method", METHODS)
def test_what_is_learnt_of_volumes_is_that_of_the_responses(cases, fitted, method):
    summaries = [VolumeSummary.of(fitted[method].apply(case)) for case in cases]
    drawn = [[int(mask.sum()) for mask in case.read().raters.values()] for case in cases]
    wanted = VolumeModel.fit(summaries, drawn)
    found = fitted[method].volume
    assert [len(case) for case in found.scores] == [3] * 5
    for one, other in zip(found.scores, wanted.scores, strict=True):
        assert one == pytest.approx(other, rel=2e-2, abs=2e-2)
    estimate = fitted[method].estimate_volume(fitted[method].apply(cases[0]), voxel_volume=2.0)
    assert estimate.interval.low < estimate.expected < estimate.interval.high


@pytest.mark.parametrize("name", ["identity", "temperature", "isotonic"])
def test_a_simple_map_that_auto_chooses_is_the_one_fitted_by_name(cases, monkeypatch, name):
    monkeypatch.setattr(selected, "all_candidates", lambda: (Candidate(name),))
    found, wanted = fit(cases, method="auto"), fit(cases, method=name)
    assert found.selection.chosen == name
    # From every level of the table, not from the rows of the samples.
    assert found.map == wanted.map
    assert found.volume == wanted.volume
    p = np.random.default_rng(0).random((4, 5), np.float32)
    assert (found.apply(p) == wanted.apply(p)).all()  # which needs no case


# --- What a calibration does -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("roi", [False, True])
def test_0_stays_0_and_outside_the_roi_all_is_0(roi):
    cases = cohort(4, sharpness=4.0, roi=roi)
    for method in METHODS:
        response = fit(cases, method=method).apply(cases[0])
        data = cases[0].read()
        p = data.probability()
        assert response.dtype == np.float32
        assert response.shape == p.shape
        assert (response[p == 0] == 0).all()
        assert (p == 0).any()
        assert np.abs(response - p).max() > 0.01
        assert (response >= 0).all()
        assert (response <= 1).all()
        if roi:
            assert (response[data.roi == 0] == 0).all()


def test_a_case_and_its_voxels_give_the_same(conditional):
    case = make_case(60, sharpness=4.0)
    before = [member.copy() for member in case.read().members]
    assert (conditional.apply(case) == conditional.apply(case.read())).all()
    assert all((one == other).all() for one, other in zip(case.read().members, before, strict=True))


def test_probabilities_below_the_floor_stay(conditional):
    case = make_case(61, sharpness=1.0)
    members = [np.where(member < 0.2, FLOOR / 7, member).astype(np.float32) for member in case.read().members]
    response = conditional.apply(tt.Case("c", members=members, spacing=SPACING[2]))
    below = np.mean(members, axis=0) < FLOOR
    assert below.any()
    assert response[below] == pytest.approx(FLOOR / 7, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_an_evaluation_scores_it(cases, fitted, method):
    fresh = cohort(4, first=70, dimensions=len(fitted[method].provenance.spacing_range), sharpness=4.0)
    found = tt.evaluate(fresh, calibration=fitted[method], repeats=50)
    rows = {(row["case"], row["prediction"]): row for row in found.per_case}
    assert len(rows) == 8
    means = {kind: np.mean([rows[case.id, kind]["mhr_ece"] for case in fresh]) for kind in ("raw", "calibrated")}
    assert means["calibrated"] < means["raw"]
    assert found.summary["n_cases_seen_by_the_fit"] == 0
    assert tt.evaluate(cases, calibration=fitted[method], repeats=50).summary["n_cases_seen_by_the_fit"] == 5


def test_a_case_in_which_nothing_was_predicted_is_no_obstacle():
    cases = cohort(5, sharpness=4.0)
    zeros = np.zeros((26, 28), np.float32)
    mask = np.zeros((26, 28), np.uint8)
    mask[8:12, 9:14] = 1
    missed = tt.Case("missed", members=[zeros] * 3, raters=[mask] * 3, spacing=SPACING[2])
    for method in METHODS:
        found = fit([*cases, missed], method=method)
        assert found.selection.n_patients == 6
        assert (found.apply(missed) == 0).all()
        assert found.volume.n_cases == 5


def test_bad_cases_are_skipped():
    cases = cohort(4, sharpness=4.0)
    bad = tt.Case("bad", probability=np.full((2, 2), 1.5, np.float32), raters=[np.ones((2, 2), np.uint8)])
    with pytest.raises(InputError, match="4 of 4 probabilities"):
        fit([*cases, bad], method="conditional")
    skipped = []
    found = fit([bad, *cases], method="conditional", on_bad=lambda case, error: skipped.append(case.id))
    assert skipped == ["bad"]
    assert found.provenance.n_skipped == 1
    assert found.map == fit(cases, method="conditional").map


RIGHT, SHARP, BLUNT, SMALL = {}, {"sharpness": 4.0}, {"sharpness": 0.5}, {"bias": -2.0}


@pytest.mark.parametrize("kind", [RIGHT, SHARP, BLUNT, SMALL], ids=["right", "overconfident", "too soft", "too small"])
def test_auto_is_never_much_worse_than_leaving_probabilities_alone(kind):
    relative = []
    for first in (100, 200, 300):
        chosen = fit(cohort(8, first=first, **kind), method="auto").map
        fresh = [CaseSample.of(case, case.read()) for case in cohort(8, first=first + 50, **kind)]
        identity = fit(cohort(1), method="identity").map
        before, after = (
            np.mean([losses(sample, judge(one, sample)) for sample in fresh], axis=0) for one in (identity, chosen)
        )
        relative.append((after / before).mean())
    assert max(relative) < 1.1
    if kind in (SHARP, SMALL):
        assert np.mean(relative) < 0.95


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "majority"}, r"is fitted to the response, not to majority; choose another method \(--method\)"),
        ({"target": "rater:1"}, "is fitted to the response, not to rater:1"),
        ({"target": "staple"}, "is fitted to the response, not to staple"),
        ({"weighting": "cases"}, "weighs cases in its own way and keeps 0 at a probability of 0; leave --weighting"),
        ({"pin_zero": False}, "weighs cases in its own way and keeps 0 at a probability of 0; leave --weighting"),
        ({"exact": True}, "exact goes with isotonic and centered-isotonic, not with"),
    ],
)
def test_options_that_do_not_go_with_it_are_refused(method, options, message):
    with pytest.raises(CalibrationError, match=message):
        fit(cohort(2), method=method, **options)


@pytest.mark.parametrize("method", METHODS)
def test_a_table_is_refused(method):
    table = tt.tabulate(cohort(2))
    with pytest.raises(CalibrationError, match=rf"{method} needs the cases: it looks at the surroundings of voxels"):
        fit(table, method=method)


def test_auto_is_the_default_where_it_goes():
    cases = cohort(3)
    assert fit(cases).selection == fit(cases, method="auto").selection
    assert fit(tt.tabulate(cases)).method == "isotonic"
    assert fit([make_case(seed, patient="anna") for seed in range(2)]).method == "isotonic"
    for options in ({"target": "majority"}, {"weighting": "cases"}, {"exact": True}, {"pin_zero": False}):
        found = fit(cases, **options)
        assert (found.method, found.selection) == ("isotonic", None)


@pytest.mark.parametrize("n_raters", [1, 3])
def test_as_many_raters_everywhere_count_alike(n_raters):
    # Nothing has to be known of how raters agree; of single ones nothing can be.
    found = fit(cohort(3, n_raters=n_raters), method="conditional")
    assert found.provenance.raters == {n_raters: 3}


def test_raters_who_never_disagree_count_as_one():
    cases = cohort(3)
    alike = [
        tt.Case(f"x{k}", members=c.members, raters=list(c.raters.values())[:1] * 2, spacing=SPACING[2])
        for k, c in enumerate(cases)
    ]
    single = tt.Case("x9", members=cases[0].members, raters=list(cases[0].raters.values())[:1], spacing=SPACING[2])
    assert fit([*alike, single], method="conditional").provenance.raters == {1: 1, 2: 3}


@pytest.mark.parametrize("method", METHODS)
def test_one_patient_is_refused(method):
    cases = [make_case(seed, patient="anna") for seed in range(2)]
    with pytest.raises(CalibrationError, match="needs cases of at least two patients"):
        fit(cases, method=method)


def test_too_few_cases_with_a_prediction_are_refused():
    zeros = np.zeros((26, 28), np.float32)
    missed = tt.Case("missed", members=[zeros] * 3, raters=[zeros.astype(np.uint8)] * 3, spacing=SPACING[2])
    for method in METHODS:
        # With the one case left out that has any, nothing is left to fit.
        with pytest.raises(CalibrationError, match="there is nothing to fit"):
            fit([make_case(1), missed], method=method)


def test_an_array_is_refused(conditional):
    with pytest.raises(CalibrationError, match="looks at the voxel size of a case; give a Case"):
        conditional.apply(np.full((26, 28), 0.5, np.float32))


def test_a_mean_of_members_is_read_as_the_members_are(conditional):
    data = make_case(62).read()
    mean = tt.Case("mean", probability=data.probability(), spacing=data.grid.spacing)
    with pytest.warns(TwinTrackWarning, match=r"it has 1 members, the fitted cases \[3\]"):
        assert (conditional.apply(mean) == conditional.apply(data)).all()


def test_another_number_of_several_members_is_warned_of(conditional):
    with pytest.warns(TwinTrackWarning, match=r"it has 2 members, the fitted cases \[3\]"):
        conditional.apply(make_case(62, n_members=2))


@pytest.mark.parametrize("method", METHODS)
def test_cases_of_two_kinds_are_not_fitted_together(method):
    unknown = [*cohort(2), make_case(9, spacing=None)]
    with pytest.raises(CalibrationError, match="measures in mm, but of 3 cases the voxel size of 1 is not known"):
        fit(unknown, method=method)
    assert fit(unknown, method="isotonic").provenance.n_cases == 3
    with pytest.raises(CalibrationError, match="cases of 2 and 3 dimensions cannot be fitted together"):
        fit([*cohort(2), make_case(9, dimensions=3)], method=method)


def test_a_case_of_other_dimensions_is_refused(conditional):
    fitted = conditional.map.dimensions
    with pytest.raises(CalibrationError, match=f"dimensions, the cases of this case-aware calibration {fitted}"):
        conditional.apply(make_case(62, dimensions=5 - fitted))


def test_an_unknown_voxel_size_is_refused_where_it_was_known(conditional):
    unknown = make_case(62, spacing=None)
    with pytest.raises(CalibrationError, match="its voxel size is not known, that of the fitted cases was known"):
        conditional.apply(unknown)


def test_a_known_voxel_size_is_refused_where_it_was_not():
    one = fit(cohort(3, spacing=None, sharpness=4.0), method="conditional")
    assert one.apply(make_case(62, spacing=None)).max() <= 1
    with pytest.raises(CalibrationError, match="its voxel size is known, that of the fitted cases was not known"):
        one.apply(make_case(62))


def test_an_unknown_method_is_told_of_both():
    with pytest.raises(CalibrationError, match="known are identity, .*, conditional, auto"):
        fit(cohort(2), method="magic")


def test_random_cases_that_are_no_blobs_can_be_fitted():
    cases = [make_flat_case(seed, n_raters=2 + seed % 3) for seed in range(5)]
    for method in METHODS:
        response = fit(cases, method=method).apply(cases[0])
        assert np.isfinite(response).all()
        assert ((response >= 0) & (response <= 1)).all()
