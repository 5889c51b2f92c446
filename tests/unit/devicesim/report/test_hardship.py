"""The panel of hardship, and its line."""

from __future__ import annotations

import msgspec

from devicesim.report.document import document
from devicesim.report.hardship import hardship, hardship_line
from devicesim.report.html import render
from devicesim.report.record import SiteRow
from tests_kit.records import bare

ROWS = [
    SiteRow("agent.save_twice", "Twice.", True, 40, 7),
    SiteRow("device.kit_slow", "Slow.", True, 20, 9),
    SiteRow("core.round_of_one", "One.", True),
    SiteRow("gateway.acks_late", "Late.", False),
]


def record():
    return msgspec.structs.replace(bare(), hardship=ROWS)


def test_what_acted_most_stands_first_and_what_slept_is_named() -> None:
    panel = hardship(record())
    assert panel is not None
    assert [row["title"] for row in panel["rows"]] == [
        "device: kit slow",
        "agent: save twice",
        "core: round of one",
    ]
    assert [row["part"] for row in panel["rows"]] == ["of 20", "of 40", "never passed"]
    assert panel["calm"] == ["gateway: acks late"]


def test_the_line_sums_up() -> None:
    assert hardship_line(record()).startswith("3 of 4 places active, 2 acted, 16 times; device.kit")
    assert hardship_line(bare()) == ""


def test_the_page_and_the_document_have_it_and_others_do_not() -> None:
    assert 'id="hardship"' in render(record())
    assert 'id="hardship"' not in render(bare())
    assert document(record())["hardship"][0]["fired"] == 7
