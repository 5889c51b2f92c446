"""A run as a picture of 480 by 140: what a table of scenarios has room for.

Decides what little is shown: how many devices were online, below it which versions ran (or, where
only one ever did, how often devices tried to connect), and behind both when something was broken. The
picture is SVG, a few kB, the same for the same run. Leaves out everything that one can ask a picture:
that is the report's (html.py).

    python -m devicesim.report.thumbnail runs/first-light-42 -o scenarios/pictures/first-light.svg

Rules: colours of curves and faults are those of the report; curves keep their extremes
(`devicesim.report.thin`); a fault of a moment is still `BAND_LEAST_PX` wide; a curve's name stands
beside its end.
"""

from __future__ import annotations

import argparse
import math
import sys
from html import escape
from pathlib import Path
from typing import Any, Final

import msgspec

from devicesim.report.figures import THIN, Clock, compact, count, duration, shortened
from devicesim.report.lanes import MENDING, span_s
from devicesim.report.palette import BLUE, FAMILY_COLOURS, GREEN, VERMILLION, family
from devicesim.report.panels import Curve, Panel, measured, plan, risen
from devicesim.report.record import RunRecord
from devicesim.report.thin import thin

WIDTH_PX: Final = 480
HEIGHT_PX: Final = 140
BYTES_MAX: Final = 40_000
BAND_LEAST_PX: Final = 2.0
POINTS: Final = 360
BANDS_MAX: Final = 120
LABELS_MAX: Final = 3
_LEFT: Final = 8.0
_RIGHT: Final = 398.0
_TOP: Final = (27.0, 79.0)
_BELOW: Final = (88.0, 121.0)
_LABEL_X: Final = _RIGHT + 5
_LABEL_CHARS: Final = 13
_LABEL_PX: Final = 11.0
_MARKS: Final = 4
_INK: Final = "#1F2933"
_SOFT: Final = "#6B7280"
_FONT: Final = "system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"

Frame = tuple[float, float]
"""Top and bottom of a frame, px from the top of the picture."""


def thumbnail(record: RunRecord) -> str:
    """Draw a run.

    Returns:
        One SVG element, without scripts, links or fonts of its own.
    """
    picture = _Picture(record)
    picture.head()
    picture.bands()
    picture.online()
    picture.below()
    picture.time()
    return picture.text()


