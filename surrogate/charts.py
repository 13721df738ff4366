"""The two pictures of a report, as SVG text: predicted against measured, and calibration.

Colours are variables of the page, so both follow light and dark. Numbers only: nothing that a
person wrote comes in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 560, 440
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 46
SMALL = (400, 360)
DRAWN_LIMIT = 1500  # networks; more make a page heavy and no clearer
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Frame:
    """A square of data and where it lies on the page."""

    low: float
    high: float
    width: int
    height: int

    def x(self, value: float) -> float:
        """Pixel of a value on the horizontal axis."""
        share = (value - self.low) / (self.high - self.low)
        return LEFT + share * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Pixel of a value on the vertical axis."""
        share = (value - self.low) / (self.high - self.low)
        return self.height - BOTTOM - share * (self.height - TOP - BOTTOM)

    def picture(self, parts: Sequence[str], axes: tuple[str, str], label: str) -> str:
        """The frame with grid, axes and diagonal, around the parts."""
        head = (
            f'<svg class="figure" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-label="{label}">'
        )
        a, b = self.low, self.high
        diagonal = _line("diagonal", self.x(a), self.y(a), self.x(b), self.y(b))
        return "\n".join([head, *self._grid(), diagonal, *parts, *self._titles(axes), "</svg>"])

    def _grid(self) -> list[str]:
        found = []
        for value in ticks(self.low, self.high):
            x, y, text = self.x(value), self.y(value), f"{value:.4g}"
            found.append(_line("grid", x, self.y(self.low), x, self.y(self.high)))
            found.append(_line("grid", self.x(self.low), y, self.x(self.high), y))
            found.append(_text(x, self.height - BOTTOM + 18, "middle", text))
            found.append(_text(LEFT - 8, y + 4, "end", text))
        return found

    def _titles(self, axes: tuple[str, str]) -> list[str]:
        middle = (TOP + self.height - BOTTOM) / 2
        turned = f'<text class="title" text-anchor="middle" transform="translate(14 {middle:.0f}) '
        return [
            _text((LEFT + self.width - RIGHT) / 2, self.height - 8, "middle", axes[0], "title"),
            f'{turned}rotate(-90)">{axes[1]}</text>',
        ]


def scatter(
    mean_N: np.ndarray, low_N: np.ndarray, high_N: np.ndarray, accuracy_N: np.ndarray
) -> str:
    """Predicted accuracy with its 90 % interval against the measured one."""
    rows = np.unique(np.linspace(0, len(mean_N) - 1, DRAWN_LIMIT).astype(int))
    values = np.concatenate([mean_N[rows], accuracy_N[rows]])
    margin = 0.04 * (np.ptp(values) or 0.1)
    frame = Frame(float(values.min() - margin), float(values.max() + margin), WIDTH, HEIGHT)
    bars, dots = [], []
    for row in rows:
        x = frame.x(float(accuracy_N[row]))
        ends = np.clip([low_N[row], high_N[row]], frame.low, frame.high)
        is_inside = low_N[row] <= accuracy_N[row] <= high_N[row]
        kind = "inside" if is_inside else "outside"
        bars.append(_line(f"bar {kind}", x, frame.y(float(ends[0])), x, frame.y(float(ends[1]))))
        y = frame.y(float(mean_N[row]))
        dots.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
    label = f"Predicted against measured accuracy of {len(rows)} networks"
    return frame.picture([*bars, *dots], ("measured accuracy", "predicted accuracy"), label)


def calibration(levels: Sequence[float], curves: Mapping[str, Sequence[float]]) -> str:
    """Share of measured accuracies within intervals, against the share that was promised."""
    frame = Frame(0.0, 1.0, *SMALL)
    parts = []
    for kind, shares in curves.items():
        places = [(frame.x(a), frame.y(b)) for a, b in zip(levels, shares, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="curve {kind}" points="{path}"/>')
        parts += [f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
    return frame.picture(parts, ("promised", "within the interval"), "Calibration of intervals")


def ticks(low: float, high: float) -> list[float]:
    """Round values between two ends, four to nine of them."""
    step = next((each for each in STEPS if (high - low) / each <= 9), 1.0)
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [round(number * step, 6) for number in range(first, last + 1)]


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, anchor: str, text: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
