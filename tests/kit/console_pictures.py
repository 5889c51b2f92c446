"""Pictures of every screen of the console, and what is wrong with them.

``python -m tests.kit.console_pictures OUT`` drives a headless Chromium over every screen, with none, with 10 and with
10,000 devices, and over `fleetdrill console RUN`, light and dark, on three sizes of window, writes one PNG each into OUT, and prints what it found: a page that
is wider than its window, a button that is cut off, an error of the page itself, a serious fault of accessibility.
Exit code 1 where there is any. ``--devices 10 --themes dark --screens fleet,audit`` looks at some of it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT: Final = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.path.insert(0, str(ROOT / "tests"))
    import conftest  # noqa: F401 - makes tests_kit importable

from tests_kit.archives import archive  # noqa: E402
from tests_kit.console_on_run import ConsoleOnRun, small_run  # noqa: E402
from tests_kit.console_stage import ConsoleStage  # noqa: E402
from tests_kit.picture_stage import LONG, EmptyStage, PictureStage  # noqa: E402 - as a program it makes tests_kit first

CHROMIUM: Final = "/usr/bin/chromium"
PATIENCE_MS: Final = 60_000
expect.set_options(timeout=PATIENCE_MS)
DEVICES: Final = (0, 10, 10_000)
RUN_DEVICES: Final = 5
THEMES: Final = ("light", "dark")
WINDOWS: Final = {"wide": (1440, 900), "middle": (1024, 768), "narrow": (390, 844)}
SERIOUS: Final = ("serious", "critical")
SCREENS: Final[dict[str, str]] = {
    "fleet": "",
    "devices": "devices",
    "devices-none": "devices?label=region:nowhere",
    "device": "devices/lab-1",
    "device-seeded": "devices/kiosk-00000",
    "device-long": f"devices/{LONG}",
    "device-unknown": "devices/nobody",
    "alarms": "alarms",
    "alarms-none": "alarms",
    "alarm": "alarms",
    "alarm-dialog": "alarms",
    "rollouts": "rollouts",
    "rollout": "rollouts/winter",
    "rollout-halted": "rollouts/winter-canary",
    "rollout-live": "rollouts/lab-canary",
    "rollout-done": "rollouts/autumn",
    "rollout-unknown": "rollouts/nothing",
    "new-rollout": "new-rollout",
    "new-rollout-more": "new-rollout?bundle=gauge@1.1.0",
    "experiments": "experiments",
    "new-experiment": "new-experiment",
    "flags": "flags",
    "new-flag": "flags",
    "drift": "drift",
    "drift-cell": "drift",
    "bundles": "bundles",
    "publish": "bundles",
    "publish-seen": "bundles",
    "publish-refused": "bundles",
    "transfers": "transfers",
    "approvals": "approvals",
    "audit": "audit",
    "tokens": "tokens",
    "help": "",
    "search": "",
    "dialog": "rollouts/winter",
    "login": "",
}
"""Name of a picture, and where in the console it is taken."""
RUN: Final = {
    "run-fleet": "",
    "run-back": "",
    "run-rollout": "rollouts/r1",
    "run-device": "devices/kiosk-0003",
    "run-drift": "drift",
    "run-help": "",
}
"""The same of a rehearsal that is looked at."""
BARE: Final = (
    "fleet",
    "alarms",
    "devices",
    "rollouts",
    "experiments",
    "flags",
    "drift",
    "bundles",
    "transfers",
    "approvals",
)
"""What is looked at where nothing is there."""
_CUT = """() => [...document.querySelectorAll('button, .button')].filter((one) => {
  const box = one.getBoundingClientRect();
  if (!box.width || one.closest('.scrolls, .listing, nav, dialog:not([open])') || one.className === 'skip') return false;
  if (getComputedStyle(one).clipPath !== 'none') return false;
  return one.scrollWidth > one.clientWidth + 1 || box.left < -1 || box.right > innerWidth + 1;
}).map((one) => (one.textContent.trim() || one.getAttribute('aria-label')))"""


Act = Callable[[Page], None]


class Shot(NamedTuple):
    """One picture."""

    screen: str
    devices: int
    theme: str
    window: str

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.screen}-{self.devices}-{self.theme}-{self.window}.png"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def take(
    stage: ConsoleStage | ConsoleOnRun, browser: Browser, theme: str, devices: int, out: Path, screens: list[str], windows: list[str]
) -> list[str]:  # fmt: skip
    """Take pictures of screens; returns what is wrong, one sentence each.

    Args:
        stage: is looked at.
        browser: looks.
        theme: light or dark.
        devices: how many the stage has, for the files' names.
        out: a folder.
        screens: names out of `SCREENS`, or `RUN`.
        windows: names out of `WINDOWS`.
    """
    context = browser.new_context(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(f"sessionStorage.getItem('out') || sessionStorage.setItem('fleetdrill.token', {stage.token!r})")  # fmt: skip
    page = context.new_page()
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"the page: {error}"))
    page.on("console", lambda said: _heard(said, page, found))
    page.goto(f"{stage.url}/console/")
    for screen in screens:
        _open(page, stage.url, screen)
        for window in windows:
            shot = Shot(screen, devices, theme, window)
            width, height = WINDOWS[window]
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(120)  # ResizeObservers draw the curves anew
            page.screenshot(path=out / shot.file, full_page=True)
            found += [f"{shot.file}: {one}" for one in _looked(page)]
        said = Axe().run(page).response["violations"]
        found += [f"{screen} {theme}: {_worded(one)}" for one in said if one["impact"] in SERIOUS]
        page.keyboard.press("Escape")
    context.close()
    return found


def _heard(said: Any, page: Page, found: list[str]) -> None:
    # What is not there, and what is no good, is looked at on purpose; the browser itself calls such answers errors.
    asked = said.location.get("url", "")
    missed = "404" in said.text and page.url.endswith(("nobody", "nothing"))
    sent = "Failed to load" in said.text and ("/v1/blobs/" in asked or "/v1/archives/" in asked)
    if said.type == "error" and not missed and not sent:
        found.append(f"{page.url}: {said.text}")


def _open(page: Page, url: str, screen: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    if screen == "login":
        page.evaluate("sessionStorage.setItem('out', 'yes')")
        page.evaluate("sessionStorage.removeItem('fleetdrill.token')")
        page.goto(f"{url}/console/?out")
        expect(page.get_by_label("Token")).to_be_visible()
        return
    page.goto(f"{url}/console/#/bundles")  # what is chosen on a screen is gone with it
    expect(page.get_by_role("heading", name="Bundles", level=1)).to_be_visible()
    page.goto(f"{url}/console/#/{(SCREENS | RUN)[screen]}")
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator("main .loading, main .skeleton")).to_have_count(0)
    expect(page.locator(".live")).to_have_text("live")
    if screen in ACTS:
        ACTS[screen](page)
    elif screen in ("fleet", "transfers"):
        page.wait_for_timeout(5_500)  # a curve is two looks


def _search(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("winter")
    expect(page.get_by_role("option", name="winter-canary")).to_be_visible()


def _drift_cell(page: Page) -> None:
    page.locator(".heat .cell button.alarmed").first.click()
    expect(page.locator("section.drill svg").first).to_be_visible()


def _alarm(page: Page) -> None:
    page.locator(".card.alarm a").first.click()
    expect(page.locator(".crumbs")).to_be_visible()


def _no_alarm(page: Page) -> None:
    page.get_by_label("State").select_option("acknowledged")
    expect(page.locator(".empty")).to_be_visible()


def _more(page: Page) -> None:
    page.locator("[name=id]").fill("summer")
    page.locator("summary").click()
    page.locator("[name=windows]").fill("Mon-Fri 01:00-05:00")
    page.locator("[name=budgets]").fill("region:10%")
    page.get_by_role("button", name="Rehearse", exact=True).click()
    expect(page.locator(".verdict.refused, .verdict.broken")).to_be_visible()


def _chosen(packed: bytes, seen: str) -> Act:
    def act(page: Page) -> None:
        page.get_by_role("button", name="Publish a bundle").click()
        page.get_by_label("Bundle archive").set_input_files({"name": "gauge.zip", "mimeType": "application/zip", "buffer": packed})  # fmt: skip
        expect(page.get_by_role("dialog").locator(seen)).to_be_visible()

    return act


def _back(page: Page) -> None:
    page.get_by_label("Instant of the run").fill("3600")
    expect(page.locator(".run-player .instant")).to_contain_text("1 h of")
    expect(page.locator(".run-player .doing")).to_have_count(0)


def _pressed(name: str) -> Act:
    return lambda page: page.get_by_role("button", name=name).first.click()


ACTS: Final[dict[str, Act]] = {
    "help": lambda page: page.keyboard.press("?"),
    "run-help": lambda page: page.keyboard.press("?"),
    "run-back": _back,
    "search": _search,
    "dialog": _pressed("Abort and revert"),
    "drift-cell": _drift_cell,
    "alarm": _alarm,
    "alarms-none": _no_alarm,
    "alarm-dialog": _pressed("Acknowledge"),
    "new-rollout-more": _more,
    "new-flag": _pressed("New flag"),
    "publish": _pressed("Publish a bundle"),
    "publish-seen": _chosen(archive("1.0.0"), ".seen"),
    "publish-refused": _chosen(b"a letter to my aunt", "[role=alert]"),
}
"""What is done on a screen before it is looked at."""


def _looked(page: Page) -> list[str]:
    over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    wide = [f"{over} px wider than the window"] if over > 0 else []
    return wide + [f"the button {one!r} is cut off" for one in page.evaluate(_CUT)]


def _worded(violation: dict[str, Any]) -> str:
    where = [re.sub(r"\s+", " ", node["html"])[:160] for node in violation["nodes"][:3]]
    return f"{violation['id']}: {where}"


def screens_of(devices: int) -> list[str]:
    """What is looked at with so many devices."""
    return list(RUN if devices == RUN_DEVICES else SCREENS if devices else BARE)


def stage_of(state: Path, devices: int) -> ConsoleStage | ConsoleOnRun:
    """A gateway with so many devices; with `RUN_DEVICES`, a run."""
    if devices == RUN_DEVICES:
        console = ConsoleOnRun(small_run(state, count=devices))
        console.until(lambda: console.player()["same"] is not None, "the end of the run")
        return console
    return PictureStage(state, devices) if devices else EmptyStage(state)


def main(words: list[str]) -> int:
    """Take all pictures; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="console_pictures", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--devices", default=",".join(map(str, DEVICES)))
    parser.add_argument("--themes", default=",".join(THEMES))
    parser.add_argument("--windows", default=",".join(WINDOWS))
    parser.add_argument("--screens", default=",".join([*SCREENS, *RUN]))
    asked = parser.parse_args(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    screens, windows = asked.screens.split(","), asked.windows.split(",")
    found: list[str] = []
    with chromium() as browser:
        for devices in [*map(int, asked.devices.split(",")), RUN_DEVICES]:
            with tempfile.TemporaryDirectory() as name:
                known = screens_of(devices)
                shown = [screen for screen in screens if screen in known]
                if not shown:
                    continue
                stage = stage_of(Path(name), devices)
                try:
                    for theme in asked.themes.split(","):
                        found += take(stage, browser, theme, devices, asked.out, shown, windows)
                finally:
                    stage.close()
    print(*found, sep="\n")
    print(f"{len(list(asked.out.glob('*.png')))} pictures in {asked.out}, {len(found)} faults")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
