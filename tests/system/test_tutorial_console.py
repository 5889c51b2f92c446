"""The tutorial by the console alone: each step of docs/tutorials/serve-a-fleet.md, in a browser, on `make serve`.

With TUTORIAL_PICTURES=FOLDER a picture of each step is left there.
"""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests_kit.playground_stage import PATIENCE_S, ROOT, PlaygroundStage

pytestmark = pytest.mark.mosquitto
expect.set_options(timeout=PATIENCE_S * 1000)
PICTURES = os.environ.get("TUTORIAL_PICTURES")
SIZE = {"width": 1360, "height": 860}
PAGE = (ROOT / "docs" / "tutorials" / "serve-a-fleet.md").read_text()
WALK = " ".join(PAGE.partition("## In the browser\n")[2].partition("\n## ")[0].split())


@pytest.fixture
def stage(tmp_path):
    made = PlaygroundStage(tmp_path / "playground", tmp_path)
    yield made
    made.close()


@pytest.fixture
def page(stage):
    faults = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])  # fmt: skip
        context = browser.new_context(viewport=SIZE)
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        yield page
        browser.close()
    assert faults == [], f"expected a page without faults, found {faults}"


def picture(page, name):
    if PICTURES:
        page.wait_for_timeout(400)
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def told(name):
    """The name of something on the page, if the tutorial names it."""
    assert f"*{name}*" in WALK, f"expected the tutorial to speak of *{name}*, found no word of it"
    return name


def typed(text):
    """What is typed, if the tutorial says so."""
    assert f"`{text}`" in WALK, f"expected the tutorial to say `{text}`, found no word of it"
    return text


def goes_to(page, title):
    page.get_by_role("link", name=told(title), exact=True).first.click()
    expect(page.get_by_role("heading", name=title, level=1, exact=True)).to_be_visible()


def test_a_newcomer_plays_with_a_fleet_in_the_browser(stage, page):
    looks(stage, page)
    publishes(stage, page)
    rolls_out(stage, page)
    flips_a_flag(stage, page)
    kills(stage, page)
    sees_drift(page)


def looks(stage, page):
    page.goto(stage.url)
    assert "50 devices online" in WALK
    page.get_by_label("Token").fill(stage.token)
    page.get_by_role("button", name="Sign in").click()
    online = page.locator(".figure", has_text="Online").locator(".number")
    expect(online).to_have_text("50")
    picture(page, "1-fleet")


def publishes(stage, page):
    goes_to(page, "Bundles")
    page.get_by_role("button", name=told("Publish a bundle")).click()
    picture(page, "2-publish")
    archive = stage.folder.parent / typed("playground/bundles/gauge-1.1.0.zip")
    page.get_by_label("Bundle archive").set_input_files(archive)
    picture(page, "3-seen")
    page.get_by_role("button", name=told("Publish gauge@1.1.0")).click()
    expect(page.locator("tbody")).to_contain_text("gauge@1.1.0")


def rolls_out(stage, page):
    page.get_by_role("link", name=f"{told('Roll out')} gauge@1.1.0").click()
    page.locator("[name=id]").fill(typed("better"))
    page.get_by_label(told("Up to this share")).fill(typed("10, 50, 100"))
    page.get_by_label(told("Soak after each wave")).fill(typed("5s"))
    page.get_by_label(told("Spread of the beginning")).fill(typed("5s"))
    picture(page, "4-plan")
    page.get_by_role("button", name=told("Start the rollout")).click()
    expect(page.get_by_role("heading", name="better", level=1)).to_be_visible()
    expect(page.locator(".wave").nth(1)).to_be_visible()
    picture(page, "5-waves")
    expect(page.locator(".heading .pill")).to_have_text(told("completed"))
    picture(page, "6-completed")
    new = next(b["digest"] for b in stage.ask("/v1/bundles")["bundles"] if b["version"] == "1.1.0")
    assert {device["running"] for device in stage.devices()} == {new}


def flips_a_flag(stage, page):
    goes_to(page, "Flags and kill")
    page.get_by_role("button", name=told("New flag")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(told("Segment")).fill(typed("press"))
    dialog.get_by_label(told("Flag"), exact=True).fill(typed("gauge"))
    dialog.get_by_label(told("By default")).select_option(typed("off"))
    picture(page, "7-flag")
    dialog.get_by_role("button", name=told("Set it")).click()
    expect(page.locator(".segment")).to_contain_text("press")
    page.goto(f"{stage.url}/console/#/devices/press-0003")
    expect(says(page, told("flags revision"))).to_have_text("1")
    picture(page, "8-flag-heard")
    stage.until(
        lambda: {one["flags_rev"] for one in stage.devices("group:press")} == {1}, "the presses"
    )
    assert {one["flags_rev"] for one in stage.devices("group:boiler")} == {0}, "others heard of it"


def kills(stage, page):
    goes_to(page, "Flags and kill")
    page.get_by_label("Feature to kill").fill("gauge")
    page.get_by_role("button", name=told("Kill it everywhere")).click()
    page.get_by_role("dialog").get_by_role("textbox").fill("gauge")
    page.get_by_role("button", name=told("Kill it"), exact=True).click()
    expect(page.locator(".plainlist")).to_contain_text("gauge")
    picture(page, "9-killed")
    page.goto(f"{stage.url}/console/#/devices/boiler-0007")
    expect(says(page, told("kill list"))).to_have_text("1")
    picture(page, "10-kill-heard")
    stage.until(lambda: {one["kill_version"] for one in stage.devices()} == {1}, "all devices")
    goes_to(page, "Flags and kill")
    page.get_by_role("button", name=f"{told('Revive')} gauge").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("gauge")
    page.get_by_role("button", name="Revive it").click()
    expect(page.locator(".kill")).to_contain_text("Nothing is killed")


def sees_drift(page):
    goes_to(page, "Drift")
    row = page.locator("tr", has_text="south-hall").filter(has_text="gauge@1.1.0")
    expect(row.locator(".pill")).to_have_text("data")
    picture(page, "11-drift")
    row.locator("button.alarmed").first.click()
    expect(page.locator("main")).to_contain_text("What is read has changed")
    picture(page, "12-series")
    north = page.locator("tr", has_text="north-hall").filter(has_text="gauge@1.1.0")
    expect(north.first.locator("td").first).to_have_text("none")
    expect(north.locator(".pill")).to_have_count(0)


def says(page, what):
    """What a device says of itself."""
    return page.locator(".counters div", has_text=what).locator("dd")
