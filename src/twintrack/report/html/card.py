"""What was done, in three sentences, and the model card: data, raters, method, provenance, limits."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twintrack.calibration import Calibration
from twintrack.report.html.content import Content
from twintrack.report.html.headline import verdicts
from twintrack.report.html.words import count, listing, number
from twintrack.software import versions

_NAMED = 3


def sentences(content: Content, rows: list[dict[str, Any]]) -> list[str]:
    """Say in three sentences what was done and what came of it."""
    summary = content.summary
    scored = (
        f"{count(summary['n_cases'], 'case')} of {count(summary['n_patients'], 'patient')}, each drawn by "
        f"{_raters(content)}, were scored by the protocol “{summary['protocol']}”."
    )
    if content.chosen is None:
        return [
            scored,
            "The ensemble's probability that a voxel is tumour was compared with the mean response of the raters, "
            "the share of them who label the voxel.",
            "Nothing was calibrated: the scores show how far the raw probability can be trusted as it is.",
        ]
    about = content.calibrated
    if about is None:
        made = f"Beside the ensemble's probability stands the prediction “{content.chosen}”"
    else:
        other = "other case" if _unseen(content) else "case"
        made = (
            f"A calibration (method {about.method}, fitted on {count(about.n_cases, other)}) turned the ensemble's "
            "probability at each voxel into a response"
        )
    return [scored, f"{made}: the share of experts who are to be expected to label the voxel.", _outcome(content, rows)]


def _unseen(content: Content) -> bool:
    return not content.summary["n_cases_seen_by_the_fit"]


def _outcome(content: Content, rows: list[dict[str, Any]]) -> str:
    found = verdicts(rows)
    parts = [
        f"clearly {word} than raw on {count(len(found[word]), 'score')} ({_few(found[word])})"
        for word in ("better", "worse")
        if found[word]
    ]
    same = len(found["no clear difference"])
    who = "The calibrated response" if content.calibrated is not None else f"“{content.chosen}”"
    if not parts:
        return f"{who} is on none of {count(same, 'score')} clearly better or worse than raw (95 % intervals)."
    rest = f"; on {count(same, 'score')} there is no clear difference" if same else ""
    return f"{who} is {' and '.join(parts)}{rest} (95 % intervals over patients)."


def _few(labels: list[str]) -> str:
    rest = len(labels) - _NAMED
    return "; ".join(labels if rest <= 1 else [*labels[:_NAMED], f"{rest} more"])


def _raters(content: Content) -> str:
    numbers = sorted({int(row["raters"]) for row in content.rows})
    if len(numbers) == 1:
        return count(numbers[0], "rater")
    return f"{numbers[0]} to {numbers[-1]} raters"


def model_card(content: Content) -> list[dict[str, Any]]:
    """Give the entries of the model card: a title, and lines of text."""
    return [
        {
            "title": "Intended use",
            "lines": [
                "Research on segmentation with several raters: to see whether the calibrated map can be read as the "
                "share of experts who would label a voxel, on cases like those shown here.",
                "Research software, not a medical device. Not to be used for diagnosis or for decisions on treatment.",
            ],
        },
        {"title": "Cases scored", "lines": _data_lines(content)},
        {"title": "Calibration", "lines": _calibration_lines(content)},
        {"title": "Scores", "lines": _score_lines(content)},
        {"title": "Limits", "lines": _limits(content)},
    ]


def _data_lines(content: Content) -> list[str]:
    summary, details = content.summary, content.details
    one_row = {row["case"]: row for row in content.rows}
    numbers = Counter(int(row["raters"]) for row in one_row.values())
    lines = [
        f"{count(summary['n_cases'], 'case')} of {count(summary['n_patients'], 'patient')}; "
        + listing([f"{count(n, 'case')} with {count(k, 'rater')}" for k, n in sorted(numbers.items())])
        + "."
    ]
    if details is not None:
        members = sorted({case.about.members for case in details.cases})
        lines.append(f"{listing([count(n, 'member') for n in members])} in the ensemble.")
        if details.n_left_out:
            lines.append(f"{count(details.n_left_out, 'case')} could not be used and were left out.")
    if not _unseen(content):
        lines.append(
            f"The calibration was fitted on {summary['n_cases_seen_by_the_fit']} of these cases: its scores are too "
            "good to be true for new ones."
        )
    return lines


def _calibration_lines(content: Content) -> list[str]:
    if content.calibration is not None:
        return _fit_lines(content, content.calibration)
    about = content.calibrated
    if content.chosen is None:
        return ["None was evaluated."]
    if about is None:
        return ["Not recorded: made elsewhere, or by an older version."]
    return [
        f"Method {about.method}, fitted on {count(about.n_cases, 'case')}.",
        "More is said where its file is given: twintrack report --calibration FILE.",
    ]


def _fit_lines(content: Content, calibration: Calibration) -> list[str]:
    fitted = calibration.provenance
    raters = [f"{count(n, 'case')} with {count(k, 'rater')}" for k, n in sorted(fitted.raters.items())]
    lines = (
        []
        if content.calibrated is not None
        else [
            "Whether it is the calibration that was evaluated cannot be told: this evaluation does not keep its hash."
        ]
    )
    lines += [
        f"Method {calibration.method}, fitted to the {fitted.target} with {fitted.weighting} weighing alike, on "
        f"{count(fitted.n_cases, 'case')} ({listing(raters)}), {number(float(fitted.n_voxels))} voxels.",
        "A probability of exactly 0 keeps response 0." if calibration.pin_zero else "Responses at 0 are not pinned.",
    ]
    if fitted.foreground:
        lines.append(f"Structure: {listing(list(fitted.foreground))}.")
    if fitted.n_skipped:
        lines.append(f"{count(fitted.n_skipped, 'case')} could not be used for the fit.")
    if calibration.selection is not None:
        lines.append(
            f"Chosen among {len(calibration.selection.candidates)} candidates by leaving out "
            f"{calibration.selection.n_patients} patients in turn."
        )
    return lines


def _score_lines(content: Content) -> list[str]:
    boot = content.summary["bootstrap"]
    return [
        f"Intervals hold {100 * boot['level']:g} % of {boot['repeats']} resamples of the {boot['unit']}s (bootstrap, "
        f"seed {boot['seed']}); a difference counts as clear where its interval lies on one side of 0.",
        "Intervals are not widened for the number of scores looked at.",
    ]


def _limits(content: Content) -> list[str]:
    lines = [
        "A calibration holds for cases like those it was fitted on: the same networks, scanners, raters and kind of "
        "patient. Flags notice some differences, not all.",
        "Where a network sees nothing, no calibration can add what was missed.",
        "The response speaks of the raters who drew these cases; it is not the truth about the tissue.",
    ]
    if content.summary["n_patients"] < 20:
        lines.insert(0, f"{count(content.summary['n_patients'], 'patient')} are few: every interval here is rough.")
    return lines


def provenance(content: Content) -> list[tuple[str, str]]:
    """Give hashes and versions, in the order they are shown."""
    found = [(f"SHA-256 of {name}", sha256) for name, sha256 in content.sha256.items()]
    if content.details is not None:
        scored = content.details.software
        found.append(("scored with", ", ".join(f"{name} {version}" for name, version in scored.items())))
    if content.calibration is not None:
        fitted = content.calibration.provenance.software
        found.append(("fitted with", ", ".join(f"{name} {version}" for name, version in fitted.items())))
    made = versions("twintrack", "numpy", "matplotlib", "jinja2")
    found.append(("report made with", ", ".join(f"{name} {version}" for name, version in made.items())))
    return found
