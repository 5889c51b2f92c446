"""The console in a real browser: a gateway process, a real broker, real agents."""

import json
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core.access.approvals import APPROVAL, ApprovalRow
from tests_kit.console_stage import PATIENCE_S, ConsoleStage

pytestmark = pytest.mark.mosquitto
DEVICES = ("kiosk-1", "kiosk-2", "kiosk-3")
SCREENS = (
    "", "devices", "devices/kiosk-1", "rollouts", "rollouts/spring", "new-rollout", "experiments", "new-experiment", "flags", "drift",
    "bundles", "transfers", "alarms", "approvals", "audit", "tokens",
)  # fmt: skip
SERIOUS = ("serious", "critical")
ROLLOUT = {"bundle": "gauge@1.2.0", "waves": [0.34, 1.0], "soak": "1h", "jitter": "0s"}


class Stage(ConsoleStage):
    """With a request of somebody else."""

    def prepare(self):
        asked = json.dumps({"verb": "kill", "feature": "dial"}).encode()
        now_ms = time.time_ns() // 1_000_000  # noqa: TID251 - the gateway is a real one
        storage = SqlStorage(sqlite_url(self.state / "gateway.db"))
        storage.put(APPROVAL, "000000000001", ApprovalRow(1, asked, "ci", "releaser", now_ms))
        plan = json.dumps({"verb": "rollout.create", "id": "shares", "waves": [0.01, 1.0], "late_per_hour": 1,
                           "gate": {"failures": 0.005, "evidence": 20.0, "quorum": 0.9}}).encode()  # fmt: skip
        denied = ApprovalRow(2, plan, "ci", "releaser", now_ms, "denied", "ana", now_ms, "not now")
        storage.put(APPROVAL, "000000000002", denied)
        storage.commit()
        storage.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("console"), DEVICES)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])  # fmt: skip
        yield made
        made.close()


@pytest.fixture
def visit(browser, stage):
    """Opens the console signed in; fails where the page itself failed at something."""
    contexts, faults = [], []

    def visit(token=None, place="", **options):
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_S * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)  # fmt: skip
        page.goto(f"{stage.url}/")
        if token != "":
            page.get_by_label("Token").fill(token or stage.token)
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="Fleet", level=1, exact=True)).to_be_visible()
            page.goto(f"{stage.url}/console/#/{place}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert faults == [], f"expected a page without faults, found {faults}"


expect.set_options(timeout=PATIENCE_S * 1000)


def state_of(stage, rollout):
    return stage.ask("GET", f"/v1/rollouts/{rollout}")["state"]


def test_a_stranger_is_told_so_and_a_token_never_is_in_the_address(visit, stage):
    page = visit(token="")
    assert page.url == f"{stage.url}/console/"
    page.get_by_label("Token").fill("fd_nobody_secret")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody unknown")
    page.get_by_label("Token").fill(stage.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Fleet", level=1, exact=True)).to_be_visible()
    assert stage.token not in page.url
    kept = page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]")  # fmt: skip
    assert kept == [[stage.token], [], ""], "the token stays in this tab and nowhere else"
    page.reload()
    expect(page.get_by_role("heading", name="Fleet", level=1, exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_fleet_is_seen_and_found_and_a_twin_is_read(visit, stage):
    page = visit()
    online = page.locator(".figure", has_text="Online").locator(".number")
    expect(online).to_have_text("3")
    expect(page.locator(".live")).to_have_text("live")
    page.get_by_role("link", name="Devices", exact=True).click()
    expect(page.locator("tbody tr:not(.room)")).to_have_count(3)
    page.get_by_role("searchbox").fill("osk-2")
    expect(page.locator("tbody tr:not(.room)")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="kiosk-2", level=1)).to_be_visible()
    expect(page.locator(".twin")).to_contain_text("gauge@1.1.0")
    page.get_by_role("button", name="Edit labels").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("region:us\nfloor:3")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator("main .labels")).to_contain_text("floor 3")
    assert stage.ask("GET", "/v1/devices/kiosk-2/labels")["labels"] == {"region": "us", "floor": "3"}  # fmt: skip
    expect(page.locator(".story")).to_contain_text("device.enroll")


def test_a_rollout_is_begun_watched_paused_resumed_and_ended(visit, stage):
    page = visit(place="rollouts")
    page.get_by_role("link", name="New rollout").click()
    page.locator("[name=id]").fill("summer")
    page.locator("[name=bundle]").fill("gauge@1.2.0")
    page.get_by_label("Soak after each wave").fill("never")
    page.get_by_role("button", name="Start the rollout").click()
    expect(page.get_by_role("alert")).to_contain_text("soak")
    page.get_by_label("Up to this share, %").fill("34, 100")
    page.get_by_label("Soak after each wave").fill("1h")
    page.get_by_label("Spread of the beginning").fill("0s")
    page.get_by_role("button", name="Start the rollout").click()
    expect(page.get_by_role("heading", name="summer", level=1)).to_be_visible()
    expect(page.locator(".wave").first).to_contain_text("Wave 0")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.locator(".heading .pill")).to_have_text("paused")
    assert state_of(stage, "summer") == "paused"
    # What somebody else does is seen without a reload.
    stage.ask("POST", "/v1/rollouts/summer/resume")
    expect(page.locator(".heading .pill")).to_have_text("running")
    page.get_by_role("button", name="Abort and keep").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Abort and keep")).to_be_disabled()
    dialog.get_by_role("textbox").fill("summer")
    dialog.get_by_role("button", name="Abort and keep").click()
    expect(page.locator(".heading .pill")).to_have_text("aborted")
    assert state_of(stage, "summer") == "aborted"


