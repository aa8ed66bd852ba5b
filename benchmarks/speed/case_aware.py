"""Applying the case-aware map beside the plain one: features, shift and responses of a whole case."""

from __future__ import annotations

from benchmarks.speed import data
from benchmarks.speed.harness import Row, Timings

import twintrack as tt
from twintrack.calibration.conditional.model import ConditionalMap
from twintrack.calibration.conditional.reference import shipped_reference
from twintrack.calibration.methods.isotonic import IsotonicMap
from twintrack.calibration.respond import respond

SHAPE = (100, 512, 512)
REPEATS = 5
RADII = {"lesion of 5 % of the width": 0.05, "lesion of 15 % of the width": 0.15}
AWARE, PLAIN = "`conditional`", "`isotonic`"


def rows(*, large: bool) -> list[Row]:  # noqa: ARG001  (one size)
    """Measure, on a small lesion and on a large one."""
    small = data.case(data.cube(8000), members=1)
    plain = tt.fit([small], method="isotonic").map
    assert isinstance(plain, IsotonicMap)
    reference = shipped_reference()
    aware = ConditionalMap(
        dimensions=3, units=reference.units, coefficients=reference.coefficients, volume=0.5, prior_cases=1
    )
    for fitted in (plain, aware):
        respond(small.read(), fitted, pin_zero=True)
    return [one for what, radius in RADII.items() for one in of_lesion(what, radius, plain, aware)]


def of_lesion(what: str, radius: float, plain: IsotonicMap, aware: ConditionalMap) -> list[Row]:
    """Measure one case of one member, from its voxels to a new response map."""
    # Twice as steep as elsewhere: a border of some millimetres, as networks draw it.
    p = data.member(SHAPE, seed=3, noise=0.2, radius=radius, steepness=3 * data.STEEPNESS)
    read = tt.Case("lesion", probability=p, spacing=(1.0, 0.7, 0.7)).read(raters=False)
    calls = {
        PLAIN: lambda: respond(read, plain, pin_zero=True),
        AWARE: lambda: respond(read, aware, pin_zero=True),
    }
    return [Timings.of(calls, repeats=REPEATS).costs(f"apply, 512×512×100, {what}", AWARE, PLAIN, bar=10)]
