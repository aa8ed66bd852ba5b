"""Predicts the train split of the nodules by small U-Nets that did not see the case's patient: a cohort to learn from.

The networks of `lidc2d_predictions` were trained on the train split, so that what they say there means nothing. Here
its patients are divided into four groups; for each group three small U-Nets of different seeds are trained on the other
three groups, each case by its first radiologist, and predict the group. What is learnt from these predictions
(experiments/conditional_reference.py) has seen neither the calibration split nor the test split.

Size and training were chosen so that on the calibration split the networks look like those of `lidc2d_predictions`:
as good, as sharp and as wrong.

Run: python experiments/lidc2d_crossfit.py [--data DIR] [--work lidc2d-crossfit] [--group 1 …]
DIR holds lidc2d/. About half an hour with one thread; groups may run side by side, and an interrupted run goes on where
it stopped. The same machine gives the same networks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import lidc2d
import lidc2d_nnunet
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

import twintrack as tt
from twintrack.images import Volume
from twintrack.images.read import read_volume
from twintrack.images.write import write_volume

GROUPS = 4
MEMBERS = 3
EPOCHS = 25
BATCH = 8
CHANNELS = (8, 16, 32)
RATE = 3e-3
SIDE = 72
"""Crops of 71 × 71 pixels are padded to this, which can be halved twice."""


def main(
    data: Annotated[Path, typer.Option(help="Folder with lidc2d.")] = lidc2d.DEFAULT_DATA,
    work: Annotated[Path, typer.Option(help="Folder for the predictions.")] = Path("lidc2d-crossfit"),
    group: Annotated[list[int] | None, typer.Option(help="Predict this group only, 1 to 4.")] = None,
) -> None:
    """Train twelve networks and write what they predict, a folder for each member."""
    torch.set_num_threads(1)
    cases = list(lidc2d_nnunet.cohort(data, "train"))
    images = prepared([read_volume(data / "lidc2d" / case.id / "image.nii.gz").array for case in cases])
    first = [next(iter(case.read(members=False).raters.values())) for case in cases]
    masks = torch.stack([padded(mask.astype(np.int64)) for mask in first])
    of_case = lidc2d.patient_groups(cases, GROUPS)
    for k in range(GROUPS) if group is None else [number - 1 for number in group]:
        learnt, held_out = np.flatnonzero(of_case != k), np.flatnonzero(of_case == k)
        for member in range(MEMBERS):
            folder = work / f"member_{member + 1}"
            files = [folder / f"{cases[i].id}.nii.gz" for i in held_out]
            if not all(file.is_file() for file in files):
                print(f"group {k + 1} of {GROUPS}, member {member + 1} of {MEMBERS}", flush=True)
                network = train(images[learnt], masks[learnt], seed=100 * k + member)
                write(predict(network, images[held_out]), [cases[i] for i in held_out], files)


def padded(array: NDArray[np.generic]) -> torch.Tensor:
    """Repeat (an image) the last row and column up to `SIDE`; masks are empty there."""
    plane = array.reshape(array.shape[-2:])
    widths = [(0, SIDE - size) for size in plane.shape]
    if plane.dtype.kind == "f":
        return torch.from_numpy(np.pad(plane, widths, mode="edge"))
    return torch.from_numpy(np.pad(plane, widths))


def prepared(images: list[NDArray[np.generic]]) -> torch.Tensor:
    """Clip to what lung and soft tissue have and scale to about ±1; (n, 1, `SIDE`, `SIDE`)."""
    return torch.stack([padded((np.clip(image.astype(np.float32), -1000, 400) + 300) / 700) for image in images])[
        :, None
    ]


class Block(nn.Sequential):
    """Two convolutions."""

    def __init__(self, before: int, after: int) -> None:
        parts = [(nn.Conv2d(n, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()) for n in (before, after)]
        super().__init__(*(layer for part in parts for layer in part))


class UNet(nn.Module):
    """A U-Net of two classes."""

    def __init__(self) -> None:
        super().__init__()
        up = list(zip(CHANNELS[::-1], CHANNELS[-2::-1], strict=False))
        self.down = nn.ModuleList([Block(a, b) for a, b in zip((1, *CHANNELS), CHANNELS, strict=False)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(a, b, 2, 2) for a, b in up])
        self.join = nn.ModuleList([Block(2 * b, b) for _, b in up])
        self.out = nn.Conv2d(CHANNELS[0], 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the logits (n, 2, y, x) of images (n, 1, y, x)."""
        kept: list[torch.Tensor] = []
        for block in self.down:
            x = block(functional.max_pool2d(x, 2) if kept else x)
            kept.append(x)
        for up, join, skip in zip(self.up, self.join, kept[-2::-1], strict=True):
            x = join(torch.cat([up(x), skip], 1))
        return torch.as_tensor(self.out(x))


def train(images: torch.Tensor, masks: torch.Tensor, *, seed: int) -> UNet:
    """Train a network by cross-entropy and Dice, without augmentation."""
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), UNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * steps + 1)
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        for k in range(steps):
            some = order[k * BATCH : (k + 1) * BATCH]
            logits = network(images[some])
            loss = functional.cross_entropy(logits, masks[some]) + dice_loss(logits, masks[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network


def dice_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Give 1 − the mean soft Dice over the images."""
    p, drawn = torch.softmax(logits, 1)[:, 1], masks.float()
    both, sizes = (p * drawn).sum((1, 2)), p.sum((1, 2)) + drawn.sum((1, 2))
    return 1 - ((2 * both + 1) / (sizes + 1)).mean()


@torch.no_grad()
def predict(network: UNet, images: torch.Tensor) -> NDArray[np.float32]:
    """Give the probability of the nodule, (n, `SIDE`, `SIDE`)."""
    network.eval()
    return torch.cat([torch.softmax(network(part), 1)[:, 1] for part in images.split(64)]).numpy()


def write(predicted: NDArray[np.float32], cases: list[tt.Case], files: list[Path]) -> None:
    """Write each case's probability on its grid."""
    for case, file, probability in zip(cases, files, predicted, strict=True):
        grid = case.read(members=False).grid
        plane = probability[: grid.shape[-2], : grid.shape[-1]].reshape(grid.shape)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_volume(file, Volume(np.ascontiguousarray(plane), grid))


if __name__ == "__main__":
    typer.run(main)
