"""Every screen of the console on every size of window: nothing sticks out, nothing is cut off, no serious fault of
accessibility, no error of the page. With none, with 10 and with 10,000 devices, and on a run; light and dark."""

import pytest

from tests_kit.console_pictures import (
    DEVICES,
    RUN_DEVICES,
    THEMES,
    WINDOWS,
    chromium,
    screens_of,
    stage_of,
    take,
)

pytestmark = [pytest.mark.mosquitto, pytest.mark.slow]


@pytest.mark.parametrize("devices", [*DEVICES, RUN_DEVICES])
def test_no_screen_breaks(devices, tmp_path):
    stage = stage_of(tmp_path, devices)
    out = tmp_path / "pictures"
    out.mkdir()
    screens = screens_of(devices)
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
