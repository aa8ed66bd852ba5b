"""What the tests of the synthetic room share: a grid coarse enough to be quick, with the default field of view."""

from __future__ import annotations

from typing import Any

import pytest

from twintrack.synthetic import Phantom, make_phantom

COARSE: dict[str, Any] = {"shape": (24, 64, 64), "spacing": (6.0, 5.0, 5.0)}


@pytest.fixture(scope="session")
def coarse() -> dict[str, Any]:
    return COARSE


@pytest.fixture(scope="session")
def phantoms() -> list[Phantom]:
    return [make_phantom(seed, **COARSE) for seed in range(16)]


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    return make_phantom(2)
