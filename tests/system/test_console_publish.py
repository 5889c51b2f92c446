"""Publishing by browser: by button and by drop, over a way that breaks, and what is said of what is no good."""

import json
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256

import pytest
from playwright.sync_api import expect, sync_playwright

from tests_kit.archives import STRANGER, archive
from tests_kit.console_stage import PATIENCE_S, ROOT, ConsoleStage

pytestmark = pytest.mark.mosquitto
PART_BYTES = 1024 * 1024
DROP = """async ([name, bytes]) => {
  const file = new File([Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))], name);
  const data = new DataTransfer();
  data.items.add(file);
  for (const kind of ["dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = ConsoleStage(tmp_path_factory.mktemp("publish"), ())
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])  # fmt: skip
        yield made
        made.close()


@pytest.fixture
def page(browser, stage):
    """The screen of bundles, signed in."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_S * 1000)
    faults = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{stage.url}/")
    page.get_by_label("Token").fill(stage.token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Fleet", level=1, exact=True)).to_be_visible()
    page.goto(f"{stage.url}/console/#/bundles")
    expect(page.get_by_role("heading", name="Bundles", level=1)).to_be_visible()
    yield page
    context.close()
    assert faults == [], f"expected a page without faults, found {faults}"


expect.set_options(timeout=PATIENCE_S * 1000)


def chosen(page, name, packed):
    page.get_by_label("Bundle archive").set_input_files(
        {"name": name, "mimeType": "application/zip", "buffer": packed}
    )


def test_by_keyboard_it_is_chosen_looked_at_and_published(stage, page):
    page.keyboard.press("n")
    expect(page.get_by_role("dialog")).to_contain_text("signed archive")
    chosen(page, "gauge-1.0.0.zip", archive("1.0.0"))
    expect(page.locator(".seen")).to_contain_text("gauge@1.0.0")
    names = [one["name"] for one in stage.ask("GET", "/v1/bundles")["bundles"]]
    assert "gauge@1.0.0" not in names, "it was published before anybody agreed"
    page.get_by_role("button", name="Publish gauge@1.0.0").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).not_to_be_visible()
    expect(page.locator("tbody")).to_contain_text("gauge@1.0.0")
    page.get_by_role("link", name="Roll out gauge@1.0.0").click()
    expect(page.get_by_text("name@version, published before.")).to_be_visible()


def test_deltas_come_by_the_command_line_also_to_what_is_published_already(stage, page, tmp_path):
    file = tmp_path / "gauge-1.0.0.zip"
    file.write_bytes(archive("1.0.0"))
    page.get_by_role("button", name="Publish a bundle").click()
    chosen(page, file.name, file.read_bytes())
    told = page.get_by_role("dialog")
    expect(told).to_contain_text("comes without deltas")
    expect(told).to_contain_text(f"fleetdrill bundle publish {file.name}")
    page.get_by_role("button", name="Publish gauge@1.0.0").click()
    expect(told).not_to_be_visible()
    done = subprocess.run(
        [sys.executable, "-m", "devicesdk", "bundle", "publish", str(file), "--json",
         "--url", stage.url, "--token-file", str(stage.state / "admin.token")],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout)["said"]
    assert said, "no delta was registered"
    assert all(one.startswith("A delta of ") for one in said), said


def test_a_file_may_be_dropped_anywhere_on_the_page(page):
    page.evaluate(DROP, ["gauge.zip", b64encode(archive("1.0.0")).decode()])
    expect(page.locator(".seen")).to_contain_text("gauge@1.0.0")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).not_to_be_visible()


def test_a_way_that_breaks_is_waited_for_and_nothing_is_sent_twice(stage, page):
    packed = archive("1.0.0") + bytes(3 * PART_BYTES)  # no archive: it is the way that counts
    sent, broken = [], iter((False, True, True))

    def way(route):
        if route.request.method == "PUT" and next(broken, False):
            route.abort("connectionreset")
            return
        if route.request.method == "PUT":
            sent.append(route.request.headers["content-range"])
        route.continue_()

    page.route("**/v1/blobs/**", way)
    page.get_by_role("button", name="Publish a bundle").click()
    chosen(page, "large.zip", packed)
    problem = page.get_by_role("dialog").get_by_role("alert")
    expect(problem).to_contain_text("expected a bundle's archive")
    starts = [int(said.split()[1].partition("-")[0]) for said in sent]
    assert starts == list(range(0, len(packed), PART_BYTES)), "expected each part once, in order"
    name = sha256(packed).hexdigest()
    assert stage.api.head(f"/v1/blobs/{name}").headers["Upload-Complete"] == "?1"


def test_it_goes_on_where_it_stopped_when_the_same_file_is_chosen_later(stage, page):
    packed = bytes(3 * PART_BYTES) + b"2"
    name = sha256(packed).hexdigest()
    said = {"Content-Range": f"bytes 0-{2 * PART_BYTES - 1}/{len(packed)}"}
    first = stage.api.put(f"/v1/blobs/{name}", content=packed[: 2 * PART_BYTES], headers=said)
    assert first.status_code == 202
    sent = []
    page.on("request", lambda asked: sent.append(asked) if asked.method == "PUT" else None)
    page.get_by_role("button", name="Publish a bundle").click()
    chosen(page, "half.zip", packed)
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    starts = [asked.headers["content-range"].split()[1].partition("-")[0] for asked in sent]
    assert starts == [str(2 * PART_BYTES), str(3 * PART_BYTES)], "what was there came again"


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (archive(signer=None), "signed, found one that is not"),
        (b"", "empty"),
        (b"a letter to my aunt", "expected a bundle's archive"),
    ],
    ids=["unsigned", "empty", "no archive"],
)
def test_what_is_no_good_is_told_in_words_and_another_can_be_chosen(page, packed, words):
    page.get_by_role("button", name="Publish a bundle").click()
    chosen(page, "bad.zip", packed)
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_role("button", name="Publish", exact=True)).to_be_disabled()
    chosen(page, "good.zip", archive("1.0.0"))
    expect(page.locator(".seen")).to_contain_text("gauge@1.0.0")


def test_what_a_stranger_has_signed_is_refused_by_name_of_the_key(page):
    page.get_by_role("button", name="Publish a bundle").click()
    chosen(page, "theirs.zip", archive(signer=STRANGER))
    page.get_by_role("button", name="Publish gauge@1.0.0").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("targets")


def test_who_may_not_publish_sees_no_button(stage, browser):
    token = stage.make_token("viewer")
    page = browser.new_page()
    page.goto(f"{stage.url}/")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Fleet", level=1, exact=True)).to_be_visible()
    page.goto(f"{stage.url}/console/#/bundles")
    expect(page.get_by_role("heading", name="Bundles", level=1)).to_be_visible()
    assert page.get_by_role("button", name="Publish a bundle").count() == 0
    page.close()
