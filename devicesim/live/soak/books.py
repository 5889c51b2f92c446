"""The end-to-end books of a soak: every message by name, from whoever said it to whoever heard it.

Decides what a message is (its identity), and how each one ends: heard once, heard again, waiting, lost
with a cause, or *unexplained*. Leaves out where saying and hearing are noticed (witness.py, taps.py) and
sums for people (`devicesim.report.soak_record`).

Theory of operation. A *channel* is one kind of message of one device. Identities on a channel rise, so
the books keep the messages that nobody has heard yet, and of all others only the highest identity: what
is heard and is not open was heard before (again) or was never said (from nowhere). Memory is bounded by
what is under way, not by the length of the run.

Rules: said = once + waiting + lost with a cause + unexplained, for each kind. A cause is a fact that the
books were told (the broker forgot, a newer state stands in its place), never the absence of a better
idea. A message is unexplained once its receiver has been reachable for `patience_ns` and has not heard it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from devicesdk.agent.elsewhere import BURSTS_A_BOOT
from devicesdk.wire import topics
from devicesdk.wire.timebase import SECOND, to_seconds

Ident = tuple[int, ...]

UP: Final = "up"
DOWN: Final = "down"
KINDS: Final[dict[str, str]] = {
    topics.TEL: UP,
    topics.EV: UP,
    topics.HAVE: UP,
    topics.LINK: UP,
    topics.GET: UP,
    topics.ASK: UP,
    topics.TIMESTAMP: DOWN,
    topics.WANT: DOWN,
    topics.KILL: DOWN,
    topics.FLAGS: DOWN,
    topics.CTL: DOWN,
    topics.DAT: DOWN,
}
STATE: Final = frozenset(
    {topics.HAVE, topics.LINK, topics.WANT, topics.KILL, topics.FLAGS, topics.TIMESTAMP}
)
"""A newer one says all that an older one said."""
QUESTIONS: Final = topics.PASSING_KINDS
"""Asked again under another number when no answer comes."""
PASSING: Final = topics.PASSING_KINDS
"""The gateway hears them with QoS 0: a broker keeps none for a gateway that is away, nor over a crash."""
VOLATILE: Final = topics.PASSING_KINDS | {topics.TEL, topics.HAVE, topics.LINK}
"""Kept in RAM by the device until they are acknowledged."""
UNNUMBERED: Final = frozenset({topics.CTL})
"""The same verb may be said anew: its identity does not rise."""
PATIENCE_NS: Final = 10 * SECOND
SENDER_PATIENCE_NS: Final = 60 * SECOND
STORIES_MAX: Final = 20


class Cause(StrEnum):
    """Why a message was not heard; WAITING and UNEXPLAINED are the two that are no cause. What each means
    to people is said in `devicesim.report.soak_view`."""

    WAITING = "waiting"
    UNEXPLAINED = "unexplained"
    QOS0 = "qos 0"
    REPLACED = "replaced"
    ASKED_AGAIN = "asked again"
    EXPIRED = "expired"
    BROKER_FORGOT = "broker forgot"
    UNSAVED = "unsaved"
    POWER_OFF = "power off"
    OUTBOX_FULL = "outbox full"


class Open(msgspec.Struct, gc=False):
    """A message that nobody has heard yet; instants are real nanoseconds of the soak."""

    said_at: int
    last_said_at: int
    qos: int
    acked_at: int = -1
    expires_at: int = 0
    """0 for never."""
    unsaved: bool = False
    """Whether the broker was killed when this was among the last that it had acknowledged."""
    proven: bool = False
    """Whether it was unexplained before that: a kill explains nothing that happened earlier."""
    refused: int = 0
    """Reason code with which the broker refused it when it was said last: its sender may say it again for ever."""
    refused_at: int = -1
    """Of the first refusal; of a state's, the first since one of its kind was taken."""
    refused_last_at: int = -1


class Channel:
    """One kind of message of one device."""

    __slots__ = ("dropped", "heard_top", "open", "said_top")

    def __init__(self) -> None:
        self.open: dict[Ident, Open] = {}
        self.said_top: Ident = ()
        self.heard_top: Ident = ()
        self.dropped = 0
        """What the agent says it dropped for want of room, and no open message was charged with."""


