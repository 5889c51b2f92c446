"""Tokens: made, shown once, looked up, ended."""

from hashlib import sha256

import msgspec
import pytest

from gateway.core.access import tokens as tokens_module
from gateway.core.access.roles import Role
from gateway.core.access.tokens import LIFE_MS_MAX, TOKEN, AccessError, Asker, Tokens

DAY_MS = 24 * 3_600_000
SECRET = bytes(range(32))
EU = (("region", "eu"),)


def make(tokens, name="ana", role=Role.OPERATOR, secret=SECRET, **more):
    fields = {"now_ms": 1_000, "life_ms": DAY_MS, "by": "admin"} | more
    return tokens.make(name, role, secret, **fields)


def refused(code, work):
    with pytest.raises(AccessError) as caught:
        work()
    assert caught.value.code == code, str(caught.value)
    return str(caught.value)


def test_a_token_says_who_somebody_is():
    tokens = Tokens()
    text, (kept,) = make(tokens, labels=EU)
    assert text.startswith("fd_ana_")
    assert len(text) == len("fd_ana_") + 52
    assert (kept.table, kept.key) == (TOKEN, "ana")
    assert tokens.who(text, 2_000) == Asker("ana", Role.OPERATOR, EU)


def test_only_the_hash_of_the_secret_is_kept():
    text, (kept,) = make(Tokens())
    word = text.rpartition("_")[2]
    assert kept.row.secret_hash == sha256(word.encode()).digest()
    stored = msgspec.msgpack.encode(kept.row)
    assert word.encode() not in stored
    assert SECRET not in stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fd",
        "fd_ana",
        "fd_ana_",
        "fd_bob_{word}",
        "xx_ana_{word}",
        "fd_ana_{word}x",
        "fd_ana_{upper}",
        "{word}",
        "fd__{word}",
    ],
)
def test_anything_else_is_nobodys(text):
    tokens = Tokens()
    word = make(tokens)[0].rpartition("_")[2]
    given = text.format(word=word, upper=word.upper())
    told = refused("unknown", lambda: tokens.who(given, 2_000))
    assert word not in told, "a secret would get into a log"


def test_a_token_ends_by_itself():
    tokens = Tokens()
    text, _ = make(tokens)
    assert tokens.who(text, 1_000 + DAY_MS - 1).name == "ana"
    assert tokens.living("ana", 1_000 + DAY_MS - 1)
    refused("expired", lambda: tokens.who(text, 1_000 + DAY_MS))
    assert not tokens.living("ana", 1_000 + DAY_MS)


def test_a_token_that_was_revoked_is_told_only_to_whoever_has_its_secret():
    tokens = Tokens()
    text, _ = make(tokens)
    (kept,) = tokens.revoke("ana", now_ms=3_000, by="eve")
    assert (kept.row.revoked_ms, kept.row.revoked_by) == (3_000, "eve")
    assert "eve" in refused("revoked", lambda: tokens.who(text, 4_000))
    refused("unknown", lambda: tokens.who("fd_ana_guess", 4_000))
    assert tokens.revoke("ana", now_ms=5_000, by="bob") == []
    assert tokens.rows()[0].revoked_by == "eve"
    refused("unknown", lambda: tokens.revoke("nobody", now_ms=1, by="eve"))


@pytest.mark.parametrize("name", ["", "Ana", "1a", "a_b", "a/b", "a\n", "ä", "a" * 41, "local:x"])
def test_a_name_that_could_be_mistaken_is_refused(name):
    refused("invalid", lambda: make(Tokens(), name))


@pytest.mark.parametrize("life", [0, -1, LIFE_MS_MAX + 1])
def test_a_token_without_an_end_does_not_exist(life):
    refused("invalid", lambda: make(Tokens(), life_ms=life))


def test_a_name_is_for_ever():
    tokens = Tokens()
    make(tokens)
    tokens.revoke("ana", now_ms=1, by="eve")
    refused("exists", lambda: make(tokens))


def test_ended_tokens_make_room(monkeypatch):
    monkeypatch.setattr(tokens_module, "TOKENS_MAX", 2)
    monkeypatch.setattr(tokens_module, "NAMES_MAX", 3)
    tokens = Tokens()
    make(tokens, "a")
    make(tokens, "b")
    assert "revoke some" in refused("invalid", lambda: make(tokens, "c"))
    tokens.revoke("a", now_ms=1, by="eve")
    make(tokens, "c")
    tokens.revoke("b", now_ms=1, by="eve")
    assert "3 tokens were made" in refused("invalid", lambda: make(tokens, "d"))


def test_a_scope_is_bounded():
    refused("invalid", lambda: make(Tokens(), labels=tuple((f"k{i}", "v") for i in range(17))))
    refused("invalid", lambda: make(Tokens(), labels=(("k", "v" * 201),)))
    refused("invalid", lambda: make(Tokens(), labels=(("", "v"),)))


def test_too_little_entropy_is_a_bug():
    with pytest.raises(ValueError, match="32 bytes"):
        make(Tokens(), secret=b"short")


def test_tokens_are_restored():
    text, (kept,) = make(Tokens())
    again = Tokens()
    again.restore([(kept.key, kept.row)])
    assert again.who(text, 2_000).role is Role.OPERATOR
    assert again.rows() == [kept.row]
