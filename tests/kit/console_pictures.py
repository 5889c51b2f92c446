"""Pictures of every screen of the console, and what is wrong with them.

``python -m tests.kit.console_pictures OUT`` drives a headless Chromium over every screen, with none, with 10 and with
10,000 devices, light and dark, on three sizes of window, writes one PNG each into OUT, and prints what it found: a page that
is wider than its window, a button that is cut off, an error of the page itself, a serious fault of accessibility.
Exit code 1 where there is any. ``--devices 10 --themes dark --screens fleet,audit`` looks at some of it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
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

from tests_kit.console_stage import ConsoleStage  # noqa: E402
from tests_kit.picture_stage import LONG, EmptyStage, PictureStage  # noqa: E402 - as a program it makes tests_kit first

CHROMIUM: Final = "/usr/bin/chromium"
PATIENCE_MS: Final = 60_000
DEVICES: Final = (0, 10, 10_000)
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
    "rollouts": "rollouts",
    "rollout": "rollouts/winter",
    "rollout-halted": "rollouts/winter-canary",
    "rollout-live": "rollouts/lab-canary",
    "rollout-done": "rollouts/autumn",
    "rollout-unknown": "rollouts/nothing",
    "new-rollout": "new-rollout",
    "experiments": "experiments",
    "new-experiment": "new-experiment",
    "flags": "flags",
    "drift": "drift",
    "drift-cell": "drift",
    "bundles": "bundles",
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
BARE: Final = (
    "fleet",
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
    stage: ConsoleStage, browser: Browser, theme: str, devices: int, out: Path, screens: list[str], windows: list[str]
) -> list[str]:  # fmt: skip
    """Take pictures of screens; returns what is wrong, one sentence each.

    Args:
        stage: is looked at.
        browser: looks.
        theme: light or dark.
        devices: how many the stage has, for the files' names.
        out: a folder.
        screens: names out of `SCREENS`.
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
    # What is not there is looked at on purpose; the browser itself calls the answer 404 an error.
    if said.type == "error" and not ("404" in said.text and page.url.endswith(("nobody", "nothing"))):  # fmt: skip
        found.append(f"{page.url}: {said.text}")


def _open(page: Page, url: str, screen: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    if screen == "login":
        page.evaluate("sessionStorage.setItem('out', 'yes')")
        page.evaluate("sessionStorage.removeItem('fleetdrill.token')")
        page.goto(f"{url}/console/?out")
        expect(page.get_by_label("Token")).to_be_visible()
        return
    page.goto(f"{url}/console/#/{SCREENS[screen]}")
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator("main .loading, main .skeleton")).to_have_count(0)
    expect(page.locator(".live")).to_have_text("live")
    if screen == "help":
        page.keyboard.press("?")
    elif screen == "search":
        page.keyboard.press("Control+k")
        page.get_by_role("combobox").fill("winter")
        expect(page.get_by_role("option", name="winter-canary")).to_be_visible()
    elif screen == "dialog":
        page.get_by_role("button", name="Abort and revert").click()
    elif screen == "drift-cell":
        page.locator(".heat .cell button.alarmed").first.click()
        expect(page.locator("section.drill svg").first).to_be_visible()
    elif screen in ("fleet", "transfers"):
        page.wait_for_timeout(5_500)  # a curve is two looks


def _looked(page: Page) -> list[str]:
    over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    wide = [f"{over} px wider than the window"] if over > 0 else []
    return wide + [f"the button {one!r} is cut off" for one in page.evaluate(_CUT)]


def _worded(violation: dict[str, Any]) -> str:
    where = [re.sub(r"\s+", " ", node["html"])[:160] for node in violation["nodes"][:3]]
    return f"{violation['id']}: {where}"


def main(words: list[str]) -> int:
    """Take all pictures; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="console_pictures", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--devices", default=",".join(map(str, DEVICES)))
    parser.add_argument("--themes", default=",".join(THEMES))
    parser.add_argument("--windows", default=",".join(WINDOWS))
    parser.add_argument("--screens", default=",".join(SCREENS))
    asked = parser.parse_args(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    with chromium() as browser:
        for devices in map(int, asked.devices.split(",")):
            with tempfile.TemporaryDirectory() as name:
                stage = PictureStage(Path(name), devices) if devices else EmptyStage(Path(name))
                try:
                    screens = [s for s in asked.screens.split(",") if devices or s in BARE]
                    for theme in asked.themes.split(","):
                        found += take(
                            stage,
                            browser,
                            theme,
                            devices,
                            asked.out,
                            screens,
                            asked.windows.split(","),
                        )
                finally:
                    stage.close()
    print(*found, sep="\n")
    print(f"{len(list(asked.out.glob('*.png')))} pictures in {asked.out}, {len(found)} faults")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
