"""Every screen of the console on every size of window: nothing sticks out, nothing is cut off, no serious fault of
accessibility, no error of the page. With none, with 10 and with 10,000 devices, light and dark."""

import pytest

from tests_kit.console_pictures import BARE, DEVICES, SCREENS, THEMES, WINDOWS, chromium, take
from tests_kit.picture_stage import EmptyStage, PictureStage

pytestmark = [pytest.mark.mosquitto, pytest.mark.slow]


@pytest.mark.parametrize("devices", DEVICES)
def test_no_screen_breaks(devices, tmp_path):
    stage = PictureStage(tmp_path, devices) if devices else EmptyStage(tmp_path)
    out = tmp_path / "pictures"
    out.mkdir()
    screens = list(SCREENS) if devices else list(BARE)
    try:
        with chromium() as browser:
            found = [
                fault
                for theme in THEMES
                for fault in take(stage, browser, theme, devices, out, screens, list(WINDOWS))
            ]
    finally:
        stage.close()
    assert found == [], "\n".join(found)
    assert len(list(out.glob("*.png"))) == len(THEMES) * len(WINDOWS) * len(screens)
