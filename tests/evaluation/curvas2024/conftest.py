"""What the tests of the protocol share: small random cases and the plain reference."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from twintrack.errors import TwinTrackWarning

from . import plain_reference


@pytest.fixture(scope="session")
def reference():
    """The numpy version of the protocol's parts."""
    return plain_reference


@pytest.fixture(scope="session")
def random_case():
    """A function from a seed to raters, probabilities (background first, multiples of 1/64: exact) and labels."""

    def build(seed, *, shape=(4, 5, 6), n_raters=3, n_structures=3):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 1, (n_structures + 1, *shape))
        noise = rng.uniform(0.1, 0.8)
        raters = [np.argmax(logits + rng.normal(0, noise, logits.shape), axis=0) for _ in range(n_raters)]
        softmax = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=0)
        foreground = np.floor(softmax[1:] * 64) / 64
        probabilities = np.concatenate([1 - foreground.sum(axis=0, keepdims=True), foreground]).astype(np.float32)
        labels = np.where(rng.random(shape) < 0.1, rng.integers(0, n_structures + 1, shape), probabilities.argmax(0))
        return {
            "raters": np.stack(raters).astype(np.uint8),
            "probabilities": probabilities,
            "labels": labels.astype(np.uint8),
        }

    return build


@pytest.fixture(scope="session")
def said():
    """A function that calls another and gives its result and the text of its warnings."""

    def call(function, *args, **options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = function(*args, **options)
        assert all(warning.category is TwinTrackWarning for warning in caught)
        return result, [str(warning.message) for warning in caught]

    return call
