"""Which features may run on this device: kill list first, then flags.

Decides what is in force and what each configured feature evaluates to. Leaves out what a feature
does. Flags are a flagd document, evaluated by OpenFeature's own evaluator (openfeature-flagd-core)
with the device's id as targeting key, so a percentage is sticky: a device that is in stays in while
the share grows.

Rules: nothing is believed before its signature; versions only go up; a killed feature is off whatever
a flag says; where a flag is missing, is not a boolean or cannot be evaluated, inference and golden
probes go on and any other feature is off (what must stop is killed, what is new waits to be flagged on). Kills and
flags survive a power cut, so a device that boots offline obeys what it last knew.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from devicesdk.agent.notes import NoteKind
from devicesdk.agent.policy import Policy, PolicyError, read_policy
from devicesdk.agent.shared import Shared
from devicesdk.agent.snapshot import State
from devicesdk.bundle.trust import ROLE_FLAGS
from devicesdk.wire import codec, limits
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.flagdoc import check_flags
from devicesdk.wire.messages import FlagSnapshot, KillList

BUCKETING: Final = "flagd-cbor-1"
_DOCUMENTS_MAX: Final = 16


@lru_cache(maxsize=_DOCUMENTS_MAX)
def evaluator(document: bytes) -> Any:
    """An evaluator for a flagd document, shared by all agents of a process: it is never changed.

    Raises:
        BadMessage: not a flagd document, or one that asks too much (devicesdk/wire/flagdoc.py).
    """
    check_flags(document)
    core = FlagdCore()
    try:
        core.set_flags(document.decode())
    # flagd-core lets whatever its parser meets escape: KeyError, AttributeError, re.error ...
    except Exception as error:
        raise BadMessage(f"expected a flagd document, found {document[:40]!r}: {error}") from error
    return core


@lru_cache(maxsize=_DOCUMENTS_MAX)
def named(document: bytes) -> frozenset[str]:
    """The flags in a document; none in one that is empty or that this version cannot read. Asking for
    one that is not there costs the evaluator an exception, for each feature of each device."""
    if not document:
        return frozenset()
    try:
        evaluator(document)
    except BadMessage:
        return frozenset()
    return frozenset(msgspec.json.decode(document)["flags"])


@lru_cache(maxsize=_DOCUMENTS_MAX)
def snapshot_of(raw: bytes) -> FlagSnapshot:
    """A flag snapshot, decoded once for all agents of a process: it is never changed.

    Raises:
        BadMessage: it is none.
    """
    return codec.decode(FlagSnapshot, raw, 2 * limits.FLAGS_BYTES_MAX)


@lru_cache(maxsize=_DOCUMENTS_MAX)
def kill_list_of(raw: bytes) -> KillList:
    """A kill list; as `snapshot_of`.

    Raises:
        BadMessage: it is none.
    """
    return codec.decode(KillList, raw, limits.KILL_BYTES_MAX)


def context_of(device: str, hardware_class: str, segment: str) -> EvaluationContext:
    """What flags know of a device: its id is the targeting key, so a percentage is sticky."""
    attributes = {"hardware_class": hardware_class, "segment": segment}
    return EvaluationContext(targeting_key=device, attributes=attributes)


class Flags:
    """The flags of one agent."""

    __slots__ = (
        "_context",
        "_document",
        "_names",
        "_shared",
        "_values",
        "flags_open",
        "kill_list_current",
        "kill_open",
        "kill_version",
        "killed",
        "policy",
        "rev",
    )

    def __init__(self, shared: Shared, state: State) -> None:
        self._shared = shared
        config, identity = shared.config, shared.identity
        features = (*config.features, config.inference_feature, config.probe_feature)
        self._names = tuple(dict.fromkeys(features))
        self._context = context_of(identity.device, identity.hardware_class, shared.config.segment)
        self.kill_version = state.kill_version
        self.kill_list_current = False
        """Whether the last list that came is the newest we know: an old one, replayed, opens no gate."""
        self.killed = state.killed
        self.rev = state.flags_rev
        self.kill_open, self.flags_open = state.kill_open, state.flags_open
        """Whether the next signed one counts whatever its version: a key of ours was revoked."""
        self._document = state.flags
        self._values: dict[str, bool] = {}
        self.policy: Policy | None = None
        """The run-time policy in force; None: there is none."""
        self._evaluate()

    @property
    def document(self) -> bytes:
        """The flagd document in force; empty before the first."""
        return self._document

    def enabled(self, feature: str) -> bool:
        """Whether the feature may run; one that is not configured may not."""
        return self._values.get(feature, False)

    def structure(self, name: str) -> Any:
        """What an object flag says to this device; None where it says nothing."""
        if name not in named(self._document):
            return None
        try:
            return (
                evaluator(self._document).resolve_object_value(name, {}, self._context).value
                or None
            )
        except (OpenFeatureError, ArithmeticError, LookupError, TypeError, ValueError):
            return None

    def take_kill_list(self, payload: bytes) -> bool:
        """Obey a kill list if it is newer; True when it is in force now.

        Raises:
            ProtocolError: not signed rightly, or not a kill list.
        """
        raw = self._shared.verifier.open(ROLE_FLAGS, payload, limits.KILL_BYTES_MAX)
        kill = kill_list_of(raw)
        self.kill_list_current = self.kill_open or kill.version >= self.kill_version
        if kill.version <= self.kill_version and not self.kill_open:
            if kill.version < self.kill_version:
                self._shared.note(NoteKind.KILL_OLD, kill.version, self.kill_version)
            return False
        self.kill_version, self.kill_open = kill.version, False
        self.killed = kill.features
        self._shared.note(NoteKind.KILL_OBEYED, kill.version, len(kill.features))
        self._evaluate()
        return True

    def keys_changed(self) -> None:
        """A key of ours was revoked: whatever versions its holder made up hold nothing down. What is in
        force stays until somebody who may says otherwise."""
        self.kill_open = self.flags_open = True
        self.kill_list_current = False
        self._shared.note(NoteKind.FLAGS_REVOKED)

    def take_snapshot(self, payload: bytes, proved_ms: int = 0) -> bool:
        """Put a flag snapshot into force if it is ours, newer and not expired; True when it is now.

        Args:
            payload: the envelope.
            proved_ms: UTC as far as it is proved (trust.py), ms.

        Raises:
            ProtocolError: not signed rightly, or not a flag snapshot.
        """
        raw = self._shared.verifier.open(ROLE_FLAGS, payload, 2 * limits.FLAGS_BYTES_MAX)
        flags = snapshot_of(raw)
        if flags.segment != self._shared.config.segment or flags.bucketing != BUCKETING:
            self._shared.note(NoteKind.FLAGS_NOT_OURS)
            return False
        if flags.rev <= self.rev and not self.flags_open:
            if flags.rev < self.rev:
                self._shared.note(NoteKind.FLAGS_OLD, flags.rev, self.rev)
            return False
        if 0 < flags.not_after_ms < proved_ms:
            self._shared.note(NoteKind.FLAGS_EXPIRED, flags.rev)
            return False
        evaluator(flags.document)
        self.rev, self.flags_open = flags.rev, False
        self._document = flags.document
        self._shared.note(NoteKind.FLAGS_TAKEN, flags.rev)
        self._evaluate()
        return True

    def _evaluate(self) -> None:
        before = self._values
        self.policy = self._read_policy()
        self._values = {name: self._value(name) for name in self._names}
        for place, (name, value) in enumerate(self._values.items()):
            if before.get(name, self._default(name)) is not value:
                kind = NoteKind.FEATURE_ON if value else NoteKind.FEATURE_OFF
                self._shared.note(kind, place)

    def on(self, feature: str) -> bool:
        """Whether a feature that nobody configured is flagged on and not killed; looked up anew."""
        return feature not in self.killed and self._value(feature)

    def _read_policy(self) -> Policy | None:
        """The policy in the document; None where there is none, or one that is not understood."""
        name = self._shared.config.policy_flag
        if name not in named(self._document):
            return None
        try:
            found = evaluator(self._document).resolve_object_value(name, {}, self._context).value
            return read_policy(msgspec.json.encode(found)) if found else None
        except OpenFeatureError:
            return None
        except (PolicyError, ArithmeticError, LookupError, TypeError, ValueError):
            self._shared.note(NoteKind.POLICY_BAD, 0, self.rev)
            return None

    def _default(self, name: str) -> bool:
        config = self._shared.config
        return name in (config.inference_feature, config.probe_feature)

    def _value(self, name: str) -> bool:
        default = self._default(name)
        if name in self.killed:
            return False
        if name not in named(self._document):
            return default
        try:
            found = evaluator(self._document).resolve_boolean_value(name, default, self._context)
        except (OpenFeatureError, ArithmeticError, LookupError, TypeError, ValueError):
            return default
        return found.value is True
