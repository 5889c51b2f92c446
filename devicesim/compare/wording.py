"""How a comparison reads: one sentence of it, one of its luck, the spelling of each number.

Decides what the terminal and the page both say. Leaves out layout.
"""

from __future__ import annotations

import math

from devicesim.compare.result import Comparison, Measure
from devicesim.report.figures import DASH, THIN, compact, count, duration, measure, plural
from devicesim.report.wording import tally

MARKS = {
    "better": "\N{BLACK UP-POINTING TRIANGLE}", "worse": "\N{BLACK DOWN-POINTING TRIANGLE}",
    "other": "\N{BLACK DIAMOND}", "same": "=", "unclear": "",
}  # fmt: skip
MEANS = {
    "better": "B is better: the interval excludes zero",
    "worse": "B is worse: the interval excludes zero",
    "other": "B differs: the interval excludes zero, and neither direction is better",
    "same": "the same for every device, exactly",
    "unclear": "the interval holds zero, or there is none",
}


def headline(found: Comparison) -> str:
    """The comparison in a sentence."""
    if found.same:
        digest = found.pairs[0].a.record.trace_digest
        more = f" of seed {found.seeds[0]}" if len(found.pairs) > 1 else ""
        return f"The same, bit for bit: trace digest {digest}{more}."
    told = [m for m in found.devices if m.direction in ("better", "worse", "other")]
    better = sum(m.direction == "better" for m in told)
    worse = sum(m.direction == "worse" for m in told)
    if not told:
        return "The runs differ, but no measure of devices does beyond its interval."
    parts = [f"better in {better}" if better else "", f"worse in {worse}" if worse else ""]
    said = " and ".join(part for part in parts if part) or "different"
    return f"B is {said} of {len(found.devices)} measures of devices."


def verdicts(found: Comparison) -> str:
    """How both runs went, by their checks."""
    first = found.pairs[0]
    if len(found.pairs) == 1:
        return f"A {_verdict(first.a.record)}, B {_verdict(first.b.record)}."
    held = [sum(getattr(p, s).record.verdict == "passed" for p in found.pairs) for s in "ab"]
    return f"A passed with {held[0]} of {len(found.pairs)} seeds, B with {held[1]}."


def _verdict(record: object) -> str:
    verdict, checks = getattr(record, "verdict"), getattr(record, "checks")  # noqa: B009
    counts = tally(checks)
    failed = f" ({plural(counts.failed, 'check')})" if counts.failed else ""
    return f"{verdict}{failed}"


def luck(found: Comparison) -> str:
    """On whose luck, and how many devices were held against each other."""
    first = found.pairs[0]
    paired, a, b = len(first.rows_a), len(first.a.devices), len(first.b.devices)
    fleet = f"{count(paired)} devices paired by id"
    if paired < max(a, b):
        fleet += f" (of {count(a)} in A and {count(b)} in B; the others are left out)"
    seeds = found.seeds
    told = (
        f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    )
    return f"{fleet}; the same luck on both sides: {told}."


def caution(found: Comparison) -> str:
    """What the intervals are over, and what they may be trusted for."""
    if found.same:
        return "Nothing is estimated: every number is the same."
    if len(found.pairs) > 1:
        return (
            f"95 % intervals are over {len(found.pairs)} seeds (Student's t on the mean difference of "
            "each): they speak of the policies. About one interval in twenty excludes zero by luck alone."
        )
    return (
        "95 % intervals are over the devices of one run (paired bootstrap). They share a broker and are not "
        "independent: the intervals speak of this run and are too narrow for the policies; use --seeds for "
        "those. About one in twenty excludes zero by luck alone."
    )


def spell(value: float, unit: str) -> str:
    """A value of a measure."""
    if unit == "J" and not math.isnan(value):
        return compact(value, unit)
    return measure(value, unit) if unit else _plain(value)


def _plain(value: float) -> str:
    return DASH if math.isnan(value) else compact(value)


def signed(value: float, unit: str) -> str:
    """A difference with its sign; exactly zero is ``0``."""
    if math.isnan(value):
        return DASH
    if value == 0:
        return "0"
    sign = "+" if value > 0 else "\N{MINUS SIGN}"
    if unit == "share":
        return f"{sign}{abs(100 * value):.2g}{THIN}pp"
    return f"{sign}{spell(abs(value), unit)}"


def interval_text(found: Measure, *, short: bool = False) -> str:
    """The interval, or a dash; `short` says a unit that both ends have once."""
    if found.interval is None:
        return DASH
    unit = found.column.unit
    low, high = signed(found.interval.low, unit), signed(found.interval.high, unit)
    number, _, last = low.rpartition(THIN)
    if short and number and THIN not in number and high.endswith(THIN + last):
        return f"{number} .. {high}"
    return f"{low} .. {high}" if low != high else low


def lost_and_found(found: Measure) -> str:
    """Devices that have a value on one side alone; empty when there are none."""
    parts = [
        f"{plural(n, 'device')} in {side} only"
        for n, side in ((found.only_a, "A"), (found.only_b, "B"))
        if n
    ]
    return ", ".join(parts)


def elapsed_or_none(value: float | None) -> str:
    """An instant since the start, or that there was none."""
    return "none" if value is None else f"after {duration(value)}"
