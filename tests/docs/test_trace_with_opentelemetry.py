"""docs/how-to/trace-with-opentelemetry.md: its configuration and its request on a gateway that runs, its tables."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from gateway.config import TelemetrySection, load_config
from gateway.runtime.tracing import ATTRIBUTES
from tests_kit.alarm_site import Site
from tests_kit.otlp_stage import Collector

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "trace-with-opentelemetry.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_keys_of_the_page_are_those_of_the_code_with_their_defaults():
    rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", PAGE.split("## What can be set")[1], re.MULTILINE)  # fmt: skip
    told = {name: tomllib.loads(f"x = {value}")["x"] for name, value in rows}
    section = TelemetrySection()
    assert told == {name: getattr(section, name) for name in section.__struct_fields__}


def test_the_attributes_of_the_page_are_those_of_the_code():
    table = PAGE.split("## What is told")[1].split("## When")[0]
    assert set(re.findall(r"`((?:http|fleetdrill|messaging)\.[\w.]+)`", table)) == ATTRIBUTES


def test_the_extra_of_the_page_is_one():
    (extra,) = re.findall(r"fleetdrill\[(\w+)\]", blocks("sh")[0])
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra in declared["optional-dependencies"]


@pytest.mark.mosquitto
def test_the_request_of_the_page_is_in_the_trace_that_it_names(tmp_path):
    (toml,), request = blocks("toml"), blocks("sh")[1]
    assert load_config(toml).telemetry.sample == 0.1
    with Collector() as collector:
        site = Site(tmp_path)
        with (tmp_path / "gateway.toml").open("a") as file:
            file.write(toml.replace("http://127.0.0.1:4318", collector.url))
        site.serve()
        try:
            token = site.api.headers["Authorization"].split()[1]
            env = {**os.environ, "URL": str(site.api.base_url).rstrip("/"), "TOKEN": token, "no_proxy": "*"}  # fmt: skip
            subprocess.run(["sh", "-c", request], env=env, check=True, capture_output=True)
            site.until(lambda: "0af7651916cd43dd8448eb211c80319c" in {s.trace for s in collector.spans}, "the trace")  # fmt: skip
            metrics = site.api.get("/metrics").text
        finally:
            site.end()
    mine = [s for s in collector.spans if s.trace == "0af7651916cd43dd8448eb211c80319c"]
    (verb,) = [s for s in mine if s.name == "verb kill"]
    assert verb.told["fleetdrill.subject"] == "dictation"
    assert {s.service for s in mine} == {"gateway-of-plant-7"}
    for name in set(re.findall(r"fleetdrill_trace_\w+", PAGE)):
        assert name in metrics, name
