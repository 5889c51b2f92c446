"""Serving chunks: who may have which bytes, how many, and when.

Decides the answer to each chunk request: a round of chunks, WAIT, NACK, or silence for a request
that came twice. Leaves out reading and sending (the host performs `SendRound`), who is granted what
(control says so) and what arrived (the device asks for what it misses; this machine keeps no map of
any transfer).

Rules: everything is derived from the grants, so the machine may crash or be replaced at any moment;
a bad request is answered, never punished; a wait is never a refusal and says when to come back, to
each device another instant; the same ``(device, transfer, seq)`` is answered once within a lease;
memory is bounded by grants (control's) and active transfers (ours). Between devices the budget is
shared by priority: the lower it is, the more of the burst has to stay for others.

`ctl` messages go with QoS 0: a device whose answer is lost asks again by its own timer.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from devicesdk.wire import codec, limits, topics
from devicesdk.wire.errors import BadMessage, Nack, Wait
from devicesdk.wire.hardship import CALM, Hardship
from devicesdk.wire.messages import Control, ControlVerb, Get
from devicesdk.wire.timebase import MS, SECOND
from gateway.core.effects import Effect, Note, Publish, SendRound
from gateway.core.internal import BlobKnown, Granted, Internal, Paused, Revoked
from gateway.core.sites import ROUND_OF_ONE, TOLD_TO_WAIT
from gateway.core.stimuli import Arrived, DeadlineReached, Stimulus
from gateway.core.transfers import notes
from gateway.core.transfers.budget import Budget
from gateway.core.transfers.limits import TransferLimits
from gateway.core.transfers.request import Blob, decode_get, fitting, wanted

CTL_EXPIRY_NS: Final = 60 * SECOND
PUBLIC: Final = "~public"
"""Under this name the budget books what any device may fetch."""
PUBLIC_PRIORITY: Final = 1000
"""Role metadata is small, and everything else waits for it."""
_SEEN_MAX: Final = 2 * limits.ROUNDS_OUTSTANDING_MAX
_RESERVE_PERMILLE_MAX: Final = 500


class Lease:
    """A device that is being served: until when, and which requests were answered."""

    __slots__ = ("expires_ns", "seen")

    def __init__(self) -> None:
        self.expires_ns = 0
        self.seen: list[tuple[int, int]] = []


class Transfers:
    """The transfers machine of one tenant.

    Args:
        limits: bounds, and the topic root.
        hardship: asked at the places of `gateway.core.sites`.
    """

    def __init__(self, limits: TransferLimits, hardship: Hardship = CALM) -> None:
        self.limits = limits
        self._hardship = hardship
        self._put_off: dict[str, None] = {}
        """Devices that were told to wait for no reason, and will not be told so twice in a row."""
        self._topics = topics.Topics(limits.root)
        self._blobs: dict[bytes, Blob] = {}
        self._grants: dict[str, Granted] = {}
        self._refusals: dict[str, Nack] = {}
        self._paused: dict[str, bool] = {}
        self._leases: dict[str, Lease] = {}  # ordered by expiry: renewing moves to the end
        self._sweep_ns: int | None = None
        self._budget = Budget(limits.bytes_per_s_max, limits.burst_bytes_max)
        self._budgets: dict[str, Budget] = {}
        self.duplicates = 0
        """Requests that came again within their lease and were not answered again."""

    def handle(self, stimulus: Stimulus | Internal, now: int) -> list[Effect | Internal]:
        """Take a `get`, a deadline, or one of control's messages; anything else is not for us."""
        kind = type(stimulus)
        if kind is Arrived:
            assert isinstance(stimulus, Arrived)
            return self._get(stimulus, now) if stimulus.kind == topics.GET else []
        if kind is DeadlineReached:
            return self._sweep(now)
        return self._told(stimulus)

    def deadline(self) -> tuple[int, str] | None:
        """When leases have to be looked through next."""
        return None if self._sweep_ns is None else (self._sweep_ns, "transfers: leases run out")

    def restore(self, rows: object, now: int) -> list[Effect | Internal]:  # noqa: ARG002 - the three machines restore alike; this one keeps nothing
        """Begin empty: control says all grants again."""
        return []

    @property
    def active(self) -> int:
        """How many devices are being served."""
        return len(self._leases)

    # -- what control says ---------------------------------------------------------------------

    def _told(self, said: Stimulus | Internal) -> list[Effect | Internal]:
        match said:
            case BlobKnown():
                return self._blob_known(said)
            case Granted():
                return self._granted(said)
            case Revoked():
                return self._revoked(said)
            case Paused(deployment=deployment, paused=True):
                self._paused[deployment] = True
            case Paused(deployment=deployment):
                self._paused.pop(deployment, None)
            case _:
                pass
        return []

    def _blob_known(self, known: BlobKnown) -> list[Effect | Internal]:
        if len(self._blobs) >= self.limits.blobs_max and known.blob not in self._blobs:
            return [Note(notes.FULL, known.blob.hex(), self.limits.blobs_max)]
        chunks = -(-known.size_bytes // known.chunk_bytes)
        self._blobs[known.blob] = Blob(known.size_bytes, known.chunk_bytes, chunks, known.public)
        return []

    def _granted(self, granted: Granted) -> list[Effect | Internal]:
        device = granted.device
        if len(self._grants) >= self.limits.grants_max and device not in self._grants:
            return [Note(notes.FULL, device, self.limits.grants_max)]
        self._grants[device] = granted
        self._refusals.pop(device, None)
        return []

    def _revoked(self, revoked: Revoked) -> list[Effect | Internal]:
        device = revoked.device
        self._grants.pop(device, None)
        self._leases.pop(device, None)
        self._refusals.pop(device, None)
        if len(self._refusals) >= self.limits.refusals_max:
            del self._refusals[next(iter(self._refusals))]
        self._refusals[device] = revoked.code
        return []

    # -- chunk requests ------------------------------------------------------------------------

    def _get(self, arrived: Arrived, now: int) -> list[Effect | Internal]:
        device = arrived.device
        try:
            get = decode_get(arrived.payload)
        except BadMessage:
            return self._refuse(device, Nack.INVALID_REQUEST, 0, 0)
        lease = self._leases.get(device)
        name = (get.transfer, get.seq)
        if lease is not None and lease.expires_ns > now and name in lease.seen:
            self.duplicates += 1
            return []
        found = self._lookup(get, device)
        if isinstance(found, Nack):
            return self._refuse(device, found, get.transfer, get.seq)
        return self._serve(get, *found, now)

    def _lookup(self, get: Get, device: str) -> tuple[Granted, Blob] | Nack:
        """The device's grant and the blob, if it may have it."""
        grant = self._grants.get(device)
        if grant is None or get.blob not in grant.blobs:
            public = self._blobs.get(get.blob)
            if public is not None and public.public:
                return Granted(device, PUBLIC, b"", (get.blob,), PUBLIC_PRIORITY), public
        if grant is None:
            return self._refusals.get(device, Nack.UNAUTHORIZED)
        blob = self._blobs.get(get.blob)
        if get.blob in grant.blobs:
            return Nack.INTERNAL_ERROR if blob is None else (grant, blob)
        return Nack.RESOURCE_NOT_FOUND if blob is None else Nack.SUPERSEDED

    def _serve(self, get: Get, grant: Granted, blob: Blob, now: int) -> list[Effect | Internal]:
        device = grant.device
        indices = wanted(get, blob)
        if isinstance(indices, Nack):
            return self._refuse(device, indices, get.transfer, get.seq)
        allowed = min(get.credit, limits.ROUND_BYTES_MAX)
        indices, size = fitting(indices, blob, allowed)
        if not indices:
            return self._refuse(device, Nack.INVALID_REQUEST, get.transfer, get.seq)
        if self._hardship is not CALM:
            if self._hardship.fires(ROUND_OF_ONE):
                indices, size = fitting(indices, blob, blob.chunk_bytes)
            if self._puts_off(device):
                return self._wait(get, device, Wait.BUSY, MS * 100)
        if grant.deployment in self._paused:
            return self._wait(get, device, Wait.PAUSED, self.limits.paused_retry_ns)
        if device not in self._leases and len(self._leases) >= self.limits.active_max:
            return self._wait(get, device, Wait.BUSY, self.limits.busy_retry_ns)
        return self._spend(get, grant, blob, indices, size, now)

    def _puts_off(self, device: str) -> bool:
        if device in self._put_off:
            del self._put_off[device]
            return False
        if not self._hardship.fires(TOLD_TO_WAIT):
            return False
        self._put_off[device] = None
        return True

    def _spend(
        self,
        get: Get,
        grant: Granted,
        blob: Blob,
        indices: tuple[int, ...],
        size: int,
        now: int,
    ) -> list[Effect | Internal]:
        reserve = _RESERVE_PERMILLE_MAX * (1000 - grant.priority) // 1000
        budget, own = self._budget, self._budget_of(grant.deployment)
        room = min(budget.fits_bytes(now, reserve), own.fits_bytes(now, 0))
        part, part_bytes = fitting(indices, blob, room)
        if not part:
            ready = max(budget.promise(size, reserve, now), own.promise(size, 0, now))
            return self._delay(get, grant.device, ready - now)
        indices, size = part, part_bytes
        budget.take(size, now)
        own.take(size, now)
        round_ = SendRound(grant.device, get.transfer, get.seq, get.blob, blob.chunk_bytes, indices)
        begun = self._renew(grant.device, (get.transfer, get.seq), now)
        if begun:
            return [round_, Note(notes.BEGUN, grant.device, get.transfer, len(self._leases))]
        return [round_]

    def _budget_of(self, deployment: str) -> Budget:
        budget = self._budgets.get(deployment)
        if budget is None:
            if len(self._budgets) >= self.limits.deployments_max:
                idle = min(self._budgets, key=lambda name: self._budgets[name].idle_since_ns())
                del self._budgets[idle]
            budget = self._budgets[deployment] = Budget(
                self.limits.deployment_bytes_per_s_max, self.limits.deployment_burst_bytes_max
            )
        return budget

    # -- leases --------------------------------------------------------------------------------

    def _renew(self, device: str, answered: tuple[int, int], now: int) -> bool:
        """Begin or prolong the device's lease; True when it began."""
        lease = self._leases.pop(device, None)
        begun = lease is None
        if lease is None:
            lease = Lease()
        lease.expires_ns = now + self.limits.lease_ns
        lease.seen.append(answered)
        if len(lease.seen) > _SEEN_MAX:
            del lease.seen[0]
        self._leases[device] = lease
        if self._sweep_ns is None:
            self._sweep_ns = lease.expires_ns
        return begun

    def _sweep(self, now: int) -> list[Effect | Internal]:
        """Forget leases that ran out. The deadline is not moved by renewals: one sweep a lease."""
        if self._sweep_ns is None or now < self._sweep_ns:
            return []
        lapsed = 0
        self._sweep_ns = None
        while self._leases:
            device = next(iter(self._leases))
            expires = self._leases[device].expires_ns
            if expires > now:
                self._sweep_ns = expires
                break
            del self._leases[device]
            lapsed += 1
        return [Note(notes.LAPSED, "", lapsed, len(self._leases))] if lapsed else []

    # -- answers without chunks ----------------------------------------------------------------

    def _refuse(self, device: str, code: Nack, transfer: int, seq: int) -> list[Effect | Internal]:
        answer = Control(verb=ControlVerb.NACK, transfer=transfer, seq=seq, code=code)
        return [self._ctl(device, answer), Note(notes.REFUSED[code], device, transfer, seq)]

    def _wait(self, get: Get, device: str, why: Wait, base_ns: int) -> list[Effect | Internal]:
        # Once to twice the base, by device: those who were told together do not return together.
        spread = crc32(device.encode()) % (base_ns // MS)
        return self._answer_wait(get, device, why, base_ns // MS + spread)

    def _delay(self, get: Get, device: str, ready_ns: int) -> list[Effect | Internal]:
        shortest, longest = self.limits.budget_retry_ns_min, self.limits.budget_retry_ns_max
        after = min(max(ready_ns, shortest), longest)
        return self._answer_wait(get, device, Wait.BUDGET, -(-after // MS))

    def _answer_wait(
        self, get: Get, device: str, why: Wait, retry_after_ms: int
    ) -> list[Effect | Internal]:
        answer = Control(
            verb=ControlVerb.WAIT,
            transfer=get.transfer,
            seq=get.seq,
            retry_after_ms=retry_after_ms,
            why=why,
        )
        return [
            self._ctl(device, answer),
            Note(notes.DELAYED[why], device, get.transfer, retry_after_ms),
        ]

    def _ctl(self, device: str, answer: Control) -> Publish:
        topic = self._topics.device(device, topics.CTL)
        return Publish(topic, topics.CTL, codec.encode(answer), 0, False, CTL_EXPIRY_NS)

    # -- self-check ----------------------------------------------------------------------------

    def validate(self) -> None:
        """Check what must always hold; for tests and for the world's checks.

        Raises:
            AssertionError: it does not.
        """
        bounds = self.limits
        expiries = [lease.expires_ns for lease in self._leases.values()]
        assert expiries == sorted(expiries), "leases are not in the order of their expiry"
        assert len(expiries) <= bounds.active_max, f"{len(expiries)} active transfers"
        assert (self._sweep_ns is not None) >= bool(expiries), "leases without a deadline"
        assert all(len(lease.seen) <= _SEEN_MAX for lease in self._leases.values())
        assert len(self._grants) <= bounds.grants_max, f"{len(self._grants)} grants"
        assert len(self._refusals) <= bounds.refusals_max, f"{len(self._refusals)} refusals"
        both = [device for device in self._refusals if device in self._grants]
        assert not both, f"granted and refused at once: {both[:3]}"
        assert len(self._blobs) <= bounds.blobs_max, f"{len(self._blobs)} blobs"
        assert len(self._budgets) <= bounds.deployments_max, f"{len(self._budgets)} budgets"
