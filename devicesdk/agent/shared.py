"""What the parts of one agent share: who and how they are, and where they put their effects.

Decides nothing. Leaves out all behaviour: each part gets this and the parts it works with.
"""

from __future__ import annotations

from collections.abc import Callable

from devicesdk.agent.config import AgentConfig, Identity
from devicesdk.agent.dice import Dice, draw_once
from devicesdk.agent.effects import AnyEffect, Note, Save
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.sites import SAVE_TWICE
from devicesdk.agent.stimuli import Conditions
from devicesdk.bundle.chunks import Digests
from devicesdk.bundle.trust import Verifier
from devicesdk.wire.hardship import CALM, Hardship
from devicesdk.wire.timebase import MS

STATE_FILE = "state"
WALL_CLOCK_FLOOR_MS = 1_577_836_800_000
"""2020-01-01: a clock that shows less was never set."""
_RETRIES = int.from_bytes(b"retries")
_OFFERS = int.from_bytes(b"offers")
_ANSWERS = int.from_bytes(b"answers")
"""What sets the luck of these apart from the rest of a device's, so that two policies can be compared."""


class Shared:
    """One agent's common ground."""

    __slots__ = (
        "_boot_at",
        "_boot_wall_ms",
        "_saved",
        "_tokens",
        "boot_id",
        "conditions",
        "config",
        "dice",
        "digests",
        "hardship",
        "identity",
        "look_due",
        "online",
        "out",
        "report_due",
        "retries",
        "roles",
        "seed",
        "take_snapshot",
        "verifier",
    )

    def __init__(
        self,
        config: AgentConfig,
        identity: Identity,
        verifier: Verifier,
        digests: Digests,
        seed: int,
        hardship: Hardship = CALM,
    ) -> None:
        self.config = config
        self.identity = identity
        self.verifier = verifier
        self.digests = digests
        self.seed = seed
        self.hardship = hardship
        self.boot_id = 0
        self.dice = Dice(seed, 0)
        self.retries = Dice(seed ^ _RETRIES, 0)
        """Dice of the back-off alone: how often it is asked shifts no other draw."""
        self.conditions = Conditions()
        self.online = False
        """Connected and subscribed: publishing makes sense."""
        self.roles = False
        """Whether the device goes by TUF roles (trust.py)."""
        self.report_due = False
        """Something that `have` tells has changed."""
        self.look_due = False
        """Something that decides which experiment this device is in has changed."""
        self.out: list[AnyEffect] = []
        """The effects of the stimulus in hand."""
        self.take_snapshot: Callable[[], bytes] = bytes
        self._saved: bytes | None = None
        self._tokens = 0
        self._boot_at = 0
        self._boot_wall_ms: int | None = None

    def booted(self, boot_id: int, wall_ms: int | None, now: int) -> None:
        """A boot begins."""
        self.boot_id = boot_id
        self.dice = Dice(self.seed, boot_id)
        self.retries = Dice(self.seed ^ _RETRIES, boot_id)
        self._boot_at = now
        self._boot_wall_ms = wall_ms

    def offer_dice(self, generation: int) -> Dice:
        """Dice of one offer: the same whenever the device hears it, and after a reboot."""
        return Dice(self.seed ^ _OFFERS, generation)

    def draw_wait(self, now: int, bound_ns: int) -> int:
        """A wait in [0, bound) before an answer to what a whole segment heard now, ns; it shifts no
        other draw."""
        return draw_once(self.seed ^ _ANSWERS, now, bound_ns)

    def wall_ms(self, now: int) -> int | None:
        """Wall-clock UTC in ms, or None while the clock was never set."""
        if self._boot_wall_ms is None or self._boot_wall_ms < WALL_CLOCK_FLOOR_MS:
            return None
        return self._boot_wall_ms + (now - self._boot_at) // MS

    def token(self) -> int:
        """A fresh token for a QoS 1 publish."""
        self._tokens += 1
        return self._tokens

    def note(self, kind: NoteKind, a: int = 0, b: int = 0) -> None:
        """Say what happened."""
        self.out.append(Note(kind, a, b))

    def save_state(self) -> None:
        """Make the snapshot durable before whatever effect comes next, unless it is already."""
        data = self.take_snapshot()
        if data != self._saved:
            self._saved = data
            self.out.append(Save(STATE_FILE, data))
            if self.hardship.fires(SAVE_TWICE):
                self.out.append(Save(STATE_FILE, data))

    def forget_saved(self) -> None:
        """The last save did not reach storage: the next one is not skipped."""
        self._saved = None
