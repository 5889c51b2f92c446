"""Selectors: which devices a fault, a rollout or a flag is for.

Decides the language and its meaning over the labels of devices::

    all                          everybody
    group=kiosk  region!=us-west link~lte      a label is, is not, contains
    profile=phone, region=us-east              both (`,` and `&` are the same)
    group=kiosk | group=camera                 either; binds weaker than both
    !link~lte  (a | b) & c                     not, brackets
    sample(link~lte, 5%)                       about 5 % of them, drawn anew for each use
    share(link~lte, 10%..25%)                  the same slice of them at every use

Leaves out which labels and values exist (references.py) and what is done to whom is selected.

Rules: who is drawn depends on the seed, the occasion and the device alone, so another device or
another fault changes nobody's part; a sample of a share above zero from at least one device takes
at least one. Results keep the order of the devices given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from devicesim.scenario.errors import Refusal, show
from devicesim.scenario.lexing import Cursor
from devicesim.scenario.quantities import read_number, read_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from devicesim.entropy import Entropy

_SHARE: Final = r"(?:\d+(?:\.\d*)?|\.\d+)%?"
_TOKENS: Final = re.compile(
    rf"(?P<share>{_SHARE}(?: *\.\. *{_SHARE})?(?![\w.%-]))"
    r"|(?P<sign>!=|!~|=|~)"
    r"|(?P<mark>[(),&|!])"
    r"|(?P<word>[A-Za-z0-9_][\w.*/-]*)"
)
_WHAT: Final = "a selector such as 'group=kiosk & link~lte'"
_DRAWS: Final = ("sample", "share")


class All(msgspec.Struct, frozen=True):
    """Everybody."""


class Where(msgspec.Struct, frozen=True):
    """A label compared: ``=`` is, ``!=`` is not, ``~`` contains, ``!~`` does not contain."""

    label: str
    sign: str
    value: str
    offset: int


class Every(msgspec.Struct, frozen=True):
    """All parts hold."""

    parts: tuple[Node, ...]


class Some(msgspec.Struct, frozen=True):
    """At least one part holds."""

    parts: tuple[Node, ...]


class Not(msgspec.Struct, frozen=True):
    """The part does not hold."""

    part: Node


class Draw(msgspec.Struct, frozen=True):
    """Those of `part` whose draw falls in [low, high); `sticky` draws are the same at every use."""

    part: Node
    low: float
    high: float
    sticky: bool
    offset: int


Node = All | Where | Every | Some | Not | Draw


class Selector(msgspec.Struct, frozen=True):
    """A parsed selector and the text it came from."""

    text: str
    node: Node

    @property
    def drawn(self) -> bool:
        """Whether luck has a part in it."""
        return any(isinstance(node, Draw) for node in walk(self.node))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether one device is selected, from its labels alone.

        Raises:
            ValueError: the selector draws; use `select`, which knows everybody and the occasion.
        """
        return _matches(self.node, labels)

    def select(
        self, devices: Sequence[Mapping[str, str]], entropy: Entropy, occasion: str
    ) -> list[int]:
        """Find the indices of the selected devices, ascending.

        Args:
            devices: labels of each device; the label ``id`` names its streams.
            entropy: master of the streams.
            occasion: name of this use, such as the action's; `sample` draws anew for each name.
        """
        return _select(self.node, range(len(devices)), devices, entropy, occasion)

    def __str__(self) -> str:
        return self.text


EVERYBODY: Final = Selector("all", All())


def parse_selector(text: object) -> Selector:
    """Parse a selector.

    Raises:
        Refusal: it is not one; carries the offset of the word that is wrong.
    """
    cursor = Cursor(text, _TOKENS, _WHAT)
    node = _some(cursor)
    cursor.finish()
    return Selector(cursor.text, node)


def walk(node: Node) -> Iterator[Node]:
    """Go through a selector's nodes, parents first."""
    yield node
    match node:
        case Every(parts) | Some(parts):
            for part in parts:
                yield from walk(part)
        case Not(part) | Draw(part):
            yield from walk(part)
        case _:
            pass


def _some(cursor: Cursor) -> Node:
    parts = [_every(cursor)]
    while cursor.accept("|"):
        parts.append(_every(cursor))
    return parts[0] if len(parts) == 1 else Some(tuple(parts))


