"""Sequence charts: a test of a sans-IO machine that reads as a conversation.

    chart >> Connected(session_present=False)
    chart << Asks(Subscribe)
    chart >> Subscribed((1, 1, 1, 1, 1))
    chart << Asks(Publish, kind="link") << Asks(Publish, kind="have")
    chart << SILENCE

``>>`` injects a stimulus (or lets time pass, see `After` and `DUE`); ``<<`` looks for an effect in what
the last stimulus caused, in order: effects before the one that matches are passed over, so a test
names what it is about. A field's expectation is a value or a predicate. `SILENCE` means that nothing
but notes is left. `Never` means that no such effect is left. After each stimulus the machine is
validated, and what failed prints the conversation so far.
"""

from __future__ import annotations

from typing import Any

from devicesdk.agent.effects import Note
from devicesdk.agent.stimuli import DeadlineReached
from devicesdk.wire.timebase import format_duration


class Asks:
    """An expected effect: its type, and the fields that matter."""

    def __init__(self, effect: type, /, **fields: Any) -> None:
        self.effect = effect
        self.fields = fields

    def matches(self, effect: Any) -> bool:
        if type(effect) is not self.effect:
            return False
        for name, expected in self.fields.items():
            found = getattr(effect, name)
            if not (expected(found) if callable(expected) else found == expected):
                return False
        return True

    def __repr__(self) -> str:
        return f"{self.effect.__name__}({', '.join(f'{k}={v!r}' for k, v in self.fields.items())})"


class Never(Asks):
    """An effect that must not be among those left."""


class _Silence:
    def __repr__(self) -> str:
        return "silence"


SILENCE = _Silence()


class After:
    """Let time pass without a stimulus."""

    def __init__(self, duration_ns: int) -> None:
        self.duration_ns = duration_ns


class _Due:
    """Let time pass until the machine's own deadline, and say so."""


DUE = _Due()


class Chart:
    """A conversation with one machine."""

    def __init__(self, machine: Any, now: int = 0, check: Any = None) -> None:
        self.machine = machine
        self.now = now
        self.left: list[Any] = []
        self.all: list[Any] = []
        self.lines: list[str] = []
        self._check = check

    def __rshift__(self, stimulus: Any) -> Chart:
        if isinstance(stimulus, After):
            self.now += stimulus.duration_ns
            return self
        if stimulus is DUE:
            due = self.machine.deadline()
            assert due is not None, self._story("expected a deadline, found none")
            self.now = max(self.now, due[0])
            stimulus = DeadlineReached()
        self.left = list(self.machine.handle(stimulus, self.now))
        self.all.extend(self.left)
        self.lines.append(f"{format_duration(self.now):>8} >> {_short(stimulus)}")
        self.lines += [f"         <- {_short(effect)}" for effect in self.left]
        self.machine.validate()
        if self._check is not None:
            self._check(self.machine)
        return self

    def __lshift__(self, expected: Any) -> Chart:
        if expected is SILENCE:
            loud = [effect for effect in self.left if type(effect) is not Note]
            assert not loud, self._story(f"expected silence, found {_short(loud[0])}")
        elif isinstance(expected, Never):
            found = [effect for effect in self.left if expected.matches(effect)]
            assert not found, self._story(f"expected no {expected!r}")
        else:
            self.found(expected)
        return self

    def found(self, expected: Asks) -> Any:
        """The effect that matches; those before it are passed over."""
        for place, effect in enumerate(self.left):
            if expected.matches(effect):
                del self.left[: place + 1]
                return effect
        raise AssertionError(self._story(f"expected {expected!r} next, found nothing like it"))

    def _story(self, verdict: str) -> str:
        return "\n".join([verdict, "the conversation so far:", *self.lines[-60:]])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else text[:157] + "..."
