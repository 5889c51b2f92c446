"""Who gets a message: filters, their subscribers, and the route of each topic.

Decides the set of filters that match a topic. A filter without wildcards is found by its text; one
with wildcards lives in a tree. The matching filters of a topic are remembered, and because the
memory points at *live* filter nodes, a subscriber who comes or goes changes nothing there: only the
birth or death of a filter does. Leaves out whether a copy can be delivered now.

Order: subscribers are served in the order in which they subscribed. A client whose filters overlap
gets one copy for each of them, with that filter's QoS (MQTT 5 section 3.3.4, which allows either;
mosquitto 2.0 does this). A shared group gives each message to one member in turn (4.8.2), connected
or not, as mosquitto 2.0 does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from devicesim.world.broker.session import Session
from devicesim.world.broker.topics import Branch, is_filter, is_topic, is_wild, matches, split_share


class ShareGroup:
    """One group of a shared subscription; the member at the head is next."""

    __slots__ = ("filter", "members", "node")

    def __init__(self, node: FilterNode, topic_filter: str) -> None:
        self.node = node
        self.filter = topic_filter
        self.members: deque[tuple[Session, int]] = deque()

    def turn(self) -> tuple[Session, int]:
        """Name the member whose turn it is and send it to the end of the line."""
        self.members.rotate(-1)
        return self.members[-1]

    def put(self, session: Session, qos: int) -> bool:
        """Add a member or change its QoS; True when it is new."""
        for place, (member, _) in enumerate(self.members):
            if member is session:
                self.members[place] = (session, qos)
                return False
        self.members.append((session, qos))
        return True

    def remove(self, session: Session) -> None:
        """Take a member out; the others keep their turn."""
        self.members = deque(pair for pair in self.members if pair[0] is not session)


class FilterNode:
    """One filter and whoever subscribed to it.

    `members` is what delivery iterates: a tuple for a lone subscriber (most filters have one, and a
    dictionary each would triple an idle session), a live view of `_many` for several.
    """

    __slots__ = ("_many", "filter", "groups", "members")

    def __init__(self, topic_filter: str) -> None:
        self.filter = topic_filter
        self.members: Iterable[tuple[Session, int]] = ()
        self.groups: tuple[ShareGroup, ...] = ()
        self._many: dict[Session, int] | None = None

    def put(self, session: Session, qos: int) -> bool:
        """Add a subscriber or change its QoS; True when it is new."""
        if self._many is None:
            pairs = tuple(self.members)
            if not pairs or pairs[0][0] is session:
                self.members = session.alone(qos)
                return not pairs
            self._many = dict(pairs)
            self.members = self._many.items()
        new = session not in self._many
        self._many[session] = qos
        return new

    def remove(self, session: Session) -> None:
        """Take a subscriber out."""
        if self._many is None:
            self.members = ()
            return
        del self._many[session]
        if not self._many:
            self._many = None
            self.members = ()

    def empty(self) -> bool:
        """Tell whether nobody is left, alone or in a group."""
        return not self.members and not self.groups


class Routing:
    """All filters of one broker.

    Args:
        levels_max: levels a topic or filter may have.
        cache_topics_max: topics whose route is remembered at most.
    """

    __slots__ = ("_cache_max", "_filters", "_groups", "_levels_max", "_wild", "cache")

    def __init__(self, levels_max: int, cache_topics_max: int) -> None:
        self._levels_max = levels_max
        self._cache_max = cache_topics_max
        self._filters: dict[str, FilterNode] = {}
        self._groups: dict[str, ShareGroup] = {}
        self._wild: Branch[FilterNode] = Branch()
        self.cache: dict[str, tuple[FilterNode, ...]] = {}

    def match(self, topic: str) -> tuple[FilterNode, ...] | None:
        """Find the filters that match; None when `topic` is no valid topic name."""
        found = self.cache.get(topic)
        return found if found is not None else self._match(topic)

    def subscribe(self, session: Session, topic_filter: str, qos: int) -> bool:
        """Add a subscription or change its QoS; True when it is new. The filter must be valid."""
        entry = self._groups.get(topic_filter) or self._filters.get(topic_filter)
        if entry is None:
            entry = self._new_entry(topic_filter)
        new = entry.put(session, qos)
        if new:
            session.subscriptions.append(entry)
        return new

    def valid(self, topic_filter: str) -> bool:
        """Check a filter, shared or not; one that exists already needs no parsing."""
        if topic_filter in self._filters or topic_filter in self._groups:
            return True
        share = split_share(topic_filter)
        return share is not None and is_filter(share[1], self._levels_max)

    def unsubscribe(self, session: Session, topic_filter: str) -> bool:
        """Remove one subscription; False when there was none."""
        for place, entry in enumerate(session.subscriptions):
            if entry.filter == topic_filter:
                del session.subscriptions[place]
                self._release(session, entry)
                return True
        return False

    def forget(self, session: Session) -> None:
        """Remove every subscription of a session."""
        for entry in session.subscriptions:
            self._release(session, entry)
        session.subscriptions = []

    def clear(self) -> None:
        """Forget every filter."""
        self._filters.clear()
        self._groups.clear()
        self._wild = Branch()
        self.cache.clear()

    def validate(self, sessions: dict[str, Session]) -> None:
        """Re-check filters against sessions, and remembered routes against the letter of MQTT.

        Raises:
            AssertionError: the story of what does not hold.
        """
        _check_members(self._filters, self._groups, sessions)
        wild = [name for name in self._filters if is_wild(name)]
        for topic, route in self.cache.items():
            names = sorted(node.filter for node in route)
            expected = [name for name in wild if matches(name, topic)]
            if topic in self._filters:
                expected.append(topic)
            assert names == sorted(expected), (
                f"topic {topic}: expected filters {sorted(expected)}, remembered {names}"
            )
        assert self._wild.size() == len(wild), (
            f"expected {len(wild)} filters in the tree, found {self._wild.size()}"
        )
        assert len(self.cache) <= self._cache_max

    def _match(self, topic: str) -> tuple[FilterNode, ...] | None:
        if not is_topic(topic, self._levels_max):
            return None
        found: list[FilterNode] = []
        exact = self._filters.get(topic)
        if exact is not None:
            found.append(exact)
        if self._wild.children:
            _climb(self._wild, topic.split("/"), 0, found)
        if len(self.cache) >= self._cache_max:
            self.cache.clear()
        route = self.cache[topic] = tuple(found)
        return route

    def _new_entry(self, topic_filter: str) -> FilterNode | ShareGroup:
        share = split_share(topic_filter)
        assert share is not None, f"expected a valid filter, found {topic_filter!r}"
        name, shared = share[1], bool(share[0])
        node = self._filters.get(name)
        if node is None:
            node = self._filters[name] = FilterNode(name)
            self._route_changed(name)
            if is_wild(name):
                self._wild.plant(name.split("/")).value = node
        if not shared:
            return node
        group = self._groups[topic_filter] = ShareGroup(node, topic_filter)
        node.groups = (*node.groups, group)
        return group

    def _release(self, session: Session, entry: FilterNode | ShareGroup) -> None:
        entry.remove(session)
        node = entry if isinstance(entry, FilterNode) else entry.node
        if isinstance(entry, ShareGroup) and not entry.members:
            node.groups = tuple(group for group in node.groups if group is not entry)
            del self._groups[entry.filter]
        if node.empty():
            del self._filters[node.filter]
            self._route_changed(node.filter)
            if is_wild(node.filter):
                self._wild.prune(node.filter.split("/"))

    def _route_changed(self, name: str) -> None:
        if is_wild(name):
            self.cache.clear()
        else:
            self.cache.pop(name, None)


def _climb(
    branch: Branch[FilterNode], levels: list[str], depth: int, found: list[FilterNode]
) -> None:
    """Collect the filters below `branch` that match the levels from `depth` on."""
    # A wildcard at the first level does not match a topic that starts with $ (MQTT-4.7.2-1).
    wild = depth > 0 or not levels[0].startswith("$")
    rest = branch.children.get("#") if wild else None
    if rest is not None and rest.value is not None:
        found.append(rest.value)
    if depth == len(levels):
        if branch.value is not None:
            found.append(branch.value)
        return
    for level in (levels[depth], "+") if wild else (levels[depth],):
        child = branch.children.get(level)
        if child is not None:
            _climb(child, levels, depth + 1, found)


def _check_members(
    filters: dict[str, FilterNode], groups: dict[str, ShareGroup], sessions: dict[str, Session]
) -> None:
    entries: list[FilterNode | ShareGroup] = [*filters.values(), *groups.values()]
    listed = 0
    for entry in entries:
        for session, qos in entry.members:
            listed += 1
            assert sessions.get(session.client_id) is session, (
                f"filter {entry.filter} still lists {session.client_id}, whose session ended"
            )
            assert any(own is entry for own in session.subscriptions), (
                f"filter {entry.filter} lists {session.client_id}, who knows nothing of it"
            )
            assert qos in (0, 1)
    for name, node in filters.items():
        assert node.filter == name
        assert not node.empty(), f"filter {name} outlived its last subscriber"
        assert all(groups[group.filter] is group for group in node.groups)
    known = sum(len(session.subscriptions) for session in sessions.values())
    assert listed == known, f"filters list {listed} subscriptions, sessions know of {known}"
