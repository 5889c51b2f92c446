"""What must hold, what must come to pass, what must have been exercised.

Decides the vocabulary of checks and measures with their units. Leaves out how they are computed
(`devicesim.world.checks`).

Rules: a check that is not in the vocabulary is refused with the nearest word, so that a misspelt
check never passes by being absent. All `always` checks run unless a scenario names fewer.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.errors import Refusal, choices, nearest_word, show
from devicesim.scenario.expression import MORE, Known
from devicesim.scenario.fields import Model, PositiveDuration, Share, must_be_one_of
from devicesim.scenario.promises import (
    WAITING,
    Liveness,
    Promise,
    Wait,
    is_promise,
    properties,
    read_promise,
    read_wait,
)
from devicesim.scenario.trigger import METRICS
from devicesim.scenario.values import Comparison, Kind, read_comparison
from devicesim.scenario.verdicts import Told

ALWAYS: Final[dict[str, str]] = {
    "conservation": "every message is delivered, waiting, or dropped with a cause",
    "no_false_success": "what the gateway calls done runs, committed, on the device",
    "digest_before_activation": "no byte runs before its digest matched; chunk maps only grow",
    "resume": "a transfer starts from zero only when storage was lost",
    "bootable_slot": "every device has a slot that boots",
    "no_reflash": "a digest that failed on a device is not flashed there again",
    "hardware_fit": "a device gets only what its hardware and runtime fit",
    "wave_cap": "no more devices are exposed than the wave allows",
    "halt_holds": "after a halt nothing of that rollout is activated",
    "versions_rise": "generations, flag revisions and kill versions never go back",
    "one_session": "one live session per client id",
    "dead_link_noticed": "no device believes it is connected past 1.5 keep-alives and grace",
    "bounded_retry": "retries are bounded in number and rate",
    "bounded_queues": "queues, copies in flight, transfers and outboxes stay within their limits",
    "energy": "the energy integral closes within 1 %; no charging below 0 C",
    "telemetry_counts": "telemetry counts equal inferences executed",
    "exposure_cap": "no device runs an experiment's candidate beyond its exposure cap",
    "silent_when_off": "a device that is off emits nothing",
}
SOMETIMES: Final[dict[str, str]] = {
    "resumed_mid_chunk": "a transfer went on after a disconnect within a blob",
    "duplicate_delivered": "a chunk arrived twice",
    "rollback_ran": "a device went back to its old slot",
    "session_lost_mid_transfer": "a session was lost while a transfer ran",
    "throttled_while_updating": "a device was throttled during an update",
    "died_mid_flash": "power went away while the slot was written",
    "died_empty_mid_flash": "a battery was empty while the slot was written",
    "clock_1970_at_connect": "a device connected with its clock in 1970",
    "broker_restart_mid_wave": "the broker restarted while a wave ran",
    "wave_halted_by_itself": "a gate halted a rollout without a person",
    "candidate_ran": "an experiment's candidate took a turn on a device",
    "experiment_stopped_by_itself": "a brake stopped an experiment without a person",
    "experiment_promoted_by_itself": "a candidate was promoted on its evidence",
    "rule_stepped_down": "a rule of a run-time policy took a device to a lighter way of working",
    "rule_stepped_back": "a rule of a run-time policy let go, and a device stepped back up",
    "refused_before_trial": "a device refused a bundle that was not for it, or failed its kit, unused",
}
MEASURES: Final[dict[str, tuple[Kind, str]]] = {
    "online_ratio": (Kind.SHARE, "devices with a live session, of all"),
    "updated_ratio": (Kind.SHARE, "targeted devices that committed, of the targeted"),
    "exposed_ratio": (Kind.SHARE, "targeted devices that ever ran the new bundle, of the targeted"),
    "throttled_ratio": (Kind.SHARE, "devices below full speed for heat, of all"),
    "stuck": (Kind.COUNT, "devices neither done nor making progress"),
    "versions": (Kind.COUNT, "different versions that run at the end, per bundle and target"),
    "bricked": (Kind.COUNT, "devices without a bootable slot"),
    "rolled_back": (Kind.COUNT, "devices that rolled back"),
    "halted": (Kind.COUNT, "rollouts halted by a gate"),
    "open_rollouts": (Kind.COUNT, "rollouts that are not over"),
    "tried_ratio": (Kind.SHARE, "devices on which a candidate ever took a turn, of all"),
    "experiments_stopped": (Kind.COUNT, "experiments that were stopped"),
    "experiments_promoted": (Kind.COUNT, "experiments whose candidate was promoted"),
    "stepped_down_ratio": (Kind.SHARE, "devices whose policy's last rule is not in force, of all"),
    "decisions": (Kind.COUNT, "decisions of run-time policies that telemetry has told"),
    "drift_data": (Kind.COUNT, "cohorts that are told: the data moved"),
    "drift_hardware": (Kind.COUNT, "cohorts that are told: the hardware computes wrongly"),
    "drift_both": (Kind.COUNT, "cohorts that are told: data and hardware"),
    "drift_sensors": (Kind.COUNT, "devices that are told: your sensor"),
    "drift_raised": (Kind.COUNT, "verdicts of drift ever raised, of cohorts and single devices"),
    "drift_delay": (
        Kind.DURATION,
        "first fault of data, sensor or kernel to the first verdict after it",
    ),
    "loss": (Kind.COUNT, "messages lost without a cause"),
    "dropped": (Kind.COUNT, "messages dropped, with a cause"),
    "queue_peak": (Kind.COUNT, "most messages ever queued for one session"),
    "refetched_chunks": (Kind.COUNT, "chunks fetched again though they had arrived"),
    "reconnect_p50": (Kind.DURATION, "path back to session back, median"),
    "reconnect_p99": (Kind.DURATION, "path back to session back, 99th percentile"),
    "connects_peak": (Kind.COUNT, "most connects in one second while the broker was there"),
    "connects_wasted": (Kind.COUNT, "connects that no session came of, per device"),
    "reconnect_worst_group": (
        Kind.DURATION,
        "reconnect_p99 of the group in which it is longest",
    ),
    "kill_p50": (Kind.DURATION, "kill to device obeyed, online devices, median"),
    "kill_p99": (Kind.DURATION, "kill to device obeyed, online devices, 99th percentile"),
    "kill_believed_p99": (
        Kind.DURATION,
        "kill to device obeyed, all that believe they are online, obeyed by now or not, 99th percentile",
    ),
    "offer_p99": (Kind.DURATION, "wave open to offer received, online devices, 99th percentile"),
    "inference_p95": (
        Kind.DURATION,
        "one inference by the active slot's model at the present speed, 95th percentile of devices that are on",
    ),
    "update_p50": (Kind.DURATION, "offer to commit, median"),
    "update_p99": (Kind.DURATION, "offer to commit, 99th percentile"),
    "halt_delay": (Kind.DURATION, "failure that tips the gate at the gateway to the halt"),
    "presence_deviation": (
        Kind.SHARE,
        "greatest distance, in any minute, of the mean online from the recording that devices follow",
    ),
}

KNOWN: Final[Known] = {**METRICS, **MORE, **MEASURES}
"""All that an expression may read, by pattern."""


class Measured(msgspec.Struct, frozen=True):
    """A measure from `MEASURES` and what it must satisfy."""

    measure: str
    must: Comparison

    def __str__(self) -> str:
        return f"{self.measure} {self.must}"


class Eventually(msgspec.Struct, frozen=True):
    """A measure that must hold in time, and the wait for it.

    An action ends with its `for`; one without it as soon as it is done, a heal with an order when
    the last device is back. Without `after`, time counts from the start.
    """

    measure: str
    must: Comparison
    wait: Wait

    @property
    def after(self) -> str | None:
        """The action that it waits for, if any."""
        return self.wait.after

    def __str__(self) -> str:
        return f"{self.measure} {self.must} {self.wait}"


def _measured(value: object, extra: tuple[str, ...] = ()) -> Measured:
    form = "one measure with a comparison, such as {stuck: '== 0'}, or {expect: ...}"
    if not isinstance(value, dict):
        raise Refusal(form, found=show(value))
    names = [name for name in value if name not in extra]
    for name in names:
        if name not in MEASURES:
            raise Refusal(
                f"a measure: {choices(MEASURES)}", found=show(name),
                nearest=nearest_word(name, (*MEASURES, "expect", "no_residue", *extra)),
                at=(name,), key=True,
            )  # fmt: skip
    if len(names) != 1:
        raise Refusal(form, found=f"{len(names)} measures", advice="write one item for each")
    try:
        return Measured(names[0], read_comparison(value[names[0]], MEASURES[names[0]][0]))
    except Refusal as refusal:
        refusal.at = (names[0],)
        raise


def read_measured(value: object) -> Measured:
    """Read ``{stuck: '== 0'}``."""
    return _measured(value)


def read_at_end(value: object) -> Measured | Promise:
    """Read ``{stuck: '== 0'}`` or ``{expect: 'stuck == 0 and bricked == 0'}``."""
    return read_promise(value, "finally", KNOWN) if is_promise(value) else _measured(value)


def read_eventually(value: object) -> Eventually | Promise:
    """Read ``{online_ratio: '>= .99', within: 30m, after: heal}``, or the same with ``expect``."""
    if is_promise(value):
        return read_promise(value, "eventually", KNOWN)
    measured = _measured(value, WAITING)
    assert isinstance(value, dict)
    return Eventually(measured.measure, measured.must, read_wait(value))


def _read_word(value: object, part: str, words: dict[str, str], what: str) -> str | Promise:
    """Read a word of the vocabulary, or a promise of one's own."""
    if isinstance(value, dict):
        if is_promise(value):
            return read_promise(value, part, KNOWN)
        raise Refusal(f"{what}, or {{expect: an expression}}", found=show(value))
    if not isinstance(value, str):
        raise Refusal(f"{what}: {choices(words)}", found=show(value))
    must_be_one_of(value, words, what, ())
    return value


