"""What wants say."""

from __future__ import annotations

from devicesdk.bundle.trust import ROLE_DIRECTOR, Ed25519Signer, Ed25519Verifier
from devicesdk.wire import codec, limits
from devicesdk.wire.messages import UpdatePolicy, Want
from gateway.core.control.offers import deployment_of
from gateway.core.effects import Publish
from gateway.core.gateway import Gateway, GatewayConfig
from gateway.core.rows import DesiredRow, Purpose
from gateway.core.stimuli import BrokerUp, CreateRollout, Enroll, SteerRollout
from tests_kit.gateway_charts import Chart, PlainSigner, bundle, digest_of, factory, plan


def test_wants_are_signed_by_the_director_and_fit_their_bound():
    director = Ed25519Signer(ROLE_DIRECTOR, bytes(32))
    chart = Chart(Gateway(GatewayConfig(root="t/x"), director, PlainSigner()))
    chart >> BrokerUp(session_present=False) >> bundle("gauge@1.0.0") >> bundle() >> factory()
    chart >> Enroll("d" * 64, {}) >> CreateRollout(plan("r" * 96, waves=(1.0,)))
    (publish,) = chart.all(Publish)
    assert publish.topic == f"t/x/d/{'d' * 64}/want"
    assert len(publish.payload) <= limits.WANT_BYTES_MAX
    verifier = Ed25519Verifier({ROLE_DIRECTOR: (director.public,)})
    want = codec.decode(Want, verifier.open(ROLE_DIRECTOR, publish.payload))
    assert (want.device, want.deployment) == ("d" * 64, "r" * 96)
    chart >> SteerRollout("r" * 96, "abort-revert")
    (publish,) = chart.all(Publish)
    back = codec.decode(Want, verifier.open(ROLE_DIRECTOR, publish.payload))
    assert (back.generation, back.deployment) == (2, "r" * 96 + "~revert")


def test_going_back_waits_for_no_window_and_no_jitter():
    policy = UpdatePolicy(plugged=True, battery_percent_min=40, trial_ms=5_000)
    chart = Chart.with_fleet(2) >> CreateRollout(plan(waves=(1.0,), jitter_ms=900, policy=policy))
    assert {want.policy for want in chart.wants().values()} == {policy}
    chart >> SteerRollout("r1", "abort-revert")
    for want in chart.wants().values():
        assert (want.policy, want.jitter_ms) == (UpdatePolicy(trial_ms=5_000), 0)


def test_a_way_back_to_a_bundle_that_is_not_in_the_catalog_names_it_all_the_same():
    chart = Chart.with_fleet(1)
    chart.commit("d000", "unknown@1.0.0", generation=0)
    chart >> CreateRollout(plan(waves=(1.0,))) >> SteerRollout("r1", "abort-revert")
    (want,) = chart.wants().values()
    assert (want.manifest, want.manifest_bytes) == (digest_of("unknown@1.0.0"), 0)


def test_deployments_are_named_by_purpose():
    row = DesiredRow(1, b"", "r1", Purpose.UPDATE)
    assert deployment_of(row) == "r1"
    assert deployment_of(DesiredRow(1, b"", "r1", Purpose.REVERT)) == "r1~revert"
