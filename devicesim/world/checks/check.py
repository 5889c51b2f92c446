"""A check: one promise, watched all the time, with the story of the first time it broke.

Decides how a failure is kept and how a verdict is reached. Leaves out what is promised. A check sees
moments of the world (`Watcher`) and statements (`Listener`) and never changes anything.

Rules: the truth is taken from the world (flash, power, queues, who really runs what), never from what
is being checked; constant time for each moment; whoever has to look at the whole fleet does so seldom
(`sweep_every_ns`); memory is bounded by the fleet. What was never judged did neither hold nor fail.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from devicesdk.wire.timebase import MINUTE, to_seconds
from devicesim.report.record import CULPRITS_MAX, CheckKind, CheckRow
from devicesim.world.hearing import Listener

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

STORIES_MAX: Final = 5
SMALL_FLEET_DEVICES: Final = 2_000


class Story(msgspec.Struct, frozen=True):
    """One failure: when, on which device (empty: on none in particular), and what happened."""

    at_ns: int
    device: str
    text: str

    def __str__(self) -> str:
        return f"{self.device}: {self.text}" if self.device else self.text


class Check(Listener):
    """Base of all checks.

    Args:
        world: what is watched.
    """

    name: ClassVar[str] = ""
    kind: ClassVar[CheckKind] = "always"
    suspect: ClassVar[str] = ""
    """Who is to blame when no device is: ``gateway`` or ``broker``."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Notes of the gateway that the promise is about: what is broken is broken after them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.judged = 0
        """How often there was something to judge."""
        self.failures = 0
        self.failed: list[Story] = []
        """The first `STORIES_MAX` failures."""
        self.culprits: dict[str, None] = {}
        """The first devices that broke the promise, at most `CULPRITS_MAX`, in the order of their failures."""
        self.blamed = 0
        """How many there are in all, where a check knows better than by `culprits`."""
        self.since_ns: int | None = None
        """Since when it was broken, where that is earlier than when it was judged."""

    @property
    def title(self) -> str:
        """What reports call it."""
        return self.name

    @property
    def looked_every_ns(self) -> int:
        """How long before a failure it may have been there: the time between two looks; 0: no time."""
        return 0

    def look(self, now: int, hosts: list[DeviceHost]) -> None:
        """Judge between two steps, where that can be done: only when a failure is being narrowed down.

        Args:
            now: the instant.
            hosts: the devices in question, for a promise that is about each one.
        """

    def fail(self, now: int, story: str, host: DeviceHost | None = None) -> None:
        """Note that the promise was broken: what was expected, what was found."""
        self.failures += 1
        if len(self.failed) < STORIES_MAX:
            self.failed.append(Story(now, host.device if host is not None else "", story))
        if host is not None and len(self.culprits) < CULPRITS_MAX:
            self.culprits[host.device] = None

    def blame(self, names: list[str]) -> None:
        """Say who keeps the promise from being kept: devices, ``gateway`` or ``broker``."""
        self.culprits = dict.fromkeys(names[:CULPRITS_MAX])
        self.blamed = len(names)

    @property
    def held(self) -> bool:
        """Whether the promise was not broken; `verdict` also knows whether it was put to the test."""
        return not self.failures

    @property
    def verdict(self) -> bool | None:
        """Whether the promise was kept; None when it was never put to the test."""
        return self.held if self.judged or not self.held else None

    @property
    def first(self) -> Story | None:
        """The first failure."""
        return self.failed[0] if self.failed else None

    def stories(self) -> list[str]:
        """The first failures as text, each with its instant."""
        return [f"{clock_text(one.at_ns)} {one}" for one in self.failed]

    def story(self) -> str:
        """What a report prints beside the verdict."""
        more = self.failures - 1
        text = str(self.failed[0]) if self.failed else ""
        return f"{text} ({more} more)" if more > 0 else text

    def row(self) -> CheckRow:
        """This check as a line of the report."""
        first, first_bad_ns = self.first, self.since_ns
        if first is not None and first_bad_ns is None:
            first_bad_ns = first.at_ns
        return CheckRow(
            name=self.title,
            kind=self.kind,
            held=self.verdict,
            story=self.story(),
            at_s=None if first is None else to_seconds(first.at_ns),
            count=self.judged,
            first_bad_ns=first_bad_ns,
            culprits=list(self.culprits),
            blamed=self.blamed,
        )


class Unseen(Check):
    """A promise that cannot be judged from where we stand; neither held nor failed."""

    def __init__(self, world: World, name: str, why: str) -> None:
        super().__init__(world)
        self._name, self._why = name, why

    @property
    def title(self) -> str:
        """The promise's name."""
        return self._name

    def story(self) -> str:
        """Why nobody can tell."""
        return self._why


class SweepingCheck(Check, ABC):
    """A check that looks at the whole fleet now and then, and at the end."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._every_ns = sweep_every_ns(len(world.hosts))

    @abstractmethod
    def sweep(self, now: int) -> None:
        """Look at everybody."""

    @property
    def looked_every_ns(self) -> int:
        """From sweep to sweep."""
        return self._every_ns

    def look(self, now: int, hosts: list[DeviceHost]) -> None:
        """A sweep may come at any time."""
        del hosts
        self.sweep(now)

    def checkpoint(self, now: int) -> None:
        """Sweep when it is time."""
        if now % self._every_ns == 0:
            self.sweep(now)

    def ended(self, now: int) -> None:
        """Sweep for the last time."""
        self.sweep(now)


def clock_text(now: int) -> str:
    """An instant as time since the start: ``+1:02:03``."""
    whole = int(to_seconds(now))
    return f"+{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


def sweep_every_ns(devices: int) -> int:
    """How often the whole fleet is looked at: a sweep costs some microseconds a device."""
    return (10 if devices <= SMALL_FLEET_DEVICES else 30) * MINUTE
