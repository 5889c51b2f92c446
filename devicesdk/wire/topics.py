"""Topic names: who says what where.

Decides the spelling of each topic under the root ``fd/{tenant}`` and the *kind* of message it
carries. Leaves out the payloads (messages.py) and who may use which topic (the broker's ACL).

Rules: at most 7 slashes and 256 bytes; a retained topic carries state, never a verb; a device id is
one topic level and one path component, so it may not contain ``/ + # $`` or control characters.
"""

from __future__ import annotations

import re
from typing import Final

from devicesdk.wire import limits
from devicesdk.wire.errors import BadTopic

ROOT_DEFAULT: Final = "fd/main"

KILL: Final = "kill"
FLAGS: Final = "flags"
WANT: Final = "want"
HAVE: Final = "have"
LINK: Final = "link"
GET: Final = "get"
DAT: Final = "dat"
CTL: Final = "ctl"
EV: Final = "ev"
TEL: Final = "tel"
TIMESTAMP: Final = "timestamp"
ASK: Final = "ask"

DEVICE_KINDS: Final = (WANT, HAVE, LINK, GET, DAT, CTL, EV, TEL, ASK)
UPLINK_KINDS: Final = (HAVE, LINK, GET, EV, TEL, ASK)
PASSING_KINDS: Final = frozenset({GET, ASK})
"""Not kept for a gateway that is away: an answer that comes late is worth nothing."""
RETAINED_KINDS: Final = frozenset({KILL, FLAGS, WANT, HAVE, LINK, TIMESTAMP})

PARSED_TOPICS_MAX: Final = 65_536
"""Topics of devices whose parse is remembered; past it all are forgotten and learnt anew."""

_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


def check_device_id(device: str) -> str:
    """Return `device` if it can be one topic level.

    Raises:
        BadTopic: it cannot.
    """
    if not _DEVICE_ID.fullmatch(device):
        raise BadTopic(
            f"expected a device id of 1-64 letters, digits or . _ : - that starts with a letter or "
            f"digit, found {device!r}"
        )
    return device


class Topics:
    """The topics of one tenant.

    Args:
        root: the tenant's root, such as ``fd/main``; at most 4 levels.
    """

    __slots__ = ("_device_prefix", "_parsed", "kill", "root", "timestamp")

    def __init__(self, root: str = ROOT_DEFAULT) -> None:
        if not root or root.count("/") > 3 or any(c in root for c in "+#$"):
            raise BadTopic(f"expected a topic root of 1-4 plain levels, found {root!r}")
        self.root = root
        self.kill = f"{root}/k"
        self.timestamp = f"{root}/t/timestamp"
        self._device_prefix = f"{root}/d/"
        self._parsed: dict[str, tuple[str, str]] = {}
        """What was parsed before: a fleet in one process parses the same few thousand topics for ever."""

    def flags(self, segment: str) -> str:
        """The topic of a segment's retained flag snapshot."""
        return f"{self.root}/f/{segment}"

    def device(self, device: str, kind: str) -> str:
        """The topic of `kind` (one of `DEVICE_KINDS`) of one device."""
        return f"{self._device_prefix}{device}/{kind}"

    def every_device(self, kind: str) -> str:
        """The filter that matches `kind` of all devices."""
        return f"{self._device_prefix}+/{kind}"

    def parse(self, topic: str) -> tuple[str, str]:
        """Split a topic into ``(kind, device or segment)``; the kill list and the timestamp have ``""``.

        Raises:
            BadTopic: not a topic of this tenant.
        """
        return self._parsed.get(topic) or self._remember(topic, self._parse(topic))

    def _remember(self, topic: str, parsed: tuple[str, str]) -> tuple[str, str]:
        if len(self._parsed) >= PARSED_TOPICS_MAX:
            self._parsed.clear()
        self._parsed[topic] = parsed
        return parsed

    def _parse(self, topic: str) -> tuple[str, str]:
        prefix = self._device_prefix
        if topic.startswith(prefix):
            device, _, kind = topic[len(prefix) :].partition("/")
            if kind in DEVICE_KINDS:
                return DEVICE_KINDS[DEVICE_KINDS.index(kind)], check_device_id(device)
        elif topic == self.kill:
            return KILL, ""
        elif topic == self.timestamp:
            return TIMESTAMP, ""
        elif topic.startswith(f"{self.root}/f/"):
            return FLAGS, check_device_id(topic[len(self.root) + 3 :])
        raise BadTopic(
            f"expected a topic under {self.root}/, found {topic[: limits.TOPIC_BYTES_MAX]!r}"
        )
