"""Commands ``fleetdrill audit ...``: read the audit log, find out whether it is what it was, keep its head.

Decides options, words and exit codes: 0 a sound log, 1 something was found. Leaves out what is right and wrong
(gateway/core/audit). In a state folder the log is read from the database itself, of a gateway that runs or not, so nothing
that the gateway says has to be believed; from elsewhere it is asked for, and verified with keys and heads that were kept
there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from gateway.client.reach import STATE
from gateway.commands.asking import EXIT_DONE, EXIT_REFUSED, Ask, asks
from gateway.commands.words import clean, instant

if TYPE_CHECKING:
    from gateway.adapters.audit_reader import AuditReader
    from gateway.client.log import RemoteLog
    from gateway.core.audit.chain import Finding, Head
    from gateway.core.audit.rows import AuditRow

SHOWN_MAX: Final = 50
KEYS_FOLDER: Final = "keys"
audit_app = typer.Typer(
    no_args_is_help=True, help="Who asked for what, and whether the log of it is what it was."
)
Database = Annotated[
    str, typer.Option(help="SQLAlchemy URL; the SQLite file of the state folder by default.")
]
Trust = Annotated[
    Path | None, typer.Option(help="audit-trust.json; that of the state folder by default.")
]


@audit_app.command("show")
@asks
def show(
    ask: Ask,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    actor: Annotated[str, typer.Option(help="Only what this one asked for.")] = "",
    verb: Annotated[str, typer.Option(help="Only this verb, such as rollout.create.")] = "",
    subject: Annotated[str, typer.Option(help="Only what concerns this one.")] = "",
    database: Database = "",
) -> None:
    """Show entries, the oldest first."""

    def wanted(row: AuditRow) -> bool:
        asked = ((actor, row.actor), (verb, row.verb), (subject, row.subject))
        return all(not word or word == found for word, found in asked)

    for row in _newest(ask, database, limit, wanted):
        typer.echo(json.dumps(_view(row)) if ask.as_json else _line(row))


@audit_app.command("verify")
@asks
def verify(
    ask: Ask,
    *,
    witness: Annotated[
        list[Path] | None,
        typer.Option(help="File of heads that were kept elsewhere; repeatable."),
    ] = None,
    trust: Trust = None,
    database: Database = "",
) -> int:
    """Find out whether entries were edited, cut, moved, added or rolled back."""
    found, count, last, witnesses = _judged(ask, database, trust, witness or [])
    if ask.as_json:
        typer.echo(json.dumps({
            "sound": not found, "entries": count, "last": last, "witnesses": witnesses,
            "findings": [{"kind": f.kind, "entry": f.number, "story": f.story} for f in found],
        }))  # fmt: skip
    else:
        typer.echo(_story(found, count, last, witnesses))
    return EXIT_REFUSED if found else EXIT_DONE


@audit_app.command("witness")
@asks
def witness_command(ask: Ask, *, trust: Trust = None, database: Database = "") -> None:
    """Print the newest signed head, a line to keep where nobody who can write the database can."""
    from gateway.core.audit.chain import read_head
    from gateway.core.audit.kept import line_of
    from gateway.core.audit.stored import read_head_row

    with _reader(ask, database) as reader:
        row = read_head_row(reader.head, [])
    if row is None:
        raise ValueError("expected a log with entries, found none: there is nothing to keep yet")
    head = read_head(row.envelope, _verifier(ask, trust))
    typer.echo(line_of(head, row.envelope), nl=False)


def _newest(
    ask: Ask, database: str, limit: int, wanted: Callable[[AuditRow], bool]
) -> list[AuditRow]:
    """The newest entries that are wanted, the oldest first."""
    from collections import deque
    from itertools import islice

    from gateway.adapters.audit_reader import AuditReader
    from gateway.core.audit.stored import read_entries

    with _reader(ask, database) as reader:
        if not isinstance(reader, AuditReader):
            return list(islice(filter(wanted, reader.newest()), limit))[::-1]
        return list(deque(filter(wanted, read_entries(reader.entries(), [])), maxlen=limit))


def _judged(
    ask: Ask, database: str, trust: Path | None, files: list[Path]
) -> tuple[list[Finding], int, int, int]:
    """What is wrong, how many entries there are, the last one's instant (UTC, ms), and how many heads were kept."""
    from gateway.core.audit.chain import verify as judge
    from gateway.core.audit.stored import read_entries, read_head_row

    verifier = _verifier(ask, trust)
    # Heads first: one that is kept meanwhile would be news to an older snapshot of the log.
    witnesses, found = _witnesses(ask, files, verifier)
    tally = [0, 0]

    def counted(rows: Iterator[AuditRow]) -> Iterator[AuditRow]:
        for row in rows:
            tally[:] = tally[0] + 1, row.at_ms
            yield row

    with _reader(ask, database) as reader:
        head = read_head_row(reader.head, found)
        entries = counted(read_entries(reader.entries(), found))
        found += judge(entries, head, verifier, witnesses)
    return found, tally[0], tally[1], len(witnesses)


