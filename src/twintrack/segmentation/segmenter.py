"""The coarse-to-fine ensemble: a CT goes in, the members' probabilities inside the region of interest come out."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from twintrack.errors import InputError, ModelError, TwinTrackWarning
from twintrack.images import Volume
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.bundle_files import LoadedBundle
from twintrack.segmentation.ct_checks import require_ct
from twintrack.segmentation.model import CoarseModel, FineModel, View
from twintrack.segmentation.networks import BundleNetworks, Networks
from twintrack.segmentation.orientation import oriented
from twintrack.segmentation.precomputed import PrecomputedModel
from twintrack.segmentation.roi import Roi, given_region, region_of_interest, whole_image
from twintrack.segmentation.segmentation import RoiSource, Segmentation

ROUNDING = 1e-5
"""How far a probability may lie outside [0, 1]: a softmax in float32 or float16, summed over labels."""


class Segmenter:
    """Runs a bundle on one CT after the other; its networks are loaded once, when they are first needed.

    Args:
        bundle: The bundle.
        device: "auto" (cuda, then mps, then cpu) or a device's name.
        threads: Threads on the CPU; None leaves the choice to the machine.
        trust_checkpoint: Whether checkpoints that can run code when loaded are accepted.
        margin: Dilation of the region in mm, instead of the bundle's.
        networks: The models to use instead of those the bundle names.

    Raises:
        InputError: If the margin is not a distance.
    """

    def __init__(
        self,
        bundle: LoadedBundle,
        *,
        device: str = "auto",
        threads: int | None = None,
        trust_checkpoint: bool = False,
        margin: float | None = None,
        networks: Networks | None = None,
    ) -> None:
        self.bundle = bundle
        self.settings = with_margin(bundle.bundle.roi, margin)
        self.networks: Networks = networks or BundleNetworks(
            bundle, device=device, threads=threads, trust_checkpoint=trust_checkpoint
        )

    def apart(self) -> Self:
        """Give the same for workers; each loads the networks once (`BundleNetworks.apart`).

        Returns:
            A copy that can be pickled, if models given instead of the bundle's can.
        """
        twin = copy.copy(self)
        if isinstance(self.networks, BundleNetworks):
            twin.networks = self.networks.apart()
        return twin

    @property
    def fingerprint(self) -> str:
        """Hash of everything about the bundle and the settings that can change a result; not of device and threads."""
        settings = json.dumps([self.bundle.sha256, self.settings.model_dump()], sort_keys=True)
        return hashlib.sha256(settings.encode()).hexdigest()

    @property
    def foreground(self) -> tuple[str, ...] | None:
        """The labels that are the structure; None where nothing says so."""
        said = (member.foreground for member in self.networks.members)
        return next((names for names in said if names), self.bundle.bundle.foreground or None)

    def files(self, case_id: str) -> tuple[Path, ...]:
        """Give the files outside the bundle that a case's result depends on: its precomputed probabilities.

        Raises:
            ModelError: If a member has none of this case.
        """
        entries = [entry for entry in self.bundle.bundle.members if entry.kind == "precomputed"]
        foreground = self.bundle.bundle.foreground
        return tuple(
            PrecomputedModel(self.bundle.path_of(entry), name=entry.name, foreground=foreground).file(case_id)
            for entry in entries
        )

    def segment(
        self,
        ct: Volume,
        *,
        case_id: str,
        roi: Volume | None = None,
        on_stage: Callable[[str], None] | None = None,
    ) -> Segmentation:
        """Segment a CT.

        The coarse network finds the region on the whole CT; its plausible components, dilated, are the ROI; each member
        predicts on the ROI's box at the CT's own resolution; outside the ROI everything is 0. Where the bundle has no
        coarse network, or it finds nothing plausible (which the notes then say), the ROI is the whole image. A given
        ROI replaces the coarse network.

        Args:
            ct: The CT in HU, (z, y, x), in any orientation; 2-D where the bundle has no coarse network or an ROI is
                given.
            case_id: What the case is called.
            roi: Mask of where to look, on the CT's grid; the coarse network is then not asked.
            on_stage: Told in words what is done next.

        Returns:
            The members' probabilities on the CT's own grid, in the ROI's box.

        Raises:
            InputError: If this is no CT, or the ROI is no mask on its grid.
            ModelError: If a network cannot be loaded or not be run on this image.
            MissingExtraError: If networks cannot be run here.

        Warns:
            TwinTrackWarning: If the values are unusual for a CT, or the coarse network found nothing.
        """
        say = on_stage or (lambda _: None)
        require_ct(ct)
        region, source, notes = self._region(ct, case_id, roi, say)
        turned, turn = oriented(ct, self.bundle.bundle.orientation)
        view = View(case_id, turned, turn.box(region.box))
        members = []
        for model in self._members(say):
            say(f"member {model.name}")
            members.append(np.where(region.mask, turn(_checked(model, view)), np.float32(0)))
        return Segmentation(
            case_id=case_id,
            grid=ct.grid,
            box=region.box,
            roi=region.mask,
            members=tuple(members),
            names=tuple(model.name for model in self.networks.members),
            roi_source=source,
            notes=notes,
            foreground=self.foreground,
        )

    def regions(self, ct: Volume, margins: Sequence[float | None] = (None,)) -> list[Roi | None]:
        """Ask the coarse network, once, and make the region of interest for each margin.

        Args:
            ct: The CT in HU, (z, y, x).
            margins: Margins in mm; None is the one set.

        Returns:
            For each margin the ROI on the CT's own grid, or None where no component is plausible.

        Raises:
            InputError: If a margin is not a distance.
            ModelError: If there is no coarse network, or it cannot be run on this image.
        """
        settings = [with_margin(self.settings, margin) for margin in margins]
        coarse = self.networks.coarse
        if coarse is None:
            raise ModelError(f"{self.bundle.folder}: the bundle has no coarse network to find a region with")
        lattice = self._locate(coarse, ct)
        return [region_of_interest(lattice, ct.grid, chosen) for chosen in settings]

    def _members(self, say: Callable[[str], None]) -> tuple[FineModel, ...]:
        say("loading the members")
        return self.networks.members

    def _region(
        self, ct: Volume, case_id: str, given: Volume | None, say: Callable[[str], None]
    ) -> tuple[Roi, RoiSource, tuple[str, ...]]:
        if given is not None:
            return given_region(given, ct.grid, name=ct.name), "given", ()
        say("coarse network")
        if self.networks.coarse is None:
            return whole_image(ct.grid), "whole", ()
        (found,) = self.regions(ct)
        if found is not None:
            return found, "coarse", ()
        note = (
            f"the coarse network found no region of at least {self.settings.smallest:g} mm³; the whole image was "
            "searched"
        )
        warnings.warn(f"case {case_id}: {note}", TwinTrackWarning, stacklevel=3)
        return whole_image(ct.grid), "whole", (note,)

    def _locate(self, coarse: CoarseModel, ct: Volume) -> NDArray[np.bool_]:
        if len(ct.grid.shape) != 3 or not ct.grid.known:
            raise ModelError(
                f"{ct.name}: the coarse network needs a 3-D CT of known voxel size; this is {ct.grid.describe()}. "
                "Give an ROI (--roi), or use a bundle without a coarse network."
            )
        turned, turn = oriented(ct, self.bundle.bundle.orientation)
        lattice = coarse.locate(turned)
        if lattice.ndim != 3 or lattice.dtype != np.bool_ or not lattice.size:
            raise ModelError(f"{coarse.name}: gave {lattice.dtype} of shape {lattice.shape} instead of a 3-D mask")
        return turn(lattice)


def with_margin(settings: RoiSettings, margin: float | None) -> RoiSettings:
    """Change the margin of ROI settings.

    Args:
        settings: The settings.
        margin: Margin in mm; None keeps it.

    Returns:
        The settings with this margin.

    Raises:
        InputError: If the margin is negative or not finite.
    """
    if margin is None:
        return settings
    if not (np.isfinite(margin) and margin >= 0):
        raise InputError(f"the margin is {margin} mm; it must be 0 or more")
    return settings.model_copy(update={"margin": float(margin)})


def _checked(model: FineModel, view: View) -> NDArray[np.float32]:
    """Ask a member, and refuse what is not a probability on the box."""
    array = model.probability(view)
    expected = view.image.shape
    if array.shape != expected or array.dtype != np.float32:
        raise ModelError(
            f"member {model.name}: gave {array.dtype} of shape {array.shape} on case {view.case_id}; float32 of shape "
            f"{expected} is expected"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # also where one is NaN
        raise ModelError(
            f"member {model.name}: its values on case {view.case_id} go from {low:g} to {high:g}; probabilities lie in "
            "[0, 1]. Are the weights damaged, or is it the wrong network?"
        )
    return np.clip(array, 0, 1, out=array) if low < 0 or high > 1 else array
