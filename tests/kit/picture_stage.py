"""A gateway with much to look at: a seeded fleet (bench/console_fleet.py), three live devices, requests and a log.

Decides what is there, so that no screen of the console is empty. Leaves out the browser (console_pictures.py).
"""

from __future__ import annotations

import json
import time
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import msgspec

from bench.console_fleet import REGIONS, seed
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core.access import approvals
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments import rows as experiments
from gateway.core.experiments.bandit import Tally
from gateway.core.rehearsals import book
from gateway.core.rehearsals.job import FAILED, HELD, CheckTold, Outcome, RunTold, Verdict
from tests_kit.console_stage import ConsoleStage

LIVE = ("lab-1", "lab-2", "lab-3")
LONG = "kiosk-of-the-northern-harbour-and-its-many-cranes-hall-4"
"""An id that is as long as people make them."""
DAY_MS = 86_400_000
SWITCH = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
LAB = {"bundle": "gauge@1.9.0", "selector": {"floor": "lab"}, "waves": [0.34, 1.0], "soak": "1h"}


class PictureStage(ConsoleStage):
    """Starts in its constructor; `close` ends it.

    Args:
        state: the gateway's folder.
        devices: how many there are in all, three of them live.
    """

    BUNDLES: ClassVar = ((8, 20_000), (9, 600_000))
    LABELS: ClassVar = {"region": "eu-north", "floor": "lab"}
    SELECTOR: ClassVar = {"floor": "lab"}

    def __init__(self, state: Path, devices: int) -> None:
        self._seeded = devices - len(LIVE) - 1
        super().__init__(state, LIVE)
        self.until(self._settled, "three live devices")
        self._act()

    def prepare(self) -> None:
        """Seeded rows, experiments, and requests for a second person."""
        now_ms = time.time_ns() // 1_000_000  # noqa: TID251 - the gateway is a real one
        seed(self.state, self._seeded, now_ms * 1_000_000)
        storage = SqlStorage(sqlite_url(self.state / "gateway.db"))
        for row in _experiments(storage):
            storage.put(experiments.EXPERIMENT, row.plan.id, row)
        for asked in _requests(now_ms):
            storage.put(approvals.APPROVAL, f"{asked.number:012d}", asked)
        for told in _rehearsals(now_ms, self._seeded):
            storage.put(book.REHEARSAL, book.rehearsal_key(told.number), told)
        storage.commit()
        storage.close()

    def _settled(self) -> bool:
        return all(self.ask("GET", f"/v1/devices/{name}")["online"] for name in LIVE)

    def _act(self) -> None:
        """What people did today."""
        self.ask("PUT", f"/v1/devices/{LONG}/labels", {"labels": {
            "region": REGIONS[0], "profile": "rpi4", "customer": "northern-harbour-authority",
            "contract": "2026-117", "tz": "Europe/Berlin", "hall": "4", "line": "12b"}})  # fmt: skip
        for name, role in (("ci", "releaser"), ("night-shift", "operator"), ("auditor", "viewer")):
            self.ask("POST", "/v1/tokens", {"name": name, "role": role})
        self.ask("PUT", "/v1/flags/all/help.banner", {"definition": SWITCH})
        self.ask("PUT", "/v1/kills/night-vision")
        self.ask("POST", "/v1/debug-grants", {"device": "lab-1", "lasts": "30m", "why": "reads 3 for 8"})  # fmt: skip
        self.ask("POST", "/v1/rollouts", {"id": "lab-canary", "jitter": "0s", **LAB})
        self.until(self._updated, "the first wave of the lab")
        self.api.post("/v1/rollouts", json={"id": "typo", "bundle": "gauge@9.9.9", "soak": "never"})

    def _updated(self) -> bool:
        return bool(self.ask("GET", "/v1/rollouts/lab-canary")["waves"][0]["committed"])


class EmptyStage(ConsoleStage):
    """A gateway that has just been made."""

    def __init__(self, state: Path) -> None:
        super().__init__(state, ())

    def furnish(self) -> None:
        """Nothing."""


