"""A whole plant of real processes: mosquitto, `fleetdrill gateway serve`, devices, and an operator.

Decides how they are started, where each keeps its state, and which wire each one uses. Leaves out what
is done to them (rounds.py, test_half_open.py) and what must hold afterwards (checks.py).

Rules: every wait has a timeout that says what was waited for; no process outlives `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from devicesdk.agent.shared import STATE_FILE
from devicesdk.agent.snapshot import decode_state
from devicesdk.bundle.trust import ROLE_TARGETS
from devicesdk.host.settings import Options
from devicesdk.host.show import installed
from devicesdk.wire.messages import UpdatePolicy
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.adapters.brokers.running import RunningBroker
from gateway.adapters.keys import TRUST_FILE, init_keys, key_file, read_signer
from gateway.runtime import verbs
from gateway.runtime.knock import NoGatewayError, knock
from tests.chaos.bundles import Published
from tests.chaos.processes import Process
from tests.chaos.relay import Relay

T = TypeVar("T")

PATIENCE_S = 90.0
"""A device whose requests stay unanswered five times looks again after 15-30 s."""
LOOK_S = 0.05
KEEPALIVE_S = 5
"""Of the gateway; the least that its configuration takes."""
LABELS = {"fleet": "chaos", "region": "eu"}
QUICK = {
    "window_ns": 1_000_000_000,
    "nobody_wait_ns": 1_000_000_000,
    "kill_grace_ns": 300_000_000,
    "kill_settle_ns": 100_000_000,
    "keepalive_ns": KEEPALIVE_S * 1_000_000_000,
    "connect_timeout_ns": 3_000_000_000,
    "subscribe_timeout_ns": 3_000_000_000,
    "publish_timeout_ns": 5_000_000_000,
    "backoff": {"base_ns": 200_000_000, "cap_ns": 2_000_000_000},
    "features": ["gauge", "lamp"],
}
"""An agent configuration for tests: short windows, short waits, and a lamp that can be killed."""
TRIAL = UpdatePolicy(trial_ms=500)


class Device:
    """One device: its process, its folder, its wire."""

    def __init__(self, name: str, folder: Path, relay: Relay, trust: Path, config: Path) -> None:
        self.name, self.state, self.relay = name, folder / name, relay
        options = Options(
            broker=f"mqtt://127.0.0.1:{relay.port}", device=name, state=str(self.state),
            trust=str(trust), config=str(config), memory_mib=1024,
        )  # fmt: skip
        command = [sys.executable, "-m", "devicesdk.host", msgspec.json.encode(options).decode()]
        self.process = Process(name, command, folder / f"{name}.log")

    def shown(self) -> dict[str, Any]:
        """What ``fleetdrill device show --json`` prints."""
        return installed(self.state)

    def kill_version(self) -> int:
        """Of its saved state; 0 before anything was saved."""
        if not (self.state / STATE_FILE).exists():
            return 0
        return int(self.shown()["kill_version"])

    def flags(self) -> dict[str, Any]:
        """The flags of its saved flag document."""
        state = decode_state((self.state / STATE_FILE).read_bytes())
        found: dict[str, Any] = json.loads(state.flags or b"{}")
        return found.get("flags", {})


class Plant:
    """Everything.

    Args:
        folder: for all state and logs.
        bytes_per_s: of each device's wire, downwards.
        device_config: more of the agent's configuration.
    """

    def __init__(
        self, folder: Path, bytes_per_s: float, device_config: dict[str, Any] | None = None
    ) -> None:
        self.folder, self.state = folder, folder / "gw"
        self.bytes_per_s, self._device_config = bytes_per_s, {**QUICK, **(device_config or {})}
        self.broker: RunningBroker
        self.gateway: Process
        self.gateway_relay: Relay
        self.devices: list[Device] = []
        self.heard: Callable[[Device, bytes, int], None] = lambda device, blob, size: None

    # -- life -----------------------------------------------------------------------------------

    async def open(
        self, devices: int, *, persistence: bool, autosave_changes: int | None = None
    ) -> None:
        """Start all of it."""
        self.folder.mkdir(exist_ok=True)
        self.broker = await start_mosquitto(
            self.folder / "broker", persistence=persistence, autosave_changes=autosave_changes
        )
        made = init_keys(self.state / "keys")
        assert key_file(self.state / "keys", ROLE_TARGETS) in made
        key_file(self.state / "keys", ROLE_TARGETS).rename(self.folder / "targets.key")
        self.signer = read_signer(self.folder, ROLE_TARGETS)
        await self._open_gateway()
        await self._open_devices(devices)

    async def _open_gateway(self) -> None:
        self.gateway_relay = Relay(self.broker.endpoint.port)
        await self.gateway_relay.open()
        config = self.folder / "gateway.toml"
        config.write_text(f"[broker]\nkeepalive_s = {KEEPALIVE_S}\n[http]\nport = 0\n")
        url = f"mqtt://127.0.0.1:{self.gateway_relay.port}"
        words = ["gateway", "serve", "--state", str(self.state), "--config", str(config)]
        command = [sys.executable, "-m", "devicesdk", *words, "--broker", url]
        self.gateway = Process("gateway", command, self.folder / "gateway.log")
        self.gateway.start()
        await self.insist(verbs.Overview())

    async def _open_devices(self, count: int) -> None:
        config = self.folder / "device.json"
        config.write_text(json.dumps(self._device_config))
        trust = self.state / "keys" / TRUST_FILE
        for number in range(count):
            device = await self._wired(f"dev-{number}", trust, config)
            self.devices.append(device)
            await self.insist(verbs.EnrollDevice(device=device.name, labels=LABELS))
            device.process.start()

    async def _wired(self, name: str, trust: Path, config: Path) -> Device:
        device: Device
        relay = Relay(
            self.broker.endpoint.port,
            self.bytes_per_s,
            lambda blob, size: self.heard(device, blob, size),
        )
        await relay.open()
        device = Device(name, self.folder, relay, trust, config)
        return device

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        for process in (*[d.process for d in self.devices], getattr(self, "gateway", None)):
            if process is not None:
                process.kill()
        for relay in (*[d.relay for d in self.devices], getattr(self, "gateway_relay", None)):
            if relay is not None:
                await relay.close()
        if hasattr(self, "broker"):
            with contextlib.suppress(ProcessLookupError):
                self.broker.kill()

    def tails(self, lines: int = 25) -> str:
        """The end of every log."""
        broker = self.broker.log.read_text(errors="replace").splitlines()[-lines:]
        said = [f"    broker: {line}" for line in broker]
        said += [p.tail(lines) for p in (self.gateway, *[d.process for d in self.devices])]
        return "\n".join(said)

    # -- the operator ---------------------------------------------------------------------------

    async def ask(self, verb: verbs.AnyVerb) -> Any:
        """Ask once, at the gateway's door.

        Raises:
            NoGatewayError: nobody answers.
            VerbError: not done.
        """
        return await asyncio.to_thread(knock, self.state, verb)

    async def insist(self, verb: verbs.AnyVerb) -> Any:
        """Ask until it was done: while nobody answers, as often as it takes."""
        last: Exception | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        return await self.ask(verb)
                    except NoGatewayError as error:
                        last = error
                    except verbs.VerbError as error:
                        if error.code not in ("busy", "stopped"):
                            raise
                        last = error
                    await asyncio.sleep(LOOK_S)
        raise AssertionError(f"expected {verb} to be done in {PATIENCE_S} s, found {last}")

    async def publish(self, made: Published) -> None:
        """What ``fleetdrill bundle publish`` does."""
        store = FileBlobs(self.state / "blobs")
        for blob in made.blobs.values():
            store.put(blob)
        store.close()
        await self.insist(verbs.PublishBundle(digest=made.digest.hex()))

    async def roll_out(self, name: str, bundle: str, waves: tuple[float, ...]) -> None:
        """Create a rollout to all devices of the plant."""
        await self.insist(
            verbs.CreateRollout(
                id=name,
                bundle=bundle,
                waves=waves,
                soak="100ms",
                jitter="0s",
                selector={"fleet": LABELS["fleet"]},
                policy=TRIAL,
            )
        )

    async def rollout(self, name: str) -> dict[str, Any]:
        """One rollout as the door tells of it."""
        views = await self.insist(verbs.ListRollouts())
        found = [view for view in views if view["id"] == name]
        assert found, f"expected the rollout {name}, found {[view['id'] for view in views]}"
        return dict(found[0])

    async def fleet(self) -> dict[str, Any]:
        """The fleet at a glance."""
        return dict((await self.insist(verbs.Overview()))["fleet"])

    async def twin(self, device: str) -> dict[str, Any]:
        """What the gateway knows of a device."""
        return dict(await self.insist(verbs.ShowDevice(device=device)))

    # -- waiting --------------------------------------------------------------------------------

    async def until(self, what: str, look: Callable[[], Awaitable[T | None]]) -> T:
        """Look again and again until something is found; a story when it is not in time."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (found := await look()):  # noqa: ASYNC110 - processes have no event
                    await asyncio.sleep(LOOK_S)
                return found
        except TimeoutError:
            raise AssertionError(f"expected {what} within {PATIENCE_S} s, found that not") from None
