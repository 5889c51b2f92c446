"""The commands of key ceremonies: options, exit codes, words. Files: adapters/test_ceremony.py."""

import pytest
import typer
from typer.testing import CliRunner

from gateway.broker_cli import register
from gateway.commands.asking import EXIT_AWAY
from gateway.roles_cli import EXIT_INVALID, EXIT_STALE

RUNNER = CliRunner()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("a long passphrase\n")
    app = typer.Typer(pretty_exceptions_enable=False)
    register(app)
    return lambda *words, **more: RUNNER.invoke(app, [str(word) for word in words], **more)


def begin(run):
    done = run("keys", "init", "k", "--roles", "--passphrase-file", "secret")
    assert done.exit_code == 0, done.output
    return done


def test_init_says_what_must_stay_offline(run):
    done = begin(run)
    assert "k/offline" in done.stderr
    assert "k/roles/1.root.json" in done.stdout
    shown = run("keys", "status", "k")
    assert shown.exit_code == 0, shown.output
    assert "root 1: 364 days left; signed by" in shown.stdout
    assert "root      2 of 3" in shown.stdout


def test_a_passphrase_is_asked_for_twice_where_it_is_new(run):
    done = run("keys", "init", "k", "--roles", input="a long passphrase\na long passphrase\n")
    assert done.exit_code == 0, done.output
    signed = run(
        "keys", "sign", "k/roles/targets.json", "--key", "k/offline/targets-1.pem",
        input="a long passphrase\n",
    )  # fmt: skip
    assert signed.exit_code == 0, signed.output
    assert "is complete" in signed.stdout


def test_a_draft_shows_as_what_somebody_has_to_do(run):
    begin(run)
    assert run("keys", "rotate", "k", "timestamp").exit_code == 0
    shown = run("keys", "status", "k")
    assert shown.exit_code == EXIT_STALE
    assert "root 2: 364 days left; signed by nobody, 2 more needed" in shown.stdout
    half = run(
        "keys", "sign", "k/roles/2.root.json", "--key", "k/offline/root-1.pem",
        "--passphrase-file", "secret",
    )  # fmt: skip
    assert "has 1 signatures and needs 1 more" in half.stdout


def test_roles_are_published_to_a_gateway_that_is_there(run):
    begin(run)
    done = run("keys", "publish", "k/roles/root.json", "--state", "nowhere")
    assert done.exit_code == EXIT_AWAY
    assert "expected a gateway" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rotate", "k", "director", "queen"], "found queen"),
        (["rotate", "nowhere"], "expected role metadata"),
        (["status", "nowhere"], "expected role metadata"),
        (["release", "k", "--floor", "gauge"], "expected --floor ID=N"),
        (["release", "k", "--drop", "gauge/9.9.9"], "expected a path that is listed"),
        (["release", "k", "--bundle", "nowhere"], "expected a bundle's file"),
        (["sign", "k/roles/root.json", "--key", "none", "--passphrase-file", "secret"], "private key"),
        (["sign", "k/roles/root.json", "--key", "x", "--passphrase-file", "open"], "only its owner"),
        (["init", "k", "--roles", "--passphrase-file", "secret"], "keys are never overwritten"),
        (["init", "n", "--roles", "--root-keys", "1", "--passphrase-file", "secret"], "threshold of 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_reason(run, tmp_path, words, said):
    begin(run)
    (tmp_path / "open").write_text("x")
    (tmp_path / "open").chmod(0o644)
    done = run("keys", *words)
    assert done.exit_code == EXIT_INVALID, done.output
    assert said in done.stderr
