"""A CT phantom with simulated raters and members, for the demo, the docs and the tests; never used on real data."""

from __future__ import annotations

from twintrack.synthetic.cohort import phantom_case, write_cohort
from twintrack.synthetic.members import region_of_interest, simulate_members
from twintrack.synthetic.phantom import Phantom, make_phantom
from twintrack.synthetic.raters import Personality, personalities, simulate_raters

__all__ = [
    "Personality",
    "Phantom",
    "make_phantom",
    "personalities",
    "phantom_case",
    "region_of_interest",
    "simulate_members",
    "simulate_raters",
    "write_cohort",
]
