"""A gateway with much to look at: a seeded fleet (bench/console_fleet.py), three live devices, requests and a log.

Decides what is there, so that no screen of the console is empty. Leaves out the browser (console_pictures.py).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import ClassVar

from bench.console_fleet import REGIONS, seed
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.core.access import approvals
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments import rows as experiments
from gateway.core.experiments.bandit import Tally
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
