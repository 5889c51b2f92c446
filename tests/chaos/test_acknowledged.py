"""kill -9 of the gateway while operators and devices keep it busy: what was acknowledged is there, and once.

The short form, five kills, runs with the other tests; fifty are part of `make chaos`. Luck is seeded (`CHAOS_SEED`);
the instants are uniform over a life, from the process's first breath to two seconds after it answers.

What is asked over HTTP: rollouts and their ends, flags, kills and their ends, labels, bundles with their blobs, tokens and
their ends, rehearsals, debug mode that a second person approves, an alarm's acknowledgement and silences; at the door:
devices. What must hold after each restart, as the API tells, and at the end, as it stands on the disk: whatever was
acknowledged is there; a token that was made opens and one that was ended does not; a request that is repeated under its
key is answered as before; each was done once, however often it was repeated, which the audit log proves, because an entry
is in the commit of its mutation; and the log is sound, with no entry missing. Two take no key, and are refused when
repeated: a token's making, whose answer holds its text and is not kept, and the decision on what waits for a second person.
"""

from __future__ import annotations

import asyncio
import json
import os
import random  # noqa: TID251 - luck of a test, seeded
import sys
import threading
from pathlib import Path

import pytest

from devicesdk.bundle.trust import ROLE_TARGETS
from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.adapters.keys import init_keys, read_signer
from gateway.runtime.knock import NoGatewayError, knock
from gateway.runtime.verbs import Overview, VerbError
from tests.chaos.clients import Acknowledged, AtTheDoor, Devices
from tests.chaos.judging import SECOND, VERBS, judge, lost_nothing, refuse_lost
from tests.chaos.operators import AGAIN, KEYLESS, Operator, OverHttp, Watch
from tests.chaos.processes import Process
from tests.chaos.seen import Told, over_http, request

pytestmark = pytest.mark.mosquitto
SEED = int(os.environ.get("CHAOS_SEED", "20"))
PATIENCE_S = 90.0
LIFE_S = 2.0
LOOK_S = 0.05
LOOKS_MAX = 1_000
AGAIN_EACH = 5
"""Of each asker's newest answers that are asked for again after a restart."""
CONFIG = """\
[control]
rollouts_max = 20000
[http]
port = 0
requests_per_s_max = 10000.0
requests_burst_max = 10000
failures_per_s_max = 1000.0
[security]
second_person = ["debug.grant"]
[rehearsal]
command = ["false"]
[alarms]
disk_percent_raise = 99
disk_percent_clear = 100
look_s = 0.1
probe_s = 0.5
"""
"""Nobody is slowed down; there is an alarm to look after, a disk that is not quite empty; and a rehearsal ends at once."""


def pause(seconds: float) -> None:
    """Let the processes do something."""
    threading.Event().wait(seconds)


