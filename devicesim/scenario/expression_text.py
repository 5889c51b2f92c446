"""The text of an expression becomes its tree, and every unit is held against its neighbour's.

Decides the grammar and the complaints: an unknown metric with the nearest names, a mismatch of units with
what was meant. Leaves out the meaning (expression.py) and whether the names inside a metric exist
(references.py). Precedence, weakest first: ``or``, ``and``, ``not``, comparisons, ``+ -``, ``* /``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

from devicesim.scenario.errors import Refusal
from devicesim.scenario.expression import (
    BEFORE,
    Comparing,
    Every,
    Expression,
    Known,
    Node,
    Not,
    Number,
    Quantity,
    Reading,
    Some,
    Sum,
    Truth,
)
from devicesim.scenario.lexing import Cursor, Token
from devicesim.scenario.quantities import nearest_duration, read_duration, read_number
from devicesim.scenario.trigger import find_metric
from devicesim.scenario.values import SIGNS, Kind

NEAREST_MAX: Final = 3
_TOKENS: Final = re.compile(
    r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:%|[a-z]+(?:\d+[a-z]+)*)?(?![\w.%]))"
    r"|(?P<sign><=|>=|==|!=|<|>)"
    r"|(?P<mark>[()*/+-])"
    r"|(?P<word>[A-Za-z_]\w*(?:[.-]\w+)*)"
)
_WHAT: Final = "an expression such as 'fleet.online_ratio >= 99%'"
_IS: Final = {
    Kind.COUNT: "a count", Kind.SHARE: "a share", Kind.DURATION: "a duration", None: "a plain number",
}  # fmt: skip


def parse_expression(text: object, known: Known) -> Expression:
    """Parse an expression.

    Args:
        text: what stood in the file.
        known: every metric by its pattern.

    Raises:
        Refusal: it is not one; carries the offset of the word that is wrong.
    """
    cursor = Cursor(text, _TOKENS, _WHAT)
    node = _either(cursor, known)
    cursor.finish()
    truth = _truth(node, cursor, Token("end", "", 0))
    made = Expression(cursor.text, truth)
    if not made.readings():
        raise Refusal(f"{_WHAT}: at least one metric", found=repr(cursor.text))
    return made


def _either(cursor: Cursor, known: Known) -> Node:
    return _joined(cursor, known, "or", _both, Some)


def _both(cursor: Cursor, known: Known) -> Node:
    return _joined(cursor, known, "and", _single, Every)


def _joined(
    cursor: Cursor,
    known: Known,
    word: str,
    part: Callable[[Cursor, Known], Node],
    made: type[Every | Some],
) -> Node:
    begins = cursor.peek
    node = part(cursor, known)
    if cursor.peek.text != word:
        return node
    parts = [_truth(node, cursor, begins)]
    while cursor.accept(word):
        begins = cursor.peek
        parts.append(_truth(part(cursor, known), cursor, begins))
    return made(tuple(parts))


def _single(cursor: Cursor, known: Known) -> Node:
    begins = cursor.peek
    if not cursor.accept("not"):
        return _compare(cursor, known)
    cursor.descend()
    part = _truth(_single(cursor, known), cursor, begins)
    cursor.ascend()
    return Not(part)


def _compare(cursor: Cursor, known: Known) -> Node:
    """A sum, a comparison of two, or a chain such as ``.4 <= x <= .6``."""
    begins = cursor.peek
    left = _sum(cursor, known)
    links: list[Truth] = []
    while cursor.peek.kind == "sign":
        sign, after = cursor.take(), cursor.peek
        first = _number(left, cursor, begins)
        right = _number(_sum(cursor, known), cursor, after)
        _comparable(first, right, sign, after)
        links.append(Comparing(sign.text, first, right))
        left, begins = right, after
    if not links:
        return left
    return links[0] if len(links) == 1 else Every(tuple(links))


def _sum(cursor: Cursor, known: Known) -> Node:
    return _chain(cursor, known, ("+", "-"), _product, _kind_of_sum)


def _product(cursor: Cursor, known: Known) -> Node:
    return _chain(cursor, known, ("*", "/"), _atom, _kind_of_product)


def _chain(
    cursor: Cursor,
    known: Known,
    signs: tuple[str, ...],
    part: Callable[[Cursor, Known], Node],
    kind_of: Callable[[Quantity, Token, Quantity], Kind | None],
) -> Node:
    begins = cursor.peek
    node = part(cursor, known)
    while cursor.peek.kind == "mark" and cursor.peek.text in signs:
        sign, after = cursor.take(), cursor.peek
        left = _number(node, cursor, begins)
        right = _number(part(cursor, known), cursor, after)
        node = Sum(sign.text, left, right, kind_of(left, sign, right))
    return node


def _atom(cursor: Cursor, known: Known) -> Node:
    token = cursor.take()
    if token.text == "(":
        cursor.descend()
        node = _either(cursor, known)
        cursor.expect(")")
        cursor.ascend()
        return node
    if token.kind == "number":
        return _literal(token)
    if token.kind != "word" or token.text in ("and", "or", "not"):
        raise cursor.refuse(token, "a metric, a number, not or (")
    if cursor.peek.text != "(":
        return _reading(token, known, before=False)
    if token.text != BEFORE:
        raise cursor.refuse(token, f"{BEFORE}(metric), the only function", nearest=BEFORE)
    cursor.expect("(")
    inner = cursor.take()
    if inner.kind != "word":
        raise cursor.refuse(inner, f"a metric in {BEFORE}(...)")
    node = _reading(inner, known, before=True)
    cursor.expect(")")
    return node


def _reading(token: Token, known: Known, *, before: bool) -> Reading:
    try:
        metric = find_metric(token.text, token.offset, known)
    except Refusal:
        raise _unknown(token, known) from None
    return Reading(metric, known[metric.pattern][0], before)


def _unknown(token: Token, known: Known) -> Refusal:
    """No such metric: the nearest few, with the name inside that was written."""
    parts = token.text.split(".")
    named = [re.sub(r"\{\w+\}", parts[1], one) if len(parts) == 3 else one for one in known]
    near = get_close_matches(token.text, named, n=NEAREST_MAX, cutoff=0.5)
    return Refusal(
        f"a metric, a measure or {BEFORE}(metric)", found=repr(token.text), nearest=", ".join(near),
        advice="scenarios/README.md lists them all", offset=token.offset,
    )  # fmt: skip


_EXACT_MAX: Final = 1e15
"""Larger whole numbers are floats: arithmetic with them cannot overflow into an exception."""


def _literal(token: Token) -> Number:
    text = token.text
    try:
        if text.endswith("%"):
            return Number(read_number(text[:-1]) / 100, Kind.SHARE)
        if text[-1].isalpha():
            return Number(read_duration(text), Kind.DURATION)
        number = read_number(text)
        exact = text.isdigit() and number <= _EXACT_MAX
        return Number(int(text) if exact else number, None)
    except Refusal as refusal:
        refusal.offset = token.offset
        raise


# -- units ----------------------------------------------------------------------------------------


def _truth(node: Node, cursor: Cursor, begins: Token) -> Truth:
    if isinstance(node, Comparing | Every | Some | Not):
        return node
    raise Refusal(
        f"{_WHAT}: a comparison", found=f"only {_IS[node.kind]} in {cursor.text!r}",
        advice=f"compare it: one of {' '.join(SIGNS)} and a number", offset=begins.offset,
    )  # fmt: skip


def _number(node: Node, cursor: Cursor, begins: Token) -> Quantity:
    if isinstance(node, Number | Reading | Sum):
        return node
    raise Refusal(
        f"{_WHAT}: a number", found=f"a comparison in {cursor.text!r}", offset=begins.offset,
        advice="put `and` or `or` between two comparisons",
    )  # fmt: skip


def _mismatch(left: Quantity, sign: Token, right: Quantity) -> Refusal:
    nearest = ""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Number) and one.kind is None and other.kind is Kind.DURATION:
            nearest = nearest_duration(one.value)
        if isinstance(one, Reading) and one.kind is Kind.COUNT and other.kind is Kind.SHARE:
            nearest = f"{one.metric.text}_ratio" if one.metric.text.endswith("online") else ""
    return Refusal(
        f"the same unit on both sides of {sign.text}",
        found=f"{_IS[left.kind]} {sign.text} {_IS[right.kind]}", nearest=nearest, offset=sign.offset,
    )  # fmt: skip


def _alike(left: Quantity, sign: Token, right: Quantity) -> Kind | None:
    kinds = (left.kind, right.kind)
    if left.kind is right.kind:
        return left.kind
    if None in kinds and Kind.DURATION not in kinds:
        return left.kind or right.kind
    raise _mismatch(left, sign, right)


def _comparable(left: Quantity, right: Quantity, sign: Token, after: Token) -> None:
    _alike(left, sign, right)
    for one, other in ((left, right), (right, left)):
        if not isinstance(one, Number) or one.kind is not None or one.value <= 1:
            continue
        if isinstance(other, Reading) and other.kind is Kind.SHARE:
            raise Refusal(
                "a share, such as 5% or .05, from 0 to 1", found=f"{one.value:g}",
                nearest=f"{one.value:g}%" if one.value <= 100 else "", offset=after.offset,
            )  # fmt: skip


def _kind_of_sum(left: Quantity, sign: Token, right: Quantity) -> Kind | None:
    return _alike(left, sign, right)


def _kind_of_product(left: Quantity, sign: Token, right: Quantity) -> Kind | None:
    scales = (None, Kind.SHARE)
    if right.kind in scales:
        return left.kind if left.kind is not None or sign.text == "/" else right.kind
    if sign.text == "*" and left.kind in scales:
        return right.kind
    if sign.text == "/" and left.kind is right.kind:
        return None
    raise Refusal(
        f"a number or a share on one side of {sign.text}",
        found=f"{_IS[left.kind]} {sign.text} {_IS[right.kind]}", offset=sign.offset,
    )  # fmt: skip
