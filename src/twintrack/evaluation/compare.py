"""Comparing predictions of the same cases: paired differences, a challenge's ranking, and how stable it is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from twintrack.errors import InputError
from twintrack.evaluation.bootstrap import LEVEL, REPEATS, Interval, patient_weights
from twintrack.evaluation.entries import Entry
from twintrack.evaluation.protocols import Score
from twintrack.evaluation.summary import Values, difference, finite


@dataclass(frozen=True, eq=False)
class Comparison:
    """How predictions of the same cases compare.

    Attributes:
        means: One row per entry and score: entry, score, value, low, high.
        differences: One row per pair of entries and score: score, of, to, value, low, high and the numbers of cases
            improved, equal and worsened.
        ranking: One row per entry, best first: entry, rank, low and high of its rank over the resamples, mean_rank over
            the scores, first (share of the resamples in which it is first), and its rank in each score.
        stability: Mean Kendall's tau between the ranking and that of each resample; 1 is perfectly stable.
        about: Protocol, scores that the ranking uses, numbers of cases and patients, the bootstrap.
    """

    means: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    ranking: list[dict[str, Any]]
    stability: float | None
    about: dict[str, Any]


def compare(
    entries: Sequence[Entry], *, scores: Sequence[str] | None = None, repeats: int = REPEATS, seed: int = 0
) -> Comparison:
    """Compare predictions of the same cases.

    Ranking as challenges do it ("aggregate, then rank"; Wiesenfarth et al. 2021, Methods and open-source toolkit for
    analyzing and visualizing challenge results): for each score the entries are ranked by their mean over cases, equal
    means share the mean of their ranks; the ranks are averaged over the scores. Its stability is read off the same
    ranking in resamples of the patients.

    Args:
        entries: At least two predictions of the same cases (`twintrack.evaluation.entries.read_entries`).
        scores: The scores to rank by; None takes all.
        repeats: Resamples of the bootstrap over patients.
        seed: Its seed.

    Returns:
        The comparison.

    Raises:
        InputError: If there are fewer than two entries, or a score is not known.
    """
    if len(entries) < 2:
        raise InputError(f"a comparison needs at least two predictions; there is {len(entries)}")
    known = {name: score for name, score in entries[0].scores.items() if all(name in one.values for one in entries)}
    chosen = list(known) if scores is None else list(scores)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise InputError(f"no score is called {unknown[0]!r}; the scores are {', '.join(known)}")
    weights = patient_weights(entries[0].patients, repeats=repeats, seed=seed)
    values = {(entry.name, name): Values.of_cases(entry.values[name], weights) for entry in entries for name in known}
    names = [entry.name for entry in entries]
    ranking, stability = _rank(names, [known[name] for name in chosen], values)
    return Comparison(
        means=[{"entry": entry, "score": name, **_interval(values[entry, name])} for name in known for entry in names],
        differences=[
            finite(
                {
                    "score": name,
                    "of": new,
                    "to": old,
                    **difference(score, values[old, name], values[new, name], weights),
                }
            )
            for name, score in known.items()
            for old, new in itertools.combinations(names, 2)
        ],
        ranking=ranking,
        stability=stability,
        about={
            "protocol": entries[0].protocol,
            "ranked_by": chosen,
            "scores": {
                name: {"label": score.label, "better": score.better, "unit": score.unit}
                for name, score in known.items()
            },
            "n_cases": len(entries[0].cases),
            "n_patients": len(set(entries[0].patients)),
            "bootstrap": {"repeats": repeats, "seed": seed, "level": LEVEL, "unit": "patient"},
        },
    )


def _interval(values: Values) -> dict[str, Any]:
    found = Interval.of(values.cohort, values.resampled)
    return finite({"value": found.value, "low": found.low, "high": found.high})  # type: ignore[no-any-return]


def _rank(
    names: Sequence[str], scores: Sequence[Score], values: dict[tuple[str, str], Values]
) -> tuple[list[dict[str, Any]], float | None]:
    cohort = np.stack(
        [_ranks(score, np.array([[values[name, score.name].cohort] for name in names])) for score in scores]
    )
    resampled = np.stack(
        [_ranks(score, np.stack([values[name, score.name].resampled for name in names])) for score in scores]
    )
    mean_rank = cohort.mean(axis=0)[:, 0]
    final = rankdata(mean_rank)
    final_resampled = rankdata(resampled.mean(axis=0), axis=0)
    low, high = np.quantile(final_resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    first = (final_resampled == final_resampled.min(axis=0)).mean(axis=1)
    rows = [
        {
            "entry": name,
            "rank": float(final[k]),
            "low": float(low[k]),
            "high": float(high[k]),
            "mean_rank": float(mean_rank[k]),
            "first": float(first[k]),
            **{f"rank_{score.name}": float(cohort[s, k, 0]) for s, score in enumerate(scores)},
        }
        for k, name in enumerate(names)
    ]
    taus = [kendalltau(final, column).statistic for column in final_resampled.T]
    stable = [tau for tau in taus if np.isfinite(tau)]
    return sorted(rows, key=lambda row: (row["rank"], row["entry"])), float(np.mean(stable)) if stable else None


def _ranks(score: Score, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank the entries (rows) of each resample (column), 1 for the best; entries without a value come last."""
    merit = -means if score.better == "higher" else np.abs(means)
    return np.asarray(rankdata(np.where(np.isfinite(merit), merit, np.inf), axis=0))
