"""What commands share: options that say which gateway, exit codes, and where words go."""

import inspect

import pytest
import typer
from typer.testing import CliRunner

from gateway.adapters.keys import KeyFileError
from gateway.commands import asking
from gateway.commands.asking import (
    EXIT_AWAY,
    EXIT_BROKEN,
    EXIT_DONE,
    EXIT_INVALID,
    EXIT_REFUSED,
    EXIT_STOPPED,
    Ask,
    asks,
    changes,
    guarded,
    pairs,
)
from gateway.ports import BlobError
from gateway.runtime.knock import NoGatewayError
from gateway.runtime.verbs import VerbError
from tests_kit.scripted_http import Scripted, answer


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VerbError("refused", "no"), EXIT_REFUSED), (VerbError("forbidden", "no"), EXIT_REFUSED),
        (VerbError("exists", "no"), EXIT_REFUSED), (VerbError("changed", "no"), EXIT_REFUSED),
        (VerbError("invalid", "no"), EXIT_INVALID), (VerbError("unknown", "no"), EXIT_INVALID),
        (VerbError("mismatch", "no"), EXIT_INVALID), (VerbError("broken", "no"), EXIT_BROKEN),
        (VerbError("busy", "no"), EXIT_AWAY), (VerbError("stopped", "no"), EXIT_AWAY),
        (VerbError("too-often", "no"), EXIT_AWAY), (NoGatewayError("no"), EXIT_AWAY),
        (ValueError("no"), EXIT_INVALID), (OSError("no"), EXIT_INVALID), (KeyFileError("no"), EXIT_INVALID),
        (BlobError("no"), EXIT_INVALID), (RuntimeError("no"), EXIT_BROKEN),
    ],
    ids=repr,
)  # fmt: skip
def test_each_error_is_a_line_and_a_code(error, code, capsys):
    assert guarded(raising(error)) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "fleetdrill: no\n" in said.err
    assert ("Traceback" in said.err) is (code == EXIT_BROKEN and isinstance(error, RuntimeError))


def test_a_file_that_is_not_there_is_told_in_words(tmp_path, capsys):
    assert guarded((tmp_path / "nope.toml").read_bytes) == EXIT_INVALID
    said = capsys.readouterr().err
    assert "Errno" not in said
    assert "nope.toml, found: no such file or directory: check the path, and who" in said


def test_ctrl_c_is_silent(capsys):
    assert guarded(raising(KeyboardInterrupt())) == EXIT_STOPPED
    assert capsys.readouterr() == ("", "")
    assert guarded(lambda: 7) == 7


def test_commands_get_the_options_that_say_which_gateway():
    @asks
    def look(ask: Ask, name: str, *, loud: bool = False) -> None:
        """Look."""

    @changes
    def do(ask: Ask) -> None:
        """Do."""

    names = list(inspect.signature(look).parameters)
    assert names == ["name", "loud", "url", "token_file", "ca", "plain", "state", "as_json"]
    assert "once" in inspect.signature(do).parameters
    assert look.__doc__ == "Look."


def run(work, *words, **env):
    app = typer.Typer()
    app.command()(work)
    return CliRunner().invoke(app, words, env={"FLEETDRILL_TOKEN": "t", **env})


def test_a_command_asks_tells_and_exits():
    @asks
    def whoami(ask: Ask) -> int:
        ask.tell(ask.way.whoami(), lambda found: f"it is {found['name']}")
        return EXIT_REFUSED

    with Scripted(answer({"name": "ana"})) as peer:
        plain = run(whoami, "--url", peer.url)
        assert (plain.stdout, plain.exit_code) == ("it is ana\n", EXIT_REFUSED)
        assert run(whoami, "--json", FLEETDRILL_URL=peer.url).stdout == '{"name": "ana"}\n'


def test_a_change_is_asked_for_with_a_key_and_what_follows_is_told():
    @changes
    def kill(ask: Ask) -> None:
        ask.change({"verb": "kill", "feature": "x"})

    with Scripted(answer({"said": ["one", "two"]})) as peer:
        done = run(kill, "--url", peer.url, "--once", "mine")
    assert (done.stdout, done.exit_code, peer.keys) == ("one\ntwo\n", EXIT_DONE, ["mine"])


def test_a_verb_that_is_none_is_said_before_anybody_is_asked():
    @asks
    def odd(ask: Ask) -> None:
        ask.do({"verb": "kill"})

    with Scripted(answer({})) as peer:
        done = run(odd, "--url", peer.url)
    assert done.exit_code == EXIT_INVALID
    assert "feature" in done.stderr
    assert peer.asked == []


def test_labels_are_pairs():
    assert pairs(None) == {}
    assert pairs(["a=b", "c=d=e", "f="]) == {"a": "b", "c": "d=e", "f": ""}
    with pytest.raises(ValueError, match="KEY=VALUE"):
        pairs(["=b"])


def test_waiting_ends():
    asking._sleep(0.0)
