"""The harness's place at the broker: it hears the device, answers its requests, and can wait.

Decides when answers leave and what is signed how. Leaves out what is played (chapters.py, updates.py)
and what it proves.

Rules: an answer to a chunk request leaves `ANSWER_AFTER_S` after the request came, so that requests
that are outstanding together are seen to be; every wait has an end; nothing here raises because of
what a device does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from devicesdk.aio.clock import Clock
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint, Granted, Inbound
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, ROLE_TARGETS, Ed25519Signer
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.messages import Control, ControlVerb, FlagSnapshot, KillList, Want
from devicesdk.wire.timebase import SECOND
from gateway.adapters.keys import init_keys, key_file, read_signer
from gateway.conform.desk import Answer, Asked, Desk
from gateway.conform.ledger import Ledger
from gateway.conform.packets import Packets
from gateway.conform.relay import Relay
from gateway.conform.repository import Repository
from gateway.conform.watch import Watch

ANSWER_AFTER_S: Final = 0.015
CONNECT_PATIENCE_S: Final = 10.0
CTL_EXPIRY_S: Final = 60
_REPORT: Final = codec.encode(Control(verb=ControlVerb.REPORT))
_UNKNOWN: Final = {"zz": [1, "a field of a later version"]}


class CannotPlayError(RuntimeError):
    """The harness itself cannot go on: no broker, no device; says what to do."""


class Keys(msgspec.Struct, frozen=True):
    """Who signs what."""

    targets: Ed25519Signer
    director: Ed25519Signer
    flags: Ed25519Signer


def keys_of(folder: Path) -> tuple[Keys, bool]:
    """The keys in a folder, made if there are none; and whether they were.

    Raises:
        KeyFileError: some are there and cannot be read.
    """
    fresh = not key_file(folder, ROLE_DIRECTOR).exists()
    if fresh:
        init_keys(folder)
    roles = ROLE_TARGETS, ROLE_DIRECTOR, ROLE_FLAGS
    return Keys(*(read_signer(folder, role) for role in roles)), fresh


class Stage:
    """One device under test.

    Args:
        endpoint: the broker.
        device: the device's id.
        root: topic root of the tenant.
        segment: whose flags the device hears.
        keys: what to sign with.
        clock: tells the time.
        repository: roles that the device goes by; None: plain keys.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        device: str,
        keys: Keys,
        clock: Clock,
        *,
        root: str = topics.ROOT_DEFAULT,
        segment: str = "all",
        repository: Repository | None = None,
    ) -> None:
        self.device, self.keys, self.clock, self.segment = device, keys, clock, segment
        self.names = topics.Topics(root)
        self.repository = repository
        self.ledger = Ledger(roles=repository is not None)
        self.watch = Watch(self.ledger)
        self.desk = Desk(self.ledger)
        self.packets = Packets(self.ledger, self.names, device)
        self.relay = Relay(endpoint, self.packets.take, self._changed_now)
        self.relayed = False
        self.muted = False
        """Whether chunk requests get no answer at all."""
        self._port = LeanPort(endpoint, self)
        self._changed = asyncio.Event()
        self._up = self._closed = False
        self._failure = ""
        self._token = self._generation = self._acked = 0

    # -- beginning and end -------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and subscribe.

        Raises:
            CannotPlayError: no connection.
        """
        self._port.connect(
            Dial(client_id=f"conform-{self.device}", clean_start=True, packet_bytes_max=1_048_576)
        )
        await self.until(lambda: self._up or bool(self._failure), CONNECT_PATIENCE_S)
        if not self._up:
            raise CannotPlayError(
                f"expected a broker that lets us subscribe, found: {self._failure or 'silence'}; "
                f"is it running, and may this user read {self.names.root}/d/{self.device}/#?"
            )

    async def listen(self, host: str, port: int) -> int:
        """Open the relay that the device is to connect to.

        Raises:
            OSError: the address cannot be had.
        """
        self.relayed = True
        return await self.relay.start(host, port)

    async def close(self) -> None:
        """Leave."""
        self._closed = True
        await self.relay.stop()
        self._port.disconnect()

    # -- Listener ----------------------------------------------------------------------------

    def on_connected(self, granted: Granted) -> None:  # noqa: ARG002 - nothing of it matters here
        """Subscribe to all that the device may say."""
        self.listen_again()

    def listen_again(self) -> None:
        """Subscribe (again): what is retained comes (again), marked as such."""
        kinds = topics.UPLINK_KINDS
        self._port.subscribe(tuple(self.names.device(self.device, kind) for kind in kinds))

    def on_connect_failed(self, reason: str) -> None:
        """No broker."""
        self._fail(reason)

    def on_disconnected(self, reason: str) -> None:
        """The broker is gone: nothing can be judged any more."""
        self._fail(f"the broker's connection was lost: {reason}")

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """Subscribed, if no code is an error."""
        if any(code >= 0x80 for code in codes):
            self._fail(f"a subscription was refused: {[hex(code) for code in codes]}")
            return
        self._up = True
        self._changed.set()

    def on_puback(self, token: int, code: int) -> None:
        """The broker took (or refused) a publish."""
        self._acked = max(self._acked, token)
        self._changed.set()
        if code >= 0x80:
            self._fail(f"the broker refused publish {token} with {code:#x}: may this user write?")

    def on_message(self, message: Inbound) -> None:
        """The device said something."""
        try:
            kind, _ = self.names.parse(message.topic)
        except ProtocolError:
            return
        now = self.clock.now()
        if kind == topics.GET:
            self._asked(message.payload, now)
        elif message.payload:
            self.watch.take(kind, message.payload, now)
        if not self.relayed and message.retain:
            self.packets.published(message.topic, message.qos, retain=True)
        self._changed.set()

    # -- chunk requests ----------------------------------------------------------------------

    def _asked(self, payload: bytes, now: int) -> None:
        taken = self.desk.take(payload, now)
        if taken is None or self.muted:
            return
        asyncio.get_running_loop().call_later(ANSWER_AFTER_S, self._answer, taken)

    def _answer(self, taken: Asked | Answer) -> None:
        if self._closed or self.muted:
            return
        now = self.clock.now()
        answers = self.desk.answer(taken, now) if isinstance(taken, Asked) else [taken]
        for kind, payload in answers:
            self.say(kind, payload, qos=0)
        self._changed.set()

    # -- saying ------------------------------------------------------------------------------

    def topic(self, kind: str) -> str:
        """Where a kind is said to this device."""
        if kind == topics.KILL:
            return self.names.kill
        if kind == topics.TIMESTAMP:
            return self.names.timestamp
        if kind == topics.FLAGS:
            return self.names.flags(self.segment)
        return self.names.device(self.device, kind)

    def say(self, kind: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish to the device."""
        self._token += 1
        expiry_s = CTL_EXPIRY_S if kind == topics.CTL and not retain else 0
        self._port.publish(
            self.topic(kind), payload, qos=qos, retain=retain, token=self._token, expiry_s=expiry_s
        )

    def trusts(self, repository: Repository, *more: bytes) -> None:
        """Publish the newest state of the roles, and sign with their keys from now on.

        Args:
            repository: whose.
            more: roots that are named, too, and are not in force.
        """
        self.keys = Keys(
            self.keys.targets, repository.signer(ROLE_DIRECTOR), repository.signer(ROLE_FLAGS)
        )
        self.desk.public(repository.blobs(*more))
        self.say(topics.TIMESTAMP, repository.head(*more), retain=True)

    async def taken(self, patience_s: float) -> bool:
        """Wait until the broker has taken what was said last, with QoS 1."""
        return await self.until(lambda: self._acked >= self._token, patience_s)

    def next_generation(self) -> int:
        """A generation newer than all that was said or heard."""
        self._generation = max(self._generation, self.watch.generation) + 1
        return self._generation

    def want(self, signer: Ed25519Signer | None = None, /, **fields: object) -> bytes:
        """A signed want for this device with a field that nobody knows."""
        fields.setdefault("device", self.device)
        want = Want(extra=dict(_UNKNOWN), **fields)  # type: ignore[arg-type]
        return (signer or self.keys.director).seal(codec.encode(want))

    def kill_list(self, version: int, *features: str) -> bytes:
        """An unsigned kill list."""
        return codec.encode(KillList(version=version, features=features))

    def flag_snapshot(self, rev: int) -> bytes:
        """An unsigned flag snapshot with one flag that no device knows."""
        document = (
            b'{"flags":{"conform":{"state":"ENABLED","variants":{"on":true,"off":false},'
            b'"defaultVariant":"on"}}}'
        )
        return codec.encode(FlagSnapshot(rev=rev, segment=self.segment, document=document))

    async def report(self, patience_s: float) -> bool:
        """Ask the device to report and wait for it; all that was said before has arrived then."""
        before = len(self.watch.haves)
        self.say(topics.CTL, _REPORT)
        came = await self.until(lambda: len(self.watch.haves) > before, patience_s)
        story = f"no `have` came within {patience_s:g} s of a REPORT"
        self.ledger.settle("R3", story, _REPORT, ok=came)
        return came

    # -- waiting -----------------------------------------------------------------------------

    async def until(self, done: Callable[[], bool], patience_s: float) -> bool:
        """Wait until something holds; False when the patience is over first.

        Raises:
            CannotPlayError: the broker went away meanwhile.
        """
        end = self.clock.now() + int(patience_s * SECOND)
        while not done():
            if self._failure and self._up:
                raise CannotPlayError(self._failure)
            left_s = self.clock.wait_s(end)
            if not left_s:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left_s)
            except TimeoutError:
                return done()
        return True

    async def quiet(self, seconds: float) -> None:
        """Let a while pass."""
        await self.until(lambda: False, seconds)

    def _changed_now(self) -> None:
        self._changed.set()

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._changed.set()
