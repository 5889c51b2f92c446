"""docs/how-to/get-alarmed.md: its commands in their order on a gateway that runs, its receiver, its tables."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import register
from gateway.config import AlarmsSection, load_config
from gateway.core.alarms.rules import KINDS
from tests_kit.alarm_site import Site
from tests_kit.alarm_stage import Receiver

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "get-alarmed.md").read_text()
ID = "1795307326346"
APP = typer.Typer()
register(APP)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_kinds_of_the_page_are_those_of_the_code():
    kinds = re.findall(r"^\| `(\w+)` \|", PAGE.split("## Be told")[0], re.MULTILINE)
    assert tuple(kinds) == KINDS


def test_the_keys_of_the_page_are_those_of_the_code_with_their_defaults():
    told = {}
    for keys, values in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", PAGE.split("## What can be set")[1], re.MULTILINE):  # fmt: skip
        told |= zip(re.findall(r"`(\w+)`", keys), re.findall(r"`([^`]*)`", values), strict=True)
    section = AlarmsSection()
    found = {name: tomllib.loads(f"x = {value}")["x"] for name, value in told.items()}
    assert found == {name: _plain(getattr(section, name)) for name in section.__struct_fields__}


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def test_the_configuration_of_the_page_is_one(tmp_path):
    (text,) = blocks("toml")
    assert load_config(text).alarms.webhook_url == "https://hooks.example/fleet"


def test_the_json_of_the_page_has_the_events_keys():
    (text,) = blocks("json")
    event = msgspec.json.decode(text)
    assert set(event) == {"id", "type", "timestamp", "data"}


@pytest.mark.mosquitto
def test_the_commands_of_the_page_run_and_its_receiver_verifies_what_arrives(tmp_path):
    looks, makes = blocks("sh")
    subprocess.run(["sh", "-c", makes], cwd=tmp_path, check=True)
    with Receiver() as receiver:
        secret = tmp_path / "webhook.secret"
        site = Site(
            tmp_path, webhook_url=receiver.url, webhook_secret_file=secret, disk_percent_raise=99,
            disk_percent_clear=100, disk_percent_critical=0,
        )  # fmt: skip
        site.serve()
        try:
            site.until(lambda: receiver.got, "the event")
            (alarm,) = site.alarms()
            for line in looks.splitlines():
                words = shlex.split(line.replace(ID, str(alarm["id"])))[1:]
                done = CliRunner().invoke(APP, [*words, "--state", str(site.state)])
                assert done.exit_code == 0, f"{line}: {done.output}"
                assert str(alarm["id"]) in done.output, line
            site.until(lambda: len(receiver.got) == 2, "the acknowledgement")
        finally:
            site.end()
        made = {}
        exec(blocks("python")[0], made)
        for one in receiver.got:
            assert made["verified"](one.headers, one.body, secret.read_text().strip())
            assert not made["verified"](one.headers, one.body + b" ", secret.read_text().strip())
