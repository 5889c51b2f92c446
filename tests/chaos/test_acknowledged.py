"""kill -9 of the gateway while operators and devices keep it busy: what was acknowledged is there, and once.

The short form, five kills, runs with the other tests; fifty are part of `make chaos`. Luck is seeded (`CHAOS_SEED`);
the instants are uniform over a life, from the process's first breath to two seconds after it answers.

What must hold after each restart and at the end: each rollout whose creation was acknowledged exists, each steering
too, each device is enrolled; each request over HTTP was done once, however often it was repeated, which the audit
log proves, because an entry is in the commit of its mutation; and the log is sound, with no entry missing.
"""

from __future__ import annotations

import asyncio
import os
import random  # noqa: TID251 - luck of a test, seeded
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from gateway.adapters.audit_reader import AuditReader
from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.adapters.heads import HeadFile
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core import rows
from gateway.core.audit import rows as audit
from gateway.core.audit.chain import verify
from gateway.core.audit.kept import read_lines
from gateway.core.audit.stored import read_entries, read_head_row
from gateway.runtime.knock import NoGatewayError, knock
from gateway.runtime.verbs import ListRollouts, Overview, VerbError
from gateway.service import audit_verifier
from tests.chaos.clients import Asker, AtTheDoor, Devices, OverHttp
from tests.chaos.processes import Process

pytestmark = pytest.mark.mosquitto
SEED = int(os.environ.get("CHAOS_SEED", "20"))
PATIENCE_S = 90.0
LIFE_S = 2.0
LOOK_S = 0.05
LOOKS_MAX = 1_000


def pause(seconds: float) -> None:
    """Let the processes do something."""
    threading.Event().wait(seconds)