def test_a_wave_that_waits_for_somebody_is_approved(visit, stage):
    page = visit(place="new-rollout?bundle=gauge@1.2.0")
    page.locator("[name=id]").fill("agreed")
    page.get_by_label("Spread of the beginning").fill("0s")
    page.get_by_text("When, how many at once, and who agrees").click()
    page.get_by_label("Windows").fill("Mon-Sun 00:00-12:00\nMon-Sun 12:00-24:00")
    page.get_by_label("Budgets").fill("region:50% floor:2")
    page.get_by_label("Waves that wait for approval").fill("0")
    page.get_by_role("button", name="Start the rollout").click()
    plan = page.locator(".plan")
    expect(plan).to_contain_text("daily 00:00-12:00")
    expect(plan).to_contain_text("50% of each region")
    expect(plan).to_contain_text("2 of each floor")
    rollouts = page.get_by_role("navigation").get_by_role("link", name="Rollouts")
    expect(rollouts).to_contain_text("1 wave waits for approval")
    page.get_by_role("button", name="Approve wave 0").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve wave 0").click()
    expect(page.locator(".wave").first).to_contain_text("opened")
    expect(rollouts).not_to_contain_text("approval")
    assert stage.ask("GET", "/v1/rollouts/agreed")["approval"] is None
    stage.ask("POST", "/v1/rollouts/agreed/abort-keep")


def test_what_waits_for_a_second_person_is_seen_from_everywhere_until_it_is_decided(visit, stage):
    page = visit(place="approvals")
    approvals = page.get_by_role("navigation").get_by_role("link", name="Approvals")
    expect(approvals).to_contain_text("1 waits for a second person")
    elsewhere = visit()
    page.get_by_role("button", name="Deny").click()
    page.get_by_role("dialog").get_by_role("button", name="Deny").click()
    for each in (page, elsewhere):
        link = each.get_by_role("navigation").get_by_role("link", name="Approvals")
        expect(link).to_have_text("Approvals")
    assert stage.ask("GET", "/v1/approvals")["approvals"][0]["state"] == "denied"


def test_shares_that_wait_for_a_second_person_are_told_in_per_cent(visit):
    page = visit(place="approvals")
    card = page.locator(".card", has_text="rollout.create").locator("dl")
    expect(card).to_contain_text("1\u00a0%, 100\u00a0%")
    expect(card).to_contain_text("failures: 0.5\u00a0%, evidence: 20, quorum: 90\u00a0%")
    expect(card).to_contain_text("late per hour1")


