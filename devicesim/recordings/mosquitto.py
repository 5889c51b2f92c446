"""The log of a mosquitto: who came and who went, line by line.

Decides what each wording means, from 1.4 to 2.1, and where the time of a line stands: mosquitto's own
stamp (epoch, or any ``log_timestamp_format``), else the one that a journal, a syslog, Docker or Kubernetes
put before it. Leaves out files (reading.py) and what events add up to (intervals.py).

Sources, github.com/eclipse/mosquitto: ``src/handle_connect.c`` (connected, already connected),
``src/loop.c`` (do_disconnect: every way to go), ``src/logging.c`` (stamps), ``src/mosquitto.c`` (running,
terminating). Version 2.1 adds the address after the client's name and says *session taken over*.

Rules: a line that speaks of a client and is not understood is told by its place; other lines are
counted. The broker's own stamp wins over those before it: a journal is written later. A stamp in whole
seconds means the middle of its second.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from devicesdk.wire.timebase import SECOND
from devicesim.recordings import instants
from devicesim.recordings.intervals import Builder

UP, DOWN, TAKEN, STARTED, ENDED = range(5)
COMPLAINTS_KEPT_MAX: Final = 5
_HEAD_CHARS: Final = 160
"""How far into a line a stamp is looked for when the line is not about a client."""

_ANCHOR: Final = re.compile(
    r"(?:^|[\s\]>|:])((?:New (?:client|bridge) connected from |Client |Socket error on client "
    r"|Bad socket read/write on client |mosquitto version ).*)",
    re.DOTALL,
)
_STARTS: Final = (
    "New client connected from ", "New bridge connected from ", "Client ", "Socket error on client ",
    "Bad socket read/write on client ", "mosquitto version ",
)  # fmt: skip
_UP: Final = re.compile(
    r"New (?:client|bridge) connected from \S+ as (.+?) \((?:p\d+, )?c\d, k\d+(?:, u'.*')?\)\.?"
)
_GONE: Final = (
    r"disconnected\.?|disconnected: .*|disconnected, .*|disconnected due to .*|closed its connection\.?"
    r"|has exceeded timeout, disconnecting\.?|been disconnected by administrative action\.?"
)
_DOWN: Final = re.compile(rf"Client (.+?)(?: \([^()]*\)| \[[^\[\]]*\])? ({_GONE})", re.DOTALL)
_TAKEN: Final = re.compile(
    r"Client (.+?)(?: \([^()]*\)| \[[^\[\]]*\])? already connected, closing old connection\.?"
)
_SOCKET: Final = re.compile(
    r"(?:Socket error on client|Bad socket read/write on client) (.+?)"
    r"(?: \([^()]*\))?(?:, disconnecting\.?|: .*)"
)
_BROKER: Final = re.compile(r"mosquitto version \S+(?: \(.*\))? (starting|running|terminating)\b.*")
_ABOUT_A_CLIENT: Final = re.compile(
    r"New (?:client|bridge) connected from |Client .*(?:disconnect|closed its|has exceeded)"
)
_OWN_EPOCH: Final = re.compile(
    r"(?:^|[\s|\"])(\d{9,10}|\d{13})(?:\.(\d{1,9}))?: ?(?=$|\S)", re.ASCII
)
_OUTER_EPOCH: Final = re.compile(r"^\s*(\d{10})(?:\.(\d{1,9}))?\s", re.ASCII)
HALF_NS: Final = SECOND // 2
HALF_A_YEAR_NS: Final = 183 * 86_400 * SECOND
UNKNOWN: Final = "<unknown>"
"""A connection that never said its name."""


class Spelling(msgspec.Struct, frozen=True):
    """What a log does not say itself."""

    utc_offset_ns: int = 0
    """Local time minus UTC, for stamps without a zone."""
    year: int = 1970
    """For stamps without a year."""
    time_format: str = ""
    """Another ``log_timestamp_format``, as `strftime` has it."""


class Event(NamedTuple):
    """What a line says."""

    kind: int
    client: str


class Complaint(NamedTuple):
    """A line that was not understood, where it stands, and why, where that is known."""

    file: str
    line: int
    text: str
    why: str = ""


def read_message(text: str) -> Event | None:
    """What mosquitto says in one message, without its stamp; None: not about presence, or not clear."""
    if text.startswith("New "):
        found = _UP.fullmatch(text)
        return Event(UP, found[1]) if found else None
    if text.startswith("Client "):
        found = _TAKEN.fullmatch(text)
        if found:
            return Event(TAKEN, found[1])
        found = _DOWN.fullmatch(text)
        if found:
            kind = TAKEN if "session taken over" in found[2] else DOWN
            return Event(kind, found[1])
        return None
    if text.startswith("mosquitto "):
        found = _BROKER.fullmatch(text)
        return Event(ENDED if found[1] == "terminating" else STARTED, "") if found else None
    found = _SOCKET.fullmatch(text)
    return Event(DOWN, found[1]) if found else None


def parted(text: str) -> tuple[str, str]:
    """What stands before a message about presence, and the message; no message: the head, and nothing."""
    found = _ANCHOR.search(text)
    return (text[: found.start(1)], found[1]) if found else (text[:_HEAD_CHARS], "")


class Log:
    """Reads lines into a `Builder` and counts what it made of them.

    Args:
        builder: takes the events.
        spelling: what the log does not say.
    """

    def __init__(self, builder: Builder, spelling: Spelling) -> None:
        self._builder, self._spelling = builder, spelling
        self.lines = self.about = self.other = self.unclear = 0
        self.complaints: list[Complaint] = []
        self._year = spelling.year
        self._stamp, self._at = "", -1

    def line(self, text: str, file: str, number: int) -> None:
        """Take one line."""
        self.lines += 1
        text = text.rstrip("\r\n\0 ")
        if text.startswith("{"):
            text = _from_json(text)
        # what mosquitto writes by default needs no search
        if (
            text[10:12] == ": "
            and text[:10].isdigit()
            and text.isascii()
            and not self._spelling.time_format
        ):
            head, message = text[:12], text[12:] if text.startswith(_STARTS, 12) else ""
        else:
            head, message = parted(text)
        at = self.instant(head)
        event = read_message(message) if message else None
        if event is None:
            self._no_event(text, message, at, file, number)
        elif at is None:
            self._complain(text, file, number)
        else:
            self.about += 1
            self._take(event, at)

    def _no_event(self, text: str, message: str, at: int | None, file: str, number: int) -> None:
        if not text:
            self.lines -= 1
        elif at is None or (message and _ABOUT_A_CLIENT.match(message)):
            self._complain(text, file, number)
        else:
            self.other += 1
            self._builder.moment(at)

    def _complain(self, text: str, file: str, number: int) -> None:
        self.unclear += 1
        if len(self.complaints) < COMPLAINTS_KEPT_MAX:
            self.complaints.append(Complaint(file, number, text[:_HEAD_CHARS]))

    def _take(self, event: Event, at: int) -> None:
        builder = self._builder
        crashed_at = builder.last
        at = builder.moment(at)
        if event.kind == STARTED:
            builder.broker_starts += 1
            if crashed_at >= 0:
                builder.all_down(crashed_at)
        elif event.kind == ENDED:
            builder.all_down(at)
        elif event.client != UNKNOWN:
            if event.kind == UP:
                builder.up(event.client, at)
            elif event.kind == DOWN:
                builder.down(event.client, at)

    def instant(self, head: str) -> int | None:
        """The time in what stands before a message, ns since the epoch; None when there is none."""
        if head == self._stamp:
            return self._at if self._at >= 0 else None
        at = self._find(head)
        self._stamp, self._at = head, -1 if at is None else at
        return at

    def _find(self, head: str) -> int | None:
        said = self._spelling
        if said.time_format:
            at = _by_format(head, said)
            if at is not None:
                return at if "%f" in said.time_format else at + HALF_NS
        own = _last(_OWN_EPOCH, head)
        if own:
            exact = own[2] is not None or len(own[1]) > 10
            return _middle(instants.epoch_ns(own[1], own[2]), exact=exact)
        iso = _last(instants.ISO, head)
        if iso:
            return _middle(instants.iso_ns(iso, said.utc_offset_ns), exact=iso[7] is not None)
        outer = _OUTER_EPOCH.match(head)
        if outer:
            return _middle(instants.epoch_ns(outer[1], outer[2]), exact=outer[2] is not None)
        syslog = instants.SYSLOG.search(head)
        return _middle(self._syslog(syslog), exact=syslog[6] is not None) if syslog else None

    def _syslog(self, found: re.Match[str]) -> int | None:
        """A syslog does not say its year: one that falls by months has seen New Year."""
        at = instants.syslog_ns(found, self._year, self._spelling.utc_offset_ns)
        if at is not None and at < self._builder.last - HALF_A_YEAR_NS:
            self._year += 1
            at = instants.syslog_ns(found, self._year, self._spelling.utc_offset_ns)
        return at


def _middle(at: int | None, *, exact: bool) -> int | None:
    return at if at is None or exact else at + HALF_NS


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for each in pattern.finditer(text):
        found = each
    return found


def _by_format(head: str, said: Spelling) -> int | None:
    """Try a named format on the last words before the message, as many as the format has."""
    words = head.rstrip(": ").split()
    count = len(said.time_format.split())
    for text in (" ".join(words[-count:]), " ".join(words[:count]).rstrip(":")):
        at = instants.format_ns(text, said.time_format, said.utc_offset_ns)
        if at is not None:
            return at
    return None


class _DockerLine(msgspec.Struct):
    log: str
    time: str = ""


def _from_json(text: str) -> str:
    """A line of Docker's json-file driver, as plain text; whatever else begins with a brace stays."""
    try:
        line = msgspec.json.decode(text, type=_DockerLine)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text
    return f"{line.time} {line.log}".rstrip()
