"""The page: self-contained, small, escaped, and with the same numbers as JSON and JUnit."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from functools import cache
from html.parser import HTMLParser

import msgspec
import pytest
from junitparser import JUnitXml

from devicesim.report.document import document
from devicesim.report.html import PAGE_BYTES_MAX, render
from devicesim.report.junit import to_xml
from devicesim.report.record import (
    BadMinute,
    Band,
    CheckRow,
    DeviceStory,
    DriftRow,
    FlagRow,
    GroupRow,
    LedgerRow,
    PercentileRow,
    RolloutRow,
    RunRecord,
    Series,
    WaveRow,
)
from tests_kit.records import bare, checks_of_an_outage, outage

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
VOID = {"meta", "link", "br", "img", "hr", "input", "path", "circle"}


class Page(HTMLParser):
    """The page as a browser's parser sees it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.figures: dict[str, str] = {}
        self.causes: dict[str, int] = {}
        self.open: list[str] = []
        self._key = self._cause = ""
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script" and found.get("type") is None:
            self.scripts.append("")
        self._key = found.get("data-key") or self._key
        self._cause = found.get("data-cause") or self._cause
        if tag == "data" and self._key:
            self.figures[self._key], self._key = found.get("value") or "", ""
        elif tag == "data" and self._cause:
            self.causes[self._cause], self._cause = int(found.get("value") or ""), ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            expected = self.open.pop()
            assert expected == tag, f"</{tag}> closes <{expected}>"

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside == "script" and self.tags[-1] == ("script", {}):
            self.scripts[-1] += data
        elif inside == "style":
            self.styles.append(data)
        elif inside != "script":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@cache
def page(broken: bool) -> tuple[str, Page]:
    text = render(outage(broken=broken))
    return text, Page(text)


@pytest.mark.parametrize("broken", [False, True])
def test_the_page_is_small_and_well_formed(broken: bool) -> None:
    text, parsed = page(broken)
    assert len(text.encode()) < PAGE_BYTES_MAX
    assert parsed.open == [], f"never closed: {parsed.open}"
    identifiers = [found["id"] for _, found in parsed.tags if "id" in found]
    assert len(identifiers) == len(set(identifiers)), "an id is used twice"


def test_the_page_refers_to_nothing_outside_itself() -> None:
    _, parsed = page(True)
    references = [
        (tag, name, value)
        for tag, found in parsed.tags
        for name, value in found.items()
        if name in {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}
    ]
    outside = [item for item in references if not (item[2] or "").startswith("#")]
    assert not outside, f"an offline page cannot fetch {outside}"
    styles = parsed.styles + [found.get("style") or "" for _, found in parsed.tags]
    assert not [style for style in styles if "url(" in style or "@import" in style]
    assert not [tag for tag, _ in parsed.tags if tag in {"link", "iframe", "object", "base"}]


def test_links_within_the_page_lead_somewhere() -> None:
    for parsed in (page(False)[1], page(True)[1], Page(render(bare()))):
        targets = {found.get("id") for _, found in parsed.tags}
        for tag, found in parsed.tags:
            if tag == "a":
                assert (found["href"] or "#")[1:] in targets, f"{found['href']} leads nowhere"


def test_the_policy_allows_exactly_the_scripts_of_the_page() -> None:
    for parsed in (page(False)[1], Page(render(bare()))):
        policy = next(
            found["content"] or ""
            for tag, found in parsed.tags
            if found.get("http-equiv") == "Content-Security-Policy"
        )
        allowed = set(re.findall(r"'sha256-([^']+)'", policy))
        digests = {
            base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            for script in parsed.scripts
        }
        assert allowed == digests, "a browser would refuse to run a script of the page"
        assert "default-src 'none'" in policy
        assert "unsafe-eval" not in policy
        assert not [found for _, found in parsed.tags if any(k.startswith("on") for k in found)]


def nasty_record() -> RunRecord:
    n = NASTY
    return RunRecord(
        scenario=n, seed=1, verdict="failed", title=n, description=n, reproduce=n, trace_digest=n,
        scenario_digest=n, devices=5, virtual_s=600.0, groups=[GroupRow(n, 5, n, n)],
        checks=[CheckRow(n, "always", False, n, 5.0, 1), CheckRow(n, "sometimes", None, n),
                CheckRow(n, "slo", True, n)],
        drops={n: 3}, ledger=[LedgerRow(n, n, 3, 2, 1, 0)],
        rollouts=[RolloutRow(n, n, n, n, [WaveRow(1.0, 5, opened_s=1.0, closed_s=9.0, verdict=n)])],
        flags=[FlagRow(3.0, n, 2)], drifts=[DriftRow(n, n, 1.0, 2.0, n, 1, n, 0.5)], bands=[Band(1.0, 50.0, n, n)],
        series={n: Series(n, [0.0, 60.0], {n: [1.0, 2.0], "b" + n: [2.0, 3.0]})},
        percentiles=[PercentileRow(n, n, 2, 1.0, 2.0, 3.0, 4.0, n)],
        worst_devices=[DeviceStory(n, n, n, [n])], first_bad_minute=BadMinute(3.0, n, [n]),
        decisions={n: 1}, machine={n: n}, versions={n: n}, seeds={n: n},
    )  # fmt: skip


