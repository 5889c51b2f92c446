from devicesdk.wire.timebase import MINUTE
from devicesim.scenario import load
from devicesim.world.assemble import Stock, assemble
from devicesim.world.broker.delivery import Delivery
from devicesim.world.causes.inquiry import Inquiry, Question
from devicesim.world.drill import Drill
from tests_kit import worlds

OFF = "timeline: [{at: 20m, for: 30m, do: power.cut, target: 'share(all, 0%..50%)'}]\n"
TEXT = worlds.scenario_text(worlds.ROLLOUT.replace("30m", "23m") + OFF, count=6, duration="1h")


def build(kernel, stage):
    profiles, links = worlds._files()
    stock = Stock(profiles, links, worlds._sources(TEXT))
    return Drill(assemble(load(TEXT, (), None), stock, kernel=kernel, stage=stage))


def place_of(name):
    return [check.name for check in worlds.make_drill(TEXT).checks].index(name)


def test_what_a_sweep_found_is_narrowed_down_to_the_step(monkeypatch):
    monkeypatch.setattr(Delivery, "_queue", lambda self, session, message: None)
    inquiry = Inquiry(build, [Question(place_of("conservation"), 30 * MINUTE, [])])
    inquiry.run(31 * MINUTE)
    (found,) = inquiry.findings()
    assert found.exact
    assert 23 * MINUTE <= found.first_ns < 24 * MINUTE, "not the sweep at 30 minutes"
    assert found.chain[0].kind == "rollout.created"
    assert [fault.key for fault in found.in_force] == ["power.cut"]


def test_looking_between_steps_of_a_healthy_run_finds_nothing():
    names = ("conservation", "bounded_queues", "one_session", "energy")
    inquiry = Inquiry(
        build, [Question(place_of(name), 60 * MINUTE, ["kiosk-0000"]) for name in names]
    )
    digest = inquiry.run(None)
    assert inquiry.findings() == [None] * len(names)
    assert digest == worlds.make_drill(TEXT).world.run()