def _every(cursor: Cursor) -> Node:
    parts = [_factor(cursor)]
    while True:
        # Inside sample(a, b, 5%) the last comma introduces the share, which no predicate resembles.
        if cursor.peek.text == "," and cursor.ahead().kind == "share":
            break
        if not cursor.accept("&", ","):
            break
        parts.append(_factor(cursor))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _factor(cursor: Cursor) -> Node:
    cursor.descend()
    token = cursor.take()
    node: Node
    if token.text == "!":
        node = Not(_factor(cursor))
    elif token.text == "(":
        node = _some(cursor)
        cursor.expect(")")
    elif token.kind != "word":
        raise cursor.refuse(token, "all, a label, sample(...), share(...), ! or (")
    elif cursor.accept("("):
        node = _draw(cursor, token.text, token.offset)
    elif token.text == "all" and cursor.peek.kind != "sign":
        node = All()
    else:
        node = _where(cursor, token.text, token.offset)
    cursor.ascend()
    return node


def _where(cursor: Cursor, label: str, offset: int) -> Where:
    sign = cursor.take()
    if sign.kind != "sign":
        raise cursor.refuse(sign, f"=, !=, ~ or !~ after {label!r}", nearest=f"group={label}")
    value = cursor.take()
    if value.kind not in ("word", "share") or value.text.endswith("%"):
        raise cursor.refuse(value, f"a value after '{label}{sign.text}'")
    return Where(label, sign.text, value.text, offset)


def _draw(cursor: Cursor, name: str, offset: int) -> Draw:
    if name not in _DRAWS:
        raise Refusal(
            f"{_WHAT}: sample(selector, 5%) or share(selector, 10%..25%)",
            found=f"{name}(...)",
            offset=offset,
        )
    part = _some(cursor)
    cursor.expect(",")
    token = cursor.take()
    if token.kind != "share":
        raise cursor.refuse(token, "a share such as 5% or 10%..25%")
    low, _, high = token.text.rpartition("..")
    cursor.expect(")")
    bounds = (_bound(low) if low else 0.0), _bound(high)
    if bounds[0] >= bounds[1]:
        raise Refusal(f"a share above {low or '0%'}", found=show(token.text), offset=token.offset)
    return Draw(part, bounds[0], bounds[1], name == "share", offset)


def _bound(text: str) -> float:
    text = text.strip()
    return read_share(text if text.endswith("%") else read_number(text))


def _matches(node: Node, labels: Mapping[str, str]) -> bool:
    match node:
        case All():
            return True
        case Where(label, sign, value):
            found = labels.get(label)
            if sign in ("=", "!="):
                return (found == value) == (sign == "=")
            return (found is not None and value in found) == (sign == "~")
        case Every(parts):
            return all(_matches(part, labels) for part in parts)
        case Some(parts):
            return any(_matches(part, labels) for part in parts)
        case Not(part):
            return not _matches(part, labels)
        case Draw():
            raise ValueError("expected a selector without sample() or share(): those need select()")


def _select(
    node: Node,
    among: Sequence[int],
    devices: Sequence[Mapping[str, str]],
    entropy: Entropy,
    occasion: str,
) -> list[int]:
    """Select among the given indices (ascending); drawing nodes see only what reached them."""
    match node:
        case Every(parts):
            left = list(among)
            for part in parts:
                left = _select(part, left, devices, entropy, occasion)
            return left
        case Some(parts):
            taken = {i for part in parts for i in _select(part, among, devices, entropy, occasion)}
            return [index for index in among if index in taken]
        case Not(part):
            out = set(_select(part, among, devices, entropy, occasion))
            return [index for index in among if index not in out]
        case Draw(part):
            candidates = _select(part, among, devices, entropy, occasion)
            return _drawn(node, candidates, devices, entropy, occasion)
        case _:
            return [index for index in among if _matches(node, devices[index])]


def _drawn(
    node: Draw,
    candidates: list[int],
    devices: Sequence[Mapping[str, str]],
    entropy: Entropy,
    occasion: str,
) -> list[int]:
    purpose = "selector.share" if node.sticky else f"selector.sample.{occasion}.{node.offset}"
    draws = [(entropy.stream(purpose, devices[i]["id"]).uniform(), i) for i in candidates]
    taken = [index for draw, index in draws if node.low <= draw < node.high]
    if taken or not draws or node.sticky:
        return taken
    return [min(draws)[1]]
