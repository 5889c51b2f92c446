"""Adding a device or a fault changes nobody else's luck."""

import sys
from pathlib import Path

from devicesdk.agent.dice import Dice
from devicesim.entropy import Entropy
from devicesim.world.gateway_host import GatewayHost
from tests_kit import worlds


class Diary:
    """Every draw of every stream, by its name."""

    def __init__(self, monkeypatch):
        self.drawn = {}
        names, diary = {}, self.drawn
        opened, block = Entropy.stream, Entropy.block

        def stream(entropy, purpose, ident=""):
            made = opened(entropy, purpose, ident)
            names[made._key] = (purpose, ident)
            return made

        def note(entropy, key, index):
            drawn = block(entropy, key, index)
            diary[(*names.get(key, (str(key), "")), index)] = tuple(drawn)
            return drawn

        monkeypatch.setattr(Entropy, "stream", stream)
        monkeypatch.setattr(Entropy, "block", note)


def draws_of(monkeypatch, text):
    with monkeypatch.context() as patch:
        diary = Diary(patch)
        worlds.make_drill(text).world.run()
    return diary.drawn


def same_for_everybody_else(before, after, newcomers=()):
    common = {k for k in before if k in after and k[1] not in newcomers}
    assert len(common) > 30, "expected the two runs to draw from the same streams"
    different = sorted(str(k[:2]) for k in common if before[k] != after[k])
    assert different == [], f"luck that shifted: {different[:5]}"
    lost = {k[:2] for k in before} - {k[:2] for k in after}
    assert lost == set(), f"streams that vanished: {sorted(lost)[:5]}"


def test_another_device_shifts_nobodys_draws(monkeypatch):
    before = draws_of(monkeypatch, worlds.scenario_text(count=6, duration="1h"))
    after = draws_of(monkeypatch, worlds.scenario_text(count=7, duration="1h"))
    assert {k[1] for k in after} - {k[1] for k in before} == {"kiosk-0006"}
    same_for_everybody_else(before, after, {"kiosk-0006"})


def test_another_fault_shifts_nobodys_draws(monkeypatch):
    fault = "timeline: [{at: 20m, for: 10m, do: partition, target: 'sample(all, 40%)'}]\n"
    before = draws_of(monkeypatch, worlds.scenario_text(count=6, duration="1h"))
    after = draws_of(monkeypatch, worlds.scenario_text(fault, count=6, duration="1h"))
    same_for_everybody_else(before, after)


def test_what_others_fetch_tampers_with_nobody_elses_chunks(monkeypatch):
    fault = "timeline: [{at: 20m, for: 60m, do: tamper.chunks, share: 30%, target: all}]\n"
    found = []
    for count in (2, 5):
        seen, tamper = {}, GatewayHost.tamper

        def wrapped(gateway, change, seen=seen, tamper=tamper):
            def noting(device, chunk):
                made = change(device, chunk)
                seen.setdefault(device, []).append(made == chunk)
                return made

            tamper(gateway, None if change is None else noting)

        with monkeypatch.context() as patch:
            patch.setattr(GatewayHost, "tamper", wrapped)
            worlds.make_drill(worlds.scenario_text(fault + worlds.ROLLOUT, count=count)).world.run()
        found.append(seen)
    for device, fates in found[0].items():
        again = found[1][device]
        shorter = min(len(fates), len(again))
        assert shorter >= 3, f"{device} fetched {shorter} chunks: too few to tell"
        assert fates[:shorter] == again[:shorter], f"{device} had the luck of others"


def rolled(monkeypatch, text):
    """Draws of the agents' dice by device, boot and caller."""
    drawn, below = {}, Dice.below

    def note(dice, bound):
        made = below(dice, bound)
        frame = sys._getframe(1)
        while frame.f_code.co_filename.endswith("dice.py"):
            frame = frame.f_back
        owner = getattr(frame.f_locals.get("self"), "_shared", None)
        if owner is not None and bound:
            place = (owner.identity.device, owner.boot_id, Path(frame.f_code.co_filename).stem)
            drawn.setdefault((*place, frame.f_code.co_name), []).append(made)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(Dice, "below", note)
        worlds.make_drill(text).world.run()
    return drawn


def test_another_back_off_shifts_no_draw_that_is_not_its_own(monkeypatch):
    cut = "timeline: [{at: 15m, for: 5m, do: partition, how: blackhole, target: all}]\n"
    jitter = worlds.ROLLOUT.replace("soak: 1m", "soak: 1m, jitter: 5m")
    policies = (
        "",
        "agent: {backoff: {jitter: none, cap: 10m}}\n",
        "agent: {backoff: {base: 4s}}\n",
    )
    one, *others = (
        rolled(monkeypatch, worlds.scenario_text(cut + jitter + policy, count=6))
        for policy in policies
    )
    told = [key for key in one if key[2:] in (("work", "booted"), ("update", "_plan"))]
    assert len(told) == 12, "six devices draw the phase of their windows and wait out a jitter"
    for other in others:
        shifted = [key for key in told if other.get(key) != one[key]]
        assert shifted == [], f"luck that shifted with the back-off: {shifted[:3]}"