class Tally(msgspec.Struct):
    """The sums of one kind. `again` and `nowhere` count deliveries, all others messages."""

    said: int = 0
    repeated: int = 0
    """Sent again by a sender that had no acknowledgement."""
    once: int = 0
    again: int = 0
    nowhere: int = 0
    """Heard and never said."""
    foreign: int = 0
    """Retained messages of somebody else's earlier run."""
    wills: int = 0
    """Said by the broker in a device's name."""
    waiting: int = 0
    unexplained: int = 0
    causes: dict[str, int] = {}


class Ends(msgspec.Struct):
    """What the books must know of the two ends; None for not connected."""

    gateway_since: int | None
    device_since: list[int | None]
    boots: list[int]
    forgot_at: int = -1
    """When the broker last lost its memory; -1 for never."""


class Books:
    """The books of one soak.

    Args:
        devices: their names, by index.
        patience_ns: how long a reachable receiver may take.
    """

    def __init__(self, devices: list[str], patience_ns: int = PATIENCE_NS) -> None:
        self.devices, self.patience_ns = devices, patience_ns
        self.tallies = {kind: Tally() for kind in KINDS}
        self._channels: dict[tuple[int, str], Channel] = {}
        self.stories: list[str] = []

    def channel(self, index: int, kind: str) -> Channel:
        """The channel of a device, made when it is first needed."""
        key = index, kind
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel()
        return channel

    # -- what happens ---------------------------------------------------------------------------

    def said(
        self, index: int, kind: str, ident: Ident, now: int, *, qos: int, expiry_ns: int = 0
    ) -> None:
        """Somebody hands a message to their connection, the first time or again."""
        channel = self.channel(index, kind)
        tally = self.tallies[kind]
        entry = channel.open.get(ident)
        if entry is not None:
            entry.last_said_at, entry.refused = now, 0
            tally.repeated += 1
            return
        if ident <= channel.said_top and kind not in UNNUMBERED:
            tally.repeated += 1  # it was heard, but the sender does not know
            return
        tally.said += 1
        older = channel.open.get(channel.said_top)
        channel.said_top = max(channel.said_top, ident)
        expires_at = now + expiry_ns if expiry_ns else 0
        channel.open[ident] = entry = Open(now, now, qos, -1, expires_at)
        if older is not None and kind in STATE and older.acked_at < 0:
            # Or what is said every half minute, and refused each time, would be replaced for ever.
            entry.refused_at = older.refused_at

    def acked(self, index: int, kind: str, ident: Ident, now: int) -> None:
        """The broker took responsibility."""
        entry = self.channel(index, kind).open.get(ident)
        if entry is not None and entry.acked_at < 0:
            entry.acked_at = now

    def refused(self, index: int, kind: str, ident: Ident, code: int, now: int) -> None:
        """The broker would not have it."""
        entry = self.channel(index, kind).open.get(ident)
        if entry is not None:
            entry.refused_at = now if entry.refused_at < 0 else entry.refused_at
            entry.refused, entry.refused_last_at = code, now

    def heard(
        self, index: int, kind: str, ident: Ident, now: int, *, retained: bool = False
    ) -> int | None:
        """A receiver has a message; returns how long it took when it is the first time, ns."""
        channel = self.channel(index, kind)
        tally = self.tallies[kind]
        channel.heard_top = max(channel.heard_top, ident)
        entry = channel.open.pop(ident, None)
        if entry is not None:
            tally.once += 1
            return now - entry.said_at
        if ident <= channel.said_top or kind in UNNUMBERED:
            tally.again += 1
        elif retained and not channel.said_top:
            tally.foreign += 1
        else:
            tally.nowhere += 1
            self._tell(f"{self._name(index, kind, ident)}: heard, but nobody has said it")
        return None

    def will(self) -> None:
        """The gateway heard a last will."""
        self.tallies[topics.LINK].wills += 1

    def dropped(self, index: int, kind: str) -> None:
        """The agent says that it dropped its oldest of this kind."""
        self.channel(index, kind).dropped += 1

    def killed(self, newest: Iterable[tuple[int, str, Ident]], now: int, ends: Ends) -> None:
        """The broker is killed, and may not have saved what it acknowledged last.

        Args:
            newest: index of the device, kind and identity of these messages.
            now: real instant.
            ends: as they are before anybody has noticed.
        """
        for index, kind, ident in newest:
            channel = self.channel(index, kind)
            entry = channel.open.get(ident)
            if entry is None or entry.acked_at < 0 or entry.proven:
                continue
            cause = self._cause(index, kind, ident, channel, now, ends)
            entry.proven = cause is Cause.UNEXPLAINED
            entry.unsaved = not entry.proven

    # -- how each one ends ----------------------------------------------------------------------

    def settle(self, now: int, ends: Ends) -> None:
        """Judge every open message as of `now`, and put away those that ended with a cause."""
        self.stories = [story for story in self.stories if "nobody has said" in story]
        for tally in self.tallies.values():
            tally.waiting = tally.unexplained = 0
        for (index, kind), channel in self._channels.items():
            if channel.open:
                self._settle(index, kind, channel, now, ends)

    def _settle(self, index: int, kind: str, channel: Channel, now: int, ends: Ends) -> None:
        tally = self.tallies[kind]
        for ident in sorted(channel.open):
            entry = channel.open[ident]
            cause = self._cause(index, kind, ident, channel, now, ends)
            if cause is Cause.WAITING:
                tally.waiting += 1
            elif cause is Cause.UNEXPLAINED:
                tally.unexplained += 1
                self._tell(self._story(index, kind, ident, entry, ends))
            elif now - entry.last_said_at > self.patience_ns:
                del channel.open[ident]
                channel.dropped -= cause is Cause.OUTBOX_FULL
                tally.causes[cause] = tally.causes.get(cause, 0) + 1
            else:
                tally.waiting += 1  # it may still come

    def _cause(
        self, index: int, kind: str, ident: Ident, channel: Channel, now: int, ends: Ends
    ) -> Cause:
        entry = channel.open[ident]
        if not entry.qos:
            late = now - entry.last_said_at > self.patience_ns
            return Cause.QOS0 if late else Cause.WAITING
        if entry.acked_at < 0:
            return self._unacked(index, kind, ident, channel, now, ends)
        if kind in STATE and channel.heard_top > ident:
            return Cause.REPLACED
        if ends.forgot_at >= entry.acked_at:
            return Cause.BROKER_FORGOT
        since = ends.gateway_since if KINDS[kind] == UP else ends.device_since[index]
        if kind in PASSING and (since is None or since >= entry.said_at):
            return Cause.QOS0
        back_at = now if since is None else since
        if entry.expires_at and min(now, back_at) > entry.expires_at:
            return Cause.EXPIRED
        if since is None or now - max(since, entry.acked_at) <= self.patience_ns:
            return Cause.WAITING
        return Cause.UNSAVED if entry.unsaved else Cause.UNEXPLAINED

    def _unacked(
        self, index: int, kind: str, ident: Ident, channel: Channel, now: int, ends: Ends
    ) -> Cause:
        """The broker has not said that it has it: the sender still owns it, or has let go of it."""
        entry = channel.open[ident]
        up = KINDS[kind] == UP
        if kind in STATE and channel.said_top > ident:
            return Cause.REPLACED
        if kind in QUESTIONS and channel.said_top > ident:
            return Cause.ASKED_AGAIN
        if up and kind in VOLATILE and _boot(kind, ident) != ends.boots[index]:
            return Cause.POWER_OFF
        if channel.dropped:
            return Cause.OUTBOX_FULL
        # However often it is said again; a sender leaves when it is refused, so whether it is here tells nothing.
        if entry.refused and entry.refused_last_at - entry.refused_at > SENDER_PATIENCE_NS:
            return Cause.UNEXPLAINED
        since = ends.device_since[index] if up else ends.gateway_since
        if since is None or now - max(since, entry.last_said_at) <= SENDER_PATIENCE_NS:
            return Cause.WAITING
        return Cause.UNEXPLAINED

    # -- words ----------------------------------------------------------------------------------

    def _tell(self, story: str) -> None:
        if len(self.stories) < STORIES_MAX:
            self.stories.append(story)

    def _name(self, index: int, kind: str, ident: Ident) -> str:
        numbers = ", ".join(map(str, ident))
        return f"{kind} ({numbers}) of {self.devices[index]}"

    def _story(self, index: int, kind: str, ident: Ident, entry: Open, ends: Ends) -> str:
        up = KINDS[kind] == UP
        taken = (
            f"refused by the broker ({entry.refused:#x})" if entry.refused else "never acknowledged"
        )
        if entry.acked_at >= 0:
            taken = f"acknowledged by the broker +{to_seconds(entry.acked_at):.3f} s"
        receiver = "the gateway" if up else "the device"
        since = ends.gateway_since if up else ends.device_since[index]
        there = "is away" if since is None else f"is connected since +{to_seconds(since):.3f} s"
        return (
            f"{self._name(index, kind, ident)}: said +{to_seconds(entry.said_at):.3f} s, {taken}; "
            f"{receiver} {there} and never heard it"
        )

    # -- sums -----------------------------------------------------------------------------------

    @property
    def unexplained(self) -> int:
        """Messages without an explanation, those from nowhere included; as of the last `settle`."""
        return sum(tally.unexplained + tally.nowhere for tally in self.tallies.values())

    def sums(self) -> tuple[int, int, int, int]:
        """Messages said, heard, heard again, lost with a cause; both ways."""
        tallies = self.tallies.values()
        return (
            sum(t.said for t in tallies),
            sum(t.once for t in tallies),
            sum(t.again for t in tallies),
            sum(sum(t.causes.values()) for t in tallies),
        )

    def validate(self) -> None:
        """Check the sum of each kind; meaningful after `settle`.

        Raises:
            AssertionError: the books of a kind do not balance.
        """
        for kind, t in self.tallies.items():
            found = t.once + t.waiting + t.unexplained + sum(t.causes.values())
            assert t.said == found, f"{kind}: said {t.said}, accounted for {found}: {t}"

    # -- to the disk and back -------------------------------------------------------------------

    def dump(self) -> Shelved:
        """Everything, as values."""
        return Shelved(self.tallies, [_shelve(*item) for item in self._channels.items()])

    def load(self, shelved: Shelved) -> None:
        """Go on where `dump` was made."""
        self.tallies.update(shelved.tallies)
        for row in shelved.channels:
            channel = self.channel(row.device, row.kind)
            channel.open = dict(row.open)
            channel.said_top, channel.heard_top = row.said_top, row.heard_top
            channel.dropped = row.dropped

    def open_messages(self) -> Iterator[tuple[int, str, Ident, Open]]:
        """Every message that nobody has heard yet, as (device index, kind, identity, entry)."""
        for (index, kind), channel in self._channels.items():
            for ident, entry in channel.open.items():
                yield index, kind, ident, entry


class ShelvedChannel(msgspec.Struct, frozen=True):
    """A channel as a value."""

    device: int
    kind: str
    said_top: Ident
    heard_top: Ident
    dropped: int
    open: list[tuple[Ident, Open]]


class Shelved(msgspec.Struct, frozen=True):
    """Books as a value."""

    tallies: dict[str, Tally]
    channels: list[ShelvedChannel]


def _shelve(key: tuple[int, str], channel: Channel) -> ShelvedChannel:
    return ShelvedChannel(
        *key, channel.said_top, channel.heard_top, channel.dropped, list(channel.open.items())
    )


def _boot(kind: str, ident: Ident) -> int:
    """The boot that said it; transfers carry its low 16 bits, asks are numbered by boot and burst."""
    if kind == topics.ASK:
        return ident[0] // BURSTS_A_BOOT
    return ident[0] >> 16 if kind == topics.GET else ident[0]
