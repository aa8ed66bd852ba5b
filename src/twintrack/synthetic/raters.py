"""Simulated raters: generous or strict by nature, uneven at the border, and of two minds about whole regions.

Source: our own model. A rater outlines where the tumour's soft border, seen through a smooth random field, passes that
rater's threshold: a level set of a random field, as in Lê, Unkelbach, Ayache and Delingette, "Sampling image
segmentations for uncertainty quantification", Medical Image Analysis 34, 2016. Where the border is sharp all raters
agree, where it fades they do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.special import expit, logit

from twintrack.synthetic.belief import Box, lattice, tumour_box, tumour_logit
from twintrack.synthetic.fields import smooth_field
from twintrack.synthetic.phantom import Phantom
from twintrack.synthetic.seeds import require_count, seed_sequence

# All in logit units of `Phantom.fuzzy`.
_BIAS = 0.4  # between raters
_MOOD = 0.2  # of one rater between cases
_UNEVEN = 0.42  # along a border
_UNEVEN_LENGTH = (6.0, 9.0, 9.0)  # mm along z, y and x: outlines are drawn slice by slice
_PULL = 1.2  # how much more readily a rater takes in a doubtful region per unit of bias
_INCLUDED, _EXCLUDED = 3.0, -2.5

N_CHOICES = 8
"""More than the doubtful regions of any phantom; a fixed number, so that what is drawn next does not depend on them."""

_BLANK = 0.015  # probability that a rater sees no tumour at all
_CRUMB = 0.04  # pieces smaller than this fraction of the largest are not drawn


@dataclass(frozen=True)
class Personality:
    """What stays the same of a rater from case to case.

    Attributes:
        bias: Shift of the threshold in logit units; positive draws more than others.
        unevenness: How irregular this rater's outlines are, 1 for the average rater.
    """

    bias: float
    unevenness: float


def personalities(n_raters: int, *, seed: int) -> list[Personality]:
    """Draw raters.

    Args:
        n_raters: How many; the first ones stay the same when more are asked for.
        seed: Chooses them.

    Returns:
        The raters.

    Raises:
        InputError: If the number is below 1 or the seed below 0.
    """
    require_count(n_raters, "raters")
    children = (np.random.default_rng(child) for child in seed_sequence(seed).spawn(n_raters))
    return [Personality(float(rng.normal(0, _BIAS)), float(rng.uniform(0.7, 1.3))) for rng in children]


def simulate_raters(
    phantom: Phantom, *, n_raters: int = 5, seed: int, personality_seed: int | None = None
) -> list[NDArray[np.uint8]]:
    """Simulate several raters' outlines of the tumour.

    Args:
        phantom: What they look at.
        n_raters: How many raters.
        seed: Chooses what they draw on this occasion.
        personality_seed: Chooses who they are; the same number over a cohort keeps the same persons, generous or
            strict, in every case. None: other persons for each seed.

    Returns:
        One uint8 mask of 0 and 1 per rater, (z, y, x) on the phantom's grid; seldom an empty one.

    Raises:
        InputError: If the number of raters is below 1 or a seed below 0.
    """
    people = personalities(n_raters, seed=seed if personality_seed is None else personality_seed)
    rngs = (np.random.default_rng(child) for child in seed_sequence(seed, 1).spawn(n_raters))
    return [draw_outline(phantom, person, rng) for person, rng in zip(people, rngs, strict=True)]


def draw_outline(phantom: Phantom, person: Personality, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Let one rater outline the tumour.

    Args:
        phantom: What the rater looks at.
        person: Who the rater is.
        rng: What happens on this occasion.

    Returns:
        uint8 mask of 0 and 1, (z, y, x).
    """
    mask = np.zeros(phantom.tumour.shape, np.uint8)
    # All draws come before any return: a rater who sees nothing uses the same numbers as one who does.
    field = smooth_field(rng, length=_UNEVEN_LENGTH)
    mood, blank, choices = rng.normal(0, _MOOD), rng.random() < _BLANK, rng.random(N_CHOICES)
    if blank:
        return mask
    box = tumour_box(phantom)
    belief = tumour_logit(phantom, box) + np.float32(person.bias + mood)
    belief += np.float32(_UNEVEN * person.unevenness) * field.on(lattice(phantom, box))
    decide_doubtful(belief, phantom, box, choices=choices, bias=person.bias)
    mask[box] = _without_crumbs(belief > 0)
    return mask


def decide_doubtful(
    belief: NDArray[np.float32],
    phantom: Phantom,
    box: Box,
    *,
    choices: NDArray[np.float64],
    bias: float,
) -> None:
    """Take in or leave out whole doubtful regions: raise or lower `belief` there, in place.

    Over unbiased raters, a region that looks tumour-like by a fraction is taken in by that fraction.

    Args:
        belief: Logits within the box.
        phantom: The phantom.
        box: Where.
        choices: A number from [0, 1) for each region (by its label): taken in if it is below the region's chance.
        bias: Of the one who decides.
    """
    doubtful = phantom.doubtful[box]
    for region in range(1, int(doubtful.max(initial=0)) + 1):
        inside = doubtful == region
        if inside.any():
            looks = float(np.quantile(phantom.fuzzy[box][inside], 0.75))
            taken = choices[region] < expit(logit(looks) + _PULL * bias)
            belief[inside] += np.float32(_INCLUDED if taken else _EXCLUDED)


def _without_crumbs(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out loose pieces much smaller than the largest, which no one draws."""
    pieces, _ = label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: NDArray[np.bool_] = (sizes > _CRUMB * sizes.max())[pieces]
    return kept