def test_what_is_critical_stands_first_among_open_alarms_then_the_newest(visit):
    page = visit()
    alarm = {
        "kind": "offline",
        "subject": "x",
        "state": "raised",
        "count": 1,
        "acknowledged_by": "",
        "silent_until_ms": 0,
    }
    lines = {
        "critical": [alarm | {"id": 3, "severity": "critical", "says": "old and critical"}],
        "": [alarm | {"id": 9, "severity": "warning", "says": "newest"},
             alarm | {"id": 7, "severity": "critical", "says": "new and critical"},
             alarm | {"id": 5, "severity": "warning", "says": "older"}],
    }  # fmt: skip

    def answer(route):
        asked = parse_qs(urlsplit(route.request.url).query)
        route.fulfill(
            json={"alarms": lines[asked.get("severity", [""])[0]], "counts": {}, "next": None}
        )

    page.route("**/v1/alarms?*", answer)
    page.keyboard.press("g")
    page.keyboard.press("l")
    shown = page.locator(".card.alarm h2")
    expect(shown).to_have_text(["new and critical", "old and critical", "newest", "older"])
    page.get_by_label("State").select_option("all")
    expect(shown).to_have_text(["newest", "new and critical", "older"])


def test_a_question_for_critical_alarms_that_failed_is_told(visit):
    page = visit()
    ill = True

    def answer(route):
        critical = "severity" in parse_qs(urlsplit(route.request.url).query)
        if critical and ill:
            route.fulfill(
                status=503,
                content_type="application/problem+json",
                json={"title": "Busy", "status": 503, "detail": "the store is busy"},
            )
        else:
            route.fulfill(json={"alarms": [], "counts": {}, "next": None})

    page.route("**/v1/alarms?*", answer)
    page.keyboard.press("g")
    page.keyboard.press("l")
    told = page.get_by_role("alert")
    expect(told).to_contain_text("the store is busy")
    nothing = page.get_by_text("Nothing is wrong")
    expect(nothing).to_have_count(0)
    ill = False
    told.get_by_role("button").click()
    expect(told).to_have_count(0)
    expect(nothing).to_be_visible()


@pytest.mark.parametrize("hours", [-5, 7])
def test_a_computer_with_a_wrong_clock_shows_the_gateways_time(browser, stage, hours):
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_S * 1000)
    page = context.new_page()
    page.add_init_script(f"const right = Date.now; Date.now = () => right() + {hours} * 3600e3;")
    page.goto(f"{stage.url}/")
    page.get_by_label("Token").fill(stage.token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Fleet", level=1, exact=True)).to_be_visible()
    page.goto(f"{stage.url}/console/#/devices/kiosk-1")
    newest = page.locator(".story .when").first
    expect(newest).to_have_text(re.compile(r"^(\d+ s|\d+ min) ago$"))
    context.close()


def test_who_steers_what_changed_since_is_told_and_nothing_is_done(visit, stage):
    stage.ask("POST", "/v1/rollouts", {"id": "changed", **ROLLOUT})
    page = visit(place="rollouts/changed")
    page.get_by_role("button", name="Abort and keep").click()
    stage.ask("POST", "/v1/rollouts/changed/pause")
    page.get_by_role("dialog").get_by_role("textbox").fill("changed")
    page.get_by_role("dialog").get_by_role("button", name="Abort and keep").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        "Changed since you looked"
    )
    assert state_of(stage, "changed") == "paused"
    stage.ask("POST", "/v1/rollouts/changed/abort-keep")


