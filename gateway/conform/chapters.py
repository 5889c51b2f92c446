"""The first half of the play: the device arrives, is told kills and flags, and is lied to.

Decides what is said in which order and what follows if the device keeps the rules. Leaves out updates
(updates.py). That something was *ignored* is seen by asking for a report afterwards: what the broker
delivered before it has been looked at by then.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, Ed25519Signer
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.messages import Control, ControlVerb, Have, Signed
from gateway.conform.stage import CannotPlayError, Stage

SETTLE_S: Final = 0.6
FLAGS_PATIENCE_S: Final = 6.0
"""A device that takes flags may report them two seconds later; one that takes none is not waited for long."""
FORGER: Final = bytes(range(32))
"""Seed of a key that no device trusts."""


def _bent(envelope: bytes) -> bytes:
    """The envelope with one bit of its payload bent."""
    signed = codec.decode(Signed, envelope)
    payload = signed.payload[:-1] + bytes([signed.payload[-1] ^ 1])
    return codec.encode(Signed(payload=payload, key_id=signed.key_id, signature=signed.signature))


def forgeries(stage: Stage, role: str, seal: Callable[[Ed25519Signer], bytes]) -> dict[str, bytes]:
    """What `seal` makes, signed wrongly in three ways.

    Args:
        stage: whose keys.
        role: the role that should sign.
        seal: makes the envelope with a given signer.
    """
    own, other = stage.keys.director, stage.keys.flags
    if role == ROLE_FLAGS:
        own, other = other, own
    return {
        "signed by a key that nobody trusts": seal(Ed25519Signer(role, FORGER)),
        "signed by the key of another role": seal(other),
        "with one bit of the payload bent": _bent(seal(own)),
    }


async def trap(stage: Stage, patience_s: float) -> bool:
    """Lay a retained REPORT onto the device's `ctl`, if that is surely before it subscribes."""
    if not stage.relayed or stage.packets.connects:
        why = "needs --listen, and a device that is started after the harness"
        stage.ledger.skipped(why, "R4")
        return False
    stage.say(topics.CTL, codec.encode(Control(verb=ControlVerb.REPORT)), retain=True)
    laid = await stage.taken(patience_s)
    return laid and not stage.packets.connects


async def arrival(stage: Stage, patience_s: float, *, trapped: bool) -> None:
    """The device comes online, or is there.

    Raises:
        CannotPlayError: it does not.
    """
    watch, ledger = stage.watch, stage.ledger
    relayed = stage.relayed
    came = await stage.until(
        lambda: watch.online and bool(watch.haves) and (stage.packets.connects > 0 or not relayed),
        patience_s,
    )
    if relayed and stage.relay.unread:
        ledger.skipped("the device's stream is not plain MQTT 5", "S1", "S2", "S3", "S4", "S5")
        came = watch.online and bool(watch.haves)
    if not came:
        raise CannotPlayError(_absent(stage, patience_s))
    await stage.quiet(SETTLE_S)
    if trapped:
        _judge_trap(stage)
    if relayed:
        stage.say(topics.CTL, b"", retain=True)
    if not relayed:
        why = "run with --listen HOST:PORT and have the device connect there"
        ledger.skipped(why, "S1", "S2", "S3", "S4", "S6", "S7", "G16")
    await stage.report(patience_s)


def _absent(stage: Stage, patience_s: float) -> str:
    if stage.relayed and not stage.packets.connects:
        return (
            f"expected {stage.device} to connect to the address of --listen within {patience_s:g} s, "
            f"found no connection there"
        )
    said = "no `link` with online true" if not stage.watch.online else "no `have`"
    return (
        f"expected {stage.device} online within {patience_s:g} s, found {said} under "
        f"{stage.names.root}/d/{stage.device}: is it running, with this id, root and broker?"
    )


def _judge_trap(stage: Stage) -> None:
    """Whether a report was said twice without a change: a retained REPORT was obeyed."""
    haves = [heard.have for heard in stage.watch.haves]
    again = any(_same(a, b) for a, b in pairwise(haves))
    story = "on connect `have` was published twice with the same contents, as REPORT asks"
    stage.ledger.settle("R4", story, ok=not again)


def _same(a: Have, b: Have) -> bool:
    return a.boot_id == b.boot_id and codec.encode(_plain(a)) == codec.encode(_plain(b))


def _plain(have: Have) -> Have:
    return Have(
        boot_id=0,
        seq=0,
        generation=have.generation,
        running=have.running,
        state=have.state,
        reason=have.reason,
        flags_rev=have.flags_rev,
        kill_version=have.kill_version,
    )


async def kill(stage: Stage, feature: str, patience_s: float) -> None:
    """Put a feature on the kill list; waits until the device says so."""
    await _kill_list(stage, (feature,), patience_s)


async def revive(stage: Stage, patience_s: float) -> None:
    """Take everything off the kill list."""
    await _kill_list(stage, (), patience_s)


async def _kill_list(stage: Stage, features: tuple[str, ...], patience_s: float) -> None:
    await kill_is_reported(stage, say_kill_list(stage, *features), patience_s)