class Site:
    """One gateway, and everybody who asks something of it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.state = folder / "state"
        self.state.mkdir(parents=True)
        config = folder / "gateway.toml"
        config.write_text(CONFIG)
        words = ["gateway", "serve", "--state", str(self.state), "--config", str(config)]
        command = [sys.executable, "-m", "devicesdk", *words]
        command += ["--broker", f"mqtt://127.0.0.1:{port}"]
        self.gateway = Process("gateway", command, folder / "gateway.log")
        init_keys(self.state / "keys")
        signer = read_signer(self.state / "keys", ROLE_TARGETS)
        self.operators = [Operator(f"http{number}", self.state, signer) for number in range(3)]
        self.over_http: list[OverHttp] = [*self.operators, Watch("watch", self.state)]
        self.door, self.devices = AtTheDoor("door", self.state), Devices(self.state, port)
        self.askers = [*self.over_http, self.door, self.devices]

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

    def begin(self) -> None:
        """A token for a second person; then everybody asks."""
        self.ready()
        body = {"name": SECOND, "role": "admin"}
        while (told := request(self.state, "POST", "/v1/tokens", body)).status != 201:
            assert told.status in (0, *AGAIN), f"expected a token, found {told}"
            pause(LOOK_S)
        for operator in self.operators:
            operator.second = json.loads(told.body)["token"]
        for asker in self.askers:
            asker.start()

    def there(self) -> None:
        """Everything that was acknowledged so far is there, as the API tells, and is not done again."""
        # What was answered is looked at first: later answers are later mutations.
        answered = [(asker, list(asker.answers)) for asker in self.over_http]
        enrolled = list(self.door.answers)
        seen = over_http(self.state)
        for asker, answers in answered:
            lost_nothing(asker, answers, seen)
            for one in answers[-AGAIN_EACH:]:
                self.again(asker, one)
        refuse_lost([one.subject for one in enrolled if one.subject not in seen.devices])
        for operator in self.operators:
            self._opens(operator)

    def again(self, asker: OverHttp, one: Acknowledged) -> None:
        """What was acknowledged is asked again under its key, and answered as it was."""
        for _ in range(LOOKS_MAX):
            told = asker.once(one.key)
            if told.status and told.status not in AGAIN:
                break
            pause(LOOK_S)
        if one.verb in KEYLESS:
            assert told.kind.endswith(KEYLESS[one.verb]), f"{one} was asked again: {told}"
        else:
            assert told == (one.status, one.body), f"{one} was asked again: {told}"

    def _opens(self, operator: Operator) -> None:
        """The newest token that was made lets in, unless it is being ended; the newest that was ended does not."""
        ended = [one.subject for one in operator.answers if one.verb == "token.revoke"]
        made = dict(operator.texts)
        for name in [name for name in made if name not in operator.ending][-1:]:
            told = self._whoami(made[name])
            assert told.status == 200 or name in operator.ending, f"{name} was made, and {told}"
        for name in [name for name in ended if name in made][-1:]:
            told = self._whoami(made[name])
            assert told.status == 401, f"{name} was ended, and {told}"

    def _whoami(self, token: str) -> Told:
        for _ in range(LOOKS_MAX):
            told = request(self.state, "GET", "/v1/whoami", token=token)
            if told.status not in (0, 429, 503):
                return told
            pause(LOOK_S)
        raise AssertionError(f"nobody says who a token is:\n{self.gateway.tail(20)}")

    def kill_at_some_moment(self, luck: random.Random) -> None:
        """kill -9, in the middle of a start or of work."""
        if luck.random() < 0.7:
            self.ready()
            self.there()
        pause(luck.uniform(0.0, LIFE_S))
        self.gateway.kill()
        self.gateway.start()

    def see_through(self) -> None:
        """Let everybody come to an end, once everything was asked for; then all of it is asked once more."""
        for _ in range(LOOKS_MAX):
            if {one.verb for asker in self.over_http for one in list(asker.answers)} >= VERBS:
                break
            pause(LOOK_S)
        for asker in self.askers:
            asker.enough.set()
        for asker in self.askers:
            asker.join(PATIENCE_S)
            assert not asker.is_alive(), (
                f"{asker.name} was never answered:\n{self.gateway.tail(20)}"
            )
            assert asker.failed is None, f"{asker.name} failed: {asker.failed!r}"
        for asker in self.over_http:
            for one in asker.answers:
                self.again(asker, one)


def campaign(folder: Path, port: int, kills: int) -> Site:
    """Kill it so many times under load; returns the site, stopped."""
    site, luck = Site(folder, port), random.Random(f"{SEED}/acknowledged")
    site.gateway.start()
    try:
        site.begin()
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


async def run(folder: Path, kills: int) -> str:
    broker = await start_mosquitto(folder / "broker")
    try:
        site = await asyncio.to_thread(campaign, folder, broker.endpoint.port, kills)
    finally:
        await broker.stop()
    told = judge(site.state, site.over_http, site.door.answers)
    return f"{told}; {site.devices.sent} messages of devices"


async def test_five_kills_lose_nothing_that_was_acknowledged(tmp_path):
    print(await run(tmp_path, 5))


@pytest.mark.slow
async def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path, capsys):
    told = await run(tmp_path, 50)
    with capsys.disabled():
        print(f"acknowledged: 50 kills, {told}", flush=True)
