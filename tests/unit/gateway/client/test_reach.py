"""Which way is taken, and where a token may come from."""

from pathlib import Path

import pytest

from gateway.client import reach as reaching
from gateway.client.door import DoorWay
from gateway.client.http import HttpWay, Secret
from gateway.client.reach import STATE, Where, reach
from gateway.config import CLIENT_VARIABLES, load_config

TOKEN = "fd_ana_" + "a" * 52
ENV = {"FLEETDRILL_URL": "http://127.0.0.1:1", "FLEETDRILL_TOKEN": TOKEN}


def way(where=None, env=None):
    return reach(where or Where(), env or {}, lambda count: bytes(count), lambda _: None)


def test_what_is_said_goes_before_the_environment(tmp_path):
    there = way(Where(url="http://localhost:2/"), ENV)
    assert isinstance(there, HttpWay)
    assert there.where == "http://localhost:2"
    assert isinstance(way(Where(state=tmp_path), ENV), DoorWay)
    assert way(Where(), ENV).where == "http://127.0.0.1:1"
    nothing = way()
    assert isinstance(nothing, DoorWay)
    assert nothing.where == str(STATE)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gateway.example", "expected the URL of a gateway"),
        ("ftp://gateway.example", "expected the URL of a gateway"),
        ("https://gateway.example/v1", "expected the URL of a gateway"),
        ("https://ana:secret@gateway.example", "more in it"),
        ("https://gateway.example?token=secret", "more in it"),
        ("http://gateway.example", "--plain"),
    ],
)
def test_urls_that_are_refused_and_show_nothing_secret(url, said):
    with pytest.raises(ValueError, match=said) as wrong:
        way(Where(url=url), ENV)
    assert "secret" not in str(wrong.value)


def test_plain_http_goes_where_that_is_said_and_on_this_machine():
    for where in (Where(url="http://gateway.example", plain=True), Where(url="http://[::1]:80")):
        assert isinstance(way(where, ENV), HttpWay)


def test_a_token_comes_from_a_file_or_the_environment(tmp_path):
    file = tmp_path / "token"
    where = Where(url="http://localhost", token_file=file)
    with pytest.raises(ValueError, match=r"token, which --token-file names, found: no such file"):
        way(where)
    file.write_text(TOKEN + "\n")
    assert isinstance(way(where), HttpWay)
    named = {"FLEETDRILL_TOKEN_FILE": str(tmp_path)}
    with pytest.raises(ValueError, match=r"FLEETDRILL_TOKEN_FILE names, found: is a directory"):
        way(Where(url="http://localhost"), named)
    named = {"FLEETDRILL_TOKEN_FILE": str(file)}
    assert isinstance(way(Where(url="http://localhost"), named), HttpWay)
    with pytest.raises(ValueError, match="fleetdrill token make"):
        way(Where(url="http://localhost"), {})


@pytest.mark.parametrize("text", ["two words", "ä" * 9, "x" * 2_000, "a\nb"])
def test_what_is_no_token_is_not_sent_and_not_shown(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(ValueError, match="expected the text of a token") as wrong:
        way(Where(url="http://localhost", token_file=file))
    assert text not in str(wrong.value)


def test_a_certificate_authority_that_is_not_there_is_said():
    where = Where(url="https://gateway.example", ca=Path("nowhere.pem"))
    with pytest.raises(ValueError, match=r"nowhere\.pem, which --ca names, found: no such file"):
        way(where, ENV)


def test_a_certificate_authority_that_is_none_is_said(tmp_path):
    (file := tmp_path / "authority.pem").write_text("soup")
    env = {
        "FLEETDRILL_URL": "https://gateway.example",
        "FLEETDRILL_TOKEN": TOKEN,
        "FLEETDRILL_CA": str(file),
    }
    with pytest.raises(ValueError, match=r"expected certificates \(PEM\) in .*FLEETDRILL_CA names"):
        way(None, env)


def test_the_door_keeps_no_keys():
    with pytest.raises(ValueError, match="expected --once with --url"):
        way(Where(once="k"))


def test_a_token_needs_somebody_to_whom_it_is_shown(tmp_path):
    with pytest.raises(ValueError, match="expected --url or FLEETDRILL_URL"):
        way(Where(token_file=tmp_path))


def test_a_secret_does_not_show_itself():
    assert "fd_" not in f"{Secret(TOKEN)!r} {Secret(TOKEN)}"


def test_a_gateway_is_not_set_up_by_what_its_clients_read():
    named = {value for name, value in vars(reaching).items() if name.endswith("_VARIABLE")}
    assert named == CLIENT_VARIABLES
    assert load_config("", dict.fromkeys(named, "x")) == load_config("", {})
