"""A map of the probability alone as a scikit-learn regressor, for pipelines, cross-validation and tables of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.calibration.curve import Curve
from twintrack.calibration.methods import METHODS, ResponseMap
from twintrack.calibration.selection.selected import AUTO, CASE_AWARE
from twintrack.cohort.checks import ROUNDING
from twintrack.errors import MissingExtraError

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "twintrack.integrations.sklearn needs scikit-learn 1.6 or newer: pip install 'twintrack[sklearn]'"
    ) from error


class ResponseRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Regresses the response on the probability, by any method that looks at the probability alone.

    A sample is a voxel (or a pixel, or anything else that several raters judged). `fit` on all voxels of a cohort is
    `twintrack.fit(cases, method=..., exact=True)` in memory: for cohorts of volumes use that one, which never holds
    more than a case.

    The case-aware methods ("conditional", and "auto", which may choose it) cannot be a regressor: they look at a
    voxel's neighbours, the ROI and the voxel size in mm, and a row of numbers has none of these.

    Args:
        method: One of `twintrack.calibration.METHODS`.
        pin_zero: Keep the response 0 where the probability is exactly 0, and leave such samples out of the fit.

    Attributes:
        map_: The fitted map, with its parameters as named fields.
        n_features_in_: 1.

    Examples:
        >>> import numpy as np
        >>> p = np.array([[0.1], [0.2], [0.3], [0.8]])
        >>> model = ResponseRegressor().fit(p, [0.0, 0.4, 0.2, 1.0], sample_weight=[1, 1, 1, 2])
        >>> model.predict([[0.25], [0.55]]).round(2).tolist()
        [0.3, 0.65]
    """

    def __init__(self, *, method: str = "isotonic", pin_zero: bool = True) -> None:
        self.method = method
        self.pin_zero = pin_zero

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ResponseRegressor:  # noqa: N803  (scikit-learn's names)
        """Fit the map.

        Args:
            X: Probabilities in [0, 1], shape (n, 1).
            y: Responses in [0, 1], shape (n,): the fraction of the raters who label the sample, or one rater's 0 and 1.
            sample_weight: How much each counts, at least 0; None: all alike.

        Returns:
            Itself.

        Raises:
            ValueError: If the method is unknown or case-aware, a probability or response is not in [0, 1], a weight is
                negative, or there is more than one feature.
            CalibrationError: If no sample with a weight above 0 is left: with `pin_zero`, every probability is 0.
        """
        self._check_method()
        checked, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        p, response = self._probability(checked), self._response(target)
        weight = _weights(sample_weight, p)
        kept = weight > 0
        if self.pin_zero:
            kept &= p > 0
        # One point for each distinct probability: what is linear in the response needs no more.
        levels, where = np.unique(p[kept], return_inverse=True)
        total = np.bincount(where, weight[kept], levels.size).astype(np.float64)
        mean = np.bincount(where, (weight * response)[kept], levels.size) / total
        self.map_: ResponseMap = METHODS[self.method].fit(Curve(levels, total, np.clip(mean, 0.0, 1.0)))
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: N803  (scikit-learn's name)
        """Give responses.

        Args:
            X: Probabilities in [0, 1], shape (n, 1).

        Returns:
            Responses in [0, 1], float64, shape (n,).

        Raises:
            sklearn.exceptions.NotFittedError: If `fit` was not called.
            ValueError: If a probability is not in [0, 1], or there is more than one feature.
        """
        check_is_fitted(self)
        p = self._probability(validate_data(self, X, dtype=np.float64, reset=False))
        response = self.map_(p)
        return np.where(p == 0, 0.0, response) if self.pin_zero else response

    def _check_method(self) -> None:
        if self.method in (AUTO, *CASE_AWARE):
            raise ValueError(
                f"method {self.method!r} looks at a voxel's surroundings, the ROI and the voxel size, which a table of "
                "numbers does not have: fit it to cases with twintrack.fit. Here one of "
                f"{', '.join(METHODS)} is possible"
            )
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}; known here are {', '.join(METHODS)}")

    def _probability(self, checked: NDArray[np.float64]) -> NDArray[np.float64]:
        if checked.shape[1] != 1:
            raise ValueError(
                f"X has {checked.shape[1]} features; one is expected, the probability. Average the members first"
            )
        return _unit(checked[:, 0], "probabilities (X)")

    def _response(self, checked: NDArray[Any]) -> NDArray[np.float64]:
        return _unit(np.asarray(checked, np.float64), "responses (y)")


def _weights(given: Any, p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Check weights; none given are all 1.

    Raises:
        ValueError: If they are not one for each sample, one is negative or not finite, or all are 0.
    """
    if given is None:
        return np.ones(p.size)
    weight = check_array(given, ensure_2d=False, dtype=np.float64, ensure_non_negative=True, input_name="sample_weight")
    if weight.ndim != 1:
        raise ValueError(f"sample_weight has shape {weight.shape}; one weight for each sample is expected")
    check_consistent_length(p, weight)
    if not weight.any():
        raise ValueError("every sample_weight is zero: there is nothing to fit")
    return np.asarray(weight)


def _unit(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """Check that numbers lie in [0, 1], and carry back what rounding moved out.

    Raises:
        ValueError: If one does not.
    """
    low, high = values.min(), values.max()
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(f"{what} lie in [0, 1]; found {low:g} to {high:g}")
    return np.clip(values, 0.0, 1.0)
