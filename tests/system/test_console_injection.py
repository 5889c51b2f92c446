"""Markup and scripts in every text that somebody, or a device, can have shown: read on every screen, never run."""

import asyncio
import threading
from urllib.parse import quote

import pytest
from playwright.sync_api import expect, sync_playwright

from devicesdk.wire import codec
from devicesdk.wire.messages import Event, Have, Link, UpdateState
from gateway.core.access.roles import Role
from tests_kit.agent_bundles import Bundle
from tests_kit.api_stage import PATIENCE_S, ApiStage

MARKS = (
    '<img src=x onerror="pwned=1">', "<script>pwned=1</script>", '"><svg onload=pwned=1>', "'onmouseover='pwned=1",
    "javascript:pwned=1//", "${pwned=1}", "</textarea><script>pwned=1</script>", "&lt;b&gt;", "<!--<script>",
    "' OR 1=1 --", "=cmd|' /C calc'!A0",
)  # fmt: skip
WORDS = ("<script>pwned=1", '"><svg\x0bonload=pwned=1>', "javascript:pwned=1", "__proto__", "constructor", "..", "%2e%2e", "a?b#c")  # fmt: skip
"""Names without white space."""
SCREENS = (
    "", "devices", "devices/d-00000", "devices/d-00001", "rollouts", "new-rollout", "experiments", "flags", "drift",
    "bundles", "transfers", "approvals", "audit", "tokens", "alarms", "new-experiment",
)  # fmt: skip


HREFS = "all => all.map(one => one.getAttribute('href') ?? '')"
SETTLE_MS = 80
"""For answers to arrive. What has to be read is waited for apart."""


class Running:
    """A gateway's API in a thread of its own, full of what should not run."""

    def __init__(self, folder):
        self._folder, self._ready = folder, threading.Event()
        self.error = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self):
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with ApiStage(self._folder, second=frozenset({"kill"})) as self.stage:
                await self.stage.enroll(2)
                async with self.stage.client() as client:
                    self.shown = await fill(client, self.stage)
                self._ready.set()
                await self._over.wait()
        except BaseException as error:
            self.error = error
            self._ready.set()
            raise

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        assert self.error is None, repr(self.error)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()


async def fill(client, stage):
    """Say everything everywhere; returns how many took it."""
    taken = dict.fromkeys(("labels", "flags", "rollouts", "tokens", "debug", "kills", "devices"), 0)

    async def said(kind, method, path, body=None):
        answer = await client.request(method, path, json=body)
        assert answer.status_code < 500, (path, answer.text)
        taken[kind] += answer.is_success

    labels = {mark[:60]: mark for mark in MARKS}
    await said("labels", "PUT", "/v1/devices/d-00000/labels", {"labels": labels})
    await said("labels", "PUT", "/v1/devices/d-00001/labels", {"labels": {"a": MARKS[1]}})
    bundle = Bundle(1)
    for blob, _ in bundle.blobs.values():
        stage.blobs.put(blob)
    await said("rollouts", "POST", "/v1/bundles", {"digest": bundle.digest.hex()})
    for word in WORDS:
        await said("rollouts", "POST", "/v1/rollouts", {"id": word, "bundle": bundle.manifest.name})
    for number, mark in enumerate((*MARKS, *WORDS)):
        name = quote(mark, safe="")
        variants = {mark: mark, "off": {"x": [mark]}}
        body = {"definition": {"state": "ENABLED", "variants": variants, "defaultVariant": mark}}
        await said("flags", "PUT", f"/v1/flags/all/{name}", body)
        await said("kills", "PUT", f"/v1/kills/{name}")
        await said("tokens", "POST", "/v1/tokens",
                   {"name": f"t-{number}", "role": "viewer", "labels": {mark[:60]: mark}})  # fmt: skip
        await said("debug", "POST", "/v1/debug-grants", {"device": "d-00001", "why": mark})
    for number, mark in enumerate(MARKS):
        device = f"d-0000{number % 2}"
        have = Have(boot_id=1, seq=number + 1, state=UpdateState.FAILED, reason=mark[:64], deployment=mark,
                    hardware_class=mark, variant=mark)  # fmt: skip
        event = Event(boot_id=1, seq=number + 1, kind=mark, reason=mark[:64], deployment=mark)
        link = Link(boot_id=1, session=1, online=True)
        for kind, message in (("link", link), ("have", have), ("ev", event)):
            stage.wires.data.deliver(f"fd/main/d/{device}/{kind}", codec.encode(message))
    view = {}
    async with asyncio.timeout(PATIENCE_S):
        while view.get("state") != "failed":
            view = (await client.get("/v1/devices/d-00001")).json()
    return taken


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Running(tmp_path_factory.mktemp("injection")) as made:
        yield made


def test_what_should_not_run_was_said_everywhere(running):
    taken = running.shown
    assert taken["labels"] == 2
    assert min(taken["flags"], taken["kills"], taken["tokens"], taken["rollouts"]) >= 4, taken


def test_no_screen_runs_what_it_shows(running):
    url, token = running.stage.server.url, running.stage.tokens[Role.ADMIN]
    faults, dialogs = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])  # fmt: skip
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)  # fmt: skip
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        strangers = []
        page.on("request", lambda request: None if request.url.startswith((url, "data:", "blob:")) else strangers.append(request.url))  # fmt: skip
        page.goto(f"{url}/")
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Fleet", level=1, exact=True)).to_be_visible()
        rollouts = [f"rollouts/{quote(word, safe='')}" for word in WORDS]
        hostile = [quote(mark, safe="") for mark in MARKS[:3]]
        for place in (*SCREENS, *rollouts, *hostile, *(f"devices/{mark}" for mark in hostile)):
            page.goto(f"{url}/console/#/{place}")
            page.locator("main h1").first.wait_for()
            expect(page.locator("main .loading, main .skeleton")).to_have_count(0)
            page.wait_for_timeout(SETTLE_MS)
            for href in page.locator("main a").evaluate_all(HREFS):
                assert href.startswith(("#", "/", "https://")), (place, href)
        assert page.evaluate("typeof pwned") == "undefined", "a script ran"
        assert page.locator("img[src=x], svg[onload], [onmouseover]").count() == 0
        for place in ("devices/d-00001", "flags", "audit", "tokens", "approvals"):
            page.goto(f"{url}/console/#/{place}")
            expect(page.locator("main")).to_contain_text(MARKS[1])
        assert page.evaluate("typeof pwned") == "undefined", "a script ran"
        browser.close()
    assert (faults, dialogs, strangers) == ([], [], [])
