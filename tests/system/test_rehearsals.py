"""A poisoned bundle is stopped before it touches a live device: a real gateway, a real broker, real devices, the real
simulator as the gateway starts it, and a real browser."""

from __future__ import annotations

import asyncio
import sys

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright, expect
from typer.testing import CliRunner

from tests_kit.rehearsal_stage import APP, DEVICES, PATIENCE_S, Ears, Site

pytestmark = pytest.mark.mosquitto
GOOD = {
    "id": "summer", "bundle": "gauge@1.1.0", "waves": [0.4, 1.0], "soak": "1s", "jitter": "0s",
    "policy": {"trial_ms": 1_000},
}  # fmt: skip
SERIOUS = ("serious", "critical")
expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
async def browser():
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield made
        await made.close()


async def devices(client: httpx.AsyncClient) -> dict[str, dict]:
    return {one["id"]: one for one in (await client.get("/devices")).json()["devices"]}


async def begin(site: Site, client: httpx.AsyncClient) -> Ears:
    """Three bundles, three devices that are believed to run the first, and a witness of all wants."""
    for source in ("gauge/1.0.0", "gauge/1.1.0", "gauge-poisoned/1.2.0"):
        site.publish(source)
    for device in DEVICES:
        labels = {"profile": "rpi4-kiosk", "link": "fcc-dsl", "region": "eu"}
        assert (await client.put(f"/devices/{device}/labels", json={"labels": labels})).is_success
    factory = {"id": "factory", "bundle": "gauge@1.0.0", "waves": [1.0], "initial": True}
    assert (await client.post("/rollouts", json=factory)).status_code == 201
    port = int((site.state / "broker.port").read_text())
    ears = Ears(port)
    await ears.open()
    site.boot(port)

    async def all_online() -> bool:
        return all(one["online"] for one in (await devices(client)).values())

    await site.until("three devices online", all_online)
    return ears


async def signed_in(browser, client: httpx.AsyncClient) -> Page:
    page = await browser.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    await page.goto(str(client.base_url).replace("/v1/", "/console/"))
    token = client.headers["Authorization"].removeprefix("Bearer ")
    await page.get_by_label("Token").fill(token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Fleet", level=1, exact=True)).to_be_visible()
    return page


async def plan_in_the_form(page: Page) -> None:
    await page.evaluate("location.hash = '#/new-rollout?bundle=gauge@1.2.0'")
    await page.locator("input[name=id]").fill("spring")
    await page.locator("input[name=waves]").fill("40, 100")


async def looked_at(page: Page) -> None:
    found = await Axe().run(page)
    bad = [one["id"] for one in found.response["violations"] if one["impact"] in SERIOUS]
    assert bad == [], f"axe-core on {page.url}: {bad}"


async def test_a_poisoned_bundle_is_stopped_before_it_touches_a_live_device(site, browser):
    site.serve()
    client = await site.client()
    ears = await begin(site, client)

    page = await signed_in(browser, client)
    await plan_in_the_form(page)
    start = page.get_by_role("button", name="Start the rollout")
    await start.click()
    await expect(page.get_by_role("alert")).to_contain_text("found none")
    await page.get_by_role("button", name="Rehearse", exact=True).click()
    await expect(page.locator(".verdict.failed")).to_contain_text("No device was touched.")
    found = await site.rehearsed(client, 1)
    assert found["state"] == "failed", found["why"]
    assert "halted" in found["why"], found["why"]
    assert "failures: e-value" in " ".join(found["verdict"]["story"]), found["verdict"]
    assert [run["held"] for run in found["verdict"]["runs"]] == [False, False]
    await expect(page.locator(".verdict")).to_contain_text("failures: e-value")
    await looked_at(page)
    await start.click()
    await expect(page.get_by_role("alert")).to_contain_text("rehearsal 1 failed")
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Save the report of seed 1").click()
    report = (await (await saving.value).path()).read_text()
    assert "gauge@1.2.0" in report
    assert ears.wants == [], "a device was offered something"
    assert {one["purpose"] for one in (await devices(client)).values()} == {"factory"}
    assert (await client.get("/rollouts")).json()["rollouts"] == [], "the poisoned rollout is there"

    asked = await client.post("/rehearsals", json=GOOD)
    assert asked.status_code == 202, asked.text
    found = await site.rehearsed(client, asked.json()["number"])
    assert found["state"] == "held", (found["why"], found["verdict"])
    assert ears.wants == [], "a rehearsal touched a live device"
    assert (await client.post("/rollouts", json=GOOD)).status_code == 201

    async def completed() -> bool:
        state = (await client.get("/rollouts/summer")).json()["state"]
        assert state in ("running", "completed"), state
        return bool(state == "completed")

    await site.until("the good rollout to complete", completed)
    assert len(set(ears.wants)) == len(DEVICES)
    assert {one["outcome"] for one in (await devices(client)).values()} == {"committed"}
    log = (await client.get("/audit")).json()["entries"]
    ended = [(one["subject"], one["outcome"]) for one in log if one["verb"] == "rehearsal.ended"]
    assert ended == [("spring", "failed"), ("summer", "held")]
    await page.evaluate("location.hash = '#/rollouts/summer'")
    await expect(page.locator(".verdict.held")).to_contain_text("Every virtual fleet came through.")
    await looked_at(page)
    await client.aclose()
    ears.port.disconnect()


async def test_one_that_is_under_way_is_cancelled_in_the_console_and_by_the_command(site, browser):
    player = site.folder / "player.py"
    player.write_text(
        "import sys, time\nsys.stdin.read()\nprint('{\"share\": 0.5}', flush=True)\ntime.sleep(3600)\n"
    )
    site.env["FLEETDRILL_REHEARSAL_COMMAND"] = f"{sys.executable},{player}"
    site.serve()
    client = await site.client()
    site.publish("gauge/1.1.0")
    assert (await client.put("/devices/kiosk-1/labels", json={"labels": {}})).is_success

    page = await signed_in(browser, client)
    await page.evaluate("location.hash = '#/new-rollout?bundle=gauge@1.1.0'")
    await page.locator("input[name=id]").fill("spring")
    await page.get_by_role("button", name="Rehearse", exact=True).click()
    await expect(page.get_by_role("progressbar", name="Rehearsed")).to_have_attribute(
        "aria-valuenow", "50"
    )
    await looked_at(page)
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator(".verdict.cancelled")).to_contain_text("It was cancelled.")
    await looked_at(page)

    asked = await client.post("/rehearsals", json=GOOD)
    number = str(asked.json()["number"])
    words = ("rollout", "cancel-rehearsal", number, "--why", "another plan")
    done = await asyncio.to_thread(CliRunner().invoke, APP, [*words, "--state", str(site.state)])
    assert (done.exit_code, done.stdout) == (0, f"Rehearsal {number} of summer is cancelled.\n")
    found = await site.rehearsed(client, int(number))
    assert (found["state"], found["why"].partition(": ")[2]) == ("cancelled", "another plan")
    again = await client.post(f"/rehearsals/{number}/cancel", json={})
    assert (again.status_code, "has ended" in again.text) == (409, True), again.text
    await client.aclose()
