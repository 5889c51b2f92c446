"""What names a message: the numbers by which its receiver could tell it from every other.

Decides which fields of a payload are its identity. Leaves out everything else of it; payloads are read
by decoders of this module's own, with the fewest fields, because a soak reads each of them twice.

========  ======================  ==========================
kind      identity                rises
========  ======================  ==========================
tel, ev   boot, seq               with each message
have      boot, seq               with each message
link      boot, session, 0 or 1   1 for offline (last will)
get       transfer, seq           with each question
dat       transfer, seq, chunk    with each frame
want      generation              with each want
kill      version                 with each kill list
flags     revision                with each snapshot
ask       number                  with each question
timestamp root, timestamp         with each new state of the roles
ctl       transfer, seq, verb     no: a verb may be repeated
========  ======================  ==========================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import ControlVerb
from devicesim.live.soak.books import Ident


class _Numbered(msgspec.Struct, frozen=True, gc=False):
    boot: int = msgspec.field(name="b")
    seq: int = msgspec.field(name="q")


class _Link(msgspec.Struct, frozen=True, gc=False):
    boot: int = msgspec.field(name="b")
    session: int = msgspec.field(name="q")
    online: bool = msgspec.field(name="on")


class _Get(msgspec.Struct, frozen=True, gc=False):
    transfer: int = msgspec.field(name="x")
    seq: int = msgspec.field(name="q")


class _Ctl(msgspec.Struct, frozen=True, gc=False):
    verb: str = msgspec.field(name="c")
    transfer: int = msgspec.field(name="x", default=0)
    seq: int = msgspec.field(name="q", default=0)


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    payload: bytes = msgspec.field(name="p")


class _Want(msgspec.Struct, frozen=True, gc=False):
    generation: int = msgspec.field(name="g")


class _Kill(msgspec.Struct, frozen=True, gc=False):
    version: int = msgspec.field(name="v")


class _Flags(msgspec.Struct, frozen=True, gc=False):
    rev: int = msgspec.field(name="r")


class _Ask(msgspec.Struct, frozen=True, gc=False):
    number: int = msgspec.field(name="k")


class _Head(msgspec.Struct, frozen=True, gc=False):
    timestamp: bytes = msgspec.field(name="t")
    root: int = msgspec.field(name="r")


class _Signed(msgspec.Struct, frozen=True, gc=False):
    version: int


class _Role(msgspec.Struct, frozen=True, gc=False):
    signed: _Signed


_NUMBERED: Final = msgspec.msgpack.Decoder(_Numbered)
_LINK: Final = msgspec.msgpack.Decoder(_Link)
_GET: Final = msgspec.msgpack.Decoder(_Get)
_CTL: Final = msgspec.msgpack.Decoder(_Ctl)
_ENVELOPE: Final = msgspec.msgpack.Decoder(_Envelope)
_WANT: Final = msgspec.msgpack.Decoder(_Want)
_KILL: Final = msgspec.msgpack.Decoder(_Kill)
_FLAGS: Final = msgspec.msgpack.Decoder(_Flags)
_ASK: Final = msgspec.msgpack.Decoder(_Ask)
_HEAD: Final = msgspec.msgpack.Decoder(_Head)
_ROLE: Final = msgspec.json.Decoder(_Role)
_VERBS: Final = {verb.value: number for number, verb in enumerate(ControlVerb)}


def _numbered(payload: bytes) -> Ident:
    message = _NUMBERED.decode(payload)
    return message.boot, message.seq


def _link(payload: bytes) -> Ident:
    link = _LINK.decode(payload)
    return link.boot, link.session, int(not link.online)


def _get(payload: bytes) -> Ident:
    get = _GET.decode(payload)
    return get.transfer, get.seq


def _dat(payload: bytes) -> Ident:
    frame, _ = codec.decode_frame(payload)
    return frame.transfer, frame.seq, frame.chunk


def _ctl(payload: bytes) -> Ident:
    control = _CTL.decode(payload)
    return control.transfer, control.seq, _VERBS.get(control.verb, len(_VERBS))


def _want(payload: bytes) -> Ident:
    return (_WANT.decode(_ENVELOPE.decode(payload).payload).generation,)


def _kill(payload: bytes) -> Ident:
    return (_KILL.decode(_ENVELOPE.decode(payload).payload).version,)


def _flags(payload: bytes) -> Ident:
    return (_FLAGS.decode(_ENVELOPE.decode(payload).payload).rev,)


def _ask(payload: bytes) -> Ident:
    return (_ASK.decode(payload).number,)


def _timestamp(payload: bytes) -> Ident:
    head = _HEAD.decode(payload)
    return head.root, _ROLE.decode(head.timestamp).signed.version


_READ: Final[dict[str, Callable[[bytes], Ident]]] = {
    topics.TEL: _numbered,
    topics.EV: _numbered,
    topics.HAVE: _numbered,
    topics.LINK: _link,
    topics.GET: _get,
    topics.DAT: _dat,
    topics.CTL: _ctl,
    topics.WANT: _want,
    topics.KILL: _kill,
    topics.FLAGS: _flags,
    topics.ASK: _ask,
    topics.TIMESTAMP: _timestamp,
}


def identity(kind: str, payload: bytes) -> Ident:
    """The identity of a message.

    Raises:
        KeyError: no such kind.
        msgspec.DecodeError, ProtocolError: the payload is not of that kind.
    """
    return _READ[kind](payload)
