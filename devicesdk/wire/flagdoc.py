"""What a flagd document may ask of a device: bounded before anything of it is evaluated.

Decides how deep a document nests, which operations its targeting may use and how far its shared rules
expand, so that evaluating it takes time and memory in proportion to its size. Leaves out signatures,
what a flag means and who evaluates it (devicesdk/agent/flags.py). Both ends ask here: the gateway before
it signs, the device before it believes.

Rules: targeting sees a device's id, hardware class and segment, none of which is a list, so the
operations of JsonLogic that walk lists (https://jsonlogic.com/operations.html) have no use here, and
one of them in a few hundred bytes (``reduce`` of ``cat``) takes all memory that there is; numbers are
JSON's that every reader reads alike: finite, whole ones within 2^53.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from devicesdk.wire.errors import BadMessage

DEPTH_MAX: Final = 64
EXPANDED_BYTES_MAX: Final = 256 * 1024
"""Of all ``$ref`` to shared rules together."""
INTEGER_MAX: Final = 2**53
WALKS: Final = frozenset({"map", "filter", "reduce", "all", "none", "some"})
_REF: Final = "$ref"


def check_flags(document: bytes) -> None:
    """Hold a flagd document against the bounds.

    Raises:
        BadMessage: not JSON, or out of bounds; the message says which.
    """
    found = _read(document)
    if not isinstance(found, dict) or not isinstance(found.get("flags"), dict):
        raise BadMessage(f"expected a flagd document with flags, found {document[:40]!r}")
    shared = found.get("$evaluators") or {}
    if not isinstance(shared, dict):
        raise BadMessage("expected $evaluators to be an object")
    refs = 0
    for flag in found["flags"].values():
        check_shape(flag)
        if isinstance(flag, dict):
            refs += _targeting(flag.get("targeting"))
    for rule in shared.values():
        check_shape(rule)
        if _targeting(rule):
            raise BadMessage("expected shared rules without $ref: what they expand to has no bound")
    longest = max((len(msgspec.json.encode(rule)) for rule in shared.values()), default=0)
    if refs * longest > EXPANDED_BYTES_MAX:
        raise BadMessage(
            f"expected shared rules that expand to at most {EXPANDED_BYTES_MAX} bytes, found {refs} "
            f"$ref to rules of up to {longest} bytes"
        )


def check_definition(definition: Any) -> None:
    """Hold one flag's definition, decoded, against the same bounds.

    Raises:
        BadMessage: it is out of bounds.
    """
    check_shape(definition)
    if isinstance(definition, dict):
        _targeting(definition.get("targeting"))


def check_shape(value: Any) -> None:
    """Look at depth and numbers, without recursion.

    Raises:
        BadMessage: too deep, or a number that readers read differently.
    """
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise BadMessage(f"expected at most {DEPTH_MAX} levels in a flag, found more")
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
            elif isinstance(one, int) and abs(one) > INTEGER_MAX:
                raise BadMessage("expected whole numbers within 2^53, found a larger one")
        level = below


def _targeting(rule: Any) -> int:
    """Look for operations that walk lists; returns how many ``$ref`` there are."""
    refs, waiting = 0, [rule]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            walk = WALKS.intersection(one)
            if walk:
                raise BadMessage(
                    f"expected targeting without {', '.join(sorted(WALKS))}, found {min(walk)}: nothing "
                    "that it sees is a list; use in, and, or"
                )
            refs += _REF in one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return refs


def _read(document: bytes) -> Any:
    try:
        return msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"expected a flagd document, found {document[:40]!r}: {error}") from error
