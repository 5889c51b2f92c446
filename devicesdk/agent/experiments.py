"""Which experiment this device takes part in, decided anew whenever something changed.

Decides from the flags in force, the kill list and the inactive slot whether a candidate takes turns
beside production, becomes the device's own, or is dropped. Leaves out the turns themselves (arm.py), the
way of a candidate into the slot and out of it (update.py), and evaluating flags (flags.py).

An experiment is the object flag ``experiment.<id>``: its definition names the arms, and its targeting
(a hash bucket of the device's id) says which one is this device's, so an allocation that grows only adds
devices and a device keeps its arm. Promotion and the end are other values of the same flag: nothing is
installed for either.

Rules: only an image that was read back and passed its kit *in this boot* takes part; the kill list wins
(``experiment.<id>`` on it ends the device's part at once; the killed inference feature stops everything);
a candidate that broke its guardrails has no other turn on this device, also after a boot; of several
experiments with the same candidate the first by name counts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from devicesdk.agent.arm import Arm, Definition
from devicesdk.agent.effects import StandBy
from devicesdk.agent.flags import Flags
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.shared import Shared
from devicesdk.agent.slots import Slots
from devicesdk.agent.snapshot import State
from devicesdk.agent.update import Update
from devicesdk.agent.work import Work
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.flagdoc import check_flags

PREFIX: Final = "experiment."
EVENT: Final = "experiment"
ENDED: Final = "experiment"
"""The reason of a want whose candidate was dropped."""


@lru_cache(maxsize=16)
def experiments_in(document: bytes) -> tuple[str, ...]:
    """Names of the experiments of a flagd document, sorted."""
    if PREFIX.encode() not in document:
        return ()
    try:
        check_flags(document)
    except BadMessage:  # kept by an earlier version, which took more
        return ()
    flags: Any = msgspec.json.decode(document)["flags"]
    return tuple(sorted(name for name in flags if name.startswith(PREFIX)))


class Experiments:
    """The experiments of one device."""

    __slots__ = ("_flags", "_outbox", "_shared", "_slots", "_update", "_work", "fell_back")

    def __init__(
        self,
        shared: Shared,
        slots: Slots,
        flags: Flags,
        outbox: Outbox,
        work: Work,
        update: Update,
        state: State,
    ) -> None:
        self._shared = shared
        self._slots = slots
        self._flags = flags
        self._outbox = outbox
        self._work = work
        self._update = update
        self.fell_back = state.fell_back
        """Manifest of the candidate that has had its last turn here."""

    def look(self, now: int) -> None:
        """Flags, kills or the inactive slot changed: find this device's part."""
        shared, update = self._shared, self._update
        shared.look_due = False
        if not update.staged and not update.promoting:
            self._stand(None, now)
            return
        manifest = self._slots[self._slots.inactive].manifest
        found = self._find(manifest)
        mode = "" if found is None else found[1].mode
        if mode == "stop" or (mode == "promote" and manifest == self.fell_back):
            self._work.stand_down()
            update.drop_staged(ENDED, now)
        elif mode == "promote":
            self._work.stand_down()
            update.promote(now)
        else:
            self._stand(found, now)

    def ran(self, now: int) -> None:
        """A burst of this device's part is over: fall back if its guardrails say so."""
        arm = self._work.arm
        if arm is None or not arm.tripped:
            return
        self.fell_back = manifest = self._slots[arm.slot].manifest
        name = arm.name.removeprefix(PREFIX)
        self._outbox.event(EVENT, reason=arm.tripped, deployment=name, digest=manifest)
        self._shared.note(NoteKind.EXPERIMENT_FELL_BACK, self._work.burst)
        self._shared.save_state()
        self._stand(None, now)

    def _find(self, manifest: bytes) -> tuple[str, Definition] | None:
        """The first experiment with this candidate, as this device understands it."""
        flags = self._flags
        for name in experiments_in(flags.document):
            value = None if name in flags.killed else flags.structure(name)
            if value is None:
                continue
            try:
                definition = msgspec.convert(value, Definition)
            except msgspec.ValidationError:
                self._shared.note(NoteKind.EXPERIMENT_UNREADABLE, flags.rev)
                continue
            if definition.bundle == manifest.hex():
                return name, definition
        return None

    def _stand(self, found: tuple[str, Definition] | None, now: int) -> None:
        """Take part as `found` says, or not at all."""
        work, slots = self._work, self._slots
        slot = slots.inactive
        if found is not None:
            takes_part = found[1].arm == "candidate" and slots[slot].manifest != self.fell_back
            found = found if takes_part else None
        arm = work.arm
        if arm is None and found is None:
            return
        if arm is not None and found == (arm.name, arm.definition):
            return
        work.stand_down()
        if found is None:
            self._shared.note(NoteKind.EXPERIMENT_LEFT, self._flags.rev)
        else:
            image = slots[slot]
            work.arm = Arm(*found, slot, slots.active)
            self._shared.out.append(StandBy(slot, image.manifest, image.variant))
            self._shared.note(NoteKind.EXPERIMENT_JOINED, self._flags.rev)
        work.go(now)
