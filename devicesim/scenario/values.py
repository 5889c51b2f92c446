"""Small values with behaviour that scenarios spell as text.

Decides distributions (``normal(30, 6)``), comparisons (``>= .99``), shifts of the data
(``dim(.5)``) and the order of a return (``swizzle(30m)``): how they are read, and what they do.
Leaves out where they stand (schema.py) and who acts on them.

Rules: a distribution takes exactly one uniform for each value it draws, so that a changed shape
leaves the luck behind it unchanged; `str()` of a value gives back what was written.
"""

from __future__ import annotations

import operator
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from devicesdk.wire.timebase import format_duration
from devicesim.scenario.errors import Refusal, choices, nearest_word, show
from devicesim.scenario.quantities import (
    read_call,
    read_duration,
    read_number,
    read_positive_duration,
    read_share,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON: Final = re.compile(r"(<=|>=|==|!=|<|>) *(\S+)")
_INTEGER: Final = re.compile(r"\d{1,18}")


class Luck(Protocol):
    """What a distribution needs of a stream; `devicesim.entropy.Stream` has it."""

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw from [low, high)."""
        ...

    def normal(self, mean: float = 0.0, sigma: float = 1.0) -> float:
        """Draw a Gaussian."""
        ...

    def lognormal(self, median: float, sigma: float) -> float:
        """Draw a log-normal."""
        ...

    def exponential(self, mean: float) -> float:
        """Draw an exponential."""
        ...


class Kind(StrEnum):
    """What a number in a comparison counts."""

    COUNT = "count"
    SHARE = "share"
    DURATION = "duration"


class Distribution(msgspec.Struct, frozen=True):
    """A way to draw: a constant, or one of `DISTRIBUTIONS` with its arguments."""

    name: str
    arguments: tuple[float, ...]

    def draw(self, luck: Luck) -> float:
        """Draw one value."""
        match self.name, self.arguments:
            case "uniform", (low, high):
                return luck.uniform(low, high)
            case "normal", (mean, sigma):
                return luck.normal(mean, sigma)
            case "lognormal", (median, sigma):
                return luck.lognormal(median, sigma)
            case "exponential", (mean,):
                return luck.exponential(mean)
            case _:
                return self.arguments[0]

    def __str__(self) -> str:
        inner = ", ".join(f"{number:g}" for number in self.arguments)
        return inner if self.name == "constant" else f"{self.name}({inner})"


class Comparison(msgspec.Struct, frozen=True):
    """``>= .99`` as a value; durations are compared as integer nanoseconds."""

    sign: str
    value: float | int
    text: str

    def holds(self, observed: float) -> bool:
        """Tell whether what was observed satisfies it (unit: that of the measure's kind)."""
        return SIGNS[self.sign](observed, self.value)

    def __str__(self) -> str:
        return f"{self.sign} {self.text}"


class Shift(msgspec.Struct, frozen=True):
    """A change of what the sensors see: `name` from `SHIFTS` and its amount."""

    name: str
    amount: float

    @property
    def severity(self) -> float:
        """The amount as a share of the worst there is: what `GaugeStream.apply` takes."""
        return self.amount / SHIFTS[self.name][2]

    def __str__(self) -> str:
        return f"{self.name}({self.amount:g})"


class Order(msgspec.Struct, frozen=True):
    """How devices come back: all at once, or each at a moment of its own within `over_ns`."""

    name: str
    over_ns: int

    def __str__(self) -> str:
        return f"swizzle({format_duration(self.over_ns)})" if self.over_ns else self.name


DISTRIBUTIONS: Final = {
    "uniform": ("low, high", 2),
    "normal": ("mean, sigma", 2),
    "lognormal": ("median, sigma of the logarithm", 2),
    "exponential": ("mean", 1),
}
SHIFTS: Final = {
    "dim": ("share of the light that is lost", 0.0, 1.0),
    "haze": ("share of the light that a hazy lens scatters", 0.0, 1.0),
    "blur": ("sigma of the defocus, pixels", 0.0, 2.0),
    "prior_shift": ("share of full scale by which readings move", -1.0, 1.0),
}


def read_distribution(value: object) -> Distribution:
    """Read a number or one of `DISTRIBUTIONS`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Distribution("constant", (float(value),))
    expected = "a number or a distribution such as normal(30, 6) or uniform(.6, 1)"
    name, arguments = read_call(value, expected)
    if name not in DISTRIBUTIONS:
        raise Refusal(
            f"one of the distributions {choices(DISTRIBUTIONS)}",
            found=show(value),
            nearest=nearest_word(name, DISTRIBUTIONS),
        )
    names, count = DISTRIBUTIONS[name]
    numbers = tuple(read_number(argument) for argument in arguments)
    if len(numbers) != count:
        raise Refusal(f"{name}({names})", found=show(value))
    if name == "uniform" and numbers[0] > numbers[1]:
        raise Refusal("uniform(low, high) with low <= high", found=show(value))
    if name in ("normal", "lognormal") and numbers[1] < 0:
        raise Refusal("a sigma that is not negative", found=show(value))
    if name in ("lognormal", "exponential") and numbers[0] <= 0:
        raise Refusal(f"a {names.split(',')[0]} above 0", found=show(value))
    return Distribution(name, numbers)


def read_amount(text: str, kind: Kind) -> float | int:
    """Read the right-hand side of a comparison in the unit of its kind."""
    if kind is Kind.DURATION:
        return read_duration(int(text) if _INTEGER.fullmatch(text) else text)
    if kind is Kind.SHARE:
        return read_share(text if text.endswith("%") else read_number(text))
    number = read_number(text)
    return int(text) if _INTEGER.fullmatch(text) else number


def read_comparison(value: object, kind: Kind) -> Comparison:
    """Read an operator and an amount, such as ``>= .99``, ``< 300s`` or ``== 0``."""
    example = {Kind.COUNT: "== 0", Kind.SHARE: ">= .99", Kind.DURATION: "< 300s"}[kind]
    match = _COMPARISON.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        nearest = ""
        if isinstance(value, str) and re.match(r"=[^=]", value):
            nearest = "=" + value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            nearest = f"'== {value}'"
        raise Refusal(f"a comparison such as '{example}'", found=show(value), nearest=nearest)
    return Comparison(match[1], read_amount(match[2], kind), match[2])


def read_shift(value: object) -> Shift:
    """Read one of `SHIFTS` with its amount."""
    expected = f"one of {', '.join(f'{name}(amount)' for name in SHIFTS)}"
    name, arguments = read_call(value, expected)
    if name not in SHIFTS or len(arguments) != 1:
        raise Refusal(expected, found=show(value), nearest=nearest_word(name, SHIFTS))
    meaning, low, high = SHIFTS[name]
    amount = read_number(arguments[0])
    if not low <= amount <= high:
        raise Refusal(f"{name}({meaning}, from {low:g} to {high:g})", found=show(value))
    return Shift(name, amount)


def read_order(value: object) -> Order:
    """Read ``together`` or ``swizzle(30m)``."""
    expected = "together, or swizzle(30m) for each at its own moment within 30m"
    name, arguments = read_call(value, expected)
    if name == "together" and not arguments:
        return Order(name, 0)
    if name == "swizzle" and len(arguments) == 1:
        return Order(name, read_positive_duration(arguments[0]))
    nearest = nearest_word(name, ("together", "swizzle"))
    nearest = "swizzle(30m)" if nearest == "swizzle" else nearest
    raise Refusal(expected, found=show(value), nearest=nearest)