def _experiments(storage: SqlStorage) -> list[experiments.ExperimentRow]:
    from gateway.core import rows

    digests = {row.manifest.name: bytes.fromhex(key) for table, key, row in storage.rows() if table == rows.BUNDLE}  # fmt: skip
    old, new = digests["gauge@1.2.0"], digests["gauge@1.3.0"]
    plan = ExperimentPlan("dusk-reader", "gauge@1.3.0", "gauge@1.2.0", "bandit", share=0.4)
    shadow = ExperimentPlan("shadow-reader", "gauge@1.3.0", "gauge@1.2.0", "shadow")
    made = experiments.ExperimentRow
    return [
        made(plan, new, old, tally=Tally(4_180, 61), baseline=Tally(12_030, 166), cap=0.4, share=0.26, looks=31),
        made(shadow, new, old, experiments.Phase.STOPPED, "evidence 22.4 that more than 2 % are bad",
             Tally(900, 44), Tally(910, 9), looks=9),
    ]  # fmt: skip


def _requests(now_ms: int) -> list[approvals.ApprovalRow]:
    kill = json.dumps({"verb": "kill", "feature": "gauge", "revive": False}).encode()
    create = json.dumps({"verb": "rollout.create", "id": "spring", "bundle": "gauge@1.3.0", "waves": [0.01, 0.1, 1.0]}).encode()  # fmt: skip
    return [
        approvals.ApprovalRow(1, kill, "ci", "releaser", now_ms - 2 * DAY_MS, approvals.DENIED, "first",
                              now_ms - 2 * DAY_MS + 600_000, "the wrong feature"),
        approvals.ApprovalRow(2, create, "ci", "releaser", now_ms - 900_000),
    ]  # fmt: skip


def _rehearsals(now_ms: int, devices: int) -> list[book.RehearsalRow]:
    """One that failed, with its story, and one that held."""
    story = (
        "00:21:04  wave 0 opens for 2 devices",
        "00:36:10  kiosk-0031 runs gauge@1.3.0 on trial; chip 84 °C, throttled",
        "00:51:10  kiosk-0031 rolls back by itself: its own test took 4.1 times as long as before",
        "01:06:40  the gate halts the rollout: evidence 27.4 that more than 2 % fail",
    )
    check = CheckTold("no_device_bricked", "invariant", "kiosk-0031 rolled back")
    halted = "evidence 27.4 that more than 2 % fail"
    failed = (
        _run(1, devices, halted, check),
        _run(2, devices, ""),
        _run(3, devices, halted, check),
    )
    held = tuple(_run(seed, devices, "") for seed in (1, 2, 3))
    assumed = ("4 devices said nothing of their hardware: they are taken for rpi4", "links are those of the region's profile")  # fmt: skip
    return [
        _rehearsal(1, "winter", FAILED, Verdict(outcome=FAILED, why="2 of 3 virtual fleets halted: a gate or a check failed",
                   story=story, runs=failed, assumptions=assumed), now_ms, devices),
        _rehearsal(2, "winter-canary", HELD, Verdict(outcome=HELD, why="3 of 3 virtual fleets came through", runs=held), now_ms, devices),
    ]  # fmt: skip


def _run(seed: int, devices: int, why: str, *failed: CheckTold) -> RunTold:
    few = max(1, devices // 100)
    return RunTold(seed=seed, held=not failed, digest=f"{seed:064x}", state="halted" if why else "completed", why=why,
                   exposed=few if why else devices, devices=devices, virtual_s=90_000.0, cpu_s=3.0, failed=failed,
                   report="" if why else f"{seed}.html")  # fmt: skip


def _rehearsal(
    number: int, rollout: str, state: Outcome, verdict: Verdict, now_ms: int, devices: int
) -> book.RehearsalRow:
    digest = sha256(rollout.encode()).digest()
    began_ms = now_ms - 3_600_000 + number * 60_000
    return book.RehearsalRow(
        number, "ci", began_ms, rollout, "gauge@1.3.0", b'{"id":"winter"}', digest, digest, (1, 2, 3), devices, state,
        began_ms, began_ms + 40_000, verdict.why, msgspec.json.encode(verdict),
    )  # fmt: skip