def _witnesses(ask: Ask, files: list[Path], verifier: Any) -> tuple[list[Head], list[Finding]]:
    """Heads of the given files, and of those that the gateway itself keeps where this is its machine."""
    from gateway.adapters.heads import HeadFile
    from gateway.core.audit.kept import read_lines

    heads: list[Head] = []
    found: list[Finding] = []
    if ask.by_door:
        own = HeadFile(_folder(ask))
        heads, found = read_lines(own.read(), verifier, str(own.path))
    for file in files:
        more, wrong = read_lines(file.read_text(), verifier, str(file))
        if not more and not wrong:
            raise ValueError(
                f"expected heads in {file}, found none: keep the lines of `fleetdrill audit witness`"
            )
        heads, found = heads + more, found + wrong
    return heads, found


def _story(found: list[Finding], count: int, last: int, witnesses: int) -> str:
    if not found:
        agree = f"{witnesses} kept head{'' if witnesses == 1 else 's'} agree" + "s" * (
            witnesses == 1
        )
        newest = f", the last of {instant(last)}" if count else ""
        return f"sound: {count} entries{newest}; {agree if witnesses else 'no head was kept'}"
    lines = [f"{f.kind:10} entry {f.number}: {f.story}" for f in found[:SHOWN_MAX]]
    if len(found) > SHOWN_MAX:
        lines.append(f"and {len(found) - SHOWN_MAX} more")
    lines.append(
        f"not what it was: {len(found)} finding{'s' * (len(found) > 1)} in {count} entries; keep the database as it "
        "is, and compare it with a backup"
    )
    return "\n".join(lines)


def _reader(ask: Ask, database: str) -> AuditReader | RemoteLog:
    """The log: of a database that is named or lies in the state folder, or as the gateway tells it."""
    from gateway.adapters.audit_reader import AuditReader
    from gateway.adapters.storage import sqlite_url

    if not (ask.by_door or database):
        from gateway.client.http import HttpWay
        from gateway.client.log import RemoteLog

        assert isinstance(ask.way, HttpWay)
        return RemoteLog(ask.way)
    return AuditReader(database or sqlite_url(_folder(ask) / "gateway.db"))


def _verifier(ask: Ask, trust: Path | None) -> Any:
    from devicesdk.bundle.trust import Ed25519Verifier
    from gateway.adapters.keys import AUDIT_TRUST_FILE, read_trust

    if trust is None and not ask.by_door:
        raise ValueError(
            f"expected --trust {AUDIT_TRUST_FILE} with --url, found none: a copy of the gateway's, kept here, "
            "because the gateway is what is verified"
        )
    return Ed25519Verifier(read_trust(trust or _folder(ask) / KEYS_FOLDER / AUDIT_TRUST_FILE))


def _folder(ask: Ask) -> Path:
    return ask.where.state or STATE


def _view(row: AuditRow) -> dict[str, Any]:
    from gateway.runtime.log_book import entry_view

    return msgspec.structs.asdict(entry_view(row))


def _line(row: AuditRow) -> str:
    head = f"{row.number:6}  {instant(row.at_ms)}  {row.actor} ({row.role})"
    what = " ".join(word for word in (row.verb, row.subject, row.outcome) if word)
    return clean(f"{head}  {what}") + "".join(f"\n        {clean(said)}" for said in row.said)
