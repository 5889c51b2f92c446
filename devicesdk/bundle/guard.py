"""What must never be packed: things that look like secrets.

Decides what looks like one and where it stands. Leaves out what is packed, and what to do about a find
(the builder refuses). A net, not a proof: it catches the key that was left in a folder, the password in a
model's metadata, the token in a licence text.

Rules: a finding names the file, the offset and the kind, never the secret; ciphertext and weights are
random as well, so randomness counts only in text, behind a word that says password.

Patterns: PEM and OpenSSH private keys (RFC 7468); AWS access key ids (``AKIA``/``ASIA`` and sixteen
characters); Google API keys (``AIza``) and service account files; GitHub tokens (``ghp_`` and relatives,
``github_pat_``); Slack and Stripe tokens; JSON web tokens (RFC 7519); assignments such as
``PASSWORD=...`` and addresses such as ``mqtts://user:...@host`` (RFC 3986, 3.2.1) whose value is long and
varied.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

import msgspec

ENTROPY_BITS_MIN: Final = 2.5
"""Per character: eight different ones have 3; a row of dots or a repeated letter has nearly none."""
FINDINGS_MAX: Final = 20
_VALUE_CHARS_MIN: Final = 8

_KINDS: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = (
    ("private key", re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    ("AWS access key id", re.compile(rb"(?<![A-Za-z0-9])A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("Google API key", re.compile(rb"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])")),
    ("Google service account", re.compile(rb'"private_key_id"\s*:\s*"[0-9a-f]{40}"')),
    ("GitHub token", re.compile(
        rb"(?<![A-Za-z0-9_])(?:gh[oprsu]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})")),
    ("Slack token", re.compile(rb"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("Stripe key", re.compile(rb"(?<![A-Za-z0-9_])[rs]k_live_[A-Za-z0-9]{16,}")),
    ("JSON web token", re.compile(
        rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
)  # fmt: skip
_ASSIGNMENT: Final = re.compile(
    rb"(?i)(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)"
    rb"[a-z0-9_]{0,16}[\"']?[ \t]{0,4}(?:=|:)[ \t]{0,4}[\"']?([!-~]{8,256})"
)
_ADDRESS: Final = re.compile(
    rb"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,15}://[A-Za-z0-9._~%+-]{0,64}:([A-Za-z0-9._~%!$&'()*+,;={}:-]{8,128})@"
)


class Finding(msgspec.Struct, frozen=True):
    """Something that looks like a secret."""

    file: str
    offset: int
    """Bytes from the file's beginning."""
    kind: str

    def __str__(self) -> str:
        return f"{self.file}, byte {self.offset}: {self.kind}"


class SecretsFound(ValueError):
    """What was to be packed holds what looks like secrets; names places, not the secrets."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        places = "; ".join(map(str, findings))
        super().__init__(
            f"expected nothing that looks like a secret in a bundle, found {places}: take it out and "
            "build again (whoever gets the bundle gets the secret; if it is a real one, replace it)"
        )


def search(file: str, content: bytes) -> list[Finding]:
    """Look through one file; at most `FINDINGS_MAX`, in the order of their places."""
    found = [
        Finding(file, match.start(), kind)
        for kind, pattern in _KINDS
        for match in pattern.finditer(content)
    ]
    found += [
        Finding(file, match.start(), "password or token")
        for match in _ASSIGNMENT.finditer(content)
        if _varied(match[1].rstrip(b"\"',;"))
    ]
    found += [
        Finding(file, match.start(), "password in an address")
        for match in _ADDRESS.finditer(content)
        if _varied(match[1])
    ]
    return sorted(found, key=lambda finding: (finding.offset, finding.kind))[:FINDINGS_MAX]


def check(files: dict[str, bytes]) -> None:
    """Look through everything that is to be packed.

    Raises:
        SecretsFound: there is something.
    """
    found = [finding for name in sorted(files) for finding in search(name, files[name])]
    if found:
        raise SecretsFound(found[:FINDINGS_MAX])


def _varied(value: bytes) -> bool:
    """Whether a value is long and mixed enough for a secret: no word, path, variable or template."""
    if len(value) < _VALUE_CHARS_MIN or value.startswith((b"$", b"{", b"<", b"%", b"(", b"*")):
        return False
    digits = any(48 <= char <= 57 for char in value)
    kinds = (
        any(65 <= char <= 90 for char in value)
        + any(97 <= char <= 122 for char in value)
        + any(not chr(char).isalnum() for char in value)
    )
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return (kinds >= 1 if digits else kinds == 3) and bits >= ENTROPY_BITS_MIN
