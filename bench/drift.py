"""How well drift is told: false alarms, power, and which cause is taken for which.

``python -m bench.drift`` prints the tables; ``python -m bench.drift FILE.svg`` draws the power curves of
docs/explanation/drift.md. Everything is seeded.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Final

from bench.drift_lab import AMOUNTS, KINDS, Trial, drawn, found, right, shows
from devicesim.models.datastream import Condition

FRAMES: Final = (200, 500, 1_000, 2_000, 5_000, 10_000)
SIGMAS: Final = (0.1, 0.15, 0.2, 0.3, 0.5)
COLOURS: Final = ("#7a7a7a", "#8a5fbf", "#2f6fb3", "#1f8a70", "#c2571a")
COHORTS: Final = 40
_LEFT, _TOP, _WIDTH, _HEIGHT = 64, 24, 520, 280


def power(cohorts: int = COHORTS) -> dict[float, list[float]]:
    """Share of drawn cohorts whose shift is in alarm after two windows, by sigma, for `FRAMES`."""
    return {
        sigma: [sum(found(seed, n, sigma) for seed in range(cohorts)) / cohorts for n in FRAMES]
        for sigma in SIGMAS
    }


def confusion(seeds: int = 1) -> list[str]:
    """A Markdown table: 240 devices a seed, by strength of the shift and share of faulty runs."""
    trial = Trial()
    lines = ["| shift | faults | right | " + " | ".join(f"{k} as" for k in KINDS) + " |"]
    lines.append("|---|---:|---:|" + "---|" * len(KINDS))
    for condition in (Condition.DIM, Condition.HAZE):
        for sigma, amount in AMOUNTS[condition].items():
            for faults in (1.0, 0.1, 0.02):
                table = trial.confusion(
                    range(seeds), condition=condition, amount=amount, faults=faults,
                    bursts=24, before=5,
                )  # fmt: skip
                cells = [
                    ", ".join(f"{told} {count}" for told, count in table[kind].items() if count)
                    for kind in KINDS
                ]
                lines.append(
                    f"| {condition} {sigma:g} sigma | {faults:.0%} | {right(table):.0%} | "
                    + " | ".join(cells)
                    + " |"
                )
    return lines


def svg(curves: dict[float, list[float]]) -> str:
    """The curves, as a picture of its own."""
    low, high = math.log(FRAMES[0]), math.log(FRAMES[-1])

    def place(frames: float, share: float) -> tuple[float, float]:
        x = _LEFT + _WIDTH * (math.log(frames) - low) / (high - low)
        return round(x, 1), round(_TOP + _HEIGHT * (1 - share), 1)

    out = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 360" font-family="sans-serif" '
            'font-size="12" role="img" aria-label="Share of shifted cohorts found, by frames a window">'
        ),
        '<rect width="720" height="360" fill="#ffffff"/>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 0.9, 1):
        x, y = place(FRAMES[0], share)
        out.append(f'<line x1="{x}" y1="{y}" x2="{x + _WIDTH}" y2="{y}" stroke="#e2e2e2"/>')
        out.append(f'<text x="{x - 8}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    for frames in FRAMES:
        x, y = place(frames, 0)
        out.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">{frames:,}</text>')
    out.append(
        f'<text x="{_LEFT + _WIDTH / 2}" y="344" text-anchor="middle">frames of a cohort in a window</text>'
    )
    for colour, shares in zip(COLOURS, curves.values(), strict=True):
        points = [place(n, share) for n, share in zip(FRAMES, shares, strict=True)]
        path = " ".join(f"{x},{y}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in points]
    for number, (colour, sigma) in enumerate(zip(COLOURS, curves, strict=True)):
        y = _TOP + 20 * number
        out.append(f'<rect x="606" y="{y}" width="12" height="12" fill="{colour}"/>')
        out.append(f'<text x="624" y="{y + 11}">{sigma:g} sigma</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def report() -> None:
    """Print the tables."""
    trial = Trial()
    real = sum(trial.called(seed, 60) for seed in range(1_000, 1_200))
    print(
        f"drift: healthy windows called at a nominal 5 %: {real / 2:.1f} % of 200 rendered cohorts,"
    )
    calls = sum(shows(drawn(seed, 5_000, 0.0, windows=1)[0]) for seed in range(200))
    print(f"  {calls / 2:.1f} % of 200 drawn ones")
    print("power, share found within two windows          " + "".join(f"{n:>8,}" for n in FRAMES))
    for sigma, shares in power().items():
        print(f"  {sigma:<46g}" + "".join(f"{share:8.0%}" for share in shares))
    print("\n".join(confusion()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(svg(power()), encoding="utf-8")
    else:
        report()
