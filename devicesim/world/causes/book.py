"""What caused what: a node for each moment worth telling, and the node that led to it.

Decides how causes are passed on. Leaves out where moments come from (eyes.py), who schedules what
(kernel.py), and words (`devicesim.report.chain`).

Theory of operation. A *step* is one callback of the kernel. It begins with the cause that its entry in
the queue was given when it was put there. What happens in it to an actor was caused by the last node of
that actor in this step; failing that by the last node of the one who is no device (the timeline, the
gateway), who may be doing things to many devices one after the other; failing that by whatever caused
the step. Everyday moments (a telemetry window, a chunk) get no node and pass their cause on, so that a
chain of causes has only what a reader wants to hear. Lamport, Time, clocks, and the ordering of events
in a distributed system, CACM 21(7), 1978, calls this relation *happened before*; here it is kept, not
inferred.

Rules: memory is bounded: past `NODES_MAX` the older half is forgotten, and a chain that leads there ends.
"""

from __future__ import annotations

from array import array
from typing import Final

import msgspec

from devicesim.world.trace import WORLD

NODES_MAX: Final = 6_000_000
"""About 40 bytes each."""
NOTHING: Final = -1
"""No cause: it began by itself, as the seed would have it."""


class Moment(msgspec.Struct, frozen=True):
    """One node, decoded.

    `words` is what only words can say of it: a reason, the subject of a note. `node` is its number, by
    which two chains are known to have the same beginning.
    """

    node: int
    at_ns: int
    actor: int
    kind: str
    a: int
    b: int
    words: str


class CauseBook:
    """Nodes in the order in which they happened, each with its cause."""

    __slots__ = (
        "_a", "_actor", "_any", "_at", "_b", "_base", "_hub", "_kind", "_kinds", "_last", "_most", "_names", "_parent",
        "_root", "_words", "dues", "latest", "latest_of",
    )  # fmt: skip

    def __init__(self, nodes_max: int = NODES_MAX) -> None:
        self._most = nodes_max
        self._at, self._a, self._b = array("q"), array("q"), array("q")
        self._actor, self._kind, self._parent = array("i"), array("i"), array("q")
        self._base = 0
        self._names: list[str] = []
        self._kinds: dict[str, int] = {}
        self._words: dict[int, str] = {}
        self._last: dict[int, int] = {}
        self._root = self._hub = self._any = NOTHING
        self.latest: dict[int, int] = {}
        """The newest node of each actor."""
        self.latest_of: dict[tuple[int, str], int] = {}
        """The newest node of each kind of those actors that are no devices."""
        self.dues: dict[tuple[int, str], tuple[int, int]] = {}
        """What each device waits for: (index, part of its agent) to the instant and the cause."""

    def __len__(self) -> int:
        return self._base + len(self._at)

    def knows(self, kind: str) -> bool:
        """Whether anything of a kind has happened."""
        return kind in self._kinds

    # -- while the world runs -------------------------------------------------------------------

    def begin(self, cause: int) -> None:
        """A step begins."""
        if self._last:
            self._last.clear()
        self._root = self._hub = self._any = cause

    @property
    def here(self) -> int:
        """The newest node of this step, or what caused the step."""
        return self._any

    def cause_of(self, actor: int | None) -> int:
        """What causes that which is done to, or scheduled by, an actor now; None: by whom is not known."""
        if actor is None:
            return self._any
        own = self._last.get(actor)
        if own is not None:
            return own
        if actor >= 0:
            return self._hub
        return self._root if actor == WORLD else self._any

    def add(self, at: int, actor: int, kind: str, a: int = 0, b: int = 0, words: str = "") -> int:
        """Something worth telling happens; returns its node."""
        return self.add_after(self.cause_of(actor), at, actor, kind, a, b, words)

    def add_after(
        self, cause: int, at: int, actor: int, kind: str, a: int = 0, b: int = 0, words: str = ""
    ) -> int:
        """The same with a cause that is known better."""
        node = len(self)
        number = self._kinds.get(kind)
        if number is None:
            number = self._kinds[kind] = len(self._names)
            self._names.append(kind)
        self._at.append(at)
        self._actor.append(actor)
        self._kind.append(number)
        self._a.append(a)
        self._b.append(b)
        self._parent.append(cause)
        if words:
            self._words[node] = words
        self._last[actor] = self._any = self.latest[actor] = node
        if actor < 0:
            self._hub = self.latest_of[actor, kind] = node
        if len(self._at) > self._most:
            self._forget()
        return node

    def say(self, node: int, words: str) -> None:
        """Give a node its words."""
        self._words[node] = words

    def _forget(self) -> None:
        half = len(self._at) // 2
        for column in (self._at, self._a, self._b, self._actor, self._kind, self._parent):
            del column[:half]
        self._base += half
        self._words = {node: words for node, words in self._words.items() if node >= self._base}

    # -- afterwards -----------------------------------------------------------------------------

    def moment(self, node: int) -> Moment | None:
        """One node; None when it has been forgotten or there is none."""
        at = node - self._base
        if node < 0 or at < 0:
            return None
        return Moment(
            node,
            self._at[at],
            self._actor[at],
            self._names[self._kind[at]],
            self._a[at],
            self._b[at],
            self._words.get(node, ""),
        )

    def chain(self, node: int) -> list[Moment]:
        """What led to a node, from the first that is remembered to the node itself."""
        found: list[Moment] = []
        while (moment := self.moment(node)) is not None:
            found.append(moment)
            node = self._parent[node - self._base]
        found.reverse()
        return found

    def of(self, actor: int, since: int, until: int) -> list[Moment]:
        """All that happened to an actor in [since, until], in order."""
        near = range(self._base, len(self))
        at, actors, base = self._at, self._actor, self._base
        wanted = [
            node
            for node in near
            if actors[node - base] == actor and since <= at[node - base] <= until
        ]
        return [moment for node in wanted if (moment := self.moment(node)) is not None]
