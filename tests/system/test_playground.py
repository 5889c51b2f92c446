"""`make serve` from its beginning to its end: by Ctrl-C, by kill -9, and once more."""

import os
import signal

import pytest

from tests_kit.playground_stage import PlaygroundStage

pytestmark = pytest.mark.mosquitto
FLAG = {"definition": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}}  # fmt: skip


def test_it_ends_clean_and_goes_on_where_it_was_killed(tmp_path):
    folder = tmp_path / "playground"
    first = PlaygroundStage(folder, tmp_path, "first")
    try:
        labels = {one["labels"]["group"] for one in first.devices()}
        assert labels == {"press", "boiler", "handheld"}
        changed = {"labels": {**first.devices("group:press")[0]["labels"], "line": "7"}}
        name = first.devices("group:press")[0]["id"]
        assert first.api.put(f"/v1/devices/{name}/labels", json=changed).is_success
        assert first.api.put("/v1/flags/press/gauge", json=FLAG).is_success
        first.until(
            lambda: {one["flags_rev"] for one in first.devices("group:press")} == {1}, "the presses"
        )
        boots = {one["id"]: one["boot_id"] for one in first.devices()}
        playing = next(pid for words, pid in first.players().items() if " playground " in words)
        os.kill(playing, signal.SIGKILL)
        first.process.wait(60)
        left = [words for words in first.players() if "gateway serve" in words]
        assert len(left) == 1, "expected the gateway to be left behind, as kill -9 does"
    finally:
        first.close()

    second = PlaygroundStage(folder, tmp_path, "second")
    try:
        assert "50 of them as you left them" in second.said()
        second.until(
            lambda: all(one["boot_id"] == boots[one["id"]] + 1 for one in second.devices()),
            "all devices in their next boot",
        )
        twins = {one["id"]: one for one in second.devices()}
        assert twins[name]["labels"]["line"] == "7", "what somebody changed was changed back"
        assert {twin["flags_rev"] for twin in second.devices("group:press")} == {1}
        assert len([words for words in second.players() if "gateway serve" in words]) == 1
        playing = next(pid for words, pid in second.players().items() if " playground " in words)
        for _ in range(2):  # as `timeout make serve` does: one to the group, one handed on
            os.kill(playing, signal.SIGTERM)
        second.process.wait(60)
    finally:
        second.close()
    assert "ended; start it again" in second.said()
    assert second.players() == {}, "two signals at once left somebody behind"
