"""A gateway and devices as processes of their own, and their operator, who talks through the door.

`Works` starts ``fleetdrill gateway serve`` and ``fleetdrill device run``, reads their logs and memory, and asks
whether they still do their work. Which broker they use is for those who make one to say.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from devicesdk.wire.messages import UpdatePolicy
from gateway.adapters.keys import init_keys
from gateway.cli import register
from gateway.runtime import verbs
from gateway.runtime.knock import NoGatewayError, knock
from tests_kit.device_stage import QUICK, rss_kib

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models" / "gauge"
WAIT_S = 120.0
STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\S+Z [A-Z]+ ")
"""How a line of a gateway's log begins."""
OUR_COMMANDS = (
    "import typer; from gateway import cli; from devicesdk.host import cli as device\n"
    "app = typer.Typer(); cli.register(app); device.register(app); app()"
)
APP = typer.Typer()
register(APP)


class Works:
    """Processes in one folder; `devices` are those that must always do their work.

    Args:
        folder: for state, keys and logs.
        devices: ids of those that `obeyed` and `undisturbed` look at.
    """

    def __init__(self, folder: Path, *devices: str) -> None:
        self.folder, self.devices = folder, devices
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.turn = 0
        init_keys(folder / "keys")

    @property
    def state(self) -> Path:
        """Of the gateway whose door the operator knocks at."""
        return self.folder / "gateway-state"

    # -- processes ------------------------------------------------------------------------------

    def gateway(self, *words: Any, name: str = "gateway", **variables: str) -> None:
        self.start(
            name, "gateway", "serve", "--state", self.folder / f"{name}-state", *words,
            FLEETDRILL_GATEWAY_KEYS=str(self.folder / "keys"), **variables,
        )  # fmt: skip

    def device(self, ident: str, broker: str, *words: Any) -> None:
        config = self.folder / "agent.json"
        config.write_text(json.dumps(QUICK))
        self.start(
            ident, "device", "run", "--broker", broker, "--id", ident, "--config", config,
            "--state", self.folder / ident, "--trust", self.folder / "keys/trust.json", *words,
        )  # fmt: skip

    def start(self, name: str, *words: Any, **variables: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **variables}
        with (self.folder / f"{name}.log").open("wb") as out:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-c", OUR_COMMANDS, *map(str, words)],
                env=env, cwd=self.folder, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @contextmanager
    def guests(self, *names: str) -> Iterator[None]:
        """Processes that are started inside are gone afterwards, and have ended politely."""
        try:
            yield
        finally:
            here = [self.processes.pop(name) for name in names if name in self.processes]
            for process in here:
                process.terminate()
            codes = [process.wait(WAIT_S) for process in here]
        assert not any(codes), f"expected {names} to end politely, found {codes}\n{self.story()}"

    # -- the operator ---------------------------------------------------------------------------

    def ask(self, verb: verbs.AnyVerb) -> Any:
        """Through the operator's door; None while there is nobody."""
        try:
            return knock(self.state, verb)
        except NoGatewayError:
            return None

    def show(self, device: str) -> dict[str, Any]:
        try:
            return self.ask(verbs.ShowDevice(device=device)) or {}
        except verbs.VerbError:
            return {}

    def publish(self, version: str) -> str:
        """Publish a shipped bundle; returns its digest."""
        done = CliRunner().invoke(
            APP,
            ["bundle", "publish", str(MODELS / version), "--key", str(self.folder / "keys/targets.key"),
             "--state", str(self.state), "--json"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        digest: str = json.loads(done.stdout)["digest"]
        return digest

    def roll_out(self, version: str, role: str) -> str:
        """Begin to update the devices of a role; returns the digest that they shall run."""
        digest = self.publish(version)
        self.ask(
            verbs.CreateRollout(
                id=f"to-{version}-{role}", bundle=f"gauge@{version}", waves=(1.0,), soak="1s", jitter="0s",
                selector={"role": role}, policy=UpdatePolicy(trial_ms=500),
            )
        )  # fmt: skip
        return digest

    def until_runs(self, device: str, digest: str) -> None:
        self.until(
            lambda: (
                (self.show(device).get("running"), self.show(device).get("outcome"))
                == (digest, "committed")
            ),
            f"{device} to commit {digest[:8]}",
        )

    def order(self) -> tuple[int, int]:
        """Set a flag and flip a kill; returns the versions that devices must come to."""
        self.turn += 1
        variant = "on" if self.turn % 2 else "off"
        flag = {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": variant,
        }
        self.ask(verbs.SetFlag(segment="all", flag="lamp", definition=flag))
        self.ask(verbs.Kill(feature="lamp", alive=self.turn % 2 == 0))
        fleet = self.ask(verbs.Overview())["fleet"]
        return fleet["flags_revs"]["all"], fleet["kill_version"]

    def obeyed(self, versions: tuple[int, int]) -> None:
        """Wait until all devices, connected, say that they follow an order."""
        for device in self.devices:
            expected = (*versions, True)

            def follows(device: str = device, expected: tuple[int, int, bool] = expected) -> bool:
                said = self.show(device)
                return expected == tuple(
                    said.get(name) for name in ("flags_rev", "kill_version", "online")
                )

            self.until(follows, f"{device} to follow flags and kills {versions}")

    def undisturbed(self) -> None:
        """Demand that orders still reach all devices, and that no process ended."""
        self.obeyed(self.order())
        assert self.ask(verbs.Overview())["connected"], self.story()
        ended = {name: p.poll() for name, p in self.processes.items() if p.poll() is not None}
        assert not ended, f"expected all processes to live, found {ended}\n{self.story()}"

    # -- what one sees --------------------------------------------------------------------------

    def memory(self) -> dict[str, int]:
        """Resident KiB of each process."""
        return {name: rss_kib(process.pid) for name, process in self.processes.items()}

    def log(self, name: str, after: int = 0) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[after:]

    def until_logged(self, name: str, pattern: str, after: int = 0) -> str:
        """Wait for a line that matches in a process's log; returns it."""
        self.until(
            lambda: re.search(pattern, self.log(name, after)), f"{pattern!r} in the log of {name}"
        )
        found = re.search(f".*{pattern}.*", self.log(name, after))
        assert found is not None
        return found[0]

    def until(self, look: Any, what: str) -> Any:
        give_up = time.monotonic() + WAIT_S  # noqa: TID251 - real processes, a real clock
        while not (found := look()):
            assert time.monotonic() < give_up, f"waited in vain for {what}\n{self.story()}"  # noqa: TID251
            time.sleep(0.05)  # noqa: TID251
        return found

    def story(self) -> str:
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}"
            for log in self.folder.glob("*.log")
        )

    def close(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            process.wait(WAIT_S)
