"""The whole loop over real processes and a real mosquitto: signed by roles, by delta, watched, compared, promoted.

A gateway (`fleetdrill gateway serve`) and two devices (`fleetdrill device run`), enrolled with a root. One gets a release; on
the other the same release is a candidate that runs in the shadow first and is promoted by a flag.
"""

from __future__ import annotations

import json

import pytest

from devicesdk.wire.messages import UpdatePolicy
from gateway.runtime import verbs
from tests_kit.device_stage import QUICK
from tests_kit.role_works import RoleWorks

pytestmark = pytest.mark.mosquitto
WORKER, SHADOW = "dev-1", "dev-2"
TRIAL = UpdatePolicy(trial_ms=500)


@pytest.fixture
def works(tmp_path):
    made = RoleWorks(tmp_path, WORKER, SHADOW)
    yield made
    made.close()


def windows(works):
    return works.ask(verbs.Overview())["counters"]["messages_in"].get("tel", 0)


def experiment(works):
    (view,) = works.ask(verbs.ListExperiments())
    return view


def begin(works):
    """A gateway, two signed releases, two devices that run the first of them."""
    works.gateway("--broker", "mosquitto")
    works.until(lambda: works.ask(verbs.Overview()), "the gateway")
    works.release("1.0.0", "1.1.0")
    works.tell("root.json", "targets.json")
    config = works.folder / "agent.json"
    config.write_text(json.dumps(QUICK))
    for device, role in ((WORKER, "worker"), (SHADOW, "shadow")):
        works.enrolled(device, "--config", config, role=role, region="lab")
        works.until_runs(device, works.roll_out("1.0.0", role))


def test_a_release_is_watched_and_its_candidate_promoted(works):
    begin(works)
    before = len(works.log(WORKER))
    new = works.roll_out("1.1.0", "worker")
    works.until_runs(WORKER, new)
    works.until_logged(WORKER, "delta_applied", before)
    seen = windows(works)
    works.until(lambda: windows(works) > seen, "another telemetry window")

    works.ask(
        verbs.CreateExperiment(
            id="e1", bundle="gauge@1.1.0", production="gauge@1.0.0", mode="shadow", selector={"role": "shadow"},
            tolerated=0.5, apart=0.99, apart_permille=1000, look="1s", soak="1s", jitter="0s", policy=TRIAL,
        )
    )  # fmt: skip
    works.until_logged(SHADOW, "experiment_joined")
    fetched = works.log(SHADOW).count("fetch_begun")
    assert works.show(SHADOW)["running"] != new, "a candidate in the shadow decides nothing"
    works.until(lambda: experiment(works)["state"] == "promoted", "the evidence to promote it")
    works.until_runs(SHADOW, new)
    assert works.log(SHADOW).count("fetch_begun") == fetched, "a promotion fetches nothing"
    assert experiment(works)["windows"] > 0
    works.undisturbed()