class _Picture:
    """The parts of one picture, in drawing order."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._span_s = span_s(record)
        self._clock = Clock(record.clock_start, self._span_s)
        self._parts: list[str] = []

    def text(self) -> str:
        """The whole picture."""
        title = escape(f"{self._record.scenario}: {self._record.title}".rstrip(": "))
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" '
            f'width="{WIDTH_PX}" height="{HEIGHT_PX}" role="img" font-family="{_FONT}" '
            f'font-size="10"><title>{title}</title>'
            f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" rx="4" fill="#fff"/>'
        )
        return "\n".join([head, *self._parts, "</svg>"]) + "\n"

    def head(self) -> None:
        """Name, size, length and verdict."""
        record = self._record
        held = record.verdict == "passed"
        self._write(_LEFT, 16, shortened(record.scenario, 40), _INK, size=12, weight=600)
        about = f"{count(record.devices)} devices, {duration(record.virtual_s)}"
        verdict, colour = ("held", GREEN) if held else ("failed", VERMILLION)
        self._write(_RIGHT, 16, about, _SOFT, anchor="end")
        self._write(_LABEL_X, 16, verdict, colour, weight=600)

    def bands(self) -> None:
        """Tint the stretches in which something was broken, the longest first."""
        top, bottom = _TOP[0] - 3, _BELOW[1]
        broken = [band for band in self._record.bands if band.kind not in MENDING]
        longest = sorted(broken, key=lambda band: band.start_s - band.end_s)
        for band in longest[:BANDS_MAX]:
            left, right = self._x(band.start_s), self._x(min(band.end_s, self._span_s))
            right = max(right, left + BAND_LEAST_PX)
            colour = FAMILY_COLOURS[family(band.kind)]
            self._rect(left, top, right - left, bottom - top, colour, 0.13)
            self._rect(left, top, right - left, 2.5, colour, 0.9)

    def online(self) -> None:
        """The fleet's curve, and its lowest point in words."""
        panel = self._panel("online")
        if panel is None:
            return
        curve = panel.curves[0]
        top = max([*measured(curve.values), float(self._record.devices), 1.0])
        self._rule(_TOP[1])
        self._area(panel.t_s, [0.0] * len(curve.values), curve.values, top, _TOP, BLUE, 0.22)
        self._line(panel.t_s, curve.values, top, _TOP, BLUE)
        self._write(_LABEL_X, _TOP[0] + 9, "online", BLUE)
        self._write(_LABEL_X, _TOP[0] + 21, _lowest(curve.values, top), _SOFT, size=9)

    def below(self) -> None:
        """Versions, or connects where there was one version only."""
        self._rule(_BELOW[1])
        versions = self._panel("versions")
        if versions is not None and len(versions.curves) > 1:
            self._stack(versions)
            return
        tries = self._panel("retries")
        if tries is not None:
            curve = tries.curves[0]
            top = max(measured(curve.values), default=0.0) or 1.0
            self._line(tries.t_s, curve.values, top, _BELOW, VERMILLION)
            self._write(_LABEL_X, _BELOW[0] + 9, "connects", VERMILLION)
            most = f"peak {compact(top)}{THIN}/min"
            self._write(_LABEL_X, _BELOW[0] + 21, most, _SOFT, size=9)

    def time(self) -> None:
        """A few instants on the clock."""
        for mark in range(_MARKS + 1):
            at_s = self._span_s * mark / _MARKS
            anchor = "start" if mark == 0 else "end" if mark == _MARKS else "middle"
            words = self._clock.at(at_s).rsplit(":", 1)[0]
            self._write(self._x(at_s), HEIGHT_PX - 6, words, _SOFT, size=9, anchor=anchor)

    # -- inside ---------------------------------------------------------------------------------

    def _panel(self, key: str) -> Panel | None:
        """The panel that the report would draw, with fewer points."""
        found = self._record.series.get(key)
        if found is None:
            return None
        panels = plan({key: thin(found, POINTS)}, self._clock)
        return panels[0] if panels else None

    def _stack(self, panel: Panel) -> None:
        top = panel.high or 1.0
        floor = [0.0] * len(panel.t_s)
        marks: list[tuple[float, Curve]] = []
        for curve in panel.curves:
            grown = zip(floor, _whole(curve.values), strict=True)
            roof = [low + value for low, value in grown]
            self._area(panel.t_s, floor, roof, top, _BELOW, curve.colour, 0.55)
            if roof[-1] > floor[-1]:
                marks.append(((roof[-1] + floor[-1]) / 2, curve))
            floor = roof
        marks.sort(key=lambda mark: -mark[1].values[-1])
        kept = sorted(marks[:LABELS_MAX], key=lambda mark: -mark[0])
        for y, (_, curve) in zip(_apart([_y(m, top, _BELOW) for m, _ in kept]), kept, strict=True):
            self._write(_LABEL_X, y + 3, shortened(curve.name, _LABEL_CHARS), curve.colour, size=9)

    def _x(self, at_s: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, at_s / self._span_s))

    def _write(
        self, x: float, y: float, words: str, colour: str,
        *, size: int = 10, weight: int = 400, anchor: str = "start",
    ) -> None:  # fmt: skip
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" '
            f'font-weight="{weight}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def _rect(self, x: float, y: float, w: float, h: float, colour: str, alpha: float) -> None:
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" '
            f'fill="{colour}" fill-opacity="{alpha}"/>'
        )

    def _rule(self, y: float) -> None:
        self._parts.append(
            f'<path d="M{_LEFT} {y}H{_RIGHT}" stroke="{_SOFT}" stroke-opacity=".5" '
            'stroke-width=".8"/>'
        )

    def _line(
        self, t_s: list[float], values: list[float], top: float, frame: Frame, colour: str
    ) -> None:
        """A curve; where nothing was measured it has a gap."""
        steps, pen = [], "M"
        for at_s, value in zip(t_s, values, strict=True):
            if math.isnan(value):
                pen = "M"
                continue
            steps.append(f"{pen}{self._x(at_s):.1f} {_y(value, top, frame):.1f}")
            pen = "L"
        self._parts.append(
            f'<path d="{"".join(steps)}" fill="none" stroke="{colour}" stroke-width="1.4" '
            'stroke-linejoin="round"/>'
        )

    def _area(
        self, t_s: list[float], low: list[float], high: list[float], top: float, frame: Frame,
        colour: str, alpha: float,
    ) -> None:  # fmt: skip
        def step(at_s: float, value: float) -> str:
            return f"{self._x(at_s):.1f} {_y(value, top, frame):.1f}"

        there = [step(at_s, value) for at_s, value in zip(t_s, _whole(high), strict=True)]
        back = [step(at_s, value) for at_s, value in zip(t_s, low, strict=True)]
        path = "L".join([*there, *_corners(back)])
        self._parts.append(f'<path d="M{path}Z" fill="{colour}" fill-opacity="{alpha}"/>')


