"""Releases whose signatures are worth nothing, and one that lies about its memory: who refuses them."""

from __future__ import annotations

import pytest

from tests_kit.worlds import broken, make_drill, scenario_text

PLAN = """
trust: {trust}
rollouts:
  - {{id: bad, bundle: gauge@1.2.1, at: 30m, waves: [100%], soak: 1m, gate: {{failures: 20%}}}}
  - {{id: good, bundle: gauge@1.1.0, at: 1h, waves: [100%], soak: 1m, gate: {{failures: 20%}}}}
"""
NEXT = "models/gauge/1.1.0}\n"
BAD = NEXT + "  - {id: gauge, version: 1.2.1, path: models/gauge-mislabelled/1.2.1%s}\n"


def ran(spoilt, trust="roles"):
    text = scenario_text(PLAN.format(trust=trust), count=4, duration="3h")
    drill = make_drill(text.replace(NEXT, BAD % spoilt))
    drill.world.run()
    assert broken(drill) == []
    ended = {name: row.phase.name for name, row in drill.meter.updates.rollouts.items()}
    return drill, ended, drill.meter.updates.rollouts["bad"]


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_with_roles_the_gateway_refuses_it_and_the_next_release_goes_out(how):
    drill, ended, bad = ran(f", signed: {how}")
    assert drill.recorder.decisions["role.refused"] == 1
    assert bad.waves == () or not any(wave.offered for wave in bad.waves), "it was offered"
    assert ended["good"] == "COMPLETED", "the refusal stalled what was in order"


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_with_keys_alone_every_device_refuses_it(how):
    _, ended, bad = ran(f", signed: {how}", "keys")
    assert ended["bad"] == "HALTED"
    assert (bad.waves[0].rejected, bad.waves[0].exposed) == (4, 0)
    assert ended["good"] == "COMPLETED"


def test_one_that_takes_more_memory_than_its_budget_is_refused_by_its_kit():
    _, ended, bad = ran(", costs: {memory: 1000}")
    assert ended["bad"] == "HALTED"
    wave = bad.waves[0]
    assert wave.failed >= 3, bad.why
    assert (wave.committed, wave.exposed) == (0, 0)


@pytest.mark.parametrize("trust", ["roles", "keys"])
def test_the_same_release_in_order_is_taken(trust):
    _, ended, bad = ran("", trust)
    assert ended["bad"] == "COMPLETED"
    assert bad.waves[0].committed == 4
