"""Small random cases, and an isotonic regression that shares nothing with the product's."""

from __future__ import annotations

import numpy as np
import pytest

import twintrack as tt


def make_case(
    seed: int, *, name: str | None = None, shape=(4, 16, 16), n_members=2, n_raters=3, decimals=None, **options
):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=shape).cumsum(axis=1).cumsum(axis=2)
    truth /= np.abs(truth).max()
    members = []
    for _ in range(n_members):
        p = 1 / (1 + np.exp(-12 * (truth - 0.3 + 0.1 * rng.normal(size=shape))))
        members.append((p if decimals is None else p.round(decimals)).astype(np.float32))
    raters = [(truth + 0.2 * rng.normal(size=shape) > 0.3).astype(np.uint8) for _ in range(n_raters)]
    return tt.Case(name or f"case{seed}", members=members, raters=raters, spacing=(3.0, 0.8, 0.8), **options)


@pytest.fixture
def cases():
    return [make_case(seed, n_raters=2 + seed % 3) for seed in range(5)]


def pav(x, r, w):
    """Pool adjacent violators in plain Python on points sorted by x, ties in x pooled first; gives f at each point."""
    order = sorted(range(len(x)), key=lambda i: x[i])
    blocks = []  # [sum of w*r, sum of w, number of points]
    previous = None
    for i in order:
        if previous is not None and x[i] == previous:
            blocks[-1][0] += w[i] * r[i]
            blocks[-1][1] += w[i]
            blocks[-1][2] += 1
        else:
            blocks.append([w[i] * r[i], w[i], 1])
        previous = x[i]
    pooled = []
    for block in blocks:
        pooled.append(list(block))
        while len(pooled) > 1 and pooled[-2][0] / pooled[-2][1] >= pooled[-1][0] / pooled[-1][1]:
            last = pooled.pop()
            for k in range(3):
                pooled[-1][k] += last[k]
    values = [block[0] / block[1] for block in pooled for _ in range(block[2])]
    fitted = np.empty(len(x))
    fitted[order] = values
    return fitted
