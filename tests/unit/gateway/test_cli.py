"""The gateway's commands where no gateway runs: what is refused, how, and with which exit code."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from devicesdk.bundle.archive import pack
from devicesdk.packing.cli import register as register_tool
from gateway.adapters.keys import init_keys, read_signer
from gateway.cli import EXIT_AWAY, EXIT_INVALID, register
from tests_kit import tensor_models as little

ROOT = Path(__file__).parents[3]
APP = typer.Typer()
register(APP)


@pytest.fixture
def run(tmp_path):
    def go(*words, code, env=None):
        done = CliRunner().invoke(APP, [*words, "--state", str(tmp_path / "state")], env=env)
        assert done.exit_code == code, done.output
        return done.output

    return go


def test_a_config_that_cannot_be_used_is_said(run, tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text("[broker]\nulr = 'x'\n")
    serve = ("gateway", "serve", "--config")
    assert "did you mean url?" in run(*serve, str(file), code=EXIT_INVALID)
    assert "nowhere.toml" in run(*serve, "nowhere.toml", code=EXIT_INVALID)
    file.write_text("")
    env = {"FLEETDRILL_BROKER_ULR": "x"}
    assert "FLEETDRILL_BROKER_URL" in run(*serve, str(file), code=EXIT_INVALID, env=env)


@pytest.mark.parametrize(
    "words",
    [
        ("kill", "gauge"),
        ("flag", "set", "all", "x", "{}"),
        ("fleet", "list"),
        ("fleet", "show"),
        ("fleet", "enroll", "d1", "--label", "a=b"),
        ("rollout", "list"),
        ("gateway", "experiment", "list"),
        (
            *("gateway", "experiment", "create", "e1", "--bundle", "b@1.1.0"),
            *("--production", "b@1.0.0", "--mode", "shadow"),
        ),
        *(("gateway", "experiment", verb, "e1") for verb in ("promote", "stop", "freeze", "thaw")),
        ("gateway", "debug", "grant", "d1", "--for", "5m", "--why", "odd", "--by", "ana"),
        ("gateway", "debug", "revoke", "d1", "--why", "odd"),
        ("gateway", "debug", "list"),
        ("alarm", "list"),
        ("alarm", "show", "17"),
        ("alarm", "ack", "17", "--why", "on it"),
        ("alarm", "silence", "17", "--for", "1h"),
        ("gateway", "debug", "told", "d1"),
        ("rollout", "create", "r1", "--bundle", "b@1.0.0"),
        *(("rollout", verb, "r1") for verb in ("pause", "resume", "abort", "retry")),
    ],
)
def test_without_a_gateway_every_command_says_how_to_start_one(run, words):
    assert "fleetdrill gateway serve --state" in run(*words, code=EXIT_AWAY)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("flag", "set", "all", "x", "[1]"), "Expected `object`"),
        (("flag", "set", "all", "x", "{"), "truncated"),
        (("fleet", "enroll", "d1", "--label", "ab"), "expected a label as KEY=VALUE, found 'ab'"),
        (("rollout", "create", "r", "--bundle", "b", "--waves", "0,100"), "$.waves"),
        (("rollout", "create", "r", "--bundle", "b", "--waves", "ten"), "ten"),
        (("rollout", "create", "r", "--bundle", "b", "--on-halt", "cry"), "cry"),
    ],
)
def test_arguments_that_cannot_be_used_are_said_before_anybody_is_asked(run, words, said):
    assert said in run(*words, code=EXIT_INVALID)


def test_a_bundle_needs_the_targets_key_and_a_whole_folder(run, tmp_path):
    init_keys(tmp_path / "keys")
    publish = ("bundle", "publish", str(ROOT / "models/gauge/1.1.0"), "--key")
    wrong = run(*publish, str(tmp_path / "keys" / "director.key"), code=EXIT_INVALID)
    assert "expected the targets key" in wrong
    missing = run(*publish, str(tmp_path / "targets.key"), code=EXIT_INVALID)
    assert "found no such file" in missing
    key = str(tmp_path / "keys" / "targets.key")
    empty = run("bundle", "publish", str(tmp_path), "--key", key, code=EXIT_INVALID)
    assert "expected a bundle's file" in empty
    assert "gateway serve" in run(*publish, key, code=EXIT_AWAY)
    assert not (tmp_path / "state").exists(), "nothing is written where no gateway is"


def test_an_archive_is_published_with_the_signature_it_has(run, tmp_path):
    init_keys(tmp_path / "keys")
    signer = read_signer(tmp_path / "keys", "targets")
    archives = {}
    for name, by in (("signed", signer), ("unsigned", None)):
        archives[name] = tmp_path / f"{name}.zip"
        archives[name].write_bytes(pack(little.bundle(by).members))
    publish = ("bundle", "publish")
    said = run(*publish, str(archives["unsigned"]), code=EXIT_INVALID)
    assert "expected --key, or an archive that is signed" in said
    key = str(tmp_path / "keys" / "targets.key")
    assert "gateway serve" in run(*publish, str(archives["unsigned"]), "--key", key, code=EXIT_AWAY)
    assert "gateway serve" in run(*publish, str(archives["signed"]), code=EXIT_AWAY)
    archives["signed"].write_bytes(archives["signed"].read_bytes()[:-9])
    assert "cut short" in run(*publish, str(archives["signed"]), code=EXIT_INVALID)
    assert "expected --key" in run(*publish, str(ROOT / "models/gauge/1.1.0"), code=EXIT_INVALID)


def test_publishing_joins_the_group_that_the_bundle_tool_made():
    app = typer.Typer()
    register_tool(app)
    register(app)
    listed = CliRunner().invoke(app, ["bundle", "--help"]).output
    assert all(word in listed for word in ("build", "verify", "publish"))