class Site:
    """One gateway, and everybody who asks something of it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.state = folder / "state"
        self.state.mkdir(parents=True)
        config = folder / "gateway.toml"
        config.write_text("[control]\nrollouts_max = 20000\n[http]\nport = 0\n")
        words = ["gateway", "serve", "--state", str(self.state), "--config", str(config)]
        command = [
            sys.executable,
            "-m",
            "devicesdk",
            *words,
            "--broker",
            f"mqtt://127.0.0.1:{port}",
        ]
        self.gateway = Process("gateway", command, folder / "gateway.log")
        self.devices = Devices(self.state, port)
        self.askers: list[Asker] = [
            *(OverHttp(f"http{number}", self.state) for number in range(3)),
            AtTheDoor("door", self.state),
            self.devices,
        ]

    def ready(self) -> None:
        """Wait until it answers at its door and over HTTP."""
        for _ in range(LOOKS_MAX):
            if self._answers():
                return
            assert self.gateway.alive, f"it ended by itself:\n{self.gateway.tail(20)}"
            pause(LOOK_S)
        raise AssertionError(f"waited in vain:\n{self.gateway.tail(20)}")

    def _answers(self) -> bool:
        try:
            knock(self.state, Overview())
        except (NoGatewayError, VerbError):
            return False
        return True

    def there(self) -> None:
        """Everything that was acknowledged so far is there."""
        # What was answered is looked at first: later answers are later mutations.
        answered = [one for asker in self.askers for one in list(asker.answers)]
        found = {view["id"] for view in knock(self.state, ListRollouts())}
        wanted = {one.subject for one in answered if one.verb == "rollout.create"}
        assert not wanted - found, f"acknowledged and lost: {sorted(wanted - found)}"

    def kill_at_some_moment(self, luck: random.Random) -> None:
        """kill -9, in the middle of a start or of work."""
        if luck.random() < 0.7:
            self.ready()
            self.there()
        pause(luck.uniform(0.0, LIFE_S))
        self.gateway.kill()
        self.gateway.start()

    def see_through(self) -> None:
        """Let everybody come to an end."""
        for asker in self.askers:
            asker.enough.set()
        for asker in self.askers:
            asker.join(PATIENCE_S)
            assert not asker.is_alive(), (
                f"{asker.name} was never answered:\n{self.gateway.tail(20)}"
            )
            assert asker.failed is None, f"{asker.name} failed: {asker.failed!r}"


def campaign(folder: Path, port: int, kills: int) -> Site:
    """Kill it so many times under load; returns the site, stopped."""
    site, luck = Site(folder, port), random.Random(f"{SEED}/acknowledged")
    site.gateway.start()
    try:
        site.ready()
        for asker in site.askers:
            asker.start()
        for _ in range(kills):
            site.kill_at_some_moment(luck)
        site.ready()
        site.there()
        site.see_through()
    finally:
        for asker in site.askers:
            asker.enough.set()
        site.devices.close()
        site.gateway.kill()
    return site


def judge(site: Site) -> str:
    """Demand all that must hold of what is durable; returns a line about it."""
    answered = [one for asker in site.askers for one in asker.answers]
    over_http = [one for one in answered if one.key.startswith("rollout.")]
    refused = [one for one in over_http if one.status >= 300]
    assert refused == [], f"a repeated request was done again, and so refused: {refused[:3]}"
    entries = sound_log(site.state)
    done = Counter((row.verb, row.subject) for row in entries if row.outcome == "done")
    for one in over_http:
        times = done[one.verb, one.subject]
        assert times == 1, (
            f"{one.key} was acknowledged after {one.tries} tries and done {times} times"
        )
    others = {key for key in done if key[0].startswith("rollout.")} - {
        (one.verb, one.subject) for one in over_http
    }
    assert not others, f"done, and nobody was ever told: {sorted(others)[:3]}"
    there(site.state, answered)
    again = sum(one.tries > 1 for one in over_http)
    assert over_http, "nothing was asked"
    return (
        f"{len(over_http)} over HTTP, {again} of them repeated, {len(answered) - len(over_http)} at the door, "
        f"{site.devices.sent} of devices; {len(entries)} audit entries, sound"
    )


def sound_log(state: Path) -> list[audit.AuditRow]:
    """The entries of a log in which nothing is wrong, also by the heads that were kept."""
    auditor = audit_verifier(state / "keys")
    kept, found = read_lines(HeadFile(state).read(), auditor, "audit.heads")
    assert kept, "the gateway kept no head"
    with AuditReader(sqlite_url(state / "gateway.db")) as reader:
        entries = list(read_entries(reader.entries(), found))
        found += verify(entries, read_head_row(reader.head, found), auditor, kept)
    assert found == [], "\n".join(finding.story for finding in found)
    return entries


def there(state: Path, answered: list[object]) -> None:
    """The rows of everything that was acknowledged."""
    storage = SqlStorage(sqlite_url(state / "gateway.db"))
    try:
        durable = {(table, key): row for table, key, row in storage.rows()}
    finally:
        storage.close()
    for one in answered:
        if one.verb == "device.enroll":
            row = durable.get((rows.DEVICE, one.subject))
            assert row is not None, f"{one.subject} was enrolled and is lost"
        else:
            row = durable.get((rows.ROLLOUT, one.subject))
            assert row is not None, f"{one.subject} was acknowledged and is lost"
            if one.verb == "rollout.steer":
                assert row.phase == rows.Phase.ABORTED, (
                    f"{one.subject} was aborted and is {row.phase}"
                )


async def run(folder: Path, kills: int) -> str:
    broker = await start_mosquitto(folder / "broker")
    try:
        site = await asyncio.to_thread(campaign, folder, broker.endpoint.port, kills)
    finally:
        await broker.stop()
    return judge(site)


async def test_five_kills_lose_nothing_that_was_acknowledged(tmp_path):
    print(await run(tmp_path, 5))


@pytest.mark.slow
async def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path, capsys):
    told = await run(tmp_path, 50)
    with capsys.disabled():
        print(f"acknowledged: 50 kills, {told}", flush=True)
