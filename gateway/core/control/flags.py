"""Feature flags of each segment and the kill list: assembled, numbered, signed, published.

Decides documents and revisions. Leaves out what a flag's rules mean (the device evaluates them) and
who may set one.

Rules: a revision is used for one content only and only grows, and setting what is set already makes
none; a definition that a device could not read is refused here; the snapshot of a segment and the
kill list are retained state, so the newest replaces all others; snapshots do not expire (`not_after`
0): a device judges their age by its own contact with the gateway.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from devicesdk.bundle.trust import Signer
from devicesdk.wire import codec, topics
from devicesdk.wire import limits as wire_limits
from devicesdk.wire.errors import BadMessage, BadTopic
from devicesdk.wire.flagdoc import check_definition
from devicesdk.wire.messages import FlagSnapshot, KillList
from gateway.core import names, notes, rows
from gateway.core.control.outbox import Batch, Outbox
from gateway.core.control.twins import Twin
from gateway.core.effects import Note, Persist
from gateway.core.limits import ControlLimits
from gateway.core.rows import KillRow, SegmentRow
from gateway.core.stimuli import Kill, SetFlag

KILL_KEY: Final = "list"
RESTORED_FROM: Final = 10**12
"""A kill list's version from here on was raised by a restore (gateway/core/recovery.py): changes are not counted that far."""
_STATES: Final = ("ENABLED", "DISABLED")
_ENVELOPE_BYTES: Final = 128
"""Key, signature and their wrapping around a signed payload, rounded up."""


