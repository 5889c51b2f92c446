"""Questions: pages, filters, and what is kept between two of them."""

import msgspec
import pytest

from devicesdk.wire import codec
from devicesdk.wire.messages import Have, Link
from devicesdk.wire.timebase import SECOND
from gateway.core.pace import Pace, read_budgets
from gateway.core.stimuli import CreateRollout, Enroll, Kill, RolloutPlan
from gateway.core.windows import read_window
from gateway.runtime import lookups, verbs
from gateway.runtime.lookups import Lookups
from gateway.runtime.rollout_views import rollout_shown, rollouts_page
from gateway.runtime.verbs import VerbError
from tests_kit.runtime_stage import NAMES


@pytest.fixture
async def asked(stage):
    for number in range(9):
        await stage.runtime.submit(Enroll(f"d{number}", {"region": "eu" if number % 3 else "us"}))
    return Lookups(stage.runtime)


async def test_a_device_is_written_again_only_when_one_of_its_rows_is_another(stage, asked):
    page = verbs.ListDevices(limit=9)
    before = (await asked.devices(page)).raws
    again = (await asked.devices(page)).raws
    assert all(one is other for one, other in zip(before, again, strict=True))
    await stage.runtime.submit(Enroll("d4", {"region": "apac"}))
    stage.wires.data.deliver(
        NAMES.device("d5", "have"), codec.encode(Have(boot_id=1, seq=1, trial=True))
    )
    await stage.quiet()
    after = (await asked.devices(page)).raws
    changed = [number for number in range(9) if after[number] is not before[number]]
    assert changed == [4, 5]
    assert msgspec.json.decode(after[4])["labels"] == {"region": "apac"}
    assert msgspec.json.decode(after[5])["trial"] is True


async def test_a_page_is_made_again_when_any_device_changed_and_only_then(stage, asked):
    page = verbs.ListDevices(limit=3)
    before = await asked.devices(page)
    assert await asked.devices(page) is before
    changes = (
        lambda: stage.runtime.submit(Enroll("d1", {"region": "apac"})),
        lambda: stage.runtime.submit(Enroll("d00", {})),
        lambda: told("d00", "have", Have(boot_id=1, seq=1, bytes_done=7)),
        lambda: told("d1", "link", Link(boot_id=1, session=1, online=True)),
    )

    async def told(device, channel, message):
        stage.wires.data.deliver(NAMES.device(device, channel), codec.encode(message))
        stage.wires.control.deliver(NAMES.device(device, channel), codec.encode(message))
        await stage.quiet()

    for number, change in enumerate(changes):
        await change()
        after = await asked.devices(page)
        assert after.raws != before.raws, f"change {number} is not shown"
        assert after.tag("") != before.tag(""), f"change {number} has the tag of what was before it"
        before = after
    assert before.tag("x") != before.tag(""), "the tag says nothing of where the page goes on"


async def test_a_page_of_a_core_that_began_anew_is_made_anew(stage, asked):
    page = verbs.ListDevices(limit=9)
    before = await asked.devices(page)
    stage.runtime.crash()
    await stage.up()
    after = await asked.devices(page)
    assert after is not before
    assert after.raws == before.raws


async def test_pages_that_are_kept_are_bounded(asked, monkeypatch):
    monkeypatch.setattr(lookups, "PAGES_MAX", 2)
    for limit in range(1, 9):
        await asked.devices(verbs.ListDevices(limit=limit))
    assert len(asked._pages) == 2


async def test_a_plan_says_when_and_how_many_at_once(stage):
    pace = Pace(
        start_at_ns=5 * SECOND, windows=(read_window("Mon-Fri 01:00-05:00"),), zone="UTC+2",
        budgets=read_budgets({"site": 2, "region": "10%"}), approvals=(1,), late_per_hour=7,
    )  # fmt: skip
    for plan in (
        RolloutPlan("paced", "b@1.0.0", (0.1, 1.0), pace=pace, expires_ns=60 * SECOND),
        RolloutPlan("plain", "b@1.0.0"),
    ):
        await stage.runtime.submit(CreateRollout(plan))
    paced, plain = [
        await stage.runtime.read(lambda core, name=name: rollout_shown(core, name).plan)
        for name in ("paced", "plain")
    ]
    assert (paced.starts_ms, paced.windows, paced.zone) == (
        5_000, ("Mon,Tue,Wed,Thu,Fri 01:00-05:00",), "UTC+2",
    )  # fmt: skip
    assert paced.budgets == {"region": "10%", "site": "2"}
    assert (paced.approvals, paced.late_per_hour, paced.expires_s) == ((1,), 7, 60.0)
    assert (plain.windows, plain.zone, plain.budgets, plain.approvals) == ((), "", {}, ())


async def test_what_is_kept_of_devices_is_bounded(asked, monkeypatch):
    monkeypatch.setattr(lookups, "WRITTEN_MAX", 4)
    for _ in range(2):
        found = (await asked.devices(verbs.ListDevices(limit=9))).raws
        assert [msgspec.json.decode(one)["id"] for one in found] == [f"d{n}" for n in range(9)]
    assert len(asked._written) == 4


async def test_a_filtered_page_says_where_it_stopped_looking(asked, monkeypatch):
    monkeypatch.setattr(lookups, "SCAN_DEVICES_MAX", 2)
    found, after, pages = [], "", 0
    while after is not None:
        page = await asked.devices(verbs.ListDevices(after=after, labels={"region": "us"}))
        found += [msgspec.json.decode(one)["id"] for one in page.raws]
        after, pages = page.next, pages + 1
    assert found == ["d0", "d3", "d6"]
    assert pages == 5, "one page looked at more devices than it may"


async def test_the_overview_is_as_of_the_last_commit(stage, asked):
    one = (await asked.fleet()).fleet
    assert (await asked.fleet()).fleet is one, "it was counted anew for nothing"
    await stage.runtime.submit(Kill("gauge"))
    assert (await asked.fleet()).fleet.kill_version == one.kill_version + 1


async def test_pages_of_rollouts_from_both_ends_have_each_once(stage, asked):
    for number in range(5):
        await stage.runtime.submit(CreateRollout(RolloutPlan(id=f"r{number}", bundle="b@1.0.0")))
    for newest in (False, True):
        found, after = [], 0
        while after is not None:
            verb = verbs.PageRollouts(after=after, limit=2, newest=newest)
            page = await stage.runtime.read(lambda core, verb=verb: rollouts_page(core, verb))
            found += [rollout.id for rollout in page.rollouts]
            after = page.next
        assert found == [f"r{n}" for n in (range(4, -1, -1) if newest else range(5))]


async def test_what_is_not_there_is_unknown(asked):
    for verb in (
        verbs.ShowBundle(bundle="x@1.0.0"),
        verbs.ShowSegment(segment="nowhere"),
        verbs.ShowRollout(rollout="none"),
    ):
        with pytest.raises(VerbError, match="expected") as caught:
            await asked.answer(verb)
        assert caught.value.code == "unknown"
