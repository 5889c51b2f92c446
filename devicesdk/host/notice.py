"""What programs on a device may know of its flags: one small file, replaced whole.

Decides what a *notice* says, when it is posted, and how its age is told: the file's time stamp is the
last moment at which the device was in contact with the gateway. Leaves out evaluating flags
(provider.py) and the durable truth, which is the agent's saved state: a notice is made anew at each boot
and may be on a RAM disk, where it costs no flash.

Rules: signatures were checked by the agent before anything came here, so whoever can write this file can
lie to the programs that read it, and to nobody else; a reader finds an old notice or a new one, never a
half (it is written beside and renamed); a notice that cannot be read is no notice.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Final, Protocol

import msgspec

from devicesdk.agent.agent import Agent, Identity
from devicesdk.aio.clock import Clock, RealClock
from devicesdk.wire.timebase import MS, SECOND

NOTICE_FILE: Final = "flags.notice"
"""Its name where it is in the device's own folder."""
NOTICE_BYTES_MAX: Final = 256 * 1024
STAMP_PERIOD_NS: Final = 15 * SECOND
"""How often the time stamp is renewed while the device is online."""
_PUBLIC: Final = 0o644
_log = logging.getLogger("fleetdrill.device")


class Notice(msgspec.Struct, frozen=True):
    """The flags in force on a device, and who it is."""

    device: str
    hardware_class: str
    segment: str
    flags_rev: int = 0
    document: bytes = b""
    """The flagd document (JSON); empty before the first."""
    kill_version: int = 0
    killed: tuple[str, ...] = ()
    debug_until_ms: int = 0
    """Debug mode is on until then (wall clock), for a program that lights a lamp; 0: it is off."""
    debug_by: str = ""
    debug_why: str = ""


class Sight(msgspec.Struct, frozen=True):
    """A notice, and how long ago the device was in contact with its gateway."""

    notice: Notice
    age_s: float


class Source(Protocol):
    """Where a provider looks."""

    def look(self) -> Sight | None:
        """What is in force now; None: nobody has said yet. Cheap, and from any thread."""
        ...


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Notice)


class Board:
    """Where the host of a device posts notices; a `Source` for programs in the same process.

    Args:
        path: the file.
        identity: who the device is.
        segment: its segment of flags.
        clock: tells the age of the last contact.
    """

    __slots__ = (
        "_clock",
        "_contact_ms",
        "_identity",
        "_key",
        "_segment",
        "_stamped_at",
        "notice",
        "path",
    )

    def __init__(self, path: Path, identity: Identity, segment: str, clock: Clock) -> None:
        self.path = path
        self.notice: Notice | None = None
        self._identity, self._segment, self._clock = identity, segment, clock
        self._key: tuple[int, int, int] | None = None
        self._stamped_at: int | None = None
        self._contact_ms = 0
        """Wall clock; 0: no contact is known of."""
        with contextlib.suppress(OSError):
            self._contact_ms = path.stat().st_mtime_ns // MS

    def look(self) -> Sight | None:
        """`Source`."""
        notice = self.notice
        if notice is None:
            return None
        return Sight(notice, _age_s(self._clock.wall_ms(), self._contact_ms))

    def follow(self, agent: Agent) -> None:
        """Something happened on the device: post what changed; at most a stamp when nothing did."""
        flags, now = agent.flags, self._clock.now()
        mode = agent.debug_mode
        key = (flags.rev, flags.kill_version, 0 if mode is None else mode.number)
        last = self._stamped_at
        stamp = agent.online and (last is None or now - last >= STAMP_PERIOD_NS)
        if key == self._key and not stamp:
            return
        if stamp:
            self._contact_ms, self._stamped_at = self._clock.wall_ms(), now
        try:
            if key != self._key:
                self._post(agent)
                self._key = key
            os.utime(self.path, ns=(self._contact_ms * MS, self._contact_ms * MS))
        except OSError as error:
            _log.warning("notice=%s unwritten=%s", self.path, error.strerror or error)

    def offline(self) -> None:
        """The connection is gone: the next contact is stamped at once."""
        self._stamped_at = None

    def _post(self, agent: Agent) -> None:
        identity, flags, mode = self._identity, agent.flags, agent.debug_mode
        self.notice = notice = Notice(
            identity.device,
            identity.hardware_class,
            self._segment,
            flags.rev,
            flags.document,
            flags.kill_version,
            flags.killed,
            *((mode.until_ms, mode.by, mode.why) if mode is not None else ()),
        )
        beside = self.path.with_name(self.path.name + ".new")
        beside.write_bytes(_ENCODER.encode(notice))
        beside.chmod(_PUBLIC)
        stamp_ns = self._contact_ms * MS
        os.utime(beside, ns=(stamp_ns, stamp_ns))
        beside.replace(self.path)


class NoticeFile:
    """The notice of a device that another process runs; a `Source`.

    Args:
        path: the file, or the folder of the device.
        clock: tells the age of the last contact; the machine's by default.
    """

    __slots__ = ("_clock", "_path", "_seen")

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path / NOTICE_FILE if path.is_dir() else path
        self._clock = clock or RealClock()
        self._seen: tuple[tuple[int, int, int], Notice | None] | None = None

    def look(self) -> Sight | None:
        """`Source`: one `stat`; the file is read again only when another one is there."""
        try:
            known = self._path.stat()
            key = (known.st_ino, known.st_ctime_ns, known.st_size)
            seen = self._seen
            if seen is None or seen[0] != key:
                self._seen = seen = (key, self._read())
        except OSError:
            return None
        notice = seen[1]
        if notice is None:
            return None
        return Sight(notice, _age_s(self._clock.wall_ms(), known.st_mtime_ns // MS))

    def _read(self) -> Notice | None:
        with self._path.open("rb") as stream:
            data = stream.read(NOTICE_BYTES_MAX + 1)
        if len(data) > NOTICE_BYTES_MAX:
            return None
        try:
            return _DECODER.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None


def _age_s(wall_ms: int, contact_ms: int) -> float:
    """Seconds since the last contact; a clock that was set back makes nothing younger than new."""
    return max(0, wall_ms - contact_ms) / 1000.0
