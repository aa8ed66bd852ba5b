"""The CURVAS-PDACVI protocol for one case: every part put together, and every failure said aloud."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twintrack.errors import InputError, TwinTrackWarning
from twintrack.evaluation.curvas.inputs import check_voxel_volume
from twintrack.evaluation.curvas.variant import VARIANTS, Variant
from twintrack.evaluation.curvas.volume import integrated_crps
from twintrack.evaluation.pdacvi.contact import edge_pixels
from twintrack.evaluation.pdacvi.drawn import Drawn
from twintrack.evaluation.pdacvi.inputs import Inputs, check_inputs, check_vessel_names
from twintrack.evaluation.pdacvi.overlap import staple_dice, staple_fails, thresholded_dice
from twintrack.evaluation.pdacvi.protocol import VESSEL_NAMES, PlaneDegrees, Scores
from twintrack.evaluation.pdacvi.tally import Tally, tally
from twintrack.evaluation.pdacvi.top_label import calibration_errors, corrected_region, official_region
from twintrack.evaluation.pdacvi.vascular import involvement
from twintrack.evaluation.scores.volume import crps_gaussian


def score(
    raters: ArrayLike | Sequence[ArrayLike],
    probability: ArrayLike,
    *,
    binary: ArrayLike | None = None,
    vessels: ArrayLike | None = None,
    voxel_volume: float = 1.0,
    spacing: Sequence[float] | None = None,
    vessel_names: Mapping[int, str] = VESSEL_NAMES,
    variant: Variant = "official",
) -> Scores:
    """Score a probabilistic segmentation against several raters by the CURVAS-PDACVI protocol (MICCAI 2025).

    `official` gives the figures of the benchmark's own evaluator, quirks included: where that fails, the
    figure is NaN and a warning names the quirk. `corrected` repairs each quirk. docs/pdacvi.md lists every
    difference.

    The arrays are read once, apart from the probability and the vessels around the tumour. Arrays of another
    type than stated are converted, which takes a copy.

    Args:
        raters: K masks, uint8 (K, z, y, x) or (K, y, x), 0 and 1; K from 1 to 57.
        probability: Tumour probability, float32 (z, y, x) or (y, x), in [0, 1].
        binary: Binary prediction, uint8, 0 and 1; None means probability > 0.5.
        vessels: Vessel labels, uint8 (z, y, x); None leaves vascular involvement out.
        voxel_volume: Volume of a voxel in mm³ (mm² for an image); 1 counts voxels.
        spacing: Voxel size in mm along each array axis, instead of `voxel_volume`.
        vessel_names: Name by vessel label; every label in `vessels` must have one.
        variant: `official` or `corrected`.

    Returns:
        `thresh_dsc`, `dsc_staple`, `ece` (by rater), `ece_mean`, `crps` (unit of `voxel_volume`), `vi`
        (degrees, by vessel) and `vi_degrees` (by vessel and plane); the last two are empty without vessels.

    Raises:
        GeometryError: If the arrays' shapes differ.
        InputError: If an array or an option cannot be scored; the message says why.

    Warns:
        TwinTrackWarning: Where a figure is NaN, or known to carry no meaning.

    Examples:
        >>> import numpy as np
        >>> raters = np.zeros((2, 40, 40, 40), dtype=np.uint8)
        >>> raters[0, 18:22, 18:22, 18:22] = raters[1, 18:22, 18:22, 18:24] = 1
        >>> scores = score(raters, raters.mean(axis=0), variant="corrected")
        >>> round(scores["crps"], 3), round(scores["ece_mean"], 6)
        (3.739, 0.00025)
    """
    inputs = check_inputs(raters, probability, binary=binary, vessels=vessels)
    volume = check_voxel_volume(voxel_volume, spacing=spacing, dimensions=inputs.dimensions)
    return _score(inputs, _Shared.of(inputs, volume, vessel_names, variant))


def score_each(
    raters: ArrayLike | Sequence[ArrayLike],
    probabilities: Sequence[ArrayLike],
    *,
    vessels: ArrayLike | None = None,
    voxel_volume: float = 1.0,
    vessel_names: Mapping[int, str] = VESSEL_NAMES,
    variant: Variant = "official",
) -> list[Scores]:
    """Score several probabilities of one case; what depends on raters and vessels alone is computed once.

    Args:
        raters: K masks as for `score`.
        probabilities: One or more tumour probabilities, as for `score`.
        vessels: Vessel labels as for `score`.
        voxel_volume: Volume of a voxel in mm³ (mm² for an image); 1 counts voxels.
        vessel_names: Name by vessel label; every label in `vessels` must have one.
        variant: `official` or `corrected`.

    Returns:
        The scores of each, as `score` gives them.

    Raises:
        GeometryError: If the arrays' shapes differ.
        InputError: If an array or an option cannot be scored; the message says why.

    Warns:
        TwinTrackWarning: As `score` does, for each.
    """
    volume = check_voxel_volume(voxel_volume)
    shared: _Shared | None = None
    scores: list[Scores] = []
    for probability in probabilities:
        inputs = check_inputs(raters, probability, vessels=vessels)
        if shared is None:
            shared = _Shared.of(inputs, volume, vessel_names, variant)
            raters = inputs.raters.reshape(-1, *np.shape(probability))  # one stack, not to be made again
        scores.append(_score(inputs, shared))
    return scores


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shared:
    """What the scores of all predictions of a case share: what depends on raters, vessels and options alone."""

    drawn: Drawn
    voxel_volume: float
    names: Mapping[int, str]
    edges: NDArray[np.int64] | None
    variant: Variant

    @classmethod
    def of(cls, inputs: Inputs, voxel_volume: float, vessel_names: Mapping[int, str], variant: Variant) -> _Shared:
        if variant not in VARIANTS:
            raise InputError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}")
        names = check_vessel_names(vessel_names)
        return cls(
            drawn=Drawn.of(inputs.raters),
            voxel_volume=voxel_volume,
            names=names,
            edges=None if inputs.vessels is None else edge_pixels(inputs.vessels, list(names)),
            variant=variant,
        )


def _score(inputs: Inputs, shared: _Shared) -> Scores:
    variant = shared.variant
    found = tally(inputs, shared.drawn)
    distances, degrees = _vessels(inputs, shared, found)
    errors = _calibration(inputs, found, variant)
    if variant == "official":
        _warn_of_staple(found)
    return {
        "thresh_dsc": thresholded_dice(found, variant=variant),
        "dsc_staple": staple_dice(found, variant=variant),
        "ece": {str(rater): error for rater, error in enumerate(errors)},
        "ece_mean": float(np.mean(errors)),
        "crps": _volume(found, shared.voxel_volume, variant),
        "vi": distances,
        "vi_degrees": degrees,
    }


def _calibration(inputs: Inputs, found: Tally, variant: Variant) -> list[float]:
    if variant == "corrected":
        region = corrected_region(found)
    elif found.rater_box is None:
        _warn(
            "ece is NaN: no rater drew anything, so there is no box to take it in (the evaluator raises "
            "OverflowError here)"
        )
        return [math.nan] * found.n_raters
    else:
        region = official_region(found.rater_box, found.codes.shape, dimensions=inputs.dimensions)
        if region.wrapped:
            what = "carries no meaning" if region.voxels else "is NaN"
            _warn(
                f"ece {what}: the tumour lies within 20 voxels of the volume's lower border, and the "
                "evaluator's box counts a negative bound from the far end"
            )
    return [float(error) for error in calibration_errors(inputs.probability, found, region, variant=variant)]


def _volume(found: Tally, voxel_volume: float, variant: Variant) -> float:
    # In voxels, which are whole numbers: in mm³ the SD of equal volumes need not come out as exactly 0.
    voxels: list[float] = found.rater_voxels.tolist()
    if variant == "corrected":
        return voxel_volume * crps_gaussian(found.probability_sum, voxels)
    if len(set(voxels)) == 1:
        _warn(
            "crps is 0 whatever is predicted: the raters' volumes are equal, and the evaluator integrates "
            "over a range of width 0"
        )
    return voxel_volume * integrated_crps(found.probability_sum, voxels)


def _vessels(
    inputs: Inputs, shared: _Shared, found: Tally
) -> tuple[dict[str, float], dict[str, dict[str, PlaneDegrees]]]:
    if inputs.vessels is None or shared.edges is None:
        return {}, {}
    distances, degrees, absent = involvement(inputs.vessels, shared.edges, shared.names, found, variant=shared.variant)
    if absent:
        value = "0, the best there is" if shared.variant == "official" else "NaN"
        _warn(f"vi is {value}, for vessels that the volume does not hold: {', '.join(absent)}")
    return distances, degrees


def _warn_of_staple(found: Tally) -> None:
    if staple_fails(found):
        why = "no rater drew anything" if found.rater_box is None else "all raters label every voxel"
        _warn(f"the STAPLE consensus counts as empty: {why}, where the evaluator's STAPLE gives NaN")


def _warn(message: str) -> None:
    warnings.warn(message, TwinTrackWarning, stacklevel=5)
