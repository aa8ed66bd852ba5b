"""Fleiss' kappa of binary votes, from vote histograms alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twintrack.errors import InputError


def fleiss_kappa(histograms: Iterable[Sequence[int]]) -> float | None:
    """Give Fleiss' kappa of the raters' votes, where the number of raters may differ between histograms.

    Each voxel is a subject with the two categories tumour and not tumour. With j of K votes at a voxel,

    - observed agreement: P = mean over voxels of [j(j − 1) + (K − j)(K − j − 1)] / [K(K − 1)], the share of
      the pairs of raters that agree;
    - label share: π = mean over voxels of j / K, which is the mean response;
    - chance agreement: E = π² + (1 − π)²;
    - kappa = (P − E) / (1 − E), in [−1, 1].

    Kappa depends on how much background is counted: every voxel that all raters leave is an agreement, so the
    whole image gives a higher kappa than a crop. Among the voxels that at least one rater labels it is low or
    negative by construction, for that choice favours disagreement. Compare kappas of like regions only.

    Sources: Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76(5),
    1971, for equal K. For unequal K the form of Gwet, "Handbook of Inter-Rater Reliability", 4th edition,
    2014 (there Fleiss' generalized kappa): every voxel weighs the same in P and in π. Were voxels weighed by
    their number of raters in π (the share of all votes) but not in P, kappa would have no lower bound.

    Args:
        histograms: One vote histogram per case: entry j is the number of voxels that j of the K raters label,
            j = 0 … K. Those of a single rater hold no pair of votes and are left out.

    Returns:
        Kappa; None where it is undefined: there is no voxel with two votes, or all votes are the same label.

    Raises:
        InputError: If a histogram has fewer than two entries or a negative one.
    """
    voxels = 0
    agreement = share = 0.0
    for histogram in histograms:
        if len(histogram) < 2 or min(histogram) < 0:
            raise InputError(
                f"a vote histogram holds the number of voxels with 0 … K votes, K ≥ 1; got {list(histogram)}"
            )
        raters = len(histogram) - 1
        if raters < 2:
            continue
        voxels += sum(histogram)
        pairs = sum(n * (j * (j - 1) + (raters - j) * (raters - j - 1)) for j, n in enumerate(histogram))
        agreement += pairs / (raters * (raters - 1))
        share += sum(n * j for j, n in enumerate(histogram)) / raters
    if share in (0.0, float(voxels)):
        return None
    chance = (share / voxels) ** 2 + (1 - share / voxels) ** 2
    return (agreement / voxels - chance) / (1 - chance)