class Flags:
    """All segments, and the kill list.

    Args:
        limits: bounds.
        signer: signs snapshots and the kill list.
    """

    __slots__ = ("_limits", "_outbox", "_signer", "_topics", "kills", "segments")

    def __init__(self, limits: ControlLimits, outbox: Outbox, signer: Signer) -> None:
        self._limits = limits
        self._outbox = outbox
        self._signer = signer
        self._topics = topics.Topics(limits.root)
        self.segments: dict[str, SegmentRow] = {}
        self.kills = KillRow(0, ())

    def set(self, stimulus: SetFlag, out: Batch) -> None:
        """Set one flag of one segment and publish the segment's snapshot."""
        name, where = stimulus.flag, f"{stimulus.flag} in {stimulus.segment}"
        canonical, refusal = _read_definition(stimulus.definition)
        refusal = refusal or self._refusal(stimulus)
        if refusal:
            out.append(Note(notes.FLAG_REFUSED, f"{where}: {refusal}"))
            return
        old = self.segments.get(stimulus.segment, SegmentRow(self._floor, ()))
        flags = dict(old.flags)
        if flags.get(name) == canonical:
            return
        flags[name] = canonical
        row = SegmentRow(old.rev + 1, tuple(sorted(flags.items())))
        document = _document(row)
        if len(document) > wire_limits.FLAGS_BYTES_MAX:
            refusal = f"the segment's document would have {len(document)} bytes"
            out.append(Note(notes.FLAG_REFUSED, f"{where}: {refusal}"))
            return
        self.segments[stimulus.segment] = row
        out.append(Persist(rows.SEGMENT, stimulus.segment, row))
        self._publish_segment(stimulus.segment, row, out)
        out.append(Note(notes.FLAG_SET, where, row.rev))

    def kill(self, stimulus: Kill, out: Batch) -> None:
        """Put a feature on the kill list or take it off, and publish the list."""
        feature, old = stimulus.feature, self.kills
        if (feature in old.features) is not stimulus.alive:
            return
        if not stimulus.alive and (why := names.refusal(feature)):
            out.append(Note(notes.KILL_REFUSED, why))
            return
        kept = {name for name in old.features if name != feature}
        features = kept if stimulus.alive else {*kept, feature}
        row = KillRow(old.version + 1, tuple(sorted(features)))
        payload = codec.encode(KillList(version=row.version, features=row.features))
        too_long = not 0 < len(feature) <= wire_limits.TEXT_CHARS_MAX
        if too_long or len(payload) > wire_limits.KILL_BYTES_MAX - _ENVELOPE_BYTES:
            out.append(Note(notes.KILL_REFUSED, f"{feature[:40]}: the list would be too large"))
            return
        self.kills = row
        out.append(Persist(rows.KILL, KILL_KEY, row))
        self._publish_kills(out)
        out.append(Note(notes.KILL_SET, ", ".join(row.features), row.version, len(row.features)))

    def republish(self, out: Batch) -> None:
        """Publish everything again, the kill list first: the broker may have lost what it retained."""
        if self.kills.version:
            self._publish_kills(out)
        for segment, row in sorted(self.segments.items()):
            self._publish_segment(segment, row, out)

    def unconfirmed(self, twins: Iterable[Twin]) -> list[str]:
        """Who is online and speaks of an older kill list, or of flags that no segment has now.

        A report does not name its segment, so one without flags may be right or too old: it is not asked for.
        """
        kills, revs = self.kills.version, {0, *(row.rev for row in self.segments.values())}
        return [
            twin.name
            for twin in twins
            if twin.presence.online
            and (twin.reported.kill_version < kills or twin.reported.flags_rev not in revs)
        ]

    def validate(self) -> None:
        """Check that what is published could be read.

        Raises:
            AssertionError: it could not.
        """
        assert list(self.kills.features) == sorted(set(self.kills.features)), "kill list unsorted"
        assert bool(self.kills.version) >= bool(self.kills.features), "kills without a version"
        for segment, row in self.segments.items():
            assert row.rev > 0, f"segment {segment} has no revision"
            assert row.flags, f"segment {segment} has no flag"

    @property
    def _floor(self) -> int:
        """What a new segment counts from: after a restore, devices may have seen one of that name."""
        return self.kills.version if self.kills.version >= RESTORED_FROM else 0

    def _refusal(self, stimulus: SetFlag) -> str:
        try:
            topics.check_device_id(stimulus.segment)
        except BadTopic:
            return "expected a segment name of letters, digits and . _ : -"
        old = self.segments.get(stimulus.segment)
        if old is None and len(self.segments) >= self._limits.segments_max:
            return f"there are {self._limits.segments_max} segments already; raise segments_max"
        if not 0 < len(stimulus.flag) <= wire_limits.TEXT_CHARS_MAX:
            return "expected a flag name of 1 to 128 characters"
        if old is not None and len(old.flags) >= self._limits.flags_per_segment_max:
            return f"the segment has {len(old.flags)} flags already; raise flags_per_segment_max"
        known = old is not None and any(name == stimulus.flag for name, _ in old.flags)
        return "" if known else names.refusal(stimulus.flag)

    def _publish_segment(self, segment: str, row: SegmentRow, out: Batch) -> None:
        snapshot = FlagSnapshot(rev=row.rev, segment=segment, document=_document(row))
        payload = self._signer.seal(codec.encode(snapshot))
        self._outbox.put(self._topics.flags(segment), topics.FLAGS, payload, out)

    def _publish_kills(self, out: Batch) -> None:
        row = self.kills
        killed = KillList(version=row.version, features=row.features)
        payload = self._signer.seal(codec.encode(killed))
        self._outbox.put(self._topics.kill, topics.KILL, payload, out)


def _document(row: SegmentRow) -> bytes:
    """The flagd document of a segment."""
    flags = {name: msgspec.Raw(definition.encode()) for name, definition in row.flags}
    return msgspec.json.encode({"flags": flags})


def _read_definition(text: str) -> tuple[str, str]:
    """Canonical JSON of a flagd flag definition, and why it is refused (empty when it is not)."""
    try:
        definition: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return "", f"expected JSON, found {text[:40]!r}: {error}"
    try:
        check_definition(definition)
    except BadMessage as error:
        return "", str(error)
    if not isinstance(definition, dict):
        return "", "expected a JSON object"
    variants = definition.get("variants")
    if definition.get("state") not in _STATES:
        return "", f"expected state {' or '.join(_STATES)}, found {definition.get('state')!r}"
    if not isinstance(variants, dict) or not variants:
        return "", "expected at least one variant"
    default = definition.get("defaultVariant")
    if default is not None and default not in variants:
        return "", f"expected defaultVariant among {sorted(variants)}, found {default!r}"
    return msgspec.json.encode(definition, order="sorted").decode(), ""
