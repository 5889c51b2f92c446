"""Topic names and filters: what is well formed, and a tree keyed by their levels.

Decides validity as MQTT 5 section 4.7 does (https://docs.oasis-open.org/mqtt/mqtt/v5.0/) and splits
shared subscriptions (4.8.2). Leaves out who subscribes and what is retained: `routing` and
`retained` hang their own values in the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_BYTES_MAX: Final = 65_535


class Branch(Generic[T]):
    """One level of a tree of topics or filters; children keep the order in which they came."""

    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.children: dict[str, Branch[T]] = {}
        self.value: T | None = None

    def plant(self, levels: Sequence[str]) -> Branch[T]:
        """Find the branch at the end of the path, growing what is missing."""
        branch = self
        for level in levels:
            child = branch.children.get(level)
            if child is None:
                child = branch.children[level] = Branch()
            branch = child
        return branch

    def prune(self, levels: Sequence[str]) -> None:
        """Clear the value at the end of the path and cut the branches that became empty."""
        path = [self]
        for level in levels:
            path.append(path[-1].children[level])
        path[-1].value = None
        for depth in range(len(levels), 0, -1):
            if path[depth].children or path[depth].value is not None:
                return
            del path[depth - 1].children[levels[depth - 1]]

    def size(self) -> int:
        """Count the values in the tree."""
        own = 0 if self.value is None else 1
        return own + sum(child.size() for child in self.children.values())


def is_wild(topic_filter: str) -> bool:
    """Tell a filter with wildcards from one that is a topic name."""
    return "+" in topic_filter or "#" in topic_filter


def is_topic(topic: str, levels_max: int) -> bool:
    """Check a topic name: not empty, no wildcard, no U+0000, at most 65,535 bytes (4.7.3)."""
    return _is_text(topic, levels_max) and not is_wild(topic)


def is_filter(topic_filter: str, levels_max: int) -> bool:
    """Check a filter: each wildcard fills a level, ``#`` is the last one (4.7.1)."""
    if not _is_text(topic_filter, levels_max):
        return False
    levels = topic_filter.split("/")
    if "#" in levels[:-1]:
        return False
    return all(level in ("+", "#") or not is_wild(level) for level in levels)


def split_share(topic_filter: str) -> tuple[str, str] | None:
    """Split ``$share/group/filter``.

    Returns:
        (group, filter); the group is empty for a filter that is not shared. None when a shared one
        is malformed (MQTT-4.8.2-1, MQTT-4.8.2-2).
    """
    if not topic_filter.startswith("$share/"):
        return "", topic_filter
    parts = topic_filter.split("/", 2)
    if len(parts) < 3 or not parts[1] or not parts[2] or is_wild(parts[1]):
        return None
    return parts[1], parts[2]


def matches(topic_filter: str, topic: str) -> bool:
    """Match one filter against one topic by the letter of 4.7; the slow truth the tree must equal."""
    wanted, found = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False  # MQTT-4.7.2-1
    for depth, level in enumerate(wanted):
        if level == "#":
            return True
        if depth >= len(found) or level not in ("+", found[depth]):
            return False
    return len(wanted) == len(found)


def _is_text(text: str, levels_max: int) -> bool:
    if not text or "\0" in text or text.count("/") >= levels_max:
        return False
    return len(text) * 4 <= _BYTES_MAX or len(text.encode()) <= _BYTES_MAX
