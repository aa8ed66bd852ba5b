"""Charts as inline SVG: lines, bands, dots and bars between two axes; colours are the style sheet's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

from twintrack.report.html.axes import Axis

_WIDTH = 460.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 14.0, 10.0, 44.0
_HISTOGRAM, _GAP = 46.0, 10.0


@dataclass
class Chart:
    """A chart to draw on, from the back to the front.

    Attributes:
        x: The horizontal axis.
        y: The vertical axis.
        label: What it shows, for who cannot see it.
        height: Height of the plot in units of which the chart is 460 wide; None: as high as wide.
        histogram: Whether there is room for bars (`bars`) between the plot and the axis' numbers.
    """

    x: Axis
    y: Axis
    label: str
    height: float | None = None
    histogram: bool = False
    _parts: list[Markup] = field(default_factory=list, init=False)

    @property
    def _size(self) -> tuple[float, float]:
        width = _WIDTH - _LEFT - _RIGHT
        return width, width if self.height is None else self.height

    @property
    def _below(self) -> float:
        """Where the numbers of the horizontal axis begin."""
        return _TOP + self._size[1] + (_GAP + _HISTOGRAM if self.histogram else 0.0)

    def points(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Give the places of values in the chart, (n, 2)."""
        width, height = self._size
        across, along = np.broadcast_arrays(self.x.place(x), self.y.place(y))
        places = np.column_stack([_LEFT + across.ravel() * width, _TOP + (1 - along.ravel()) * height])
        return np.asarray(np.round(places, 1), np.float64)

    def line(self, x: ArrayLike, y: ArrayLike, kind: str) -> None:
        """Draw a line of a kind that the style sheet knows."""
        path = _path(self.points(x, y))
        if path:
            self._add('<path class="{}" d="M{}"/>', f"line {kind}", path)

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, kind: str) -> None:
        """Fill what lies between two lines."""
        lower, upper = self.points(x, low), self.points(x, high)
        path = _path(np.concatenate([lower, upper[::-1]]))
        if path:
            self._add('<path class="{}" d="M{}Z"/>', f"band {kind}", path)

    def dots(self, x: ArrayLike, y: ArrayLike, kind: str, tips: Sequence[str]) -> None:
        """Draw dots, each with a tip that is shown where a pointer rests on it."""
        for (cx, cy), tip in zip(self.points(x, y).tolist(), tips, strict=True):
            self._add('<circle class="{}" cx="{:g}" cy="{:g}" r="3.4" data-tip="{}"/>', f"dot {kind}", cx, cy, tip)

    def bars(self, edges: ArrayLike, heights: NDArray[np.float64], kind: str, tips: Sequence[str]) -> None:
        """Draw bars below the plot; heights are shares of the room there is, 0 … 1."""
        across = _LEFT + self.x.place(edges) * self._size[0]
        bottom = self._below
        for left, right, height, tip in zip(across[:-1], across[1:], heights, tips, strict=True):
            tall = _HISTOGRAM * float(height)
            if tall > 0 and right > left:
                self._add(
                    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" data-tip="{}"/>',
                    f"bar {kind}",
                    left,
                    bottom - tall,
                    max(right - left - 0.8, 0.6),
                    tall,
                    tip,
                )

    def columns(self, edges: ArrayLike, tips: Sequence[str]) -> None:
        """Lay unseen columns over the plot, each with a tip."""
        width, height = self._size
        across = _LEFT + self.x.place(edges) * width
        for left, right, tip in zip(across[:-1], across[1:], tips, strict=True):
            if right - left > 0.05 and tip:
                self._add(
                    '<rect class="hit" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" data-tip="{}"/>',
                    left,
                    _TOP,
                    right - left,
                    height,
                    tip,
                )

    def _add(self, template: str, *values: object) -> None:
        self._parts.append(Markup(template).format(*values))  # noqa: S704  (templates are the ones above)

    def svg(self) -> Markup:
        """Give the chart with its axes."""
        height = self._below + _BOTTOM
        head = Markup('<svg class="chart" viewBox="0 0 {:g} {:g}" role="img" tabindex="0" aria-label="{}">').format(
            _WIDTH, height, self.label
        )
        return Markup("").join([head, *self._frame(), *self._parts, *self._titles(height), Markup("</svg>")])

    def _frame(self) -> list[Markup]:
        width, height = self._size
        parts = []
        for place, words in self.y.marks():
            y = _TOP + (1 - place) * height
            parts.append(
                Markup(
                    '<line class="grid" x1="{:g}" x2="{:g}" y1="{:.1f}" y2="{:.1f}"/>'
                    '<text class="tick" x="{:g}" y="{:.1f}" text-anchor="end">{}</text>'
                ).format(_LEFT, _LEFT + width, y, y, _LEFT - 7, y + 4, words)
            )
        for place, words in self.x.marks():
            x = _LEFT + place * width
            anchor = "end" if place > 0.985 and len(words) > 3 else "middle"
            parts.append(
                Markup(
                    '<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:g}" y2="{:g}"/>'
                    '<text class="tick" x="{:.1f}" y="{:g}" text-anchor="{}">{}</text>'
                ).format(
                    x,
                    x,
                    _TOP,
                    self._below,
                    min(x, _WIDTH - 3) if anchor == "end" else x,
                    self._below + 17,
                    anchor,
                    words,
                )
            )
        return parts

    def _titles(self, height: float) -> list[Markup]:
        width, tall = self._size
        middle = _TOP + tall / 2
        return [
            Markup('<text class="title" x="{:g}" y="{:g}" text-anchor="middle">{}</text>').format(
                _LEFT + width / 2, height - 6, escape(self.x.title)
            ),
            Markup(
                '<text class="title" x="13" y="{:g}" text-anchor="middle" transform="rotate(-90 13 {:g})">{}</text>'
            ).format(middle, middle, escape(self.y.title)),
        ]


def _path(points: NDArray[np.float64]) -> str:
    """Join points, leaving out those that lie on one another or are not there."""
    kept = points[np.isfinite(points).all(axis=1)]
    if kept.shape[0] > 1:
        kept = kept[np.concatenate([[True], (np.diff(kept, axis=0) != 0).any(axis=1)])]
    return "L".join(f"{x:g} {y:g}" for x, y in kept.tolist())
