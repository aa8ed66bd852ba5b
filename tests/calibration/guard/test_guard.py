"""The guard: limits worked out by hand, what it owes to the order of cases, and shifts that it must see."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats
from scipy.special import expit, logit
from tests.calibration.conftest import make_case

import twintrack as tt
from twintrack.calibration.guard.case_summary import BINS, CaseSummary
from twintrack.calibration.guard.guard import ALPHA, FALSE_ALARMS, FEWEST, N_COMPARISONS, ShiftGuard
from twintrack.errors import CalibrationError, TwinTrackWarning

SEEDS = st.integers(0, 2**32 - 1)


def summary(*, volume=100.0, unsure=0.2, disagreement=0.1, peak=0.99, histogram=None, measured=True, dimensions=3):
    if histogram is None:
        histogram = (0.0,) * (BINS - 2) + (0.25, 0.75)
    return CaseSummary(
        volume=volume,
        measured=measured,
        dimensions=dimensions,
        unsure=unsure,
        disagreement=disagreement,
        peak=peak,
        histogram=histogram,
    )


def drawn(rng, *, several=True):
    """A case of a made-up population: large ones are surer, and the members agree where the mean is sure."""
    size, hard = rng.normal(), rng.normal()
    volume = math.exp(4 + size)
    unsure = expit(-1.5 - 0.4 * size + 0.5 * hard)
    disagreement = unsure * math.exp(-0.3 + 0.15 * rng.normal()) if several else None
    share = rng.dirichlet([1, 1, 1, 2, 3, 4, 5, 6, 8, 20])
    peak = expit(6 - max(hard, 0) + 0.3 * rng.normal())
    return summary(
        volume=volume, unsure=unsure, disagreement=disagreement, peak=peak, histogram=tuple(share / share.sum())
    )


def population(n, seed=0, **options):
    rng = np.random.default_rng(seed)
    return [drawn(rng, **options) for _ in range(n)]


def changed(case, **changes):
    return CaseSummary.model_validate({**case.model_dump(), **changes})


def about(reasons, words):
    return [reason for reason in reasons if words in reason]


def test_limits_of_the_volume_worked_out_by_hand():
    volumes = [50.0, 80.0, 100.0, 120.0, 150.0, 200.0]
    guard = ShiftGuard.of([summary(volume=volume) for volume in volumes])
    logs = np.log(volumes)
    reach = stats.t.ppf(1 - ALPHA / 2, 5) * logs.std(ddof=1) * math.sqrt(1 + 1 / 6)
    low, high = np.exp([logs.mean() - reach, logs.mean() + reach])
    assert about(guard.flags(summary(volume=0.99 * low)), "predicted volume")
    assert not about(guard.flags(summary(volume=1.01 * low)), "predicted volume")
    assert not about(guard.flags(summary(volume=0.99 * high)), "predicted volume")
    (reason,) = about(guard.flags(summary(volume=1.01 * high)), "predicted volume")
    assert reason == f"its predicted volume is {1.01 * high:.3g} mm³; fitted cases let expect {low:.3g} to {high:.3g}"


def test_the_width_of_the_border_is_in_mm():
    # A ball of 10 mm radius: a third of the radius is the volume over the surface.
    ball, disk = 4 / 3 * math.pi * 1000, math.pi * 100
    guard = ShiftGuard.of([summary(volume=ball)] * 6)
    assert "its border is unsure over 3 mm; fitted" in about(guard.flags(summary(volume=ball, unsure=0.9)), "border")[0]
    flat = ShiftGuard.of([summary(volume=disk, dimensions=2)] * 6)
    reasons = flat.flags(summary(volume=disk, unsure=0.9, dimensions=2))
    assert "its border is unsure over 4.5 mm; fitted" in about(reasons, "border")[0]
    assert "is 3.14e+04 mm²" in about(flat.flags(summary(volume=100 * disk, dimensions=2)), "volume")[0]


def test_the_largest_probability_is_flagged_upwards_only():
    peaks = expit(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    guard = ShiftGuard.of([summary(peak=peak) for peak in peaks])
    # Of the half above the middle the logits are 0, 1 and 2 from it.
    reach = stats.t.ppf(1 - ALPHA, 2.5) * math.sqrt(5 / 3) * math.sqrt(1 + 1 / 5)
    assert 3 + reach > logit(1 - 1e-4)  # so nothing can exceed it
    assert guard.flags(summary(peak=1.0)) == []
    more = ShiftGuard.of([summary(peak=peak) for peak in np.repeat(peaks, 4)])
    upper = np.repeat([0.0, 1, 2], 4)
    reach = stats.t.ppf(1 - ALPHA, 10) * math.sqrt(np.mean(upper**2)) * math.sqrt(1 + 1 / 20)
    assert not about(more.flags(summary(peak=expit(3 + reach - 0.01))), "largest probability")
    (reason,) = about(more.flags(summary(peak=expit(3 + reach + 0.01))), "largest probability")
    assert f"at most {expit(3 + reach):.6g}" in reason
    assert not about(more.flags(summary(peak=0.002)), "largest probability")


def test_a_histogram_unlike_any_is_flagged():
    rng = np.random.default_rng(0)
    shares = [0.75 + 0.02 * rng.normal() for _ in range(20)]
    guard = ShiftGuard.of([summary(histogram=(0.0,) * (BINS - 2) + (1 - share, share)) for share in shares])
    assert guard.flags(summary()) == []
    other = (1.0,) + (0.0,) * (BINS - 1)
    (reason,) = about(guard.flags(summary(histogram=other)), "distributed otherwise")
    assert reason.startswith("100% of its probability is distributed otherwise than in the fitted case most like it")


def test_nothing_predicted_is_flagged_unless_a_fitted_case_was_empty():
    empty = summary(volume=0.0, unsure=0.0, disagreement=0.0, peak=0.0, histogram=(0.0,) * BINS)
    cases = population(8)
    (reason,) = ShiftGuard.of(cases).flags(empty)
    assert reason == "nothing was predicted: no probability reaches 0.001; in every fitted case some did"
    assert ShiftGuard.of([*cases, empty]).flags(empty) == []
    assert ShiftGuard.of([*cases, empty]).flags(cases[0]) == []
    assert ShiftGuard.of([empty] * 8).flags(cases[0]) == []


def test_with_few_cases_nothing_is_compared():
    odd = summary(volume=1e9, unsure=0.9, disagreement=2.0)
    assert ShiftGuard.of([summary()] * (FEWEST - 1)).flags(odd) == []
    assert ShiftGuard.of([summary()] * FEWEST).flags(odd)


def test_cases_of_other_dimensions_or_unknown_voxel_size_are_not_compared_by_size():
    guard = ShiftGuard.of(population(20))
    case = population(20)[0]
    assert guard.flags(changed(case, dimensions=2)) == ["it has 2 dimensions, the fitted cases 3"]
    assert guard.flags(changed(case, measured=False, volume=1e9)) == []
    unknown = ShiftGuard.of([changed(one, measured=False) for one in population(20)])
    assert "is 1e+09 voxels" in unknown.flags(changed(case, measured=False, volume=1e9))[0]


def test_members_are_compared_where_there_are_several():
    cases = population(30)
    guard, alone = ShiftGuard.of(cases), ShiftGuard.of(population(30, several=False))
    case = changed(cases[0], disagreement=cases[0].disagreement * 4)
    assert about(guard.flags(case), "its members' disagreement is")
    assert not about(guard.flags(changed(case, disagreement=None)), "members")
    assert not about(alone.flags(case), "members")
    assert about(alone.flags(changed(cases[0], unsure=0.95, disagreement=None)), "unsure")


def test_a_quantity_is_spoken_of_once():
    reasons = ShiftGuard.of(population(30)).flags(summary(volume=60.0, unsure=0.9, disagreement=0.01))
    assert len(about(reasons, "its border")) == 1
    assert len(about(reasons, "unsure share")) == 1


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 40), st.randoms())
def test_the_order_of_the_cases_leaves_no_trace(seed, n, random):
    cases = population(n, seed)
    shuffled = list(cases)
    random.shuffle(shuffled)
    assert ShiftGuard.of(shuffled).model_dump_json() == ShiftGuard.of(cases).model_dump_json()


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 20), st.booleans())
def test_saving_and_loading_changes_nothing(seed, n, several):
    guard = ShiftGuard.of(population(n, seed, several=several))
    loaded = ShiftGuard.model_validate_json(guard.model_dump_json())
    assert loaded == guard
    further = population(1, seed + 1, several=several)[0]
    assert loaded.flags(further) == guard.flags(further)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 60), st.booleans())
def test_a_fitted_case_is_not_flagged(seed, n, several):
    cases = population(n, seed, several=several)
    assert all(ShiftGuard.of(cases).flags(case) == [] for case in cases)


@settings(deadline=None, max_examples=60)
@given(
    SEEDS,
    st.integers(5, 40),
    st.sampled_from(["unsure", "peak"]),
    st.lists(st.floats(0.002, 1), min_size=2, max_size=6),
)
def test_what_is_flagged_stays_so_further_away(seed, n, name, values):
    cases = population(n, seed)
    guard, case = ShiftGuard.of(cases), cases[0]
    own = getattr(case, name)
    for side in (1, -1):
        beyond = sorted((value for value in values if side * (value - own) >= 0), reverse=side < 0)
        found = [bool(guard.flags(changed(case, **{name: value}))) for value in beyond]
        assert found == sorted(found)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(5, 40), st.lists(st.floats(-20, 20), min_size=2, max_size=8))
def test_a_volume_that_is_flagged_stays_so_further_away(seed, n, powers):
    cases = population(n, seed)
    guard = ShiftGuard.of(cases)
    for side in (1, -1):
        found = [
            bool(about(guard.flags(changed(cases[0], volume=cases[0].volume * math.exp(side * power))), "volume is"))
            for power in sorted(abs(power) for power in powers)
        ]
        assert found == sorted(found)


@pytest.mark.parametrize("n", [5, 8, 40, 200])
@pytest.mark.parametrize("several", [True, False])
def test_like_cases_are_rarely_flagged(n, several):
    further = population(100, 10_000, several=several)
    flagged = [
        bool(guard.flags(case))
        for seed in range(12)
        for guard in [ShiftGuard.of(population(n, seed, several=several))]
        for case in further
    ]
    assert np.mean(flagged) <= FALSE_ALARMS + 0.02


def test_the_false_alarms_are_shared_among_the_comparisons():
    assert pytest.approx(FALSE_ALARMS) == N_COMPARISONS * ALPHA


@pytest.mark.parametrize("changes", [{"cases": []}, {"cases": [{"volume": 1.0}]}, {"names": ["c1"]}])
def test_what_is_no_guard_is_refused(changes):
    content = ShiftGuard.of([summary()]).model_dump()
    with pytest.raises(ValidationError):
        ShiftGuard.model_validate({**content, **changes})


# Through the calibration, on members that were changed.


def fit(cases, **options):
    return tt.fit(cases, **{"method": "isotonic", "replicates": 0, **options})


@pytest.fixture(scope="module")
def fitted():
    return fit([make_case(seed) for seed in range(40)])


def shifted(change, seed=100):
    """A case whose members are changed, each by `change(member, number)`."""
    members = [np.float32(change(np.float64(member), k)) for k, member in enumerate(make_case(seed).read().members)]
    return tt.Case("c", members=members, spacing=(3.0, 0.8, 0.8))


def scaled(temperature):
    return lambda p, _: expit(logit(np.clip(p, 1e-9, 1 - 1e-7)) / temperature)


SHIFTS = {
    "sharpened": scaled(0.3),
    "softened": scaled(3.0),
    "another case's member": lambda p, k: make_case(101).read().members[0] if k else p,
    "the same member twice": lambda p, _: make_case(100).read().members[0],
    "nothing predicted": lambda p, _: 0 * p,
    "faint": lambda p, _: 0 * p + 1e-4,
    "inverted": lambda p, _: 1 - p,
}


@pytest.mark.parametrize("name", SHIFTS)
def test_shifts_are_flagged(fitted, name):
    assert fitted.flags(tt.Case("c", members=make_case(100).read().members, spacing=(3.0, 0.8, 0.8))) == ()
    assert fitted.flags(shifted(SHIFTS[name]))


def test_fit_summarises_every_case_it_used(fitted):
    wanted = [CaseSummary.of(make_case(seed).read()) for seed in range(40)]
    assert fitted.guard == ShiftGuard.of(wanted)


@pytest.mark.parametrize("options", [{"method": "temperature"}, {"exact": True}, {"weighting": "cases"}])
def test_every_fit_has_the_same_guard(cases, options):
    assert fit(cases, **options).guard == fit(cases).guard


def test_a_case_left_out_is_not_in_the_guard(cases):
    bad = tt.Case("bad", members=[np.full((2, 2, 2), 2.0, np.float32)], raters=[np.ones((2, 2, 2), np.uint8)])
    assert fit([*cases, bad], on_bad=lambda case, error: None).guard == fit(cases).guard


def test_a_merged_table_gives_the_guard_of_its_cases(cases):
    merged = tt.tabulate(cases[:2]) + tt.tabulate(cases[2:])
    assert fit(merged).guard == fit(cases).guard


def test_a_table_with_a_minimum_count_gives_no_guard(cases):
    table = tt.tabulate(cases)
    fitted = fit(tt.suppress(table, 2))
    assert fitted.guard is None
    assert fitted.flags(shifted(SHIFTS["nothing predicted"])) == ()


def test_a_file_without_a_guard_is_still_read(fitted, tmp_path):
    older = fitted.model_copy(update={"guard": None})
    older.save(tmp_path / "c.json")
    assert tt.load_calibration(tmp_path / "c.json").guard is None


def test_a_broken_guard_is_refused(fitted, tmp_path):
    path = tmp_path / "c.json"
    fitted.save(path)
    path.write_text(path.read_text(encoding="utf-8").replace('"measured": true', '"measured": "maybe"', 1))
    with pytest.raises(CalibrationError, match=r"guard\.cases\.0\.measured"):
        tt.load_calibration(path)


def test_apply_warns_once_with_all_reasons(fitted):
    case = tt.Case("c", members=[1 - member for member in make_case(100, n_members=3).read().members])
    with pytest.warns(TwinTrackWarning) as warned:
        response, reasons = fitted.apply_and_flag(case)
    (one,) = warned
    assert str(one.message) == f"case c is unlike the cases of the calibration: {'; '.join(reasons)}"
    assert one.filename == __file__
    assert reasons[0] == "it has 3 members, the fitted cases [2]"
    assert len(reasons) > 1
    with pytest.warns(TwinTrackWarning) as again:
        assert (fitted.apply(case) == response).all()
    (other,) = again
    assert (str(other.message), other.filename) == (str(one.message), __file__)


def test_flags_are_the_same_for_a_case_and_its_voxels_and_do_not_warn(fitted):
    case = shifted(SHIFTS["inverted"])
    assert fitted.flags(case) == fitted.flags(case.read(raters=False)) != ()


def test_flags_refuse_another_foreground(cases):
    named = fit([make_case(k, foreground=("tumour",)) for k in range(3)])
    with pytest.raises(CalibrationError, match="its probability is of cyst"):
        named.flags(make_case(8, foreground=("cyst",)))


def test_another_way_of_merging_is_refused(fitted):
    other = fitted.model_copy(update={"provenance": fitted.provenance.model_copy(update={"merge": "median"})})
    with pytest.raises(CalibrationError, match="was fitted to the median; this TwinTrack merges by the mean"):
        other.apply(make_case(8))


def test_an_array_is_not_compared(fitted):
    fitted.apply(np.zeros((3, 3), np.float32))