def test_a_feature_is_killed_by_typing_its_name_and_revived(visit, stage):
    page = visit(place="flags")
    page.get_by_label("Feature to kill").fill("..")
    expect(page.locator(".kill").get_by_role("alert")).to_contain_text("part of an address")
    expect(page.get_by_role("button", name="Kill it everywhere")).to_be_disabled()
    page.get_by_label("Feature to kill").fill("gauge")
    page.get_by_role("button", name="Kill it everywhere").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Kill it")).to_be_disabled()
    dialog.get_by_role("textbox").fill("gauge")
    dialog.get_by_role("button", name="Kill it").click()
    expect(page.locator(".kill li")).to_contain_text("gauge")
    assert stage.ask("GET", "/v1/kills")["features"] == ["gauge"]
    devices = [f"/v1/devices/{name}" for name in DEVICES]
    heard = lambda: all(stage.ask("GET", path)["kill_version"] == 1 for path in devices)  # noqa: E731
    stage.until(heard, "every device to hear of it")
    page.get_by_role("button", name="Revive gauge").click()
    dialog.get_by_role("textbox").fill("gauge")
    dialog.get_by_role("button", name="Revive it").click()
    expect(page.locator(".kill")).to_contain_text("Nothing is killed")
    assert stage.ask("GET", "/v1/kills")["features"] == []


def test_a_flag_is_made_and_changed(visit, stage):
    page = visit(place="flags")
    page.get_by_role("button", name="New flag").click()
    page.get_by_role("dialog").get_by_label("Flag", exact=True).fill("dashboard.dark")
    page.get_by_role("button", name="Set it").click()
    expect(page.locator(".segment tbody tr")).to_contain_text("dashboard.dark")
    page.get_by_role("button", name="Change dashboard.dark").click()
    page.get_by_label("By default").select_option("off")
    page.get_by_role("button", name="Set it").click()
    expect(page.locator(".segment tbody tr td").nth(2)).to_have_text("off")
    found = stage.ask("GET", "/v1/flags/all/dashboard.dark")["definition"]
    assert found["defaultVariant"] == "off"


def test_the_keyboard_goes_everywhere(visit):
    page = visit()
    page.keyboard.press("g")
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Devices", level=1)).to_be_visible()
    expect(page.locator("[data-row]")).to_have_count(3)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("g")
    expect(page.get_by_role("searchbox")).to_have_value("g")
    page.get_by_role("searchbox").fill("")
    page.get_by_role("searchbox").blur()
    expect(page.locator("[data-row]")).to_have_count(3)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="kiosk-2")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="kiosk-2", level=1)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Rollouts")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", name="Rollouts", level=1)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Rollouts", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_anything_is_found_by_its_name_and_what_happened_to_a_device_is_told(visit, stage):
    page = visit()
    page.keyboard.press("Control+k")
    search = page.get_by_role("combobox", name="Search")
    search.fill("kiosk-3")
    page.get_by_role("option", name="kiosk-3 device, online").wait_for()
    search.press("Enter")
    expect(page.get_by_role("heading", name="kiosk-3", level=1)).to_be_visible()
    for happened in ("came online", "started, boot 1", "runs gauge@1.1.0"):
        expect(page.locator(".story")).to_contain_text(happened)
    page.get_by_role("button", name="what people did").click()
    expect(page.locator(".story")).not_to_contain_text("came online")
    expect(page.locator(".story time").first).to_have_attribute("title", re.compile(r"^20\d\d-"))
    expect(page.get_by_role("img", name="Connection: online")).to_be_visible()
    page.keyboard.press("s")
    page.get_by_role("combobox", name="Search").fill("region:eu")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Filter")).to_have_value("region:eu")
    page.keyboard.press("s")
    page.get_by_role("combobox", name="Search").fill("flags")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_experiment_is_begun_and_stopped_and_its_rollout_is_seen_by_time(visit, stage):
    page = visit(place="experiments")
    page.get_by_role("link", name="New experiment").click()
    for field, text in (
        ("id", "night-reader"),
        ("bundle", "gauge@1.2.0"),
        ("production", "gauge@1.2.0"),
    ):
        page.locator(f"[name={field}]").fill(text)
    page.get_by_role("button", name="Start the experiment").click()
    expect(page.get_by_role("alert")).to_contain_text("a candidate that is not production")
    page.locator("[name=production]").fill("gauge@1.1.0")
    page.get_by_label("Spread of the beginning").fill("0s")
    page.get_by_role("button", name="Start the experiment").click()
    card = page.locator(".card", has_text="night-reader")
    expect(card).to_contain_text("shadow, share 100")
    expect(card.get_by_role("img", name=re.compile("^evidence against it: .* of 20"))).to_be_visible()  # fmt: skip
    page.goto(f"{stage.url}/console/#/rollouts/night-reader")
    expect(page.get_by_role("img", name=re.compile("^Devices by time: offered"))).to_be_visible()
    expect(page.locator(".plot").nth(2)).to_contain_text("the gate halts at 20")
    page.goto(f"{stage.url}/console/#/experiments")
    card.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("night-reader")
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(card.locator(".pill").first).to_have_text("stopped")


