"""How far the update in hand came, and the newest want: what is reported and what is kept.

Decides which state belongs to which generation and which states are worth an event. Leaves out how
states come about (update.py, install.py) and when a report is sent (report.py).

Rule: a state is the trial's while there is one, else the newest want's; a want that ended stays
ended, also across a boot, until a newer generation comes.
"""

from __future__ import annotations

from typing import Final

from devicesdk.agent.notes import NoteKind
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.shared import Shared
from devicesdk.agent.slots import Slots
from devicesdk.agent.snapshot import State, Status, decode_want
from devicesdk.wire.messages import UpdateState, Want

TOLD: Final = frozenset(
    {UpdateState.DOWNLOADING, UpdateState.VERIFIED, UpdateState.STAGED, UpdateState.TRIAL}
    | {state for state in UpdateState if state.terminal}
)
"""States that are worth an event; the others are only seen in `have`."""


class Books:
    """The newest want and the state of what is in hand."""

    __slots__ = ("_outbox", "_shared", "_slots", "status", "want", "want_bytes")

    def __init__(self, shared: Shared, slots: Slots, outbox: Outbox, state: State) -> None:
        self._shared = shared
        self._slots = slots
        self._outbox = outbox
        self.status = state.status
        self.want_bytes = state.want
        self.want: Want | None = decode_want(state.want) if state.want else None

    @property
    def generation(self) -> int:
        """The newest generation seen."""
        return 0 if self.want is None else self.want.generation

    @property
    def over(self) -> bool:
        """Whether the newest want has ended, so that only a newer one begins anything."""
        return self.status.state.terminal and self.status.generation == self.generation

    def take(self, want: Want, raw: bytes) -> None:
        """This is the newest want now; the caller saves."""
        self.want, self.want_bytes = want, raw
        self._shared.report_due = True
        self._shared.note(NoteKind.WANT_ACCEPTED, want.generation, int(want.hold))

    def forget(self) -> None:
        """Whoever signed the newest want may not any more: no generation holds the next one down; the
        caller saves."""
        self.want, self.want_bytes = None, b""
        self._shared.report_due = True

    def enter(self, state: UpdateState, reason: str = "") -> None:
        """What is in hand is in this state now."""
        trial = self._slots.trial
        generation = self.generation if trial is None else trial.generation
        status = Status(state, reason, generation)
        if status != self.status:
            self.status = status
            self._shared.report_due = True
            self._shared.note(NoteKind.UPDATE_STATE, state, generation)

    def tell(self) -> None:
        """Queue an event of the state just entered; the caller saves."""
        trial, want = self._slots.trial, self.want
        if self.status.state not in TOLD or (trial is None and want is None):
            return
        told = trial or want
        assert told is not None, "nothing to tell of"
        digest = want.manifest if want is not None else b""
        if trial is not None:
            digest = self._slots[trial.slot].manifest
        self._outbox.event(
            "update",
            state=self.status.state,
            reason=self.status.reason,
            generation=told.generation,
            deployment=told.deployment,
            attempt=told.attempt,
            digest=digest,
        )
