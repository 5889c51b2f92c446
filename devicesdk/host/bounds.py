"""Between which values each number of an agent's configuration may lie, and which words it may use.

Decides the bounds of what a person writes into a file. Leaves out types and unknown names (settings.py),
and what a rehearsal may set (`devicesim.scenario`), which is more: a device that never comes back is a
lesson there and a truck on the road here.

Rules: every number has bounds, and every default lies within them (a test holds both); a bound keeps a
device from harming itself or its broker (a queue without room, a reconnect without a pause) and does not
judge taste.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from devicesdk.agent.config import ANSWER_NS_MAX, AgentConfig, BackoffConfig
from devicesdk.wire import limits
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.timebase import DAY, HOUR, MINUTE, MS, SECOND, format_duration
from devicesdk.wire.topics import Topics, check_device_id

KEEPALIVE_NS_MAX: Final = 65_535 * SECOND
"""MQTT 5, 3.1.2.10: sixteen bits of seconds."""
SESSION_NS_MAX: Final = (2**32 - 1) * SECOND
"""MQTT 5, 3.1.2.11.2: this value means "never"."""
IN_FLIGHT_MAX: Final = 32
"""The gateway follows 64 numbers of a device's windows: one that is said again must not be behind them."""
YEAR: Final = 366 * DAY
_WAIT: Final = (100 * MS, HOUR)
_SHARE: Final = (0, 1_000)

AGENT: Final[dict[str, tuple[int, int]]] = {
    "keepalive_ns": (SECOND, KEEPALIVE_NS_MAX),
    "keepalive_grace_ns": (0, HOUR),
    "session_expiry_ns": (0, SESSION_NS_MAX),
    "connect_timeout_ns": _WAIT,
    "subscribe_timeout_ns": _WAIT,
    "publish_timeout_ns": _WAIT,
    "answer_after_ns": (0, ANSWER_NS_MAX),
    "answer_spread_ns": (0, ANSWER_NS_MAX),
    "nobody_wait_ns": _WAIT,
    "publishes_in_flight_max": (1, IN_FLIGHT_MAX),
    "window_ns": (100 * MS, 7 * DAY),
    "window_frames": (1, 100_000),
    "telemetry_outbox_windows_max": (1, 100_000),
    "event_outbox_max": (1, 10_000),
    "alarm_above_permille": (0, 10_000),
    "alarm_below_permille": (0, 10_000),
    "alarm_frames_factor": (1, 100),
    "round_bytes_max": (limits.CHUNK_BYTES_MIN, limits.ROUND_BYTES_MAX),
    "rounds_outstanding_max": (1, limits.ROUNDS_OUTSTANDING_MAX),
    "checkpoint_bytes": (1, limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX),
    "slot_bytes_max": (1, limits.BLOB_BYTES_MAX),
    "delta_bytes_max": (0, limits.BLOB_BYTES_MAX),
    "quarantine_failures_max": (1, 1_000),
    "quarantine_entries_max": (1, 10_000),
    "trial_deadline_ns": (SECOND, 30 * DAY),
    "trial_grace_ns": (0, DAY),
    "trial_boots_max": (0, 1_000),
    "trial_errors_percent_max": (0, 100),
    "trial_frames_min": (1, 100_000),
    "kill_grace_ns": (0, HOUR),
    "kill_settle_ns": (0, HOUR),
    "probe_period_ns": (0, YEAR),
    "probe_chip_c_max": (-50, 150),
    "privacy_epsilon_permille": (1, 1_000_000),
    "privacy_frames_min": (1, 100_000),
    "frame_period_ns_min": (0, HOUR),
    "inference_timeout_ns": (10 * MS, HOUR),
    "debug_ns_max": (0, 30 * DAY),
    "debug_frames_max": (0, 10_000),
    "debug_rows_max": (0, 1_000_000),
    "latency_budget_ms": (0, 3_600_000),
}
BACKOFF: Final[dict[str, tuple[int, int]]] = {
    "base_ns": (10 * MS, DAY),
    "cap_ns": (100 * MS, DAY),
    "stable_ns": (0, DAY),
    "step_ns": (0, DAY),
    "below_permille": _SHARE,
    "above_permille": (0, 100_000),
    "first_ns": (-1, DAY),
    "attempts_max": (0, 1_000_000),
    "rest_ns": (0, 30 * DAY),
}
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "jitter": ("decorrelated", "full", "equal", "share", "none"),
    "growth": ("doubling", "constant", "linear", "delta"),
    "reset": ("stable", "connack"),
}


def refusal(config: AgentConfig) -> str:
    """What was expected and what was found of the first value that is out of its bounds; empty when none is."""
    backoff = config.backoff
    return (
        _numbers(config, AGENT, "")
        or _numbers(backoff, BACKOFF, "backoff.")
        or _words(backoff)
        or _comes_back(backoff)
        or _alarm(config)
        or _names(config)
    )


def _numbers(said: msgspec.Struct, bounds: dict[str, tuple[int, int]], where: str) -> str:
    for name, (least, most) in bounds.items():
        found: int = getattr(said, name)
        if not least <= found <= most:
            between = f"{_told(name, least)} to {_told(name, most)}"
            return f"expected {where}{name} from {between}, found {found}"
    return ""


def _told(name: str, value: int) -> str:
    """A number, and what it is in words where it is a time."""
    timed = name.endswith(("_ns", "_ns_max", "_ns_min")) and value > 0
    return f"{value} ({format_duration(value)})" if timed else str(value)


def _words(backoff: BackoffConfig) -> str:
    for name, words in WORDS.items():
        found: str = getattr(backoff, name)
        if found not in words:
            return f"expected backoff.{name} out of {', '.join(words)}, found {found!r}"
    return ""


def _comes_back(backoff: BackoffConfig) -> str:
    """Giving up until the next boot is for rehearsals: nobody boots a real device that is deaf."""
    if backoff.cap_ns < backoff.base_ns:
        return f"expected backoff.cap_ns of at least backoff.base_ns ({backoff.base_ns}), found {backoff.cap_ns}"
    if backoff.attempts_max and not backoff.rest_ns:
        return (
            f"expected a backoff.rest_ns above 0 beside a backoff.attempts_max of {backoff.attempts_max}, "
            f"found a rest_ns of {backoff.rest_ns}, with which it stays away until its carrier comes again or "
            f"the next boot; set rest_ns to the pause before it begins anew ({5 * MINUTE}: five minutes), or "
            "attempts_max to 0: it never stops"
        )
    return ""


def _alarm(config: AgentConfig) -> str:
    above, below = config.alarm_above_permille, config.alarm_below_permille
    if below > above:
        return (
            f"expected alarm_below_permille at or below alarm_above_permille ({above}), found {below}: "
            "the alarm would sound and end at the same reading"
        )
    return ""


def _names(config: AgentConfig) -> str:
    for name, check in (("root", Topics), ("segment", check_device_id)):
        found: Any = getattr(config, name)
        try:
            check(found)
        except BadTopic as error:
            return f"{name}: {error}"
    return ""
