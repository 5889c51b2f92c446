"""Tokens: who somebody is, as long as they know a secret that we do not keep.

Decides a token's form, its life and how it is looked up. Leaves out where entropy comes from, and HTTP.

A token is ``fd_<name>_<secret>``: 32 random bytes in base32 without padding. Only the SHA-256 of the secret is
kept: of 256 bits of entropy a plain hash gives nothing away, and it can be looked up without comparing
secrets byte by byte.

Rules: a token has a name of its own for ever, also after its end, because the audit log speaks of it; a
token without an end does not exist.
"""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256
from hmac import compare_digest
from typing import Final

import msgspec

from gateway.core.access.roles import Role
from gateway.core.effects import Persist
from gateway.core.rows import Row

TOKEN: Final = "access.token"  # noqa: S105 - a table
PREFIX: Final = "fd"
SECRET_BYTES: Final = 32
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
LIFE_MS_MAX: Final = 366 * 24 * 3600 * 1000
TOKENS_MAX: Final = 1_000
"""Tokens that have not ended. Full: end some."""
NAMES_MAX: Final = 50_000
"""Tokens ever made, because a name is for ever. Full: no more can be made."""
LABELS_MAX: Final = 16
LABEL_CHARS_MAX: Final = 200


class AccessError(Exception):
    """Not let in, or not allowed; `code` is ``unknown``, ``expired``, ``revoked``, ``forbidden``, ``invalid``
    or ``exists``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TokenRow(Row, frozen=True, array_like=True, gc=False):
    """One token; the key is its name. Instants are UTC, ms; 0: not."""

    name: str
    role: str
    secret_hash: bytes
    made_ms: int
    expires_ms: int
    made_by: str
    revoked_ms: int = 0
    revoked_by: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """Scope: only devices that carry all of these may be touched; empty: all."""


class Asker(msgspec.Struct, frozen=True):
    """Who asks: name, role and scope."""

    name: str
    role: Role
    labels: tuple[tuple[str, str], ...] = ()


class Tokens:
    """The tokens of a gateway."""

    def __init__(self) -> None:
        self._by_name: dict[str, TokenRow] = {}

    def restore(self, stored: list[tuple[str, TokenRow]]) -> None:
        """Take durable rows."""
        self._by_name = dict(stored)

    def rows(self) -> list[TokenRow]:
        """All tokens by name, ended ones too."""
        return [row for _, row in sorted(self._by_name.items())]

    def make(
        self,
        name: str,
        role: Role,
        secret: bytes,
        *,
        now_ms: int,
        life_ms: int,
        by: str,
        labels: tuple[tuple[str, str], ...] = (),
    ) -> tuple[str, list[Persist]]:
        """Make a token of `secret` (32 random bytes); returns its text, said once, and its row.

        Raises:
            AccessError: ``invalid`` name or life, the name ``exists``, or there are too many.
        """
        if NAME.fullmatch(name) is None:
            raise AccessError("invalid", f"expected a name like {NAME.pattern}, found {name!r}")
        if not 0 < life_ms <= LIFE_MS_MAX:
            raise AccessError("invalid", f"expected a life of up to 366 days, found {life_ms} ms")
        if name in self._by_name:
            raise AccessError(
                "exists", f"expected a new name, found {name!r}: names are never used twice"
            )
        self._refuse_full(now_ms)
        refuse_labels(labels)
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"expected {SECRET_BYTES} bytes of entropy, found {len(secret)}")
        text = text_of(name, secret)
        row = TokenRow(
            name,
            role.value,
            sha256(text.rpartition("_")[2].encode()).digest(),
            now_ms,
            now_ms + life_ms,
            by,
            labels=labels,
        )
        self._by_name[name] = row
        return text, [Persist(TOKEN, name, row)]

    def _refuse_full(self, now_ms: int) -> None:
        living = sum(self._living(row, now_ms) for row in self._by_name.values())
        if living >= TOKENS_MAX:
            raise AccessError("invalid", f"there are {living} tokens already: revoke some first")
        if len(self._by_name) >= NAMES_MAX:
            raise AccessError("invalid", f"{NAMES_MAX} tokens were made: the most there may be")

    def living(self, name: str, now_ms: int) -> bool:
        """Whether there is a token of that name which has not ended."""
        row = self._by_name.get(name)
        return row is not None and self._living(row, now_ms)

    @staticmethod
    def _living(row: TokenRow, now_ms: int) -> bool:
        return not row.revoked_ms and now_ms < row.expires_ms

    def revoke(self, name: str, *, now_ms: int, by: str) -> list[Persist]:
        """End a token; a second time changes nothing.

        Raises:
            AccessError: ``unknown``.
        """
        row = self._by_name.get(name)
        if row is None:
            raise AccessError("unknown", f"expected the name of a token, found {name!r}")
        if row.revoked_ms:
            return []
        row = msgspec.structs.replace(row, revoked_ms=now_ms, revoked_by=by)
        self._by_name[name] = row
        return [Persist(TOKEN, name, row)]

    def who(self, text: str, now_ms: int) -> Asker:
        """Whose token this is.

        Raises:
            AccessError: ``unknown``, ``expired`` or ``revoked``.
        """
        row = self._found(text)
        if row.revoked_ms:
            raise AccessError("revoked", f"token {row.name} was revoked by {row.revoked_by}")
        if row.expires_ms <= now_ms:
            raise AccessError("expired", f"token {row.name} has expired: ask for a new one")
        return Asker(row.name, Role(row.role), row.labels)

    def _found(self, text: str) -> TokenRow:
        prefix, _, rest = text.partition("_")
        name, _, word = rest.partition("_")
        row = self._by_name.get(name) if prefix == PREFIX else None
        given = sha256(word.encode()).digest()
        # Compared also when there is nothing to compare with: a name is not to be told by the time it takes.
        same = compare_digest(given, row.secret_hash if row is not None else bytes(32))
        if row is None or not same:
            raise AccessError("unknown", "expected a token that this gateway made, found another")
        return row


def text_of(name: str, secret: bytes) -> str:
    """A token as it is said."""
    return f"{PREFIX}_{name}_{b32encode(secret).decode().rstrip('=').lower()}"


def refuse_labels(labels: tuple[tuple[str, str], ...]) -> None:
    """Raise `AccessError` unless these can be a scope."""
    longest = max((len(word) for pair in labels for word in pair), default=0)
    if len(labels) > LABELS_MAX or longest > LABEL_CHARS_MAX or not all(key for key, _ in labels):
        raise AccessError(
            "invalid",
            f"expected a scope of at most {LABELS_MAX} labels of at most {LABEL_CHARS_MAX} characters, "
            f"found {len(labels)} of up to {longest}",
        )
