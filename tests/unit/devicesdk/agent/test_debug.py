"""Debug mode: only with consent, only what was granted, only as long as it lives, and never in secret."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.debug import ROW_BYTES, redacted
from devicesdk.agent.effects import Note, Publish, RunModel, Save
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.stimuli import Arrived, PubAcked
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS
from devicesdk.wire import codec
from devicesdk.wire.messages import Control, ControlVerb, DebugGrant
from devicesdk.wire.timebase import HOUR, MINUTE, MS, SECOND
from tests_kit.agent_bundles import DEVICE, SIGNERS, Bundle
from tests_kit.agent_charts import Agents, acknowledge, frames_ran, sent
from tests_kit.charts import DUE, SILENCE, After

WALL = 1_750_000_000_000
CONSENTS = AgentConfig(debug_consent=True)
OLD = Bundle(1)


def grant(
    number=1, minutes=30, *, device=DEVICE, expires=WALL + 7_200_000, role=ROLE_DIRECTOR, **more
):
    said = DebugGrant(
        device=device, number=number, for_ms=minutes * 60_000, expires_ms=expires, **more
    )
    envelope = SIGNERS[role].seal(codec.encode(said))
    return Arrived("ctl", codec.encode(Control(verb=ControlVerb.DEBUG, grant=envelope)))


def device(config=CONSENTS, wall_ms=WALL, **more):
    return Agents(OLD, config).online(wall_ms=wall_ms, **more)


def said(chart):
    return [(event.reason, event.value) for event in sent(chart, "ev") if event.kind == "debug"]


def mode(chart):
    return chart.machine._debug.mode


def works(chart):
    """On to the first burst."""
    while not [effect for effect in chart.all if isinstance(effect, RunModel)]:
        chart >> DUE
    return chart


def window(chart, frames=4, reading=500):
    """End the burst that runs; its telemetry."""
    burst = [effect.burst for effect in chart.all if isinstance(effect, RunModel)][-1]
    chart.now += 15 * MINUTE
    acknowledge(chart >> frames_ran(burst, frames, reading))
    return sent(chart, "tel")[-1]


def test_a_grant_makes_windows_tell_more_and_its_end_is_exact_and_audited():
    chart = works(device())
    assert window(chart).debug == b"", "told without a grant"
    acknowledge(chart >> grant(41, 20, by="ana", why="odd readings"))
    assert said(chart) == [("began", 41)]
    begun = chart.now
    told = window(chart)
    assert (told.debug_grant, len(told.debug)) == (41, 4 * ROW_BYTES)
    assert chart.machine.deadline() == (begun + 20 * MINUTE, "debug")
    acknowledge(chart >> DUE)
    assert said(chart)[-1] == ("expired", 41), "its end was not said"
    assert window(chart).debug == b"", "told after the end"


def test_beginning_and_end_are_durable_before_they_are_said():
    chart = device() >> grant()
    kinds = [type(effect) for effect in chart.left if isinstance(effect, Save | Publish)]
    assert kinds == [Save, Publish], "the event was published before it was saved"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (AgentConfig(), "refused:consent"),
        (AgentConfig(debug_consent=True, privacy=True), "refused:privacy"),
        (AgentConfig(debug_consent=True, regulatory_mode="privacy"), "refused:regulatory"),
    ],
)
def test_without_consent_or_in_privacy_it_is_refused_and_the_refusal_is_said_once(config, reason):
    chart = works(device(config))
    acknowledge(chart >> grant(7))
    acknowledge(chart >> grant(7))
    assert said(chart) == [(reason, 7)], "a replayed grant makes the device chatter"
    assert window(chart, 24).debug == b""


def test_expired_or_of_unknown_time_it_is_refused():
    late = device() >> grant(expires=WALL - 1)
    assert (said(late), mode(late)) == ([("refused:expired", 1)], None)
    timeless = device(wall_ms=None) >> grant()
    assert (said(timeless), mode(timeless)) == ([("refused:time", 1)], None)


@pytest.mark.parametrize(
    "forged",
    [
        grant(role=ROLE_FLAGS),
        Arrived("ctl", codec.encode(Control(verb=ControlVerb.DEBUG, grant=b"\x00" * 40))),
        Arrived("ctl", codec.encode(Control(verb=ControlVerb.DEBUG))),
    ],
)
def test_what_the_director_did_not_sign_is_garbage(forged):
    chart = device() >> forged
    assert (mode(chart), said(chart), chart.machine.garbage) == (None, [], 1)


def test_a_retained_grant_or_one_for_another_device_or_an_old_one_is_ignored():
    chart = device() >> grant(5, device="kiosk-0002")
    chart << SILENCE
    chart >> Arrived("ctl", grant(5).payload, True)
    chart << SILENCE
    chart >> grant(5) >> grant(4, 60)
    chart << SILENCE
    assert mode(chart).number == 5


def test_no_grant_lasts_longer_than_the_device_allows_or_beyond_its_own_expiry():
    long = device(AgentConfig(debug_consent=True)) >> grant(minutes=600)
    assert mode(long).until_ms - mode(long).begun_ms == HOUR // MS
    short = device() >> grant(minutes=60, expires=WALL + 600_000)
    assert mode(short).until_ms <= WALL + 600_000


def test_a_revocation_ends_it_and_one_that_comes_first_keeps_the_grant_out():
    chart = device() >> grant(5)
    chart >> grant(6, 0, ends=5)
    assert (said(chart), mode(chart)) == ([("began", 5), ("revoked", 5)], None)
    other = device() >> grant(6, 0, ends=5)
    other >> grant(5)
    assert (said(other), mode(other)) == ([("revoked", 5)], None), "a revoked grant came back"


def test_a_newer_grant_replaces_it():
    chart = device() >> grant(5) >> grant(6, 5)
    assert said(chart) == [("began", 5), ("replaced", 5), ("began", 6)]


def state_of(chart):
    return [effect.data for effect in chart.all if isinstance(effect, Save)][-1]


def test_a_reboot_goes_on_with_what_is_left_and_no_longer():
    agents = Agents(OLD, CONSENTS)
    first = agents.online(wall_ms=WALL) >> grant(5, 30)
    until = mode(first).until_ms
    second = agents.boot(state_of(first), wall_ms=until - 60_000)
    assert second.machine.deadline()[0] <= MINUTE
    while mode(second) is not None:
        second >> DUE
    assert second.now == MINUTE, "a reboot made it longer"
    third = agents.boot(state_of(second), wall_ms=until + 1)
    assert mode(third) is None, "it came back"


@pytest.mark.parametrize(
    ("wall_ms", "why"), [(None, "clock"), (WALL - 1, "clock"), (WALL + 3_600_000, "expired")]
)
def test_a_boot_that_cannot_tell_the_time_ends_it(wall_ms, why):
    agents = Agents(OLD, CONSENTS)
    first = agents.online(wall_ms=WALL) >> grant(5, 30)
    second = agents.online(state_of(first), wall_ms=wall_ms)
    assert mode(second) is None
    assert (why, 5) in said(second)
    assert sent(second, "ev")[-1].reason == why


def test_a_boot_of_a_device_that_took_its_consent_back_ends_it():
    first = device() >> grant(5)
    second = Agents(OLD, AgentConfig()).online(state_of(first), wall_ms=WALL + 1)
    assert said(second)[-1] == ("refused:consent", 5)


def test_a_replay_after_a_reboot_is_still_old():
    agents = Agents(OLD, CONSENTS)
    first = agents.online(wall_ms=WALL) >> grant(5, 1)
    first >> After(2 * MINUTE) >> DUE
    second = agents.online(state_of(first), wall_ms=WALL + 300_000) >> grant(5, 30)
    assert mode(second) is None


def test_rows_are_bounded_a_window_and_a_grant():
    config = AgentConfig(debug_consent=True, debug_frames_max=8, debug_rows_max=12)
    chart = works(device(config))
    acknowledge(chart >> grant(5, 60))
    assert len(window(chart, 50).debug) <= 8 * ROW_BYTES
    told = 8 * ROW_BYTES
    while mode(chart) is not None:
        told = len(window(chart, 3).debug)
        assert told <= 3 * ROW_BYTES
    assert said(chart)[-1] == ("spent", 5)
    rows = sum(len(one.debug) for one in sent(chart, "tel")) // ROW_BYTES
    assert rows == 12, f"a grant of 12 rows told {rows}"


def test_a_row_tells_classes_and_bins_and_nothing_finer():
    assert redacted([999, 19, 15, 0, 1, 2, 3, 4, 5, 6, 9, 4]) == bytes.fromhex("1f130f0123456904")
    assert redacted([500, 0, 0, *range(8), 0]) == redacted([510, 0, 0, *range(8), 0])
    assert redacted([-5, 0, 0, *range(8), 9999])[0] == 0


def test_the_note_says_how_long():
    chart = device() >> grant(5, 10)
    notes = [effect for effect in chart.all if isinstance(effect, Note)]
    assert Note(NoteKind.DEBUG_BEGAN, 5, 10 * MINUTE // SECOND) in notes
    assert not [effect for effect in chart.left if isinstance(effect, PubAcked)]
