"""What a validation kit refuses is refused where it fails, and before anything is tried.

Every claim is seen to fail when the mechanism is taken out: a device that believes whatever its kit found.
"""

import pytest
from msgspec.structs import replace

from devicesdk.agent.install import Install
from devicesdk.wire.messages import UpdateState
from devicesim.scenario import load
from devicesim.world.assemble import Stock, assemble
from devicesim.world.drill import Drill
from devicesim.world.hearing import Listener
from tests_kit.worlds import _files, _sources, broken, scenario_text

FLEET = (
    "  - {group: kiosk, count: 6, profile: rpi4-kiosk, link: fcc-dsl}\n"
    "  - {group: cam, count: 18, profile: jetson-camera, link: fcc-dsl}"
)
SATURATING = "  - {at: 1m, do: kernel.fault, kind: int8_saturation, for: 5h, target: group=kiosk}\n"
BOTH_WAYS = pytest.mark.parametrize("judged", [True, False], ids=["judged", "believed"])


class Ears(Listener):
    """States and reasons that devices reported, by device, and the manifests that ever ran."""

    def __init__(self, drill):
        self.said, self.ran = {}, {}
        drill.meter.hearing.add(self)
        drill.world.watch.add(self)

    def said_have(self, host, have, now):
        self.said.setdefault(host.device, []).append((have.state, have.reason))

    def activated(self, host, effect, now):
        self.ran.setdefault(host.device, set()).add(effect.manifest)


def run(text, patch, *, judged, change=lambda source: source):
    """A world that ran; not `judged`: its devices take whatever kit for passed."""
    if not judged:
        kit_ran = Install.kit_ran
        patch.setattr(
            Install,
            "kit_ran",
            lambda self, job, ran, now: kit_ran(self, job, replace(ran, passed=True), now),
        )
    profiles, book = _files()
    sources = {name: change(source) for name, source in _sources(text).items()}
    drill = Drill(assemble(load(text, (), None), Stock(profiles, book, sources)))
    ears = Ears(drill)
    drill.world.run()
    assert broken(drill) == []
    return drill, ears


def digest_of(drill, version):
    return next(b.digest for b in drill.world.bundles.values() if b.manifest.version == version)


@BOTH_WAYS
def test_a_kit_that_fails_on_one_hardware_class_keeps_it_out_there_and_lets_it_on_elsewhere(
    monkeypatch, judged
):
    text = scenario_text(
        "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 30m, waves: [50%, 100%], soak: 1m,"
        f" gate: {{failures: 60%}}}}]\ntimeline:\n{SATURATING}",
        duration="4h", fleet=FLEET,
    )  # fmt: skip
    drill, ears = run(text, monkeypatch, judged=judged)
    old, new = digest_of(drill, "1.0.0"), digest_of(drill, "1.1.0")
    kiosks = [host for host in drill.world.hosts if host.parts.group == "kiosk"]
    cameras = [host for host in drill.world.hosts if host.parts.group == "cam"]
    assert all(host.manifest == new for host in cameras), "a kernel that is in order was blamed"
    row = drill.meter.updates.rollouts["r1"]
    assert row.phase.name == "COMPLETED", row.why
    assert len(row.waves) == 2, "the second wave never came"
    if not judged:
        assert all(host.manifest == new for host in kiosks), "nothing but the kit stood in its way"
        return
    for host in kiosks:
        assert host.manifest == old
        assert new not in ears.ran[host.device], f"{host.device} ran what its kit refused"
        reasons = [why for state, why in ears.said[host.device] if state is UpdateState.FAILED]
        assert reasons
        assert all(why.startswith("validation:") for why in reasons), reasons
    assert sum(wave.failed for wave in row.waves) == len(kiosks)
    assert sum(wave.committed for wave in row.waves) == len(cameras)


@BOTH_WAYS
@pytest.mark.parametrize(
    ("budget", "reason"), [("latency_ms_p95_max", "latency"), ("memory_mib_max", "memory")]
)
def test_a_bundle_over_its_budget_is_refused_before_its_trial(monkeypatch, budget, reason, judged):
    text = scenario_text(
        "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 30m, waves: [100%], soak: 1m}]\n", count=4
    )

    def tight(source):
        if source.spec.version != "1.1.0":
            return source
        return replace(
            source, spec=replace(source.spec, budgets=replace(source.spec.budgets, **{budget: 0}))
        )

    drill, ears = run(text, monkeypatch, judged=judged, change=tight)
    new = digest_of(drill, "1.1.0")
    tried = [d for d, said in ears.said.items() if UpdateState.TRIAL in dict(said)]
    ran = [device for device, manifests in ears.ran.items() if new in manifests]
    refused = [
        d for d, said in ears.said.items() if (UpdateState.FAILED, f"validation:{reason}") in said
    ]
    state = drill.meter.updates.rollouts["r1"].phase.name
    if judged:
        assert (tried, ran, state) == ([], [], "HALTED"), "a trial of what is over its budget"
        assert refused, "nobody said why"
    else:
        assert len(tried) == len(ran) == 4, "nothing but the budget stood in its way"
        assert (refused, state) == ([], "COMPLETED")