def _item(part: str, words: dict[str, str]) -> WithJsonSchema:
    mine = {"type": "object", "properties": properties(part), "required": ["expect"]}
    return WithJsonSchema(
        {"anyOf": [{"enum": list(words)}, {**mine, "additionalProperties": False}]}
    )


def _comparisons(part: str = "") -> WithJsonSchema:
    comparison = {"type": "string", "pattern": r"^(<=|>=|==|!=|<|>) *\S+$"}
    known: dict[str, Any] = {
        name: {**comparison, "description": f"{text} ({kind.value})"}
        for name, (kind, text) in MEASURES.items()
    }
    if part:
        known |= properties(part)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": known,
        "additionalProperties": False,
        "minProperties": 1 + (part == "eventually"),
    }
    if part == "eventually":
        schema["required"] = ["within"]
    return WithJsonSchema(schema)


def read_abort(value: object) -> tuple[Measured, ...]:
    """Read ``{loss: '> 0'}``: several measures, each with what ends a soak."""
    if not isinstance(value, dict):
        raise Refusal("a mapping of measures to comparisons", found=show(value))
    return tuple(_measured({name: comparison}) for name, comparison in value.items())


AnAtEnd = Annotated[
    Measured | Promise, PlainValidator(read_at_end), PlainSerializer(str), _comparisons("finally")
]
AnEventually = Annotated[
    Eventually | Promise,
    PlainValidator(read_eventually),
    PlainSerializer(str),
    _comparisons("eventually"),
]
AnAlways = Annotated[
    str | Promise,
    PlainValidator(lambda value: _read_word(value, "always", ALWAYS, "a check")),
    PlainSerializer(str),
    _item("always", ALWAYS),
]
ASometimes = Annotated[
    str | Promise,
    PlainValidator(
        lambda value: _read_word(value, "sometimes", SOMETIMES, "something to have happened")
    ),
    PlainSerializer(str),
    _item("sometimes", SOMETIMES),
]


