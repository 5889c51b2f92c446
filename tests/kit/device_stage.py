"""A stage for real devices: sealed gauge images, a scripted gateway on a real broker, a device process.

`Tower` answers chunk requests over a lean port and keeps the books; `Device` is ``fleetdrill device run``
as a process of its own, which can be killed at any moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Self

from devicesdk.agent.agent import Identity
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint, Granted, Inbound
from devicesdk.bundle import sealed
from devicesdk.bundle.chunks import build_hash_list, split
from devicesdk.bundle.manifest import BlobRef, Manifest, Variant, encode_manifest
from devicesdk.bundle.trust import ROLE_TARGETS
from devicesdk.inference.source import load_source
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Event, Get, Have, Link, Telemetry, UpdatePolicy, UpdateState
from devicesdk.wire.topics import Topics
from tests_kit import agent_bundles
from tests_kit.agent_bundles import KEYS, SIGNERS

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
DEVICE = "gauge-0001"
PATIENCE_S = 120.0
QUICK = {
    "window_ns": 1_000_000_000,
    "nobody_wait_ns": 1_000_000_000,
    "kill_grace_ns": 300_000_000,
    "kill_settle_ns": 100_000_000,
    "backoff": {"base_ns": 50_000_000, "cap_ns": 200_000_000},
}
"""An agent configuration for tests: short windows, short waits."""
ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
LAUNCH = "from devicesdk.host.cli import device_app; device_app()"
FSYNC_S = 0.02
SLOW_DISK = f"""
import os, time
swift = os.fsync
def slow(fd):
    time.sleep({FSYNC_S})
    swift(fd)
os.fsync = slow
{LAUNCH}
"""
"""`LAUNCH` on a worn card: each ``fsync`` takes `FSYNC_S` longer, so that a kill often falls into one."""


def gauge_image(
    version: str = "gauge/1.0.0", variant: str = "fp32", padding_bytes: int = 0
) -> bytes:
    """A sealed image of a shipped bundle, as large as one likes (metadata that nobody reads)."""
    source = load_source(MODELS / version)
    folder = MODELS / version
    image = sealed.seal(
        source.models[variant],
        variant,
        (folder / "bundle.json").read_bytes(),
        (folder / "kit.npz").read_bytes(),
    )
    if padding_bytes:
        text = agent_bundles.pattern(5, padding_bytes // 2).hex().encode()
        image += sealed.prop("padding", text)
    return image


class GaugeBundle(agent_bundles.Bundle):
    """A signed bundle around one image; `kit` is the digest (hex) that the manifest names."""

    def __init__(
        self, image: bytes, number: int = 1, kit: str = "", chunk_bytes: int = 16_384
    ) -> None:
        self.image, self.chunk_bytes = image, chunk_bytes
        self.hashes = build_hash_list(split(image, chunk_bytes))
        self.variant = Variant(
            name="fp32",
            image=BlobRef(sha256(image).hexdigest(), len(image)),
            hashes=BlobRef(sha256(self.hashes).hexdigest(), len(self.hashes)),
            chunk_bytes=chunk_bytes,
            hardware=("*",),
        )
        self.manifest = Manifest(
            id="gauge", version=f"1.{number}.0", release=number, variants=(self.variant,), kit=kit
        )
        self.envelope = SIGNERS[ROLE_TARGETS].seal(encode_manifest(self.manifest))
        self.digest = sha256(self.envelope).digest()


def kit_digest(version: str = "gauge/1.0.0") -> str:
    return load_source(MODELS / version).spec.kit.sha256


def trust_file(folder: Path) -> Path:
    path = folder / "trust.json"
    path.write_text(json.dumps({role: [key.hex() for key in keys] for role, keys in KEYS.items()}))
    return path


@contextmanager
def mosquitto(folder: Path):
    """A mosquitto on a free loopback port; yields the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n"
        "set_tcp_nodelay true\nmax_inflight_messages 0\nlog_dest stderr\nlog_type information\n"
    )
    binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert binary, "expected the broker mosquitto, found none: apt-get install mosquitto"
    process = subprocess.Popen([binary, "-c", config], stderr=subprocess.PIPE)
    try:
        said = []
        for line in process.stderr:
            said.append(line.decode())
            if "running" in said[-1]:
                break
        else:
            raise AssertionError(f"expected mosquitto to run, it ended and said: {said}")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
        process.stderr.close()


