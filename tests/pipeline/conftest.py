"""A segmenter without networks, whose answer is known, a calibration for it, and CTs on grids of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

import twintrack as tt
from twintrack.segmentation.bundle import Bundle, CoarseEntry, MemberEntry, RoiSettings
from twintrack.segmentation.bundle_files import load_bundle, write_bundle
from twintrack.segmentation.cts import find_cts
from twintrack.segmentation.segmentation import Segmentation
from twintrack.segmentation.segmenter import Segmenter

SHAPE = (6, 10, 12)
BOX = (slice(1, 5), slice(2, 9), slice(3, 11))
STAGES = ("finding the region", "member a", "member b")
ANGLE = 0.4
OBLIQUE = tt.Grid(
    shape=SHAPE,
    spacing=(2.5, 0.8, 0.7),
    origin=(-20.5, 13.25, 400.0),
    direction=(np.cos(ANGLE), -np.sin(ANGLE), 0.0, np.sin(ANGLE), np.cos(ANGLE), 0.0, 0.0, 0.0, -1.0),
)


def ct_of(seed=0, grid=OBLIQUE):
    array = np.random.default_rng(seed).normal(40, 60, grid.shape).round().astype(np.int16)
    return tt.Volume(array, grid, f"ct {seed}")


@dataclass
class Fake:
    """Says of every CT the same in the same box, by its voxels."""

    foreground: tuple[str, ...] | None = ("tumour",)
    notes: tuple[str, ...] = ()
    n_members: int = 2
    calls: list[str] = field(default_factory=list)
    stop_at: str | None = None

    def segment(self, ct, *, case_id, roi=None, on_stage=None):
        for stage in STAGES:
            if on_stage is not None:
                on_stage(stage)
            if stage == self.stop_at:
                raise KeyboardInterrupt
        self.calls.append(case_id)
        part = ct.array[BOX].astype(np.float32)
        inside = np.ones(part.shape, np.uint8) if roi is None else roi.array[BOX].astype(np.uint8)
        inside[0, 0, :3] = 0
        members = [1 / (1 + np.exp(-(part - 40 - 20 * k) / 30)) for k in range(self.n_members)]
        members = [np.where(part < 0, 0, member * inside).astype(np.float32) for member in members]
        return Segmentation(
            case_id=case_id,
            grid=ct.grid,
            box=BOX,
            roi=inside,
            members=tuple(members),
            names=("a", "b", "c")[: self.n_members],
            roi_source="coarse" if roi is None else "given",
            notes=self.notes,
            foreground=self.foreground,
        )


def calibration_of(n_cases=6, n_raters=3, *, foreground=("tumour",), guarded=False, **options):
    """Fit to cases in `BOX`. Predictions in larger regions are unlike them, so most tests go without the guard."""
    rng = np.random.default_rng(5)
    fake, cases = Fake(foreground=foreground), []
    for seed in range(n_cases):
        seen = fake.segment(ct_of(100 + seed), case_id=f"c{seed}")
        p = np.mean(seen.members, axis=0)
        raters = [(p + 0.2 * rng.normal(size=p.shape) > 0.5).astype(np.uint8) for _ in range(n_raters)]
        cases.append(
            tt.Case(
                f"c{seed}",
                members=list(seen.members),
                raters=raters,
                roi=seen.roi,
                grid=seen.box_grid,
                foreground=foreground,
            )
        )
    fitted = tt.fit(cases, **{"method": "isotonic", **options})
    return fitted if guarded else fitted.model_copy(update={"guard": None})


@pytest.fixture(scope="session")
def calibration():
    return calibration_of()


@pytest.fixture
def fake():
    return Fake()


@dataclass
class Member:
    """A network that says what the voxels say."""

    name: str
    shift: float
    foreground: tuple[str, ...] | None = ("tumour",)
    seen: list[str] = field(default_factory=list)

    def probability(self, view):
        self.seen.append(view.case_id)
        image = view.image.astype(np.float32)
        return np.where(image < 0, 0, 1 / (1 + np.exp(-(image - 40 - self.shift) / 30))).astype(np.float32)


@dataclass
class Coarse:
    """A network that finds the middle, or nothing."""

    name: str = "coarse"
    finds: bool = True

    def locate(self, ct):
        lattice = np.zeros((3, 5, 6), np.bool_)
        lattice[1, 1:4, 2:5] = self.finds
        return lattice


@dataclass
class Ensemble:
    """Coarse network and two members."""

    coarse: Coarse = field(default_factory=Coarse)
    members: tuple[Member, ...] = field(default_factory=lambda: (Member("a", 0.0), Member("b", 20.0)))


def write_bundle_with(folder, calibration=None):
    """A bundle whose networks are never opened: `Ensemble` stands in for them."""
    files = {"calibration": None}
    for name in ("coarse/plans.json", "a.pt", "b.pt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    if calibration is not None:
        calibration.save(folder / "calibration.json")
        files["calibration"] = "calibration.json"
    bundle = Bundle(
        name="test",
        structure="tumour",
        coarse=CoarseEntry(model="coarse", labels=("pancreas",)),
        members=tuple(MemberEntry(name=name, kind="torchscript", path=f"{name}.pt") for name in "ab"),
        foreground=("tumour",),
        roi=RoiSettings(margin=1.0, smallest=1.0),
        **files,
    )
    write_bundle(folder, bundle)
    return folder


@pytest.fixture
def segmenter(tmp_path, calibration):
    folder = write_bundle_with(tmp_path / "bundle", calibration)
    return Segmenter(load_bundle(folder), networks=Ensemble())


@pytest.fixture
def cts(tmp_path):
    """Three CTs on disk: flipped, oblique and plain, of three formats."""
    flipped = tt.Grid(
        shape=SHAPE, spacing=(2.5, 0.8, 0.7), origin=(5.0, 6.0, 7.0), direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0)
    )
    grids = {"c1.mha": OBLIQUE, "c2.nii.gz": flipped, "c3.nrrd": tt.Grid.plain(SHAPE, spacing=(2.5, 0.8, 0.7))}
    (tmp_path / "cts").mkdir()
    for seed, (name, grid) in enumerate(grids.items()):
        ct = ct_of(seed, grid)
        ct.array[0] = -1000
        tt.write_volume(tmp_path / "cts" / name, ct)
    return find_cts([tmp_path / "cts"])
