"""Defaults that other numbers rest on."""

from __future__ import annotations

from devicesdk.agent.config import TELEMETRY_OUTBOX_WINDOWS_MAX, AgentConfig
from devicesdk.wire import limits
from devicesdk.wire.timebase import DAY, SECOND


def test_a_checkpoint_costs_no_more_than_the_protocol_allows():
    assert AgentConfig().checkpoint_bytes <= limits.REFETCH_AFTER_POWER_CUT_BYTES_MAX
    assert AgentConfig().rounds_outstanding_max <= limits.ROUNDS_OUTSTANDING_MAX
    assert AgentConfig().round_bytes_max <= limits.ROUND_BYTES_MAX


def test_two_days_offline_fit_into_the_outbox():
    config = AgentConfig()
    assert config.telemetry_outbox_windows_max == TELEMETRY_OUTBOX_WINDOWS_MAX
    assert config.telemetry_outbox_windows_max * config.window_ns >= 2 * DAY


def test_the_alarm_has_hysteresis_and_the_back_off_room_to_grow():
    config = AgentConfig()
    assert config.alarm_below_permille < config.alarm_above_permille
    assert config.backoff.base_ns == SECOND < config.backoff.cap_ns
    assert config.inference_feature in config.features