def test_a_device_is_taken_in(visit, stage):
    page = visit(place="devices")
    page.get_by_role("button", name="New device").click()
    page.get_by_role("dialog").get_by_label("Id").fill("kiosk-9")
    page.get_by_role("dialog").get_by_label("Labels").fill("region:us floor:9")
    page.get_by_role("button", name="Take it in").click()
    expect(page.get_by_role("heading", name="kiosk-9", level=1)).to_be_visible()
    assert stage.ask("GET", "/v1/devices/kiosk-9/labels")["labels"] == {"region": "us", "floor": "9"}  # fmt: skip


def test_colours_follow_the_system_until_somebody_chooses(visit):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page = visit(color_scheme="dark")
    assert paper(page) == "rgb(18, 21, 25)"
    page.get_by_role("button", name="Colours: auto").click()
    assert paper(page) == "rgb(252, 252, 251)"
    page.reload()
    expect(page.get_by_role("button", name="Colours: light")).to_be_visible()
    assert paper(page) == "rgb(252, 252, 251)"
    assert paper(visit(color_scheme="light")) == "rgb(252, 252, 251)"


def test_a_viewer_sees_everything_and_may_press_nothing(visit, stage):
    page = visit(token=stage.make_token("viewer"))
    for hidden in ("Audit", "Tokens"):
        expect(page.get_by_role("link", name=hidden)).to_have_count(0)
    stage.ask("POST", "/v1/rollouts", {"id": "watched", **ROLLOUT})
    for place, seen in (
        ("rollouts/watched", "watched"),
        ("devices/kiosk-1", "kiosk-1"),
        ("flags", "Flags and kill"),
    ):
        page.goto(f"{stage.url}/console/#/{place}")
        expect(page.get_by_role("heading", name=seen, level=1)).to_be_visible()
        expect(page.locator("main .muted").first).to_be_visible()
        assert page.locator("main").get_by_role("button").all_inner_texts() == []
    page.goto(f"{stage.url}/console/#/tokens")
    expect(page.locator("main")).to_contain_text("Expected somebody who may tokens")
    stage.ask("POST", "/v1/rollouts/watched/abort-keep")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_has_a_serious_fault_of_accessibility_or_breaks_on_a_small_one(visit, stage, scheme):  # fmt: skip
    if stage.api.get("/v1/rollouts/spring").status_code == 404:
        stage.ask("POST", "/v1/rollouts", {"id": "spring", **ROLLOUT})
    page = visit(color_scheme=scheme)
    found = []
    for place in SCREENS:
        page.goto(f"{stage.url}/console/#/{place}")
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("main .loading")).to_have_count(0)
        page.set_viewport_size({"width": 360, "height": 740})
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found += [f"{place or 'fleet'}: {over} px wider than the screen"] if over > 0 else []
        page.set_viewport_size({"width": 1280, "height": 800})
        said = Axe().run(page).response["violations"]
        found += [_worded(place, one) for one in said if one["impact"] in SERIOUS]
    assert found == [], "\n".join(found)


def _worded(place, violation):
    where = [re.sub(r"\s+", " ", node["html"])[:160] for node in violation["nodes"][:3]]
    return f"{place or 'fleet'}: {violation['id']}: {where}"