def _all_of_them(value: object) -> object:
    return tuple(ALWAYS) if value == "all" else value


def _all_beside(items: tuple[str | Promise, ...]) -> tuple[str | Promise, ...]:
    """A list of one's own promises adds to ours; one that names some of ours is what it says."""
    mine = bool(items) and all(isinstance(item, Promise) for item in items)
    return (*ALWAYS, *items) if mine else items


class Checks(Model):
    """The checks of a run; their verdict is the run's."""

    always: Annotated[
        tuple[AnAlways, ...],
        Field(max_length=100),
        BeforeValidator(_all_of_them),
        AfterValidator(_all_beside),
    ] = Field(
        default_factory=lambda: tuple(ALWAYS),
        description="What holds at every step; all of them by default, and beside `expect` alone.",
    )
    eventually: tuple[AnEventually, ...] = Field(
        default=(), description="What must come to pass within a time, after an action."
    )
    sometimes: Annotated[tuple[ASometimes, ...], Field(max_length=100)] = Field(
        default=(), description="What the run must have exercised."
    )
    at_end: tuple[AnAtEnd, ...] = Field(
        default=(), alias="finally", description="What must hold at the end."
    )
    slo: tuple[AnAtEnd, ...] = Field(default=(), description="Service levels over the whole run.")
    verdicts: tuple[Told, ...] = Field(
        default=(), description="What the gateway must say of drift, to whom, by when."
    )
    liveness: Liveness | None = Field(
        default=None, description="Heal a core, freeze the rest: the core must converge."
    )


class Leak(Model):
    """Slopes that a long run may have."""

    rss_mb_per_h: float = Field(default=5.0, ge=0, description="Resident memory, MB per hour.")
    fds: int = Field(default=0, ge=0, description="File descriptors gained over the run.")
    tasks: int = Field(default=0, ge=0, description="Tasks gained over the run.")


class Soak(Model):
    """Long runs: windows of percentiles, leak slopes, what aborts."""

    window_ns: PositiveDuration = Field(
        default=10 * MINUTE, alias="window", description="Length of one window of percentiles."
    )
    leak: Leak = Field(default_factory=Leak, description="Slopes that are still no leak.")
    abort: Annotated[
        tuple[Measured, ...],
        PlainValidator(read_abort),
        PlainSerializer(lambda parts: [str(part) for part in parts]),
        _comparisons(),
    ] = Field(default=(), description="Measures that end the run at once.")


class Buggify(Model):
    """Random hardship at named places of our own code, as FoundationDB does it."""

    activate: Share = Field(
        default=0.0, description="Share of the places that are active in a run."
    )
    fire: Share = Field(default=0.0, description="Chance that an active place acts when passed.")
