"""Finds the channels of nnU-Net's output that make up the foreground.

Source: nnU-Net v2's LabelManager, by which the labels in ``dataset.json`` say what channels a model has.
Softmax models have one channel per label, background first. Region-based models, where a label stands for
several values, have one sigmoid channel per label in the order of the file, without background.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from twintrack.errors import InputError


@dataclass(frozen=True)
class Foreground:
    """Which channels make up the foreground, and how.

    Attributes:
        channels: Indices into the first axis of the saved array.
        merge: ``"sum"`` for softmax, whose classes exclude each other; ``"max"`` for regions, which overlap:
            the largest is a lower bound of the probability of their union.
        names: What the channels are called, in the same order.
    """

    channels: tuple[int, ...]
    merge: Literal["sum", "max"]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Output:
    """What is known of a model's saved arrays.

    Attributes:
        labels: Channel of each foreground label, by name.
        channels: How many channels there are.
        regions: Whether they are overlapping regions.
        file_ending: Ending of the segmentations, where ``dataset.json`` says so.
        source: Where this is written.
    """

    labels: dict[str, int]
    channels: int
    regions: bool
    file_ending: str | None
    source: str

    @classmethod
    def unnamed(cls, channels: int) -> Output:
        """Describe a softmax model of which no ``dataset.json`` tells the labels.

        Args:
            channels: How many channels there are, background first.

        Returns:
            The description; labels are named by their channel.
        """
        labels = {f"channel {number}": number for number in range(1, channels)}
        return cls(labels, channels, regions=False, file_ending=None, source="the array itself")

    def listed(self) -> str:
        """Name the labels and their channels, for messages."""
        known = ", ".join(f"'{name}' ({number})" for name, number in self.labels.items())
        return known or "no foreground labels"


def read_output(dataset_json: Path) -> Output:
    """Read what ``dataset.json`` says of a model's output.

    Args:
        dataset_json: The file nnU-Net writes beside its predictions.

    Returns:
        The description.

    Raises:
        InputError: If the file cannot be read or its labels make no sense.
    """
    content = _load(dataset_json)
    labels = content.get("labels")
    values = _values(labels)
    if values is None:
        raise InputError(f"{dataset_json}: 'labels' must give each name its number; found {labels}")
    foreground = {name: numbers for name, numbers in values.items() if set(numbers) != {0}}
    ending = content.get("file_ending")
    file_ending = ending if isinstance(ending, str) else None
    if any(len(numbers) > 1 for numbers in values.values()):
        regions = {name: channel for channel, name in enumerate(foreground)}
        return Output(regions, len(regions), regions=True, file_ending=file_ending, source=str(dataset_json))
    known = sorted({0, *(number for numbers in values.values() for number in numbers)})
    if known != list(range(len(known))):
        raise InputError(f"{dataset_json}: labels must be numbered from 0 (background) without gaps; found {labels}")
    classes = {name: numbers[0] for name, numbers in foreground.items()}
    return Output(classes, len(known), regions=False, file_ending=file_ending, source=str(dataset_json))


def resolve_foreground(output: Output, foreground: Sequence[str | int] | None, *, where: str) -> Foreground:
    """Find the channels that make up the foreground.

    Args:
        output: What is known of the model's output.
        foreground: Names of labels, or channel numbers (softmax models only); None or nothing takes the only
            foreground label.
        where: The file or folder in question, for messages.

    Returns:
        The channels, each once, and how to merge them.

    Raises:
        InputError: If the choice is missing and not obvious, or names no foreground label.
    """
    # A name by itself is a sequence too: of its letters.
    wanted = [foreground] if isinstance(foreground, str) else list(foreground or output.labels)
    if not foreground and len(wanted) != 1:
        raise InputError(
            f"{where}: which labels are the foreground? {output.source} has {output.listed()}. "
            "Name them with --foreground."
        )
    chosen = dict(_find(label, output, where) for label in wanted)
    return Foreground(tuple(chosen), "max" if output.regions else "sum", tuple(chosen.values()))


def _find(label: str | int, output: Output, where: str) -> tuple[int, str]:
    """Find a label by its name or channel number; give the channel and the name."""
    for name, channel in output.labels.items():
        if label == name or (not output.regions and str(label) == str(channel)):
            return channel, name
    what = "region (regions go by name only)" if output.regions else "foreground label"
    raise InputError(f"{where}: there is no {what} '{label}'; {output.source} has {output.listed()}")


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: an object with 'labels' is expected")
    return content


def _values(labels: object) -> dict[str, list[int]] | None:
    """Give the values each name stands for, or None if this is not what labels look like."""
    if not isinstance(labels, dict) or not labels:
        return None
    # nnU-Net v1 wrote {"1": "tumour"} where v2 writes {"tumour": 1}.
    if all(isinstance(value, str) and number.isdecimal() for number, value in labels.items()):
        labels = {name: int(number) for number, name in labels.items()}
    values = {name: value if isinstance(value, list) else [value] for name, value in labels.items()}
    values.pop("ignore", None)  # marks voxels left out of training and has no channel
    numbers = [number for value in values.values() for number in value or [None]]
    return values if all(type(number) is int and number >= 0 for number in numbers) else None
