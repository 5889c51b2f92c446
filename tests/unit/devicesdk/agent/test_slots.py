"""Two slots: one is always whole, and what failed never comes back."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.slots import EMPTY, Slots, factory_state
from devicesdk.agent.snapshot import Bad, Slot, State, Trial
from tests_kit.agent_bundles import Bundle, identity_of

OLD, NEW = Slot(manifest=b"o" * 32, verified=True), Slot(manifest=b"n" * 32, verified=True)
TRIAL = Trial(slot="b", generation=3, deployment="r3", attempt=0, trial_ms=1000)


def _slots(**fields):
    return Slots(AgentConfig(), State(committed="a", a=OLD, **fields))


def _on_trial():
    slots = _slots(b=NEW)
    slots.begin_trial(TRIAL)
    return slots


def test_a_device_from_the_factory_runs_its_bundle():
    bundle = Bundle(1)
    slots = Slots(AgentConfig(), factory_state(identity_of(bundle)))
    assert (slots.active, slots.inactive, slots.running.manifest) == ("a", "b", bundle.digest)
    slots.validate()


def test_a_device_without_a_bundle_runs_nothing_and_fills_slot_a():
    slots = Slots(AgentConfig(), factory_state(identity_of(None)))
    assert (slots.active, slots.inactive, slots.running) == ("", "a", EMPTY)
    slots.validate()


def test_a_commit_swaps_the_slots():
    slots = _on_trial()
    assert (slots.active, slots.running) == ("b", NEW)
    slots.commit()
    assert (slots.committed, slots.active, slots.inactive, slots.trial) == ("b", "b", "a", None)
    assert slots["b"].proven
    slots.validate()


def test_a_failed_trial_is_banned_and_its_slot_is_not_valid_any_more():
    slots = _on_trial()
    assert slots.roll_back(failed=True) == NEW.manifest
    assert (slots.active, slots["b"]) == ("a", EMPTY)
    assert slots.is_banned(NEW.manifest)


def test_a_trial_that_was_called_off_keeps_its_image():
    slots = _on_trial()
    slots.roll_back(failed=False)
    assert (slots.active, slots["b"]) == ("a", NEW)
    assert not slots.is_banned(NEW.manifest)


def test_a_trial_can_change_its_deployment_and_counts_boots():
    slots = _on_trial()
    slots.rename_trial(9, "r9", 2)
    assert slots.rebooted() == 1
    assert slots.rebooted() == 2
    assert (slots.trial.generation, slots.trial.deployment, slots.trial.attempt) == (9, "r9", 2)


def test_three_integrity_failures_ban():
    slots = _slots(b=NEW)
    for expected in (False, False, True):
        slots.blame(NEW.manifest)
        assert slots.is_banned(NEW.manifest) is expected
    assert slots.bad == (Bad(NEW.manifest, 3, banned=True),)
    assert slots["b"] == EMPTY


def test_the_quarantine_is_bounded_and_forgets_the_oldest():
    slots = Slots(AgentConfig(quarantine_entries_max=2), State())
    for number in range(3):
        slots.ban(bytes([number]))
    assert [bad.manifest for bad in slots.bad] == [b"\1", b"\2"]
    slots.validate()


def test_an_unverified_slot_is_never_tried():
    slots = _slots()
    with pytest.raises(AssertionError, match="trial of unverified slot b"):
        slots.begin_trial(TRIAL)
    slots.fill(NEW)
    with pytest.raises(AssertionError, match="trial of a, inactive is b"):
        slots.begin_trial(Trial("a", 1, "r", 0, 1))


@pytest.mark.parametrize(
    ("state", "story"),
    [
        (State(committed="a"), "slot a runs unverified"),
        (State(committed="a", b=NEW, trial=TRIAL), "slot a is not bootable"),
        (State(committed="b", b=NEW, trial=TRIAL), "the trial is in the committed slot"),
        (State(bad=tuple(Bad(bytes([n])) for n in range(65))), "the quarantine overflowed"),
    ],
)
def test_validate_tells_what_is_wrong(state, story):
    with pytest.raises(AssertionError, match=story):
        Slots(AgentConfig(), state).validate()
