"""What people may look at: plain values made from the books and the twins, when somebody asks.

Decides names and units of a report's rows. Leaves out how they are shown. Reading changes nothing.
Instants are in the host's `now`, not in the rows' UTC.
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.wire.messages import UpdateState
from gateway.core.control.catalog import Catalog
from gateway.core.control.members import Members, Rest, Rollout, ended
from gateway.core.control.twins import Twin, Twins
from gateway.core.pace import utc_text
from gateway.core.rows import Outcome, Phase, Purpose, WaveRow


class WaveCounts(msgspec.Struct, frozen=True):
    """What is told of a wave wherever it is told. `size` members; `exposed` ran the candidate, on trial or for good."""

    share: float
    size: int
    offered: int
    exposed: int
    committed: int
    failed: int
    rolled_back: int
    rejected: int
    superseded: int
    stopped: int
    reverted: int
    unreached: int
    """Offered and not ended."""
    e_value: float
    """Evidence against the release when the wave was last weighed."""
    verdict: str
    staged: int
    """Hold it beside what they run."""


class WaveView(WaveCounts, frozen=True):
    """One wave, with instants of the core's own clock."""

    opened_at_ns: int
    closed_at_ns: int | None


class RolloutView(msgspec.Struct, frozen=True):
    """One rollout."""

    id: str
    bundle: str
    state: str
    """waiting, running, paused, completed, halted or aborted."""
    why: str
    """Why it waits or ended, or what it is doing."""
    waves: tuple[WaveView, ...]
    approval: int | None = None
    """Index into the plan's shares of the wave that waits for somebody to approve."""
    late: int = 0
    """Devices that came late and wait."""


class TwinView(msgspec.Struct, frozen=True):
    """One device: what is wanted, what it says."""

    id: str
    labels: dict[str, str]
    online: bool
    wanted: str
    """Digest in hex of the manifest it should run, empty for none."""
    generation: int
    rollout: str
    purpose: str
    outcome: str
    attempt: int
    hold: bool
    running: str
    trial: bool
    state: str
    reason: str
    seen_generation: int
    bytes_done: int
    quarantine: tuple[str, ...]
    boot_id: int
    """Of the boot that said all this; 0 before the first report."""
    flags_rev: int
    kill_version: int
    enrolled: bool = True
    """Whether the registry knows it; others only spoke."""


class Overview(msgspec.Struct, frozen=True):
    """The fleet at a glance."""

    devices: int
    enrolled: int
    online: int
    updating: int
    """With a want that has not ended."""
    in_sync: int
    """Whose newest want ended well, or who are believed in factory state."""
    versions: dict[str, int]
    """Devices by what they say they run: bundle name, digest where unknown, empty for nothing."""
    kill_version: int
    flags_revs: dict[str, int]
    outbox_rows: int
    outbox_in_flight: int
    queries_waiting: int
    bad_messages: int


_PURPOSES: Final = tuple(purpose.name.lower() for purpose in Purpose)
_OUTCOMES: Final = tuple(outcome.name.lower() for outcome in Outcome)
_STATES: Final = tuple(state.name.lower() for state in UpdateState)


def twin_view(twin: Twin) -> TwinView:
    """One device for people."""
    desired, reported = twin.desired, twin.reported
    return TwinView(
        id=twin.name,
        labels=twin.device.labels,
        online=twin.presence.online,
        wanted=desired.manifest.hex() if desired is not None else "",
        generation=desired.generation if desired is not None else 0,
        rollout=desired.rollout if desired is not None else "",
        purpose=_PURPOSES[desired.purpose] if desired is not None else "",
        outcome=_OUTCOMES[desired.outcome] if desired is not None else "",
        attempt=desired.attempt if desired is not None else 0,
        hold=desired is not None and desired.hold,
        running=reported.running.hex(),
        trial=reported.trial,
        state=_STATES[reported.state],
        reason=reported.reason,
        seen_generation=reported.generation,
        bytes_done=reported.bytes_done,
        quarantine=tuple(digest.hex() for digest in twin.device.quarantine),
        boot_id=reported.boot_id,
        flags_rev=reported.flags_rev,
        kill_version=reported.kill_version,
        enrolled=twin.device.enrolled,
    )


def rollout_view(rollout: Rollout, offset_ns: int) -> RolloutView:
    """One rollout for people; `offset_ns` is UTC minus `now`."""
    row = rollout.row
    waves = tuple(_wave_view(wave, offset_ns) for wave in row.waves)
    return RolloutView(
        row.plan.id,
        row.plan.bundle,
        row.phase.name.lower(),
        row.why or _doing(rollout),
        waves,
        rollout.awaits,
        len(rollout.late),
    )


def _doing(rollout: Rollout) -> str:
    wave = rollout.wave
    if rollout.row.phase is not Phase.RUNNING or wave is None:
        return ""
    index = len(rollout.row.waves) - 1
    if rollout.offering:
        return f"offering wave {index}: {wave.offered} of {wave.size}{_held(rollout.rest)}"
    if wave.quorum_ns:
        return f"wave {index} soaks"
    return f"wave {index}: {ended(wave)} of {wave.size} have ended"


def _held(rest: Rest) -> str:
    """Why the others of a wave were not offered it."""
    parts = []
    if rest.windows:
        opens = f", the next at {utc_text(rest.opens_ns)}" if rest.opens_ns else ""
        parts.append(f"{rest.windows} for their window{opens}")
    if rest.budgets:
        parts.append(f"{rest.budgets} for a budget ({rest.example})")
    if rest.zones:
        parts.append(f"{rest.zones} name a time zone that is not known")
    return f"; waiting: {', '.join(parts)}" if parts else ""


def _wave_view(wave: WaveRow, offset_ns: int) -> WaveView:
    return WaveView(
        share=wave.share,
        size=wave.size,
        offered=wave.offered,
        exposed=wave.exposed,
        committed=wave.committed,
        failed=wave.failed,
        rolled_back=wave.rolled_back,
        rejected=wave.rejected,
        superseded=wave.superseded,
        stopped=wave.stopped,
        reverted=wave.reverted,
        unreached=wave.offered - ended(wave),
        opened_at_ns=wave.opened_ns - offset_ns,
        closed_at_ns=wave.closed_ns - offset_ns if wave.closed_ns else None,
        e_value=wave.e_value,
        verdict=wave.verdict,
        staged=wave.staged,
    )


def rollout_views(members: Members, offset_ns: int) -> list[RolloutView]:
    """All rollouts that are not factory state, in the order of their creation."""
    rollouts = sorted(members.by_name.values(), key=lambda rollout: rollout.row.ordinal)
    return [rollout_view(r, offset_ns) for r in rollouts if not r.plan.initial]


def versions(twins: Twins, catalog: Catalog) -> dict[str, int]:
    """Devices by what they say they run; those believed in factory state count until they report."""
    digests: dict[bytes, int] = {}
    for twin in twins.by_name.values():
        running = twin.reported.running
        desired = twin.desired
        if not running and desired is not None and desired.purpose is Purpose.FACTORY:
            running = desired.manifest
        digests[running] = digests.get(running, 0) + 1
    named: dict[str, int] = {}
    for digest, count in digests.items():
        bundle = catalog.by_digest.get(digest)
        name = bundle.manifest.name if bundle is not None else digest.hex()[:16]
        named[name] = named.get(name, 0) + count
    return dict(sorted(named.items()))


def in_sync(twins: Twins) -> int:
    """How many devices run what is wanted of them."""
    committed = Outcome.COMMITTED
    return sum(
        twin.desired is not None and twin.desired.outcome is committed
        for twin in twins.by_name.values()
    )
