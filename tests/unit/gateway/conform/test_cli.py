"""The command: where it is put, what it refuses."""

import socket

import pytest
import typer
from typer.testing import CliRunner

from gateway.conform import cli


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def app_with(*parts):
    app = typer.Typer()
    for part in parts:
        part(app)
    return app


def device_part(app):
    group = typer.Typer(name="device")

    @group.command()
    def run() -> None:
        typer.echo("ran")

    app.add_typer(group)


def test_it_joins_the_group_of_the_device_or_makes_one():
    both = app_with(device_part, cli.register)
    assert "ran" in CliRunner().invoke(both, ["device", "run"]).output
    for app in (both, app_with(cli.register)):
        said = CliRunner().invoke(app, ["device", "conform", "--help"])
        assert said.exit_code == 0, said.output
        assert "client-id" in said.output


def test_without_a_broker_it_says_so_and_leaves_keys_for_the_next_time(tmp_path):
    words = ["device", "conform", "--client-id", "d-1", "--keys", str(tmp_path / "keys")]
    broker = f"mqtt://127.0.0.1:{free_port()}"
    said = CliRunner().invoke(app_with(cli.register), [*words, "--broker", broker])
    assert said.exit_code == 2, said.output
    assert "expected a broker" in said.output
    assert (tmp_path / "keys" / "trust.json").exists()
    again = CliRunner().invoke(app_with(cli.register), [*words, "--broker", broker])
    assert "the keys of an earlier run" in again.output


@pytest.mark.parametrize(
    "words", [["--client-id", "a/b"], ["--client-id", "d", "--broker", "http://x"]]
)
def test_what_it_refuses(words, tmp_path):
    keys = ["--keys", str(tmp_path)]
    said = CliRunner().invoke(app_with(cli.register), ["device", "conform", *words, *keys])
    assert said.exit_code == 2
    assert "expected" in said.output


def test_the_address_of_a_broker():
    found = cli.endpoint_of("mqtt://me:secret@broker.example:1999")
    assert (found.host, found.port, found.username, found.password) == (
        "broker.example",
        1999,
        "me",
        "secret",
    )
    assert cli.endpoint_of("localhost").port == 1883
    secure = cli.endpoint_of("mqtts://broker.example")
    assert secure.port == 8883
    assert secure.tls is not None
