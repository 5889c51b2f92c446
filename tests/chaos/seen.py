"""What a gateway knows, of what operators change: as its API tells, or as it stands on the disk.

Decides where each thing is read. Leaves out what must be there (operators.py).

Rule: both ways give the same values, so that one demand is asked of either.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core import rows
from gateway.core.access.approvals import APPROVAL
from gateway.core.access.tokens import TOKEN
from gateway.core.alarms.rows import ALARM
from gateway.core.audit.rows import ANSWER, AnswerRow
from gateway.core.control.flags import KILL_KEY
from gateway.core.rehearsals.book import REHEARSAL
from gateway.core.rows import KillRow

ANSWER_S_MAX = 10.0
PAUSE_S = 0.05
TRIES_MAX = 1_000
PAGE_ROWS = 1_000
BLOB_TYPE = "application/octet-stream"


class Told(NamedTuple):
    """An answer; `status` 0: there was none."""

    status: int
    body: bytes = b""

    @property
    def kind(self) -> str:
        """Of a problem; empty: it is none."""
        try:
            return str(json.loads(self.body).get("type", ""))
        except (ValueError, AttributeError):
            return ""


class Seen(msgspec.Struct):
    """What is there."""

    rollouts: dict[str, str] = {}
    """Id to state."""
    flags: dict[tuple[str, str], int] = {}
    """Segment and flag to its value."""
    killed: frozenset[str] = frozenset()
    devices: dict[str, dict[str, str]] = {}
    """Name to labels."""
    tokens: dict[str, bool] = {}
    """Name to whether it has not ended."""
    bundles: frozenset[str] = frozenset()
    """Digests."""
    alarms: dict[int, tuple[str, str]] = {}
    """Number to why it was acknowledged, and why it was silenced last."""
    approvals: dict[str, str] = {}
    """Why debug mode was asked for, to the state of that request."""
    grants: frozenset[str] = frozenset()
    """Why debug mode was granted."""
    rehearsals: frozenset[str] = frozenset()
    """Ids of plans; the newest hundred are kept."""


def request(
    state: Path,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str = "",
    token: str = "",
) -> Told:
    """Ask once, as the administrator unless a `token` is given; bytes are sent as they are, else as JSON."""
    blob = isinstance(body, bytes)
    sent = body if blob else b"" if body is None else json.dumps(body).encode()
    try:
        url = (state / "http.url").read_text().strip()
        word = token or (state / "admin.token").read_text().strip()
        headers = {
            "Authorization": f"Bearer {word}",
            "Content-Type": BLOB_TYPE if blob else "application/json",
        }
        if key:
            headers["Idempotency-Key"] = key
        data = None if method == "GET" else sent
        asked = urllib.request.Request(url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(asked, timeout=ANSWER_S_MAX) as answer:
            return Told(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Told(error.code, _body_of(error))
    except (OSError, http.client.HTTPException, ValueError):
        return Told(0)


def _body_of(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read()
    except (OSError, http.client.HTTPException):
        return b""


# -- over the API ---------------------------------------------------------------------------------


def over_http(state: Path) -> Seen:
    """What the API of a gateway that runs tells."""
    rollouts = {one["id"]: one["state"] for one in _all(state, "/v1/rollouts", "rollouts")}
    segments = [one["segment"] for one in _all(state, "/v1/flags", "segments")]
    alarms = _all(state, "/v1/alarms", "alarms")
    return Seen(
        rollouts=rollouts,
        flags={
            (segment, flag): value_of(definition)
            for segment in segments
            for flag, definition in _found(state, f"/v1/flags/{segment}")["flags"].items()
        },
        killed=frozenset(_found(state, "/v1/kills")["features"]),
        devices={one["id"]: one["labels"] for one in _all(state, "/v1/devices", "devices")},
        tokens={one["name"]: not one["revoked_ms"] for one in _all(state, "/v1/tokens", "tokens")},
        bundles=frozenset(one["digest"] for one in _all(state, "/v1/bundles", "bundles")),
        alarms={one["id"]: (one["acknowledged_why"], one["silenced_why"]) for one in alarms},
        approvals={
            one["asked"]["why"]: one["state"] for one in _all(state, "/v1/approvals", "approvals")
        },
        grants=frozenset(one["why"] for one in _all(state, "/v1/debug-grants", "grants")),
        rehearsals=frozenset(
            one["rollout"] for one in _found(state, "/v1/rehearsals")["rehearsals"]
        ),
    )


def _all(state: Path, path: str, name: str) -> Iterator[dict[str, Any]]:
    """All items of a list, page by page."""
    cursor = ""
    while True:
        found = _found(state, f"{path}?limit={PAGE_ROWS}{cursor}")
        yield from found[name]
        if found["next"] is None:
            return
        cursor = f"&cursor={found['next']}"


def _found(state: Path, path: str) -> dict[str, Any]:
    """The answer to a question; a gateway that has just begun is asked again."""
    told = Told(0)
    for _ in range(TRIES_MAX):
        told = request(state, "GET", path)
        if told.status == 200:
            found: dict[str, Any] = json.loads(told.body)
            return found
        threading.Event().wait(PAUSE_S)
    raise AssertionError(f"expected an answer to GET {path}, found {told}")


# -- on the disk ----------------------------------------------------------------------------------


def on_disk(state: Path) -> tuple[Seen, dict[str, AnswerRow]]:
    """What is durable, and the answers that are kept, by actor and idempotency key; nobody else has the database."""
    storage = SqlStorage(sqlite_url(state / "gateway.db"))
    try:
        return _durable(storage), dict(_rows(storage, ANSWER))
    finally:
        storage.close()


def _durable(storage: SqlStorage) -> Seen:
    alarms = [row for _, row in _rows(storage, ALARM)]
    kills = dict(_rows(storage, rows.KILL)).get(KILL_KEY, KillRow(0, ()))
    return Seen(
        rollouts={key: row.phase.name.lower() for key, row in _rows(storage, rows.ROLLOUT)},
        flags={
            (segment, flag): value_of(json.loads(definition))
            for segment, row in _rows(storage, rows.SEGMENT)
            for flag, definition in row.flags
        },
        killed=frozenset(kills.features),
        devices={key: dict(row.labels) for key, row in _rows(storage, rows.DEVICE)},
        tokens={key: not row.revoked_ms for key, row in _rows(storage, TOKEN)},
        bundles=frozenset(key for key, _ in _rows(storage, rows.BUNDLE)),
        alarms={row.number: (row.acknowledged_why, row.silenced_why) for row in alarms},
        approvals={json.loads(row.verb)["why"]: row.state for _, row in _rows(storage, APPROVAL)},
        grants=frozenset(row.why for _, row in _rows(storage, rows.DEBUG)),
        rehearsals=frozenset(row.rollout for _, row in _rows(storage, REHEARSAL)),
    )


def _rows(storage: SqlStorage, table: str) -> Iterator[tuple[str, Any]]:
    after = ""
    while page := storage.page(table, after, PAGE_ROWS):
        yield from page
        after = page[-1][0]


# -- flags ----------------------------------------------------------------------------------------


def definition_of(value: int) -> dict[str, Any]:
    """A flag with one value."""
    return {"state": "ENABLED", "variants": {"n": value}, "defaultVariant": "n"}


def value_of(definition: dict[str, Any]) -> int:
    """Its value; 0: it is another flag."""
    return int(definition["variants"].get("n", 0))
