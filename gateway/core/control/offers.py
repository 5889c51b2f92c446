"""What is said to a device: its signed want, and to the transfers machine what it may fetch.

Decides the content of wants. Leaves out when (rollouts.py, progress.py).

Rules: each want has a generation newer than anything that the device or we have seen; a want is
state, so stopping a device means wanting what it already has (or to stay where it is), never a verb;
a grant is given with a want that may need bytes and taken back when that want has ended. No nonce is
drawn: the generation already makes every want of a device unique, and a device that asks for the time
brings its own.
"""

from __future__ import annotations

from msgspec.structs import replace

from devicesdk.bundle.trust import Signer
from devicesdk.wire import codec, topics
from devicesdk.wire import limits as wire_limits
from devicesdk.wire.errors import Nack
from devicesdk.wire.messages import Event, UpdatePolicy, Want
from devicesdk.wire.timebase import MS
from gateway.core import notes
from gateway.core.control.catalog import Bundle, Catalog
from gateway.core.control.deltas import Deltas
from gateway.core.control.members import Members, Rollout
from gateway.core.control.outbox import Batch, Outbox
from gateway.core.control.twins import Twin
from gateway.core.effects import Note
from gateway.core.internal import Granted, Revoked
from gateway.core.limits import ControlLimits
from gateway.core.rows import DesiredRow, Outcome, Purpose

_REVERT_SUFFIX = "~revert"
_GENERATION_MAX = 2**52
"""A device that claims a newer one is not believed: there would be no room to answer."""


def deployment_of(desired: DesiredRow) -> str:
    """The name under which a want is deployed: the rollout's, or that of its way back."""
    if desired.purpose is Purpose.REVERT:
        return desired.rollout + _REVERT_SUFFIX
    return desired.rollout