class Tower:
    """A scripted gateway: it offers, answers chunk requests, and keeps what devices say.

    Frames of one answer leave `frame_delay_s` apart.
    """

    TYPES: ClassVar[dict[str, Any]] = {"have": Have, "link": Link, "ev": Event, "tel": Telemetry}

    def __init__(
        self, port: int, *bundles: agent_bundles.Bundle, frame_delay_s: float = 0.0
    ) -> None:
        self.blobs = agent_bundles.Gateway(*bundles)
        self.topics = Topics()
        self.delay_s = frame_delay_s
        self.served: Counter[tuple[bytes, int]] = Counter()
        self.gets: list[Get] = []
        self.said: dict[str, list[Any]] = {kind: [] for kind in self.TYPES}
        self.broken: list[str] = []
        self.news = asyncio.Event()
        self.ready = asyncio.Event()
        self.port = LeanPort(Endpoint(port=port), self)

    async def open(self) -> None:
        self.port.connect(Dial(client_id="tower", clean_start=True, receive_maximum=1000))
        await asyncio.wait_for(self.ready.wait(), PATIENCE_S)

    def close(self) -> None:
        self.port.disconnect()

    # -- listener -------------------------------------------------------------------------------

    def on_connected(self, granted: Granted) -> None:
        kinds = ("get", *self.TYPES)
        self.port.subscribe(tuple(self.topics.every_device(kind) for kind in kinds))

    def on_connect_failed(self, reason: str) -> None:
        self.broken.append(f"cannot connect: {reason}")

    def on_disconnected(self, reason: str) -> None:
        self.broken.append(f"lost its connection: {reason}")
        self.news.set()

    def on_suback(self, codes: tuple[int, ...]) -> None:
        assert max(codes) < 0x80
        self.ready.set()

    def on_puback(self, token: int, code: int) -> None:
        assert code < 0x80

    def on_message(self, message: Inbound) -> None:
        kind, device = self.topics.parse(message.topic)
        if kind == topics.GET:
            self.gets.append(codec.decode(Get, message.payload))
            self._answer(device, message.payload)
        else:
            self.said[kind].append(codec.decode(self.TYPES[kind], message.payload))
        self.news.set()

    def _answer(self, device: str, payload: bytes) -> None:
        loop = asyncio.get_running_loop()
        for place, frame in enumerate(self.blobs.answer(payload)):
            loop.call_later(place * self.delay_s, self._serve, device, frame)

    def _serve(self, device: str, frame: bytes) -> None:
        head, _ = codec.decode_frame(frame)
        self.served[head.digest8, head.chunk] += 1
        self.port.publish(self.topics.device(device, "dat"), frame)
        self.news.set()

    # -- script ---------------------------------------------------------------------------------

    def offer(
        self, bundle: agent_bundles.Bundle, generation: int, device: str = DEVICE, **fields: Any
    ) -> None:
        want = agent_bundles.want_of(
            bundle, generation, device, policy=UpdatePolicy(trial_ms=1000), **fields
        )
        self.port.publish(self.topics.device(device, "want"), want, qos=1, retain=True, token=1)

    async def until(self, what: str, holds: Any) -> None:
        """Wait until `holds(self)`; at most `PATIENCE_S`."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(self):
                    assert not self.broken, f"the tower {self.broken}"
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            last = {kind: said[-1] for kind, said in self.said.items() if said}
            raise AssertionError(
                f"expected {what} in {PATIENCE_S} s, found at last {last}"
            ) from None

    async def until_state(self, state: UpdateState, generation: int) -> Have:
        def holds(tower: Tower) -> bool:
            have = tower.said["have"][-1:]
            return bool(have) and (have[0].state, have[0].generation) == (state, generation)

        await self.until(f"a have that says {state.name} of generation {generation}", holds)
        return self.said["have"][-1]


class Device:
    """``fleetdrill device run`` as a process."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *options: str,
        device: str = DEVICE,
        launch: str = LAUNCH,
        **config: Any,
    ) -> None:
        self.state = folder / device
        self.log_file = folder / f"{device}.log"
        settings = folder / f"{device}.json"
        settings.write_text(json.dumps({**QUICK, **config}))
        self.arguments = [
            sys.executable, "-c", launch, "run", "--broker", f"mqtt://127.0.0.1:{port}", "--id", device,
            "--state", str(self.state), "--trust", str(trust_file(folder)), "--config", str(settings), *options,
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.under: tuple[str, ...] = ()
        """A program, with its arguments, that starts the device: such as ``prlimit``."""

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.under, *self.arguments], stderr=log, env=ENVIRONMENT
            )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    @property
    def proc(self) -> Path:
        return Path(f"/proc/{self.process.pid}")

    def rss_kib(self) -> int:
        return rss_kib(self.process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


def rss_kib(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError("expected a line Rss in smaps_rollup")


def identity(device: str = DEVICE) -> Identity:
    return Identity(device, "default", 1024)
