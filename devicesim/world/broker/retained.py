"""The last message of each topic, for those who come later.

Decides what is kept (the newest retained message of a topic; an empty payload removes it, MQTT 5
section 3.3.1.3), what a new subscription is shown, and in which order: topics as they first came,
a parent before its children. Leaves out who subscribes. A message whose expiry passed is dropped
when somebody next looks at it.

Each message here is a copy on the ledger's leg ``retained``.
"""

from __future__ import annotations

from devicesim.world.broker.packets import Message
from devicesim.world.broker.topics import Branch, is_wild
from devicesim.world.ledger import RETAINED, DropCause, Ledger


class RetainedStore:
    """All retained messages of one broker.

    Args:
        messages_max: topics that may hold a message; a further one is refused.
        ledger: the world's books.
    """

    __slots__ = ("_books", "_branches", "_max", "_root")

    def __init__(self, messages_max: int, ledger: Ledger) -> None:
        self._max = messages_max
        self._books = ledger.leg(RETAINED)
        self._root: Branch[Message] = Branch()
        self._branches: dict[str, Branch[Message]] = {}

    def __len__(self) -> int:
        return len(self._branches)

    def get(self, now: int, topic: str) -> Message | None:
        """Look up one topic."""
        branch = self._branches.get(topic)
        if branch is None or branch.value is None:
            return None
        return self._fresh(now, branch.value)

    def store(self, message: Message) -> bool:
        """Keep the message in place of its topic's last one; False when the store is full."""
        branch = self._branches.get(message.topic)
        if not message.payload:
            if branch is not None and branch.value is not None:
                self._remove(branch.value, DropCause.REPLACED)
            return True
        if branch is None:
            if len(self._branches) >= self._max:
                return False
            branch = self._root.plant(message.topic.split("/"))
            self._branches[message.topic] = branch
        else:
            assert branch.value is not None, f"{message.topic} is indexed and holds no message"
            self._books.dropped[branch.value.kind, DropCause.REPLACED] += 1
        branch.value = message
        self._books.opened[message.kind] += 1
        return True

    def matching(self, now: int, topic_filter: str) -> list[Message]:
        """List what a new subscription to the filter is shown."""
        if not is_wild(topic_filter):
            message = self.get(now, topic_filter)
            return [] if message is None else [message]
        found: list[Message] = []
        _gather(self._root, topic_filter.split("/"), 0, found)
        return [message for message in found if self._fresh(now, message)]

    def lose(self) -> None:
        """Forget everything, as a restart without persistence does."""
        for branch in self._branches.values():
            assert branch.value is not None
            self._books.dropped[branch.value.kind, DropCause.SESSION_LOST] += 1
        self._branches.clear()
        self._root = Branch()

    def validate(self) -> None:
        """Re-check that the index and the tree hold the same messages.

        Raises:
            AssertionError: they do not.
        """
        for topic, branch in self._branches.items():
            message = branch.value
            assert message is not None, f"topic {topic} is indexed and holds no message"
            assert message.topic == topic
            assert message.retain, f"topic {topic} retains a message that is not marked retained"
            assert self._root.plant(topic.split("/")) is branch
        assert self._root.size() == len(self._branches) <= self._max

    def _fresh(self, now: int, message: Message) -> Message | None:
        if message.expires_at_ns is None or now < message.expires_at_ns:
            return message
        self._remove(message, DropCause.EXPIRED)
        return None

    def _remove(self, message: Message, cause: DropCause) -> None:
        del self._branches[message.topic]
        self._root.prune(message.topic.split("/"))
        self._books.dropped[message.kind, cause] += 1


def _gather(
    branch: Branch[Message],
    levels: list[str],
    depth: int,
    found: list[Message],
    *,
    top: bool = True,
) -> None:
    """Collect the messages below `branch` that the filter's levels from `depth` on match."""
    if depth == len(levels):
        if branch.value is not None:
            found.append(branch.value)
        return
    level = levels[depth]
    if level == "#" and branch.value is not None:
        found.append(branch.value)  # "sport/#" also matches "sport" (4.7.1.2)
    if level not in ("+", "#"):
        child = branch.children.get(level)
        if child is not None:
            _gather(child, levels, depth + 1, found, top=False)
        return
    # "#" is the last level of its filter and keeps matching all the way down.
    below = depth if level == "#" else depth + 1
    for name, child in branch.children.items():
        if not (top and name.startswith("$")):  # MQTT-4.7.2-1
            _gather(child, levels, below, found, top=False)