class Offers:
    """Makes wants.

    Args:
        limits: bounds and priorities.
        director: signs wants.
        said_only: whether devices are sent back only to what they themselves said they ran.
    """

    __slots__ = (
        "_catalog",
        "_deltas",
        "_director",
        "_limits",
        "_members",
        "_outbox",
        "_said_only",
        "_topics",
        "open_since",
    )

    def __init__(
        self,
        limits: ControlLimits,
        catalog: Catalog,
        members: Members,
        outbox: Outbox,
        director: Signer,
        deltas: Deltas,
        *,
        said_only: bool = False,
    ) -> None:
        self._limits = limits
        self._catalog = catalog
        self._members = members
        self._outbox = outbox
        self._director = director
        self._deltas = deltas
        self._said_only = said_only
        self._topics = topics.Topics(limits.root)
        self.open_since = False
        """Whether a want was opened since somebody looked here."""

    def offer(self, twin: Twin, rollout: Rollout, out: Batch, until_ns: int = 0) -> None:
        """Want the rollout's bundle of a device, as a member of the newest wave; `until_ns` (UTC): it must
        begin before that, 0: whenever it likes."""
        index = len(rollout.row.waves) - 1
        target = rollout.row.manifest
        previous, said = twin.previous_for(target)
        desired = DesiredRow(
            generation=twin.next_generation,
            manifest=target,
            rollout=rollout.name,
            purpose=Purpose.UPDATE,
            previous=previous,
            wave=index,
            until_ns=until_ns,
            said=said,
        )
        self._members.join(twin, desired, out)
        self._members.offered(rollout, index)
        out.append(Note(notes.OFFER, twin.name, desired.generation, index))
        self._say(twin, out)

    def again(self, twin: Twin, out: Batch, until_ns: int = 0) -> None:
        """Want the same once more after a failure that was not the release's."""
        desired = replace(self._renewed(twin, attempt=1), until_ns=until_ns)
        self._members.join(twin, desired, out)
        out.append(Note(notes.RETRY, twin.name, desired.generation, desired.attempt))
        self._say(twin, out)

    def reissue(self, twin: Twin, out: Batch) -> None:
        """Overtake a generation that the device has seen and we have forgotten."""
        seen = twin.reported.generation
        if seen >= _GENERATION_MAX:
            out.append(Note(notes.BAD_MESSAGE, twin.name, seen))
            return
        desired = self._renewed(twin, attempt=0)
        self._members.join(twin, desired, out)
        out.append(Note(notes.REISSUE, twin.name, seen, desired.generation))
        self._say(twin, out)

    def tell_time(self, twin: Twin, nonce: int, at: int, out: Batch) -> None:
        """Answer a device that asks what time it is: its want, said anew with its number and the time."""
        desired = self._renewed(twin, attempt=0)
        self._members.join(twin, desired, out)
        out.append(Note(notes.TIME_TOLD, twin.name, desired.generation))
        self._say(twin, out, nonce, at)

    def revert(self, twin: Twin, out: Batch) -> None:
        """Want back what the device had before; without that knowledge, let it stay where it is. Where only the
        device's own word counts (`said_only`), what the factory is believed to have shipped is no such knowledge:
        nobody rehearsed that bundle, and it would reach devices by this way alone."""
        old = twin.desired
        assert old is not None
        if self._said_only and not old.said:
            self.hold(twin, out)
            out.append(Note(notes.NOT_BACK, twin.name, old.generation, old.wave))
            return
        if not old.previous:
            self.hold(twin, out)
            return
        self._stop(twin, out)
        desired = DesiredRow(
            generation=twin.next_generation,
            manifest=old.previous,
            rollout=old.rollout,
            purpose=Purpose.REVERT,
            previous=old.previous,
            wave=old.wave,
            exposed=old.exposed,
            said=old.said,
        )
        self._members.join(twin, desired, out)
        out.append(Note(notes.REVERT, twin.name, desired.generation, desired.wave))
        self._say(twin, out)

    def hold(self, twin: Twin, out: Batch) -> None:
        """Stop a device in flight where it is; one that has ended already is left alone."""
        if not twin.wants_open():
            return
        self._stop(twin, out)
        desired = self._renewed(twin, attempt=0)
        self._members.join(twin, replace(desired, hold=True), out)
        out.append(Note(notes.HOLD, twin.name, desired.generation, desired.wave))
        self._say(twin, out)

    def republish(self, twin: Twin, out: Batch) -> None:
        """Publish a want again as it is: the broker may have lost it."""
        self._publish(twin, out)

    def missed(self, twin: Twin, out: Batch) -> None:
        """The device reports that it has not seen its newest want. One that the broker took may be on
        its way, or lost by a broker that came back with an older state: say it once more."""
        topic = self._topics.device(twin.name, topics.WANT)
        if twin.wants_open() and not self._outbox.holds(topic):
            self._publish(twin, out)

    def grant(self, twin: Twin, out: Batch) -> None:
        """Let a device fetch what its newest want may need."""
        desired = twin.desired
        assert desired is not None
        bundle = self._catalog.by_digest.get(desired.manifest)
        if bundle is None:
            return
        reverting = desired.purpose is Purpose.REVERT
        priority = self._limits.priority_revert if reverting else self._limits.priority_update
        deployment = deployment_of(desired)
        blobs = self._deltas.blobs(bundle)
        out.append(Granted(twin.name, deployment, desired.manifest, blobs, priority))

    def delta_failed(self, twin: Twin, event: Event, out: Batch) -> None:
        """A device could not use the delta that its want named."""
        self._deltas.failed(event.digest, twin.name, event.reason, out)

    def revoke(self, twin: Twin, code: Nack, out: Batch) -> None:
        """Take the grant back."""
        out.append(Revoked(twin.name, code))

    def _stop(self, twin: Twin, out: Batch) -> None:
        if twin.wants_open():
            self._members.settle(twin, out, outcome=Outcome.STOPPED)

    def _renewed(self, twin: Twin, attempt: int) -> DesiredRow:
        old = twin.desired
        assert old is not None
        return replace(old, generation=twin.next_generation, attempt=old.attempt + attempt)

    def _say(self, twin: Twin, out: Batch, nonce: int = 0, at: int = 0) -> None:
        """Publish the newest want, and grant or revoke to match."""
        desired = twin.desired
        assert desired is not None
        self._publish(twin, out, nonce, at)
        self.open_since = True
        needs_nothing = twin.reported.running == desired.manifest and not twin.reported.trial
        if desired.hold or desired.outcome is not Outcome.OPEN or needs_nothing:
            self.revoke(twin, Nack.SUPERSEDED, out)
        else:
            self.grant(twin, out)

    def _publish(self, twin: Twin, out: Batch, nonce: int = 0, at: int = 0) -> None:
        desired = twin.desired
        assert desired is not None
        want = self._want(twin, desired)
        if nonce:
            want = replace(want, nonce=nonce, issued_ms=at // MS)
        payload = self._director.seal(codec.encode(want))
        assert len(payload) <= wire_limits.WANT_BYTES_MAX, f"a want of {len(payload)} bytes"
        topic = self._topics.device(twin.name, topics.WANT)
        self._outbox.put(topic, topics.WANT, payload, out)

    def _want(self, twin: Twin, desired: DesiredRow) -> Want:
        plan = self._members.by_name[desired.rollout].plan
        bundle = self._catalog.by_digest.get(desired.manifest)
        policy, jitter_ms = plan.policy, plan.jitter_ms
        back_or_hold = desired.purpose is Purpose.REVERT or desired.hold
        if back_or_hold:
            # Going back waits for nothing and nobody.
            policy, jitter_ms = UpdatePolicy(trial_ms=plan.policy.trial_ms), 0
        delta = None
        if plan.delta and bundle is not None and not desired.hold:
            delta = self._deltas.offered(twin, bundle)
        return Want(
            device=twin.name,
            generation=desired.generation,
            deployment=deployment_of(desired),
            attempt=desired.attempt,
            manifest=desired.manifest,
            manifest_bytes=bundle.envelope_bytes if bundle is not None else 0,
            hold=desired.hold,
            policy=policy,
            jitter_ms=jitter_ms,
            expires_ms=0 if back_or_hold else desired.until_ns // MS,
            delta=delta,
            back=desired.purpose is Purpose.REVERT or self._is_older(twin, bundle),
            stage=plan.stage and desired.purpose is Purpose.UPDATE,
        )

    def _is_older(self, twin: Twin, bundle: Bundle | None) -> bool:
        """Whether a rollout goes to an older release than the device runs: then that is meant."""
        runs = self._catalog.by_digest.get(twin.reported.running)
        if runs is None or bundle is None or runs.manifest.id != bundle.manifest.id:
            return False
        return bundle.manifest.release < runs.manifest.release
