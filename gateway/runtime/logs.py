"""The gateway's log: one line an event, key=value or JSON.

Decides the form of a line and the logger's name. Leaves out what is logged, and where to: the standard
library's handlers. Rule: no secret and no payload is ever a field; what a device said is cut short and
quoted, so that it cannot forge a line.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

LOGGER: Final = logging.getLogger("fleetdrill.gateway")
FIELD_CHARS_MAX: Final = 300
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@%+-")


def say(level: int, event: str, **fields: Any) -> None:
    """Log an event (a few words) with its fields."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={"fields": fields})


class KeyValueFormatter(logging.Formatter):
    """``2026-11-21T10:00:00.000Z INFO connected plane=data``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows with its line ends escaped."""
        said = _one_line(record.getMessage())  # other libraries say more than an event
        words = [_instant(record), record.levelname, said]
        words += [f"{key}={_quoted(value)}" for key, value in _fields(self, record).items()]
        return " ".join(words)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The keys ``at level event`` and those of the fields."""
        head = {"at": _instant(record), "level": record.levelname, "event": record.getMessage()}
        fields = {key: _cut(value) for key, value in _fields(self, record).items()}
        return json.dumps(head | fields)


def to_stream(
    *, as_json: bool, level: str = "INFO", stream: TextIO | None = None
) -> logging.Handler:
    """Let the gateway's logger write to a stream (standard error by default), and nowhere else.

    Returns:
        What writes, for `whole_process`.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if as_json else KeyValueFormatter())
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(level)
    return handler


def whole_process(handler: logging.Handler, level: str = "INFO") -> None:
    """Let everybody else in this process write by the same handler: our adapters from `level` on, other
    libraries from WARNING on. Without it their lines have no form, and break a log of JSON lines."""
    logging.getLogger().addHandler(handler)
    logging.getLogger("gateway").setLevel(level)


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    if record.exc_info:
        fields["traceback"] = _Whole(formatter.formatException(record.exc_info))
    return fields


def _instant(record: logging.LogRecord) -> str:
    text = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


class _Whole(str):
    """Text of ours that is not cut."""

    __slots__ = ()


def _cut(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, _Whole):
        return value
    text = str(value)
    return text[:FIELD_CHARS_MAX] + ".." if len(text) > FIELD_CHARS_MAX else text


def _one_line(text: str) -> str:
    """Text whose line ends, terminal commands and other invisible signs are spelled out."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _quoted(value: Any) -> str:
    text = str(_cut(value))
    if text and _PLAIN.issuperset(text):
        return text
    return json.dumps(text)
