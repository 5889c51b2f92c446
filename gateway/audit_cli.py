"""Commands ``fleetdrill audit ...``: read the audit log, find out whether it is what it was, keep its head.

Decides options, words and exit codes: 0 a sound log, 1 something was found. Leaves out what is right and wrong
(gateway/core/audit). The log is read from the database itself, of a gateway that runs or not, so nothing that
the gateway says has to be believed; whoever runs this must be able to read the state folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import EXIT_DONE, EXIT_REFUSED, STATE, AsJson, State, _guarded

if TYPE_CHECKING:
    from gateway.adapters.audit_reader import AuditReader
    from gateway.core.audit.chain import Finding, Head
    from gateway.core.audit.rows import AuditRow

SHOWN_MAX: Final = 50
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
def show(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    actor: Annotated[str, typer.Option(help="Only what this one asked for.")] = "",
    verb: Annotated[str, typer.Option(help="Only this verb, such as rollout.create.")] = "",
    subject: Annotated[str, typer.Option(help="Only what concerns this one.")] = "",
    state: State = STATE,
    database: Database = "",
    as_json: AsJson = False,
) -> None:
    """Show entries, the oldest first."""

    def wanted(row: AuditRow) -> bool:
        asked = ((actor, row.actor), (verb, row.verb), (subject, row.subject))
        return all(not word or word == found for word, found in asked)

    def work() -> int:
        from collections import deque

        from gateway.core.audit.stored import read_entries

        with _reader(state, database) as reader:
            newest = deque(filter(wanted, read_entries(reader.entries(), [])), maxlen=limit)
        for row in newest:
            typer.echo(json.dumps(_view(row)) if as_json else _line(row))
        return EXIT_DONE

    raise typer.Exit(_guarded(work))


@audit_app.command("verify")
def verify(
    *,
    witness: Annotated[
        list[Path] | None,
        typer.Option(help="File of heads that were kept elsewhere; repeatable."),
    ] = None,
    trust: Trust = None,
    state: State = STATE,
    database: Database = "",
    as_json: AsJson = False,
) -> None:
    """Find out whether entries were edited, cut, moved, added or rolled back."""

    def work() -> int:
        found, count, last, witnesses = _judged(state, database, trust, witness or [])
        if as_json:
            typer.echo(json.dumps({
                "sound": not found, "entries": count, "last": last, "witnesses": witnesses,
                "findings": [{"kind": f.kind, "entry": f.number, "story": f.story} for f in found],
            }))  # fmt: skip
        else:
            typer.echo(_story(found, count, last, witnesses))
        return EXIT_REFUSED if found else EXIT_DONE

    raise typer.Exit(_guarded(work))


@audit_app.command("witness")
def witness_command(*, trust: Trust = None, state: State = STATE, database: Database = "") -> None:
    """Print the newest signed head, a line to keep where nobody who can write the database can."""

    def work() -> int:
        from gateway.core.audit.chain import read_head
        from gateway.core.audit.kept import line_of
        from gateway.core.audit.stored import read_head_row

        with _reader(state, database) as reader:
            row = read_head_row(reader.head, [])
        if row is None:
            raise ValueError(
                "expected a log with entries, found none: there is nothing to keep yet"
            )
        head = read_head(row.envelope, _verifier(state, trust))
        typer.echo(line_of(head, row.envelope), nl=False)
        return EXIT_DONE

    raise typer.Exit(_guarded(work))


def _judged(
    state: Path, database: str, trust: Path | None, files: list[Path]
) -> tuple[list[Finding], int, int, int]:
    """What is wrong, how many entries there are, the last one's instant (UTC, ms), and how many heads were kept."""
    from gateway.core.audit.chain import verify as judge
    from gateway.core.audit.stored import read_entries, read_head_row

    verifier = _verifier(state, trust)
    # Heads first: one that is kept meanwhile would be news to an older snapshot of the log.
    witnesses, found = _witnesses(state, files, verifier)
    tally = [0, 0]

    def counted(rows: Iterator[AuditRow]) -> Iterator[AuditRow]:
        for row in rows:
            tally[:] = tally[0] + 1, row.at_ms
            yield row

    with _reader(state, database) as reader:
        head = read_head_row(reader.head, found)
        entries = counted(read_entries(reader.entries(), found))
        found += judge(entries, head, verifier, witnesses)
    return found, tally[0], tally[1], len(witnesses)


def _witnesses(state: Path, files: list[Path], verifier: Any) -> tuple[list[Head], list[Finding]]:
    """Heads of the given files, and of those that the gateway itself keeps."""
    from gateway.adapters.heads import HeadFile
    from gateway.core.audit.kept import read_lines

    own = HeadFile(state)
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
        newest = f", the last of {_instant(last)}" if count else ""
        return f"sound: {count} entries{newest}; {agree if witnesses else 'no head was kept'}"
    lines = [f"{f.kind:10} entry {f.number}: {f.story}" for f in found[:SHOWN_MAX]]
    if len(found) > SHOWN_MAX:
        lines.append(f"and {len(found) - SHOWN_MAX} more")
    lines.append(
        f"not what it was: {len(found)} finding{'s' * (len(found) > 1)} in {count} entries; keep the database as it "
        "is, and compare it with a backup"
    )
    return "\n".join(lines)


def _reader(state: Path, database: str) -> AuditReader:
    from gateway.adapters.audit_reader import AuditReader
    from gateway.adapters.storage import sqlite_url

    return AuditReader(database or sqlite_url(state / "gateway.db"))


def _verifier(state: Path, trust: Path | None) -> Any:
    from devicesdk.bundle.trust import Ed25519Verifier
    from gateway.adapters.keys import AUDIT_TRUST_FILE, read_trust
    from gateway.service import KEYS_FOLDER

    return Ed25519Verifier(read_trust(trust or state / KEYS_FOLDER / AUDIT_TRUST_FILE))


def _view(row: AuditRow) -> dict[str, Any]:
    from gateway.runtime.office import entry_view

    return entry_view(row)


def _line(row: AuditRow) -> str:
    head = f"{row.number:6}  {_instant(row.at_ms)}  {row.actor} ({row.role})"
    what = " ".join(word for word in (row.verb, row.subject, row.outcome) if word)
    return "\n".join([f"{head}  {what}", *(f"        {said}" for said in row.said)])


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