def say_kill_list(stage: Stage, *features: str) -> tuple[int, bytes]:
    """Publish a newer kill list, and wait for nothing; gives its version and what was published."""
    version = kills_of(stage) + 1
    envelope = stage.keys.flags.seal(stage.kill_list(version, *features))
    stage.say(topics.KILL, envelope, retain=True)
    return version, envelope


async def kill_is_reported(stage: Stage, said: tuple[int, bytes], patience_s: float) -> None:
    """Wait until the device says that it obeys what was said."""
    version, envelope = said
    obeyed = await stage.until(lambda: kills_of(stage) >= version, patience_s)
    story = f"version {version} was published and version {kills_of(stage)} is reported"
    stage.ledger.settle("K1", story, envelope, ok=obeyed)


def kills_of(stage: Stage) -> int:
    """The version of the kill list that the device reports."""
    return 0 if stage.watch.have is None else stage.watch.have.kill_version


def _rev(stage: Stage) -> int:
    return 0 if stage.watch.have is None else stage.watch.have.flags_rev


async def kills(stage: Stage, feature: str, patience_s: float) -> None:
    """A kill list that is obeyed, and those that must not be."""
    await kill(stage, feature, patience_s)
    version = kills_of(stage)
    old = stage.keys.flags.seal(stage.kill_list(version - 1))
    stage.say(topics.KILL, old)
    if await stage.report(patience_s):
        story = f"version {version - 1} came after {version} and {kills_of(stage)} is reported"
        stage.ledger.settle("K2", story, old, ok=kills_of(stage) == version)
    newer = stage.kill_list(version + 5)
    for how, envelope in forgeries(stage, ROLE_FLAGS, lambda key: key.seal(newer)).items():
        stage.say(topics.KILL, envelope)
        if await stage.report(patience_s):
            story = f"a kill list {how} was taken in"
            stage.ledger.settle("K3", story, envelope, ok=kills_of(stage) == version)
    await revive(stage, patience_s)


async def flags(stage: Stage, patience_s: float) -> None:
    """A flag snapshot that is taken, and those that must not be."""
    rev = _rev(stage) + 1
    envelope = stage.keys.flags.seal(stage.flag_snapshot(rev))
    stage.say(topics.FLAGS, envelope, retain=True)
    taken = await stage.until(lambda: _rev(stage) >= rev, min(patience_s, FLAGS_PATIENCE_S))
    story = f"revision {rev} was published and revision {_rev(stage)} is reported"
    stage.ledger.settle("F1", story, envelope, ok=taken)
    if not taken:
        stage.ledger.skipped("the device takes no flags", "F2")
        return
    bad = {"with an older revision": stage.keys.flags.seal(stage.flag_snapshot(rev - 1))}
    newer = stage.flag_snapshot(rev + 5)
    bad |= forgeries(stage, ROLE_FLAGS, lambda key: key.seal(newer))
    for how, payload in bad.items():
        stage.say(topics.FLAGS, payload)
        if await stage.report(patience_s):
            story = f"a flag snapshot {how} was taken in"
            stage.ledger.settle("F2", story, payload, ok=_rev(stage) == rev)


async def lies(stage: Stage, patience_s: float) -> None:
    """Wants that must be ignored, and garbage."""
    fields = {"deployment": "conform-lie", "manifest": bytes(32), "manifest_bytes": 500}
    known, ahead = stage.watch.generation, stage.watch.generation + 3

    def seal(key: Ed25519Signer) -> bytes:
        return stage.want(key, generation=ahead, **fields)

    cases = [("W3", how, data) for how, data in forgeries(stage, ROLE_DIRECTOR, seal).items()]
    stranger = stage.want(generation=ahead, **{**fields, "device": "somebody-else"})
    cases.append(("W4", "for another device", stranger))
    large = stage.keys.director.seal(bytes(limits.WANT_BYTES_MAX + 1_024))
    cases.append(("X2", "of 5 KiB", large))
    for rule, how, envelope in cases:
        stage.say(topics.WANT, envelope)
        if await stage.report(patience_s):
            ok = stage.watch.generation == known
            stage.ledger.settle(rule, f"a want {how} was taken in", envelope, ok=ok)


async def garbage(stage: Stage, patience_s: float) -> None:
    """Bytes that mean nothing, on each topic that the device hears."""
    own = () if stage.repository is None else (topics.TIMESTAMP,)
    for kind in (topics.KILL, topics.FLAGS, topics.WANT, topics.CTL, topics.DAT, *own):
        for payload in (b"\x00", b"\xff" * 40, b"\x83\xa1p\xc4\x7fcut", b"{" * 200):
            stage.say(kind, payload, qos=0 if kind == topics.DAT else 1)
        alive = await stage.report(patience_s)
        story = f"after garbage on {kind} the device says nothing more"
        stage.ledger.settle("X1", story, b"\xff" * 40, ok=alive)
        if not alive:
            return


async def retained(stage: Stage) -> None:
    """Subscribe again, so that the broker shows what it keeps of `have` and `link`."""
    if stage.relayed and not stage.relay.unread:
        return
    stage.listen_again()
    await stage.quiet(SETTLE_S)
