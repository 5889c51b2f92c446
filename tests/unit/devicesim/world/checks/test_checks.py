from devicesdk.wire.timebase import NEVER
from devicesim.scenario.checks import ALWAYS, MEASURES, SOMETIMES
from devicesim.world.checks import ALWAYS_CHECKS, SOMETIMES_CHECKS, make_checks
from devicesim.world.hearing import STATEMENTS, Listener
from devicesim.world.liveness import frozen_ns
from devicesim.world.watch import MOMENTS, Watcher
from tests_kit import worlds


def test_every_promise_of_the_scenario_language_has_a_check():
    assert list(ALWAYS_CHECKS) == list(ALWAYS)
    assert list(SOMETIMES_CHECKS) == list(SOMETIMES)


def test_every_check_says_what_it_promises_and_looks_at_something():
    for check in (*ALWAYS_CHECKS.values(), *SOMETIMES_CHECKS.values()):
        assert check.__doc__, check
        looks = [m for m in MOMENTS if getattr(check, m) is not getattr(Watcher, m)]
        looks += [s for s in STATEMENTS if getattr(check, s) is not getattr(Listener, s)]
        assert looks, f"{check.name} never looks at anything"


def test_a_scenario_gets_the_checks_that_it_asks_for():
    text = (
        "checks:\n  always: [energy, resume]\n  sometimes: [rollback_ran]\n"
        "  eventually: [{online_ratio: '>= .5', within: 10m}]\n"
        "  finally: [{stuck: '== 0'}]\n  slo: [{kill_p99: '< 2s'}]\n"
    )
    drill = worlds.make_drill(worlds.scenario_text(text, count=1))
    assert [check.title for check in drill.checks] == [
        "energy", "resume", "rollback_ran", "online_ratio >= .5 within 10m of the start", "stuck == 0",
        "kill_p99 < 2s",
    ]  # fmt: skip
    assert [check.kind for check in drill.checks] == [
        "always", "always", "sometimes", "eventually", "finally", "slo",
    ]  # fmt: skip


def test_all_always_checks_run_by_default():
    drill = worlds.make_drill(worlds.scenario_text(count=1))
    assert [check.title for check in drill.checks] == list(ALWAYS)


def test_every_measure_can_be_read():
    drill = worlds.make_drill(worlds.scenario_text(worlds.ROLLOUT, count=2))
    for measure in MEASURES:
        value = drill.meter.read(measure)
        assert value is None or value >= 0, measure


def test_where_hardship_cannot_be_taken_away_liveness_is_not_judged():
    text = worlds.scenario_text("checks: {liveness: {at: 1h, core: all, within: 30m}}\n", count=1)
    drill = worlds.make_drill(text)
    assert drill.checks[-1].name == "liveness"
    drill.world.stage.unseen = {"liveness": "not from here"}
    (check,) = make_checks(drill.world, drill.meter)[-1:]
    assert (check.title, check.verdict, check.story()) == ("liveness", None, "not from here")
    assert frozen_ns(drill.world) == NEVER
