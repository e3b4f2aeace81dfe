"""Charts of F1 on dev against LM calls, as inline SVG: the trials of a run, or the best so far of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from markupsafe import Markup

from experiments.scoring.curves import Curve, incumbents

WIDTH, HEIGHT = 720, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 38
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#7b4b94", "#b08900", "#3d8b8b", "#d16ba5", "#7a7a7a")
DASHES = ("", "6 3", "2 3")
LEAST = 5  # LM calls that the axis shows


@dataclass(frozen=True, slots=True)
class Dot:
    """A trial: the calls by then, its F1 on `documents` dev documents with its interval, and its changes."""

    calls: int
    f1: float
    documents: int
    ci95: tuple[float, float] | None = None
    changes: str = ""


@dataclass(frozen=True, slots=True)
class _Axes:
    """Maps a number of calls and an F1 to coordinates."""

    widest: int
    low: float
    high: float

    def x(self, calls: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * calls / self.widest

    def y(self, f1: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - f1) / (self.high - self.low)

    def drawn(self) -> list[str]:
        made = []
        for f1 in _ticks(self.low, self.high):
            y = self.y(f1)
            made.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>')
            made.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{f1:.2f}</text>')
        for count in _ticks(0, self.widest):
            x = self.x(count)
            end = "end" if x > WIDTH - 2 * RIGHT else "middle"
            made.append(f'<text x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="{end}">{count:,.0f}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        return [*made, f'<text x="{middle}" y="{HEIGHT - 2}" text-anchor="middle">LM calls</text>']

    def steps(self, points: Sequence[tuple[int, float]]) -> str:
        """Return the path of a step function through the points."""
        path = ""
        for n, (calls, f1) in enumerate(points):
            x, y = f"{self.x(calls):.1f}", f"{self.y(f1):.1f}"
            path += f"M{x} {y}" if not n else f"H{x}V{y}"
        return path


def trial_chart(dots: Sequence[Dot]) -> Markup:
    """Draw every trial with its interval, and the best so far as a line. Filled dots are trials on the most documents."""
    ends = [end for d in dots for end in (d.f1, *(d.ci95 or ()))]
    axes = _Axes(max(*(d.calls for d in dots), LEAST), *_round_out(min(ends), max(ends)))
    most = max(d.documents for d in dots)
    drawn = axes.drawn()
    led = incumbents([(d.documents, d.f1, d.f1) for d in dots])
    for d in dots:
        if d.ci95:
            low, high, x = axes.y(d.ci95[0]), axes.y(d.ci95[1]), axes.x(d.calls)
            drawn.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="var(--baseline)" opacity=".55"/>'
            )
    path = axes.steps([(d.calls, best) for d, best in zip(dots, led, strict=True)])
    drawn.append(f'<path d="{path}" fill="none" stroke="var(--accent)" stroke-width="2"/>')
    for d in dots:
        interval = f" ({d.ci95[0]:.3f}–{d.ci95[1]:.3f})" if d.ci95 else ""
        title = f"{d.f1:.3f}{interval} on {d.documents} documents after {d.calls} calls: {d.changes or 'the program as it was'}"
        full = d.documents == most
        drawn.append(
            f'<circle cx="{axes.x(d.calls):.1f}" cy="{axes.y(d.f1):.1f}" r="{4.5 if full else 3}" '
            f'fill="var({"--accent" if full else "--paper"})" stroke="var(--accent)" stroke-width="1.5">'
            f"<title>{escape(title)}</title></circle>"
        )
    return _svg(drawn, "F1 on dev against LM calls, trial by trial")


def run_chart(runs: Sequence[tuple[str, Curve]]) -> Markup:
    """Draw the best so far of several runs as lines. Each ends in a dot: its program on all of dev."""
    points = [point for _, curve in runs for point in curve]
    axes = _Axes(max(*(c for c, _ in points), LEAST), *_round_out(min(f for _, f in points), max(f for _, f in points)))
    drawn = axes.drawn()
    for n, (name, curve) in enumerate(runs):
        colour, dash = COLOURS[n % len(COLOURS)], DASHES[n // len(COLOURS) % len(DASHES)]
        calls, f1 = curve[-1]
        title = f"<title>{escape(f'{name}: {f1:.3f} after {calls} calls')}</title>"
        led = sorted(curve[:-1], key=lambda point: point[0])
        path = axes.steps([*led, (calls, led[-1][1])])
        drawn.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}">{title}</path>'
        )
        drawn.append(f'<circle cx="{axes.x(calls):.1f}" cy="{axes.y(f1):.1f}" r="4.5" fill="{colour}">{title}</circle>')
    return _svg(drawn, "best F1 so far on dev against LM calls, run by run")


def legend(names: Sequence[str]) -> Markup:
    """Return the names in the colours of `run_chart`."""
    made = []
    for n, name in enumerate(names):
        line = ("solid", "dashed", "dotted")[n // len(COLOURS) % len(DASHES)]
        made.append(f'<span><i style="border-top:3px {line} {COLOURS[n % len(COLOURS)]}"></i>{escape(name)}</span>')
    return Markup("".join(made))


def _svg(drawn: Sequence[str], label: str) -> Markup:
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{label}">'
    return Markup(f"{head}{''.join(drawn)}</svg>")


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers from `low` to `high`, with a step of 1, 2 or 5 times a power of ten."""
    apart = (high - low) / 7
    power = 10.0 ** floor(log10(apart))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= apart - 1e-9)
    return [n * step for n in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _round_out(low: float, high: float) -> tuple[float, float]:
    """Return a scale of at least 0.1 around the scores, within 0..1 and rounded to hundredths."""
    room = max(0.02, (0.1 - (high - low)) / 2)
    return max(0.0, round(low - room, 2)), min(1.0, round(high + room, 2))
