"""The report of a soak in a real browser: nothing lies upon anything else, at any width."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicesim.report.soak import render
from tests_kit import soaks
from tests_kit.console_pictures import chromium

WIDTHS = (360, 760, 1200, 1440, 1920)
BOXES = """() => [...document.querySelectorAll('#messages table, #messages figure, #messages .note')]
  .map(e => [e.className || e.tagName, e.getBoundingClientRect().toJSON()])"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.mark.parametrize("record", [soaks.calm, soaks.troubled], ids=["held", "failed"])
@pytest.mark.parametrize("width", WIDTHS)
def test_table_and_charts_do_not_cover_each_other(browser, record, width, tmp_path: Path):
    file = tmp_path / "soak.html"
    file.write_text(render(record()))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(file.as_uri())
    boxes = page.evaluate(BOXES)
    page.close()
    assert len(boxes) > 3, f"found {boxes}"
    for place, (name, box) in enumerate(boxes):
        for other, beside in boxes[place + 1 :]:
            assert apart(box, beside), f"{width} px: {name} {box} covers {other} {beside}"


def apart(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["right"] <= other["left"] + 1
        or other["right"] <= one["left"] + 1
        or one["bottom"] <= other["top"] + 1
        or other["bottom"] <= one["top"] + 1
    )
