"""The commands `keys init`, `keys device` and `broker`: options, files, exit codes, words."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from gateway.adapters.keys import read_trust
from gateway.broker_cli import EXIT_BROKEN, EXIT_INVALID, register

RUNNER = CliRunner()


@pytest.fixture
def run():
    app = typer.Typer(pretty_exceptions_enable=False)
    register(app)
    return lambda *words: RUNNER.invoke(app, [str(word) for word in words])


def names(folder):
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


def test_init_makes_keys_and_says_which_must_stay_offline(run, tmp_path):
    done = run("keys", "init", tmp_path / "k")
    assert done.exit_code == 0, done.output
    made = [
        "audit-trust.json",
        "audit.key",
        "director.key",
        "flags.key",
        "targets.key",
        "trust.json",
    ]
    assert names(tmp_path / "k") == made
    assert "Keep offline" in done.stderr
    assert str(tmp_path / "k/targets.key") in done.stderr
    assert sorted(read_trust(tmp_path / "k/trust.json")) == ["director", "flags", "targets"]


def test_init_with_tls_makes_certificates_for_the_broker_the_gateway_and_devices(run, tmp_path):
    folder = tmp_path / "k"
    done = run(
        "keys", "init", folder, "--tls", "--device", "dev-1", "--device", "dev-2", "--device", "dev-2",
        "--server-name", "broker.example", "--days", 30,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    made = {name for name in names(folder) if name.startswith("tls/")}
    users = (
        "gateway-control",
        "gateway-data",
        "gateway-monitor",
        "health",
        "recorder",
        "alarms",
        "dev-1",
        "dev-2",
    )
    assert made == {"tls/ca.crt", "tls/ca.key", "tls/server.crt", "tls/server.key"} | {
        f"tls/clients/{user}.{end}" for user in users for end in ("crt", "key")
    }
    assert str(folder / "tls/ca.key") in done.stderr


def test_a_later_device_gets_its_own_and_we_say_what_to_copy(run, tmp_path):
    run("keys", "init", tmp_path, "--tls")
    done = run("keys", "device", tmp_path, "dev-9")
    assert done.exit_code == 0, done.output
    copied = done.stdout.split()
    assert [word.removeprefix(f"{tmp_path}/") for word in copied] == [
        "trust.json", "tls/ca.crt", "tls/clients/dev-9.crt", "tls/clients/dev-9.key",
    ]  # fmt: skip
    again = run("keys", "device", tmp_path, "dev-9")
    assert again.exit_code == EXIT_INVALID
    assert "never overwritten" in again.stderr


@pytest.mark.parametrize("words", [["init", "--tls"], ["init"]])
def test_a_second_init_changes_nothing(run, tmp_path, words):
    run("keys", "init", tmp_path, "--tls")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    done = run("keys", words[0], tmp_path, *words[1:])
    assert done.exit_code == EXIT_INVALID
    assert "never overwritten" in done.stderr
    assert before == {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}


@pytest.mark.parametrize("name", ["gateway-control", "health", "gateway-of-mine"])
def test_no_device_is_given_a_name_with_a_gateways_rights(run, tmp_path, name):
    run("keys", "init", tmp_path, "--tls")
    done = run("keys", "device", tmp_path, name)
    assert done.exit_code == EXIT_INVALID
    assert "gateway's name" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["keys", "init", "{}", "--device", "d"], "expected --tls beside --device"),
        (["keys", "device", "{}", "d"], "expected an authority"),
        (["keys", "init", "{}", "--tls", "--device", "a/b"], "expected a device id"),
        (["broker", "--state", "{}", "--tls", "--embedded"], "the embedded broker has no TLS"),
        (["broker", "--state", "{}", "--device", "d"], "expected --tls beside --device"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason_and_leaves_nothing(run, tmp_path, words, said):
    folder = tmp_path / "new"
    done = run(*(word.format(folder) for word in words))
    assert done.exit_code == EXIT_INVALID, done.output
    assert said in done.stderr
    assert not folder.exists() or names(folder) == []


def test_a_broker_that_cannot_start_is_an_error_of_its_own(run, tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.adapters.brokers.mosquitto.find_mosquitto", lambda: None)
    done = run("broker", "--state", tmp_path, "--tls", "--port", 0)
    assert done.exit_code == EXIT_BROKEN
    assert "apt-get install mosquitto" in done.stderr
