"""The two image slots: what is in them, which one runs, and what must never run again.

Decides which slot is active and which may be overwritten, and keeps the quarantine. Leaves out
effects and order (update.py saves the state before it lets anything depend on it).

Rules: at any instant the committed slot is whole and verified; only the other one is ever written,
and it is marked invalid durably before the first byte; a trial has its durable marker before the
swap; a digest that failed its kit or its trial is banned for ever, one whose bytes kept arriving
wrong after a few times.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from devicesdk.agent.config import AgentConfig, Identity
from devicesdk.agent.snapshot import Bad, Slot, State, Trial

EMPTY: Final = Slot()


class Slots:
    """Two slots, at most one trial, and the quarantine."""

    __slots__ = ("_bad", "_config", "_images", "committed", "trial")

    def __init__(self, config: AgentConfig, state: State) -> None:
        self._config = config
        self._images = {"a": state.a, "b": state.b}
        self._bad = {bad.manifest: bad for bad in state.bad}
        self.committed = state.committed
        self.trial = state.trial

    def __getitem__(self, slot: str) -> Slot:
        return self._images[slot]

    @property
    def active(self) -> str:
        """The slot that runs now; empty when nothing does."""
        return self.trial.slot if self.trial is not None else self.committed

    @property
    def inactive(self) -> str:
        """The slot that may be overwritten."""
        return "b" if self.committed == "a" else "a"

    @property
    def running(self) -> Slot:
        """What is in the active slot."""
        active = self.trial.slot if self.trial is not None else self.committed
        return self._images[active] if active else EMPTY

    @property
    def bad(self) -> tuple[Bad, ...]:
        """The quarantine, oldest entry first."""
        return tuple(self._bad.values())

    def invalidate(self) -> None:
        """The inactive slot is about to be overwritten."""
        self._images[self.inactive] = EMPTY

    def fill(self, content: Slot) -> None:
        """The inactive slot holds a verified image."""
        self._images[self.inactive] = content

    def begin_trial(self, trial: Trial) -> None:
        """The inactive slot runs from now on, until `commit` or `roll_back`."""
        assert trial.slot == self.inactive, f"trial of {trial.slot}, inactive is {self.inactive}"
        assert self._images[trial.slot].verified, f"trial of unverified slot {trial.slot}"
        self.trial = trial

    def rename_trial(self, generation: int, deployment: str, attempt: int) -> None:
        """A newer want asks for what is on trial already."""
        assert self.trial is not None, "no trial to rename"
        self.trial = replace(
            self.trial, generation=generation, deployment=deployment, attempt=attempt
        )

    def rebooted(self) -> int:
        """Count a boot during the trial; returns how many there were."""
        assert self.trial is not None, "no trial to count boots of"
        self.trial = replace(self.trial, boots=self.trial.boots + 1)
        return self.trial.boots

    def commit(self) -> None:
        """The trial passed: its slot is the one that runs for good."""
        assert self.trial is not None, "no trial to commit"
        slot, self.trial = self.trial.slot, None
        self.committed = slot
        self._images[slot] = replace(self._images[slot], proven=True)

    def roll_back(self, *, failed: bool) -> bytes:
        """End the trial, go back; what failed is banned and its slot invalid. Returns its digest."""
        assert self.trial is not None, "no trial to roll back"
        slot, self.trial = self.trial.slot, None
        manifest = self._images[slot].manifest
        if failed:
            self.ban(manifest)
        return manifest

    def is_banned(self, manifest: bytes) -> bool:
        """Whether this digest must never be flashed or run again."""
        bad = self._bad.get(manifest)
        return bad is not None and bad.banned

    def ban(self, manifest: bytes) -> None:
        """Never again; whatever of it is in the inactive slot is not valid any more."""
        self._file(Bad(manifest, self._failures(manifest) + 1, banned=True))
        if self._images[self.inactive].manifest == manifest:
            self.invalidate()

    def blame(self, manifest: bytes) -> None:
        """Count a failure that may not be the release's fault; too many ban it."""
        failures = self._failures(manifest) + 1
        if failures >= self._config.quarantine_failures_max:
            self.ban(manifest)
        else:
            self._file(Bad(manifest, failures))

    def _failures(self, manifest: bytes) -> int:
        bad = self._bad.get(manifest)
        return 0 if bad is None else bad.failures

    def _file(self, bad: Bad) -> None:
        self._bad.pop(bad.manifest, None)
        if len(self._bad) >= self._config.quarantine_entries_max:
            del self._bad[next(iter(self._bad))]
        self._bad[bad.manifest] = bad

    def validate(self) -> None:
        """Check that what runs may run.

        Raises:
            AssertionError: it may not.
        """
        active = self.active
        if active:
            assert self._images[active].verified, f"slot {active} runs unverified"
        if self.committed:
            assert self._images[self.committed].verified, f"slot {self.committed} is not bootable"
        if self.trial is not None:
            assert self.trial.slot != self.committed, "the trial is in the committed slot"
        assert len(self._bad) <= self._config.quarantine_entries_max, "the quarantine overflowed"


def factory_state(identity: Identity) -> State:
    """The state of a device that never ran: its factory image, if any, in slot a."""
    if not identity.factory_manifest:
        return State()
    image = Slot(
        manifest=identity.factory_manifest,
        variant=identity.factory_variant,
        also=identity.factory_also,
        confidence=identity.factory_confidence,
        verified=True,
        proven=True,
    )
    return State(committed="a", a=image)