def _whole(values: list[float]) -> list[float]:
    """With nothing where nothing was measured."""
    return [0.0 if math.isnan(value) else value for value in values]


def _corners(back: list[str]) -> list[str]:
    """The way back along a floor, without the points of a flat one."""
    heights = {step.partition(" ")[2] for step in back}
    return [back[-1], back[0]] if len(heights) == 1 else back[::-1]


def _y(value: float, top: float, frame: Frame) -> float:
    return frame[1] - (frame[1] - frame[0]) * min(1.0, value / top)


def _apart(tops: list[float]) -> list[float]:
    """Push ascending positions apart, then back up from the bottom of the frame."""
    placed: list[float] = []
    for top in tops:
        placed.append(max(top, placed[-1] + _LABEL_PX) if placed else top)
    limit = _BELOW[1]
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - _LABEL_PX
    return placed


def _lowest(values: list[float], top: float) -> str:
    """The lowest share after the fleet has come up, as words: ``lowest 27 %``."""
    found = measured(values)
    lowest = min(found[risen(found) :], default=0.0)
    return f"lowest {100 * lowest / top:.0f}{THIN}%"


def read_record(path: Path) -> RunRecord:
    """Read what a run left behind.

    Args:
        path: the folder of a run, or its ``record.json``.

    Raises:
        FileNotFoundError: there is no record; says how to make one.
        msgspec.DecodeError: it is not one.
    """
    file = path / "record.json" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"expected a run in {path}, found no record.json; make one with `fleetdrill run SCENARIO`"
        )
    said: dict[str, Any] = msgspec.json.decode(file.read_bytes(), type=dict)
    # JSON has no NaN: what was not measured is null there.
    for series in said.get("series", {}).values():
        for name, curve in series["values"].items():
            series["values"][name] = [math.nan if value is None else value for value in curve]
    return msgspec.convert(said, RunRecord)


def main(arguments: list[str] | None = None) -> int:
    """Draw the run named on the command line; prints the path and the size."""
    parser = argparse.ArgumentParser(prog="python -m devicesim.report.thumbnail", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("run", type=Path, help="folder of a run, or its record.json")
    parser.add_argument("-o", "--out", type=Path, help="SVG to write; beside the record by default")
    said = parser.parse_args(arguments)
    try:
        text = thumbnail(read_record(said.run))
    except (FileNotFoundError, msgspec.DecodeError) as error:
        print(f"fleetdrill: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
        return 2
    folder = said.run if said.run.is_dir() else said.run.parent
    out: Path = said.out or folder / "thumbnail.svg"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {len(text.encode())} bytes")  # noqa: T201 - a command's own output
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