def test_text_of_a_scenario_is_text_everywhere() -> None:
    text = render(nasty_record())
    assert "<script>alert" not in text
    assert '</script>"' not in text
    parsed = Page(text)
    assert not [tag for tag, _ in parsed.tags if tag == "img"], "a scenario's text became markup"
    scripts = [found for tag, found in parsed.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "timeline-data"}, {}, {}]
    assert parsed.text.count("<script>alert(1)</script>") > 20, "and yet it must be shown"


def test_control_characters_are_replaced() -> None:
    text = render(msgspec.structs.replace(bare(), title="a\x00b\x1bc"))
    assert "\x00" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("broken", [False, True])
def test_page_json_and_junit_say_the_same_numbers(broken: bool) -> None:
    record = outage(broken=broken)
    _, parsed = page(broken)
    made = document(record)
    (suite,) = JUnitXml.fromstring(to_xml(record).encode())
    properties = {item.name: item.value for item in suite.properties()}
    assert len(parsed.figures) >= 8
    for key, value in parsed.figures.items():
        assert float(value) == made[key], f"{key}: page {value}, JSON {made[key]}"
        told = properties[key]
        assert float(told) == made[key], f"{key}: JUnit {told}, JSON {made[key]}"
    assert parsed.causes == made["drops"]
    assert {f"drops.{cause}": str(n) for cause, n in parsed.causes.items()} == {
        name: value for name, value in properties.items() if name.startswith("drops.")
    }
    assert made["summary"] in parsed.text
    assert properties["summary"] == made["summary"]
    assert f"{made['checks_held']} of {len(made['checks'])} held" in parsed.text
    assert suite.failures == made["checks_failed"]


def test_failed_checks_stand_before_those_that_held() -> None:
    _, parsed = page(True)
    text = parsed.text
    start = text.index("Checks", text.index("Took"))
    assert text.index("stuck == 0", start) < text.index("halt holds", start)
    assert text.index("stuck == 0", start) < text.index("died mid flash", start)
    assert text.index("died mid flash", start) < text.index(
        f"The {checks_of_an_outage() - 3} that held"
    )


def test_what_broke_is_on_the_first_screen() -> None:
    _, parsed = page(True)
    verdict = parsed.text.index(f"Failed: 2 of {checks_of_an_outage()}")
    assert (
        verdict
        < parsed.text.index("First of its own checks to break: stuck == 0")
        < parsed.text.index("Took")
    )
    assert "First bad minute" not in page(False)[1].text


@pytest.mark.parametrize("verdict", ["passed", "failed"])
def test_the_least_record_still_makes_a_page(verdict: str) -> None:
    text = render(bare(verdict))
    parsed = Page(text)
    assert parsed.open == []
    assert "Timeline" not in parsed.text
    assert len(text) < 60_000, "without curves there is no need for a chart library"


def emptied() -> list[tuple[str, RunRecord]]:
    full = outage(broken=True)
    tables = ("checks", "drops", "ledger", "rollouts", "flags", "series", "bands", "percentiles",
              "worst_devices", "decisions", "machine", "versions", "groups")  # fmt: skip
    made = [
        (name, msgspec.structs.replace(full, **{name: type(getattr(full, name))()}))
        for name in tables
    ]
    made.append(("first_bad_minute", msgspec.structs.replace(full, first_bad_minute=None)))
    thin = {"online": full.series["online"]}
    return [(n, r if n == "series" else msgspec.structs.replace(r, series=thin)) for n, r in made]


@pytest.mark.parametrize(
    ("name", "record"), emptied(), ids=lambda item: item if isinstance(item, str) else ""
)
def test_any_table_may_be_empty(name: str, record: RunRecord) -> None:
    parsed = Page(render(record))
    assert parsed.open == [], f"without {name} the page is not well-formed"
    assert "halt holds" in parsed.text or name == "checks"


def test_a_fortnight_fits_too() -> None:
    minutes = [60.0 * i for i in range(14 * 1440)]
    wave = [abs(math.sin(i / 500)) for i in range(len(minutes))]
    series = {
        key: Series(old.unit, minutes, dict.fromkeys(old.values, wave))
        for key, old in outage().series.items()
    }
    record = msgspec.structs.replace(outage(), series=series, virtual_s=14 * 86_400.0)
    assert len(render(record).encode()) < PAGE_BYTES_MAX


def test_the_charts_have_a_place_on_the_page() -> None:
    text, parsed = page(False)
    data = re.search(r'<script type="application/json" id="timeline-data">(.*?)</script>', text)
    assert data is not None
    (item,) = json.loads(data[1])["items"]
    places = {found.get("id") for _, found in parsed.tags}
    assert set(item["roots"].values()) <= places
