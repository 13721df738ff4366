"""Drawing primitives: SVG as text, at the size it is shown, coloured by style-sheet variables.

In: numbers and text (escaped here). Out: strings. A figure inside a page takes the page's
variables; `standalone` adds them, so that the same figure is a file that follows light and dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from evoprompt.view.words import clean

VARIABLES = (
    "--paper:#fcfcfa;--panel:#f2f2ee;--ink:#1d2024;--muted:#666c75;--line:#dededa;"
    "--first:#1d5fa6;--second:#b4540a;--good:#1b7a48;--bad:#b23a31"
)
DARK_VARIABLES = (
    "--paper:#131518;--panel:#1b1e22;--ink:#e9e7e2;--muted:#9aa1ab;--line:#33383f;"
    "--first:#82b6f2;--second:#f2a65f;--good:#6cc894;--bad:#f0867c"
)
STYLE = """
.figure text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
.figure text.small{font-size:11px}.figure text.tiny{font-size:10px}
.figure text.muted{fill:var(--muted)}.figure text.strong{font-weight:600}
.figure text.one{fill:var(--first)}.figure text.two{fill:var(--second)}
.figure text.number{font-variant-numeric:tabular-nums}
.figure .grid{stroke:var(--line);stroke-width:1}
.figure .empty{fill:var(--panel)}
.figure .axis{stroke:var(--muted);stroke-width:1}
.figure .line{fill:none;stroke-width:2;stroke-linejoin:round}
.figure .first{stroke:var(--first)}.figure .second{stroke:var(--second)}
.figure .faint{stroke:var(--muted);stroke-opacity:.45;stroke-width:1;fill:none}
.figure .dashed{stroke-dasharray:4 3;stroke-opacity:.9}
.figure .dot{fill:var(--first);fill-opacity:.75}.figure .dot-second{fill:var(--second)}
.figure .dot-muted{fill:var(--muted);fill-opacity:.45}
.figure .hollow{fill:var(--paper);stroke:var(--second);stroke-width:1.75}
.figure .bar{fill:var(--first);fill-opacity:.85}.figure .bar-lost{fill:var(--line)}
.figure .changed{fill:none;stroke:var(--ink);stroke-width:1.5}
"""

# viridis (van der Walt & Smith 2015), perceptually uniform and safe for colour-blind readers;
# without its darkest tenth, which a dark page swallows
_PALETTE = (
    "#482475", "#414487", "#355f8d", "#2a788e", "#21918c",
    "#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725",
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """A linear map from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        width = self.high - self.low
        place = (value - self.low) / width if width else 0.5
        return self.start + place * (self.end - self.start)


def rgb(place: float) -> tuple[int, int, int]:
    """Return the palette's colour at 0..1."""
    position = min(1.0, max(0.0, place)) * (len(_PALETTE) - 1)
    left = min(int(position), len(_PALETTE) - 2)
    part = position - left
    a, b = _hex(_PALETTE[left]), _hex(_PALETTE[left + 1])
    red, green, blue = (round(x + part * (y - x)) for x, y in zip(a, b, strict=True))
    return red, green, blue


def colour(place: float) -> str:
    """Return the palette's colour at 0..1 as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*rgb(place))


def ink_on(place: float) -> str:
    """Return black or white, whichever reads better on the palette's colour."""
    linear = [(c / 255) ** 2.2 for c in rgb(place)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if luminance < 0.23 else "#101214"


def _hex(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def drawing(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    """Wrap parts into one picture of a given size in pixels."""
    head = (
        f'<svg class="figure" role="img" '
        f'aria-label="{safe(label)}" width="{n(width)}" height="{n(height)}" '
        f'viewBox="0 0 {n(width)} {n(height)}">'
    )
    return head + "".join(parts) + "</svg>"


def standalone(picture: str) -> str:
    """Return a picture with its own style sheet and background, ready to be a file."""
    style = (
        f"<style>svg{{{VARIABLES};background:var(--paper)}}"
        f"@media(prefers-color-scheme:dark){{svg{{{DARK_VARIABLES}}}}}{STYLE}</style>"
    )
    space = '<svg xmlns="http://www.w3.org/2000/svg" '
    head, rest = picture.replace("<svg ", space, 1).split(">", 1)
    return f"{head}>{style}{rest}\n"


def safe(value: object) -> str:
    """Return text that is cleaned and escaped for HTML and SVG."""
    return escape(clean(value), quote=True)


def n(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def text(
    x: float, y: float, value: object, kind: str = "", anchor: str = "start", more: str = ""
) -> str:
    """Draw one line of text; anchor is start, middle or end."""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    look = f' class="{kind}"' if kind else ""
    return f'<text x="{n(x)}" y="{n(y)}"{look}{place}{more}>{safe(value)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid", more: str = "") -> str:
    """Draw a straight line."""
    return f'<line x1="{n(x1)}" y1="{n(y1)}" x2="{n(x2)}" y2="{n(y2)}" class="{kind}"{more}/>'


def rect(
    x: float, y: float, width: float, height: float, *, kind: str = "", more: str = "",
    title: str = "",
) -> str:  # fmt: skip
    """Draw a rectangle, with a tooltip if given."""
    look = f' class="{kind}"' if kind else ""
    body = f'<rect x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}"{look}{more}'
    return f"{body}><title>{safe(title)}</title></rect>" if title else body + "/>"


def circle(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """Draw a dot, with a tooltip if given."""
    body = f'<circle cx="{n(x)}" cy="{n(y)}" r="{n(radius)}" class="{kind}"'
    return f"{body}><title>{safe(title)}</title></circle>" if title else body + "/>"


def diamond(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """Draw a diamond, with a tooltip."""
    points = f"M{n(x)} {n(y - radius)}l{n(radius)} {n(radius)}l{n(-radius)} {n(radius)}"
    shape = f'<path d="{points}l{n(-radius)} {n(-radius)}z" class="{kind}">'
    return f"{shape}<title>{safe(title)}</title></path>"


def path(points: Sequence[tuple[float, float]], kind: str, more: str = "") -> str:
    """Draw straight pieces through points."""
    if not points:
        return ""
    way = "M" + "L".join(f"{n(x)} {n(y)}" for x, y in points)
    return f'<path d="{way}" class="{kind}"{more}/>'


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers inside an interval, about as many as wanted."""
    width = high - low
    if width <= 0:
        return [low]
    raw = width / max(1, wanted)
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
