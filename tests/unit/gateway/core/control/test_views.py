"""What people see."""

from __future__ import annotations

from devicesdk.wire.messages import Link
from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import MINUTE, SECOND
from gateway.core.stimuli import CreateRollout, Kill, SetFlag, SteerRollout
from tests_kit.gateway_charts import Chart, arrived, digest_of, plan

FLAG = '{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}'


def test_instants_are_in_the_hosts_time():
    chart = Chart.with_fleet(4)
    chart.wait(7 * SECOND) >> CreateRollout(plan(waves=(0.25, 1.0)))
    (wave,) = chart.rollout().waves
    assert (wave.opened_at_ns, wave.closed_at_ns) == (7 * SECOND, None)
    chart.commit(sorted(chart.wants())[0])
    chart.wait(MINUTE)
    assert chart.rollout().waves[0].closed_at_ns == 7 * SECOND + MINUTE


def test_what_a_rollout_says_it_does():
    chart = Chart.with_fleet(4) >> CreateRollout(plan(waves=(0.5, 1.0)))
    members = sorted(chart.wants())
    assert chart.rollout().why == "wave 0: 0 of 2 have ended"
    for device in members:
        chart.commit(device)
    assert chart.rollout().why == "wave 0 soaks"
    chart >> SteerRollout("r1", "pause")
    assert chart.rollout().why == "paused by an operator"


def test_the_overview_counts_the_fleet():
    chart = Chart.with_fleet(4) >> CreateRollout(plan(waves=(1.0,)))
    chart >> SetFlag("eu", "dial", FLAG) >> Kill("polish")
    chart >> arrived("d000", Link(boot_id=1, session=1, online=True))
    chart.commit("d000")
    chart.have("d001", generation=1, running=b"?" * 32, state=S.IDLE)
    chart.have("stranger")
    seen = chart.machine.overview()
    assert (seen.devices, seen.enrolled, seen.online, seen.updating, seen.in_sync) == (
        5,
        4,
        1,
        3,
        1,
    )
    assert seen.versions == {"": 3, "gauge@1.1.0": 1, "3f" * 8: 1}
    assert (seen.kill_version, seen.flags_revs) == (1, {"eu": 1})
    assert (seen.outbox_rows, seen.outbox_in_flight) == (6, 6)


def test_a_device_as_the_gateway_sees_it():
    chart = Chart.with_fleet(1)
    assert chart.machine.twin_view("nobody") is None
    chart.have("stranger", running=b"x")
    twin = chart.twin("stranger")
    assert (twin.wanted, twin.generation, twin.rollout, twin.purpose) == ("", 0, "", "")
    twin = chart.twin("d000")
    assert (twin.wanted, twin.outcome) == (digest_of("gauge@1.0.0").hex(), "committed")
