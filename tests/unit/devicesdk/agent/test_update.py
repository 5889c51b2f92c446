"""Which want is followed, when it may go on, and what becomes of it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import Activate, HashFile, Publish, RunKit, RunModel, Save, Write
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.snapshot import decode_state
from devicesdk.agent.stimuli import (
    Arrived,
    Conditions,
    ConditionsChanged,
    FileHashed,
    FileRead,
    KitRan,
    StorageFailed,
)
from devicesdk.bundle.trust import ROLE_FLAGS
from devicesdk.wire import codec, limits
from devicesdk.wire.messages import UpdatePolicy, UpdateState, Want
from devicesdk.wire.timebase import MINUTE, SECOND
from tests_kit.agent_bundles import DEVICE, SIGNERS, Bundle, kill_of, want_of
from tests_kit.agent_charts import (
    Agents,
    acknowledge,
    answer,
    fetch,
    frames_ran,
    sent,
    stage,
    want_arrives,
)
from tests_kit.charts import DUE, SILENCE, After, Asks, Never

OLD, NEW, THIRD = Bundle(1), Bundle(2), Bundle(3)
IMAGE = sha256(NEW.image).digest()


def _status(chart):
    acknowledge(chart)
    have = sent(chart, "have")[-1]
    return have.state, have.reason


def _running(chart):
    acknowledge(chart)
    have = sent(chart, "have")[-1]
    return have.running, have.trial


def _trial(config=None, agents=None, **fields):
    """A device in the trial of NEW; its first burst has begun."""
    agents = agents or Agents(OLD, config)
    chart = stage(want_arrives(agents.online(), NEW, **fields), NEW)
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    return chart


def _burst(chart):
    return [effect for effect in chart.all if isinstance(effect, RunModel)][-1]


def _frames(chart, **fields):
    """The running burst runs its course."""
    burst = _burst(chart)
    chart >> After(burst.frames * burst.period_ns)
    return chart >> frames_ran(burst.burst, burst.frames, **fields)


def _committed(agents):
    chart = _frames(_trial(agents=agents))
    return chart, chart.found(Asks(Save, file="state")).data


# -- wants ----------------------------------------------------------------------------------------------


def test_an_equal_or_smaller_generation_is_ignored():
    chart = want_arrives(Agents(OLD).online(), NEW, 5)
    want_arrives(chart, THIRD, 5)
    chart << SILENCE
    want_arrives(chart, THIRD, 4)
    chart << SILENCE
    assert chart.machine.snapshot() == chart.machine.snapshot()


@pytest.mark.parametrize(
    ("payload", "note"),
    [
        (want_of(NEW, 9, device="somebody-else"), NoteKind.WANT_NOT_MINE),
        (SIGNERS[ROLE_FLAGS].seal(b"not the director's key"), NoteKind.GARBAGE),
        (b"", NoteKind.GARBAGE),
    ],
)
def test_a_want_that_is_not_ours_changes_nothing(payload, note):
    chart = Agents(OLD).online()
    before = chart.machine.snapshot()
    chart >> Arrived("want", payload, True)
    assert [effect.kind for effect in chart.left] == [note]
    assert chart.machine.snapshot() == before


def test_a_want_for_what_runs_is_only_reported():
    chart = want_arrives(Agents(OLD).online(), OLD, 3)
    chart << Asks(Save, file="state") << Asks(Publish, kind="have")
    assert _status(chart) == (UpdateState.COMMITTED, "")
    assert sent(chart, "have")[-1].generation == 3
    assert not sent(chart, "ev")


def test_an_expired_want_is_not_followed_where_the_time_is_known():
    late = {"expires_ms": 1_700_000_000_000}
    known = want_arrives(Agents(OLD).online(wall_ms=1_750_000_000_000), NEW, **late)
    assert _status(known) == (UpdateState.CANCELED, "expired")
    for wall_ms in (None, 0):
        unknown = want_arrives(Agents(OLD).online(wall_ms=wall_ms), NEW, **late)
        assert _status(unknown)[0] is UpdateState.OFFERED, "a lost clock bricked the update"


def test_a_manifest_of_no_size_or_too_large_is_rejected():
    for size in (0, limits.MANIFEST_BYTES_MAX + 257):
        want = Want(
            device=DEVICE, generation=1, deployment="r", manifest=NEW.digest, manifest_bytes=size
        )
        payload = SIGNERS["director"].seal(codec.encode(want))
        chart = Agents(OLD).online() >> Arrived("want", payload)
        assert _status(chart) == (UpdateState.REJECTED, "manifest:size")


def test_the_start_is_drawn_inside_the_jitter():
    starts = []
    for seed in range(30):
        chart = want_arrives(Agents(OLD).online(seed=seed), NEW, jitter_ms=60_000)
        offered = chart.now
        assert _status(chart) == (UpdateState.OFFERED, "")
        while not [e for e in chart.left if type(e).__name__ == "ReadFile"]:
            chart >> DUE
        starts.append(chart.now - offered)
    assert max(starts) <= MINUTE
    assert max(starts) - min(starts) > 40 * SECOND


def test_hold_stops_in_place_and_a_newer_generation_goes_on():
    chart = want_arrives(Agents(OLD).online(), NEW)
    chart >> FileRead("meta-manifest", NEW.envelope) >> FileRead("meta-hashes", NEW.hashes)
    asked = len(sent(chart, "get"))
    want_arrives(chart, NEW, 2, hold=True)
    assert _status(chart) == (UpdateState.WAITING, "hold")
    assert chart.machine.deadline()[1] != "download"
    assert len(sent(chart, "get")) == asked
    want_arrives(chart, NEW, 3)
    chart << Asks(Publish, kind="get")
    assert _status(chart)[0] is UpdateState.DOWNLOADING


def test_hold_begins_no_trial():
    chart = fetch(want_arrives(Agents(OLD).online(), NEW), NEW)
    chart >> FileHashed("slot-b", IMAGE)
    want_arrives(chart, NEW, 2, hold=True)
    chart >> KitRan("b", True, "", 1, 1)
    assert _status(chart) == (UpdateState.WAITING, "hold")
    assert not [e for e in chart.all if isinstance(e, Activate) and e.slot == "b"]
    want_arrives(chart, NEW, 3)
    chart << Asks(Activate, slot="b")


def test_another_want_supersedes_what_is_in_hand():
    chart = want_arrives(Agents(OLD).online(), NEW)
    chart >> FileRead("meta-manifest", NEW.envelope) >> FileRead("meta-hashes", None)
    want_arrives(chart, THIRD, 2)
    acknowledge(chart)
    told = [(event.generation, event.state) for event in sent(chart, "ev")]
    assert told == [(1, UpdateState.DOWNLOADING), (1, UpdateState.SUPERSEDED)]


# -- policy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "bad", "reason"),
    [
        (UpdatePolicy(battery_percent_min=50), Conditions(battery_percent=49), "battery"),
        (UpdatePolicy(chip_c_max=60), Conditions(chip_c=61), "heat"),
        (UpdatePolicy(plugged=True), Conditions(plugged=False), "power"),
    ],
)
def test_a_policy_waits_for_its_conditions(policy, bad, reason):
    chart = want_arrives(Agents(OLD).online(conditions=bad), NEW, policy=policy)
    assert _status(chart) == (UpdateState.WAITING, reason)
    chart >> ConditionsChanged(Conditions())
    chart >> FileRead("meta-manifest", None)
    assert _status(chart)[0] is UpdateState.DOWNLOADING
    chart >> ConditionsChanged(bad)
    assert _status(chart) == (UpdateState.WAITING, reason)
    assert not sent(chart, "ev")[-1].state.terminal, "waiting counted as an end"
    chart >> ConditionsChanged(Conditions())
    assert _status(chart)[0] is UpdateState.DOWNLOADING


def test_conditions_of_a_window_count_too():
    policy = UpdatePolicy(chip_c_max=60, trial_ms=5000)
    hot = Conditions(chip_c=90)
    chart = Agents(OLD, AgentConfig(window_ns=MINUTE)).online(conditions=hot)
    want_arrives(chart, NEW, policy=policy)
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    _frames(chart)
    assert [e for e in chart.left if type(e).__name__ == "ReadFile"]


def test_heat_after_the_kit_holds_the_trial_back():
    policy = UpdatePolicy(chip_c_max=60, trial_ms=5000)
    chart = fetch(want_arrives(Agents(OLD).online(), NEW, policy=policy), NEW)
    chart >> FileHashed("slot-b", IMAGE) >> ConditionsChanged(Conditions(chip_c=80))
    chart >> KitRan("b", True, "", 1, 1)
    assert _status(chart) == (UpdateState.WAITING, "heat")
    chart >> ConditionsChanged(Conditions())
    chart << Asks(Activate, slot="b")


def test_a_killed_feature_begins_no_trial_until_it_is_revived():
    chart = Agents(OLD).online() >> Arrived("kill", kill_of(1, "gauge"))
    stage(want_arrives(chart, NEW), NEW)
    assert _status(chart) == (UpdateState.WAITING, "killed")
    chart >> Arrived("kill", kill_of(2))
    chart << Asks(Activate, slot="b")


# -- trial ----------------------------------------------------------------------------------------------


def test_the_marker_is_durable_before_the_swap_and_the_commit_before_the_report():
    chart = stage(want_arrives(Agents(OLD).online(), NEW), NEW)
    state = decode_state(chart.found(Asks(Save, file="state")).data)
    assert (state.committed, state.trial.slot, state.b.verified) == ("a", "b", True)
    chart << Asks(Activate, slot="b", manifest=NEW.digest)
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    assert _running(chart) == (NEW.digest, True)
    _frames(chart)
    state = decode_state(chart.found(Asks(Save, file="state")).data)
    assert (state.committed, state.trial, state.b.proven) == ("b", None, True)
    chart << Asks(Publish, kind="have") << Never(Activate)
    assert _running(chart) == (NEW.digest, False)
    assert _status(chart) == (UpdateState.COMMITTED, "")


def test_a_trial_lasts_as_long_as_its_policy_says():
    policy = UpdatePolicy(trial_ms=600_000)
    chart = _trial(AgentConfig(window_ns=4 * MINUTE), policy=policy)
    start = chart.now
    for _ in range(2):
        assert _burst(chart).slot == "b"
        _frames(chart)
        assert _running(chart) == (NEW.digest, True)
    _frames(chart)
    assert chart.now - start == 10 * MINUTE
    assert _running(chart) == (NEW.digest, False)


def test_a_trial_runs_enough_frames_to_be_judged_by():
    chart = _trial(AgentConfig(window_frames=1, trial_frames_min=8))
    assert _burst(chart).frames == 8


def test_errors_roll_back_at_once_and_for_ever():
    chart = _frames(_trial(), error=1)
    state = decode_state(chart.found(Asks(Save, file="state")).data)
    assert (state.committed, state.trial, state.bad[0].banned) == ("a", None, True)
    chart << Asks(Activate, slot="a", manifest=OLD.digest)
    assert _status(chart) == (UpdateState.ROLLED_BACK, "runtime:errors")
    assert _running(chart) == (OLD.digest, False)
    want_arrives(chart, NEW, 2)
    assert _status(chart) == (UpdateState.REJECTED, "quarantined")


def test_a_trial_without_frames_is_rolled_back():
    chart = acknowledge(_trial())
    chart >> DUE
    chart << Asks(Activate, slot="a")
    assert _status(chart) == (UpdateState.ROLLED_BACK, "runtime:silent")


def test_one_boot_restarts_the_trial_and_the_next_ends_it():
    agents = Agents(OLD)
    chart = stage(want_arrives(agents.online(), NEW), NEW)
    state = chart.found(Asks(Save, file="state")).data
    chart = agents.boot(state)
    state = chart.found(Asks(Save, file="state")).data
    chart << Asks(Activate, slot="b")
    chart = agents.boot(state)
    state = decode_state(chart.found(Asks(Save, file="state")).data)
    assert state.bad[0].banned
    chart << Asks(Activate, slot="a") << Never(Activate)


def test_a_trial_goes_on_after_one_boot():
    agents = Agents(OLD)
    chart = stage(want_arrives(agents.online(), NEW), NEW)
    chart = agents.online(chart.found(Asks(Save, file="state")).data)
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    _frames(chart)
    assert _status(chart) == (UpdateState.COMMITTED, "")


def test_a_kill_stops_the_clock_of_a_trial_and_a_revival_starts_it_again():
    chart = _trial()
    chart >> Arrived("kill", kill_of(1, "gauge"))
    chart >> frames_ran(_burst(chart).burst, 1)
    answer(chart)
    assert chart.machine.deadline() is None
    chart >> After(60 * MINUTE) >> Arrived("kill", kill_of(2))
    chart << Asks(RunModel, slot="b")
    assert _running(chart) == (NEW.digest, True)
    _frames(chart)
    assert _running(chart) == (NEW.digest, False)


def test_a_want_for_the_old_bundle_ends_the_trial_at_once_without_a_ban():
    chart = want_arrives(_trial(), OLD, 2)
    chart << Asks(Activate, slot="a", manifest=OLD.digest)
    assert _running(chart) == (OLD.digest, False)
    assert _status(chart) == (UpdateState.COMMITTED, "")
    told = [(event.generation, event.state) for event in sent(chart, "ev")]
    assert told[-1] == (1, UpdateState.SUPERSEDED)
    want_arrives(chart, NEW, 3)
    chart << Asks(HashFile, file="slot-b")


def test_a_newer_want_for_what_is_on_trial_only_changes_its_name():
    chart = want_arrives(_trial(), NEW, 7, deployment="again", attempt=2)
    chart << Never(Activate)
    assert _running(chart) == (NEW.digest, True)
    _frames(chart)
    acknowledge(chart)
    last = sent(chart, "ev")[-1]
    assert (last.state, last.generation, last.deployment) == (UpdateState.COMMITTED, 7, "again")
    assert last.attempt == 2


def test_a_hold_for_something_else_lets_the_trial_end_and_then_waits():
    chart = want_arrives(_trial(), THIRD, 2, hold=True)
    chart << Never(Activate)
    _frames(chart)
    assert _running(chart) == (NEW.digest, False)
    assert _status(chart) == (UpdateState.WAITING, "hold")
    assert [e.state for e in sent(chart, "ev")][-1] is UpdateState.COMMITTED


def test_a_hold_that_came_during_a_trial_that_fails_is_kept():
    chart = want_arrives(_trial(), THIRD, 2, hold=True)
    _frames(chart, error=1)
    assert _running(chart) == (OLD.digest, False)
    assert _status(chart) == (UpdateState.WAITING, "hold")


def test_a_want_after_a_hold_during_the_trial_wins():
    chart = want_arrives(_trial(), THIRD, 2, hold=True)
    want_arrives(chart, OLD, 3)
    assert _running(chart) == (OLD.digest, False)
    assert _status(chart) == (UpdateState.COMMITTED, "")


def test_going_back_needs_no_download_and_no_kit():
    agents = Agents(OLD)
    _, state = _committed(agents)
    chart = want_arrives(agents.online(state), OLD, 2)
    chart << Asks(Save, file="state") << Asks(Activate, slot="a", manifest=OLD.digest)
    assert not sent(chart, "get")
    assert not [effect for effect in chart.all if isinstance(effect, RunKit | Write)]


def test_going_forward_again_reads_the_image_back_first():
    agents = Agents(OLD)
    _, state = _committed(agents)
    chart = want_arrives(agents.online(state), OLD, 2)
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    _frames(chart)
    assert _running(chart) == (OLD.digest, False)
    want_arrives(chart, NEW, 3)
    chart << Asks(HashFile, file="slot-b", size_bytes=len(NEW.image)) << Never(Activate)
    chart >> FileHashed("slot-b", IMAGE)
    chart << Asks(Activate, slot="b") << Never(RunKit)


def test_the_first_bundle_of_an_empty_device_and_its_rollback_to_nothing():
    agents = Agents(None)
    chart = want_arrives(agents.online(), NEW)
    fetch(chart, NEW)
    chart << Asks(HashFile, file="slot-a")
    chart >> FileHashed("slot-a", IMAGE) >> KitRan("a", True, "", 1, 1)
    chart << Asks(Activate, slot="a")
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    _frames(chart, error=1)
    chart << Asks(Activate, slot="") << Never(RunModel)
    assert _running(chart) == (b"", False)


# -- storage and boots ----------------------------------------------------------------------------------


def test_storage_that_fails_during_a_trial_goes_back():
    chart = _trial() >> StorageFailed("state", "worn out")
    chart << Asks(Save, file="state") << Asks(Activate, slot="a")
    assert _status(chart) == (UpdateState.ROLLED_BACK, "storage")
    chart >> StorageFailed("state", "worn out")
    chart << Never(Activate)


def test_a_want_that_ended_stays_ended_across_a_boot():
    agents = Agents(OLD)
    chart = fetch(want_arrives(agents.online(), NEW), NEW)
    chart >> FileHashed("slot-b", IMAGE) >> KitRan("b", False, "nan", 1, 1)
    state = chart.found(Asks(Save, file="state")).data
    again = agents.online(state)
    want_arrives(again, NEW, 1)
    again << SILENCE
    assert _status(again) == (UpdateState.FAILED, "validation:nan")


def test_a_want_in_hand_goes_on_after_a_boot_without_hearing_it_again():
    agents = Agents(OLD)
    chart = want_arrives(agents.online(), NEW)
    again = agents.boot(chart.found(Asks(Save, file="state")).data)
    assert [e for e in again.left if type(e).__name__ == "ReadFile"]


def test_a_deadline_before_its_time_changes_nothing():
    chart = want_arrives(Agents(OLD).online(), NEW, jitter_ms=600_000)
    chart.machine._update.due(chart.now)
    assert _status(chart) == (UpdateState.OFFERED, "")


def test_validate_finds_an_update_that_would_hang():
    chart = want_arrives(Agents(OLD).online(), NEW)
    chart.machine._update._install.drop()
    with pytest.raises(AssertionError, match="waits for nothing"):
        chart.machine.validate()
