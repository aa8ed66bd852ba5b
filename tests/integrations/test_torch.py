"""Tensors: the responses of `Calibration.apply`, on the CPU to the bit, by torch's own operations to rounding."""

from __future__ import annotations

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import CalibrationError, InputError, TwinTrackWarning

torch = pytest.importorskip("torch")

from twintrack.integrations import torch as integration  # noqa: E402
from twintrack.integrations.torch import evaluate_map, respond, respond_to_case  # noqa: E402

CURVES = (*tt.calibration.METHODS, "not pinned")
ONE_UNIT = 2.0**-24
"""Half of the spacing of float32 below 1: what two roundings of nearly the same float64 differ by at most is twice
that; below a half it is less."""


@pytest.fixture
def probability():
    """All magnitudes, both ends, and numbers that rounding carried out of [0, 1]."""
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.random(5000), 10.0 ** rng.uniform(-12, 0, 5000), [0.0, 1.0, 0.5, 0.05, 1.0000001, -1e-7]])
    return torch.from_numpy(rng.permutation(p).astype(np.float32).reshape(-1, 2))


@pytest.mark.parametrize("method", CURVES)
def test_on_the_cpu_responses_are_those_of_apply(calibrations, probability, method):
    before = probability.clone()
    response = respond(calibrations[method], probability)
    assert response.dtype == torch.float32
    assert (response.numpy() == calibrations[method].apply(probability.numpy())).all()
    assert torch.equal(probability, before)


@pytest.mark.parametrize("method", CURVES)
def test_torchs_own_operations_give_the_same_to_rounding(calibrations, probability, method, monkeypatch):
    """The code for other devices, run on the CPU in several blocks."""
    monkeypatch.setattr(integration, "_HOST_DEVICES", ())
    monkeypatch.setattr(integration, "BLOCK", 1000)
    roi = torch.from_numpy(np.random.default_rng(1).random(probability.shape) < 0.7)
    response = respond(calibrations[method], probability, roi=roi).numpy()
    expected = np.where(roi.numpy(), calibrations[method].apply(probability.numpy()), 0)
    assert np.abs(response - expected).max() <= 2 * ONE_UNIT
    assert (response[~roi.numpy()] == 0).all()
    assert ((response == 0) == (expected == 0)).all()


@pytest.mark.parametrize("method", CURVES)
def test_maps_are_evaluated_where_the_tensor_is(calibrations, method):
    """A tensor on the meta device has no numbers: whatever asked for them on the host would fail."""
    p = torch.empty((3, 4, 5), dtype=torch.float64, device="meta")
    found = evaluate_map(calibrations[method].map, p)
    assert (found.device.type, found.shape, found.dtype) == ("meta", p.shape, torch.float64)


def test_the_result_lies_in_memory_of_its_own_and_no_gradient_flows(calibrations):
    p = torch.full((2, 2), 0.5, requires_grad=True)
    response = respond(calibrations["isotonic"], p)
    assert not response.requires_grad
    response.fill_(7)
    assert p.max() == 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_are_taken(calibrations, dtype):
    p = torch.tensor([0.0, 0.25, 0.75, 1.0], dtype=dtype)
    assert (respond(calibrations["platt"], p) == respond(calibrations["platt"], p.float())).all()


def test_strided_and_empty_tensors_are_taken(calibrations, probability):
    turned = probability.T
    assert torch.equal(respond(calibrations["isotonic"], turned), respond(calibrations["isotonic"], probability).T)
    assert respond(calibrations["isotonic"], torch.empty((0, 3))).shape == (0, 3)


def test_outside_the_roi_the_response_is_0(calibrations):
    roi = torch.tensor([[True, False]])
    response = respond(calibrations["platt"], torch.tensor([[0.9, 0.9]]), roi=roi)
    assert response[0, 0] > 0
    assert response[0, 1] == 0


@pytest.mark.parametrize(
    ("tensor", "roi", "said"),
    [
        (torch.tensor([1, 0]), None, "floating; this one is torch.int64"),
        (torch.tensor([0.5, 1.5]), None, "found 0.5 to 1.5"),
        (torch.tensor([0.5, float("nan")]), None, "found nan to nan"),
        (torch.tensor([0.5, 0.5]), torch.tensor([True]), r"shape \(1,\) on cpu"),
    ],
)
def test_what_is_no_probability_is_refused(calibrations, tensor, roi, said):
    with pytest.raises(InputError, match=said):
        respond(calibrations["isotonic"], tensor, roi=roi)


def test_a_case_aware_calibration_needs_a_case(calibrations, cases):
    data = cases[0].read()
    members = [torch.from_numpy(member) for member in data.members]
    with pytest.raises(CalibrationError, match="respond_to_case"):
        respond(calibrations["conditional"], members[0])
    with pytest.raises(CalibrationError, match="not a map of the probability alone"):
        evaluate_map(calibrations["conditional"].map, members[0].double())
    response = respond_to_case(
        calibrations["conditional"], members, spacing=data.grid.spacing, roi=torch.from_numpy(data.roi)
    )
    assert (response.numpy() == calibrations["conditional"].apply(data)).all()


def test_a_case_is_compared_with_the_fitted_ones(calibrations, cases):
    member = torch.from_numpy(cases[0].read().members[0])
    with pytest.warns(TwinTrackWarning, match="case c17 is unlike .* 1 members"):
        respond_to_case(calibrations["isotonic"], [member], spacing=(3.0, 1.5, 0.8), name="c17")
