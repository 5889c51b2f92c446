"""`fleetdrill console RUN` in a real browser: a rehearsal looks like production, at any instant of it."""

import re
import subprocess
import sys

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from devicesdk.wire.timebase import SECOND
from devicesim.rehearse import Rehearsal, open_scenario
from gateway.runtime.rollout_views import rollouts_of
from tests_kit.console_on_run import PATIENCE_S, ROOT, ConsoleOnRun

FILE = ROOT / "scenarios" / "first-light.yaml"
OVERRIDES = ("scale=0.02",)
MIDDLE_S = 8_400
SCREENS = (
    "",
    "devices/kiosk-0003",
    "rollouts/r1",
)  # the player is above each; the others are tried on a gateway
SERIOUS = ("serious", "critical")
expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = Rehearsal(
        open_scenario(FILE, OVERRIDES),
        FILE,
        out=tmp_path_factory.mktemp("runs"),
        overrides=OVERRIDES,
    )
    return run.folder, run.run()


@pytest.fixture(scope="module")
def console(made):
    opened = ConsoleOnRun(made[0])
    yield opened
    assert opened.close() == 0, "expected a console that ends in good order"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])  # fmt: skip
        yield found
        found.close()


@pytest.fixture
def visit(browser, console):
    """Opens the console; fails where the page itself failed at something."""
    contexts, faults = [], []

    def visit(place="", **options):
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_S * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)  # fmt: skip
        page.goto(f"{console.url}/")
        expect(page.locator(".run-player")).to_be_visible()
        page.goto(f"{console.url}/console/#/{place}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert faults == [], f"expected a page without faults, found {faults}"


def plain(found):
    return msgspec.json.decode(msgspec.json.encode(found))


def figure(page, title):
    return page.locator(".figure", has_text=title).locator(".number")


def test_its_end_is_the_runs_to_the_bit(made, console):
    _, record = made
    console.until(lambda: console.player()["same"] is not None, "the end of the run")
    player = console.player()
    assert player["same"] is True
    assert player["digest"] == record.trace_digest
    assert player["verdict"] == record.verdict


def test_what_it_answers_at_an_instant_is_what_the_same_world_knows_then(console):
    reference = Rehearsal(open_scenario(FILE, OVERRIDES), FILE)
    reference.run(MIDDLE_S * SECOND)
    core = reference.world.gateway.core
    console.go(MIDDLE_S)
    assert console.get("/v1/fleet")["fleet"] == plain(core.overview())
    names = [host.device for host in reference.world.hosts]
    devices = console.get("/v1/devices?limit=1000")["devices"]
    assert devices == [plain(core.twin_view(name)) for name in sorted(names)]
    rollouts = console.get("/v1/rollouts")["rollouts"]
    assert rollouts == plain(rollouts_of(core))
    assert console.get("/v1/kills") == {"version": 0, "features": []}, "killed at five hours"


def test_a_page_opens_without_a_question_and_says_what_it_is(made, console, visit):
    _, record = made
    page = visit()
    banner = page.locator(".run-player")
    expect(banner).to_contain_text("Rehearsal")
    expect(banner).to_contain_text(record.title)
    expect(banner).to_contain_text(f"seed {record.seed}, {record.devices} devices")
    expect(banner.locator(".pill")).to_have_text(record.verdict)
    console.api.post("/v1/run/follow", json={})
    expect(figure(page, "Devices")).to_have_text("40")
    expect(figure(page, "Kill list")).to_have_text("1")
    expect(page.locator(".curve path").first).to_be_visible()


def test_every_screen_tells_of_the_run(console, visit):
    console.go(24 * 3600)
    page = visit(place="rollouts/r1")
    expect(page.locator(".heading .pill")).to_have_text("completed")
    expect(page.locator(".wave")).to_have_count(4)
    expect(page.locator(".wave").first).to_contain_text("evidence against it")
    history = console.get("/v1/rollouts/r1/history")
    assert history["points"][-1]["committed"] == 40, "the chronicle was told of the run"
    assert history["since_ms"] == console.player()["start_ms"]
    expect(page.get_by_role("button", name=re.compile("Pause|Abort|Revert"))).to_have_count(0)
    page.goto(f"{console.url}/console/#/devices/kiosk-0003")
    expect(page.locator(".twin")).to_contain_text("gauge@1.1.0")
    expect(page.locator(".happened")).to_contain_text("update is committed")
    expect(page.locator(".happened time").first).to_contain_text("2024-07-")
    page.goto(f"{console.url}/console/#/flags")
    expect(page.get_by_role("main")).to_contain_text("new-dial")
    page.goto(f"{console.url}/console/#/drift")
    expect(page.locator(".heat tbody tr").first).to_be_visible()
    page.goto(f"{console.url}/console/#/bundles")
    expect(page.get_by_role("main")).to_contain_text("gauge@1.1.0")


def test_the_slider_goes_back_to_when_fewer_had_the_update(console, visit):
    console.go(24 * 3600)
    page = visit()
    bar = page.locator(".bars li", has_text="gauge@1.1.0").locator(".value")
    expect(bar).to_contain_text("40")
    page.get_by_label("Instant of the run").fill(str(MIDDLE_S))
    expect(page.locator(".bars")).to_contain_text("gauge@1.0.0")
    console.until(lambda: console.player()["state"] == "paused", "the earlier instant")
    versions = console.get("/v1/fleet")["fleet"]["versions"]
    assert 0 < versions["gauge@1.1.0"] < 40, f"expected some to be updated, found {versions}"
    expect(bar).to_contain_text(str(versions["gauge@1.1.0"]))
    expect(page.locator(".run-player .instant")).to_contain_text("2 h 20 min of 24 h")


def test_the_keyboard_plays_pauses_and_steps(console, visit):
    console.go(MIDDLE_S)
    page = visit()
    page.get_by_label("Speed").select_option("300")
    page.locator("body").click(position={"x": 700, "y": 700})
    page.keyboard.press("Space")
    console.until(lambda: console.player()["now_ms"] > console.player()["start_ms"] + (MIDDLE_S + 60) * 1000, "a minute of play")  # fmt: skip
    page.keyboard.press("Space")
    console.until(lambda: console.player()["state"] == "paused", "a pause")
    before = console.player()["now_ms"]
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.keyboard.press("ArrowRight")
    console.until(lambda: console.player()["now_ms"] == before + 300_000, "a step of five minutes")
    page.keyboard.press("Shift+ArrowLeft")
    console.until(lambda: console.player()["now_ms"] == before - 3_300_000, "an hour back")


def test_nothing_of_it_can_be_changed(console):
    document = console.get("/v1/openapi.json")
    tried = 0
    for path, operations in document["paths"].items():
        for method in set(operations) - {"get", "head"}:
            if path == "/v1/rollouts/preview":
                continue
            answer = console.api.request(method, re.sub(r"{[^}]+}", "1", path), json={})
            assert answer.status_code == 409, f"{method} {path}: {answer.status_code} {answer.text}"
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "/problems/rehearsal"
            assert "cannot be steered here" in answer.json()["detail"]
            tried += 1
    assert tried > 15, f"expected every mutation of the API, tried {tried}"


def test_a_dry_run_is_a_question_and_is_answered(console):
    console.go(MIDDLE_S)
    plan = {"id": "again", "bundle": "gauge@1.1.0", "waves": [0.5, 1.0]}
    answer = console.api.post("/v1/rollouts/preview", json=plan)
    assert answer.status_code == 200, answer.text


def test_strangers_are_not_let_in(console):
    assert console.stranger.get("/v1/fleet").status_code == 401
    assert console.stranger.get("/v1/run").status_code == 401
    assert console.stranger.post("/v1/run/pause").status_code == 401
    rebound = console.api.get("/v1/fleet", headers={"Host": "evil.example"})
    assert rebound.status_code in (403, 421), "a name of somebody else's that leads here is refused"
    script = console.stranger.get("/player/token.js")
    assert script.headers["cross-origin-resource-policy"] == "same-origin", "no other page loads it"
    assert console.api.get("/v1/audit").status_code == 403, "the page has the role viewer"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_stumbles_over_nothing_serious(console, visit, scheme):
    console.go(MIDDLE_S)
    page = visit(color_scheme=scheme)
    for place in SCREENS:
        page.goto(f"{console.url}/console/#/{place}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        found = Axe().run(page).response["violations"]
        serious = [
            (one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in SERIOUS
        ]
        assert serious == [], f"{scheme} {place or 'fleet'}: {serious}"


@pytest.mark.parametrize("width", [360, 1280])
def test_the_player_fits(console, visit, width):
    page = visit(viewport={"width": width, "height": 800})
    wider = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wider == 0, f"expected a page as wide as the window, found {wider} px more"
    slider = page.get_by_label("Instant of the run").bounding_box()
    assert slider["width"] > 120


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "devicesdk", "console", str(tmp_path)], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "expected a run in" in done.stderr
    assert "fleetdrill run" in done.stderr
