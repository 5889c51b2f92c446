"""An OpenFeature provider over the flags that are in force on this device.

Decides how OpenFeature's questions are answered: which value, variant, reason and error code, and which
events are told. Leaves out where flags come from: a `Board` (the device runs in this process) or a
`NoticeFile` (another process runs it), see notice.py.

    api.set_provider(FleetdrillProvider(NoticeFile(Path("/var/lib/fleetdrill"))))
    if api.get_client().get_boolean_value("new-dial", False): ...

Rules: the kill list wins over everything, so a killed boolean is False whatever default the program
gives, and any other killed flag is the program's default (reason DISABLED); a device that was out of contact
for longer than `max_age_s` goes on with what it knows and says so (reason STALE), except that flags whose
metadata says ``"failSafe": true`` are then off like killed ones; percentages fall as they fall for the
agent itself, because document, evaluator and targeting key are the same; a program's own evaluation
context may add attributes, and a targeting key of its own where the device is not the unit.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import (
    FlagNotFoundError,
    GeneralError,
    OpenFeatureError,
    ParseError,
    ProviderNotReadyError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from devicesdk.agent.flags import context_of, evaluator
from devicesdk.host.notice import Notice, Sight, Source
from devicesdk.wire.errors import BadMessage

T = TypeVar("T")
Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]

MAX_AGE_S_DEFAULT: Final = 3600.0
WATCH_S_DEFAULT: Final = 1.0
FAIL_SAFE: Final = "failSafe"
"""Metadata of a flag that must be off where nobody can say that it is not killed."""
_AGES: Final = frozenset({Reason.STATIC, Reason.TARGETING_MATCH, Reason.DEFAULT})
"""Reasons that are worth less when the device was long out of contact."""


class FleetdrillProvider(AbstractProvider):
    """The flags of one device.

    Args:
        source: where to look.
        max_age_s: how long a device may be out of contact before its flags count as stale.
        watch_s: how often a thread of the provider's own looks for what events tell; None: there is no
            thread, and the program calls `poll`.
    """

    def __init__(
        self,
        source: Source,
        *,
        max_age_s: float = MAX_AGE_S_DEFAULT,
        watch_s: float | None = WATCH_S_DEFAULT,
    ) -> None:
        super().__init__()
        self._source, self._max_age_s, self._watch_s = source, max_age_s, watch_s
        self._told: Notice | None = None
        self._told_stale = False
        self._polling = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    # -- life -----------------------------------------------------------------------------------

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata(name="fleetdrill")

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002 - OpenFeature's
        """Look, and go on looking.

        Raises:
            ProviderNotReadyError: no device has posted its flags yet; READY is told when one does.
        """
        sight = self._source.look()
        self._told = None if sight is None else sight.notice
        self._over.clear()
        if self._watch_s is not None and self._thread is None:
            self._thread = threading.Thread(
                target=self._watch, name="fleetdrill-flags", daemon=True
            )
            self._thread.start()
        if sight is None:
            raise ProviderNotReadyError(_NOBODY)

    def shutdown(self) -> None:
        """Look no more."""
        self._over.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def poll(self) -> None:
        """Look once and tell what has changed since the last time."""
        with self._polling:
            sight = self._source.look()
            if sight is None:
                return
            before, self._told = self._told, sight.notice
            was_stale, self._told_stale = self._told_stale, self._is_stale(sight)
            if self._told_stale and not was_stale:
                self.emit_provider_stale(ProviderEventDetails(message=_out_of_contact(sight)))
            elif before is None or (was_stale and not self._told_stale):
                self.emit_provider_ready(ProviderEventDetails())
            changed = [] if before is None else _changed(before, sight.notice)
            if changed:
                self.emit_provider_configuration_changed(
                    ProviderEventDetails(flags_changed=changed)
                )

    def _watch(self) -> None:
        while not self._over.wait(self._watch_s):
            self.poll()

    # -- answers --------------------------------------------------------------------------------

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - OpenFeature's signature
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Whether something is on; killed is off."""
        return self._resolve("boolean", flag_key, default_value, False, evaluation_context)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """A text."""
        return self._resolve("string", flag_key, default_value, default_value, evaluation_context)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        """A whole number."""
        return self._resolve("integer", flag_key, default_value, default_value, evaluation_context)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """A number."""
        return self._resolve("float", flag_key, default_value, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Structure,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Structure]:
        """A JSON object or array."""
        return self._resolve("object", flag_key, default_value, default_value, evaluation_context)

    def _resolve(
        self,
        kind: str,
        key: str,
        default: T,
        killed: T,
        context: EvaluationContext | None,
    ) -> FlagResolutionDetails[T]:
        sight = self._source.look()
        if sight is None:
            raise ProviderNotReadyError(_NOBODY)
        notice = sight.notice
        if key in notice.killed:
            return FlagResolutionDetails(killed, reason=Reason.DISABLED)
        found = _evaluate(kind, key, default, notice, context)
        if self._is_stale(sight) and found.reason in _AGES:
            found.reason = Reason.STALE
            if found.flag_metadata.get(FAIL_SAFE) is True:
                found.value, found.variant = killed, None
        return found

    def _is_stale(self, sight: Sight) -> bool:
        return sight.age_s > self._max_age_s


_NOBODY: Final = (
    "expected the notice of a device, found none: is `fleetdrill device run` running, and does it post "
    "where this program looks?"
)


def _out_of_contact(sight: Sight) -> str:
    return f"device {sight.notice.device} was out of contact for {sight.age_s:.0f} s"


def _evaluate(
    kind: str, key: str, default: T, notice: Notice, context: EvaluationContext | None
) -> FlagResolutionDetails[T]:
    """Ask the evaluator.

    Raises:
        OpenFeatureError: with the code that OpenFeature has for what is wrong.
    """
    if not notice.document:
        raise FlagNotFoundError(f"expected flag {key}, found that no flags have come yet")
    own = context_of(notice.device, notice.hardware_class, notice.segment)
    whole = own if context is None else own.merge(context)
    try:
        ask = getattr(evaluator(notice.document), f"resolve_{kind}_value")
        found: FlagResolutionDetails[T] = ask(key, default, whole)
    except OpenFeatureError:
        raise
    except BadMessage as error:
        raise ParseError(str(error)) from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise GeneralError(f"flag {key}: its targeting fails: {error!r}") from error
    return found


def _changed(before: Notice, now: Notice) -> list[str]:
    """Names of flags that may answer otherwise than before, sorted."""
    names = set(before.killed) ^ set(now.killed)
    if before.document != now.document:
        old, new = _definitions(before), _definitions(now)
        names |= {name for name in {**old, **new} if old.get(name) != new.get(name)}
    return sorted(names)


def _definitions(notice: Notice) -> dict[str, Any]:
    if not notice.document:
        return {}
    flags = msgspec.json.decode(notice.document).get("flags")
    return flags if isinstance(flags, dict) else {}
