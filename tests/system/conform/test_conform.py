"""`device conform` against devices over a real broker: one in JavaScript, one that sins, and our own.

device.mjs was written from docs/how-to/write-your-own-device.md alone: that it keeps every rule is the
proof of that page. The sinner is the same file with a few lines changed, so that each of its sins must
be found. Needs mosquitto, node and npm (Debian: mosquitto nodejs npm).
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.aio.port import Endpoint
from devicesdk.bundle.sealed import seal
from gateway.adapters.brokers.process import free_port
from gateway.conform.ledger import Verdict
from gateway.conform.play import Options, play
from gateway.conform.repository import Repository
from gateway.conform.stage import Stage, keys_of

pytestmark = pytest.mark.mosquitto

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CACHE = ROOT / ".pytest_cache"
MODEL = ROOT / "models" / "gauge" / "1.0.0"
PATIENCE_S = 60
SINS = {
    "S1": ("clean: false,", "clean: true,"),
    "K3": ("verify(null, signed, known.key, e.s) ? e.p : null", "e.p"),
    "W2": ("want.g <= (state.want?.g ?? 0)", "want.g < (state.want?.g ?? 0)"),
    "G3": ("while (this.open.length < 2)", "while (this.open.length < 4)"),
    "G13": ("payload.readUInt32BE(4) !== this.id || ", ""),
    "T2": ("setTimeout(commit, state.trial.ms)", "setTimeout(commit, state.trial.ms / 2)"),
}


@pytest.fixture(scope="module")
def libraries():
    """MQTT.js and MessagePack for JavaScript, kept once for a lock file, whoever of the workers is first."""
    for tool in ("node", "npm"):
        assert shutil.which(tool), f"expected {tool} on the path: apt-get install nodejs npm"
    lock = (HERE / "package-lock.json").read_bytes()
    installed = CACHE / f"conform-js-{sha256(lock).hexdigest()[:16]}"
    if not installed.exists():
        fresh = CACHE / f"conform-js-{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fresh)
        words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(words, cwd=fresh, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"npm could not install the lock file:\n{done.stderr}"
        with contextlib.suppress(
            OSError
        ):  # another worker was quicker: a folder that is not empty stays
            fresh.rename(installed)
        shutil.rmtree(fresh, ignore_errors=True)
        assert installed.exists(), f"expected {fresh} to become {installed}"
    return installed


@pytest.fixture
def broker(tmp_path):
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    assert binary, "expected the broker mosquitto, found none: apt-get install mosquitto"
    process = subprocess.Popen([binary, "-c", config], stderr=subprocess.PIPE)
    said = b""
    while b"running" not in said:
        line = process.stderr.readline()
        assert line, f"expected mosquitto to start, found that it said {said}"
        said += line
    yield port
    process.terminate()
    process.wait(PATIENCE_S)
    process.stderr.close()


def start(words, folder):
    """In a group of its own, to end all of it."""
    with (folder / "device.log").open("wb") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)


def examine(broker, folder, device, words, image=None, *, roles=False):
    """Play against a device started with `words`; returns the findings by rule, and the device's log."""
    keys, fresh = keys_of(folder / "keys")
    assert fresh
    clock = RealClock()
    repository = Repository(folder / "keys", clock.wall_ms()) if roles else None
    endpoint = Endpoint(host="127.0.0.1", port=broker)

    started = []

    async def run():
        stage = Stage(endpoint, device, keys, clock, repository=repository)
        port = await stage.listen("127.0.0.1", 0)

        def tell(_):
            if not started:
                started.append(start([word.replace("PORT", str(port)) for word in words], folder))

        try:
            options = Options(wait_s=120, patience_s=PATIENCE_S, within_s=900, image=image)
            await play(stage, options, tell)
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(PATIENCE_S)
        return stage.ledger

    ledger = asyncio.run(run())
    log = (folder / "device.log").read_text()
    return ledger, log[-4_000:]


def told(ledger, verdict):
    return {f.rule.id: f.story for f in ledger.findings() if f.verdict is verdict}


def script(libraries, folder, text):
    """The device's program where node finds its libraries."""
    place = libraries / f"{folder.name}.mjs"
    place.write_text(text)
    words = ["node", str(place), "--id", "js-1", "--port", "PORT", "--first-wait", "50"]
    return [*words, "--trust", str(folder / "keys/trust.json"), "--dir", str(folder / "device")]


def test_a_device_written_from_the_page_alone_keeps_every_rule(libraries, broker, tmp_path):
    words = script(libraries, tmp_path, (HERE / "device.mjs").read_text())
    ledger, log = examine(broker, tmp_path, "js-1", words)
    assert told(ledger, Verdict.BROKEN) == {}, f"its log ends with:\n{log}"
    assert told(ledger, Verdict.NOT_EXERCISED) == {}, f"its log ends with:\n{log}"
    assert ledger.passed


def test_each_sin_of_a_sinner_is_found(libraries, broker, tmp_path):
    text = (HERE / "device.mjs").read_text()
    for rule, (virtue, sin) in SINS.items():
        assert text.count(virtue) == 1, f"{rule}: the line to change is not in device.mjs"
        text = text.replace(virtue, sin)
    ledger, log = examine(broker, tmp_path, "js-1", script(libraries, tmp_path, text))
    broken = told(ledger, Verdict.BROKEN)
    assert set(SINS) <= set(broken), f"not found: {set(SINS) - set(broken)}\n{log}"
    assert not ledger.passed


@pytest.mark.parametrize(
    ("trust", "rules"), [("trust.json", {"I1"}), ("roles/1.root.json", {"A1", "A2", "A3", "A4"})]
)
def test_our_own_device_keeps_every_rule(broker, tmp_path, trust, rules):
    image = seal(
        (MODEL / "fp32.onnx").read_bytes(),
        "fp32",
        (MODEL / "bundle.json").read_bytes(),
        (MODEL / "kit.npz").read_bytes(),
    )
    options = {
        "broker": "mqtt://127.0.0.1:PORT",
        "device": "py-1",
        "state": str(tmp_path / "device"),
        "trust": str(tmp_path / "keys" / trust),
    }
    words = [sys.executable, "-m", "devicesdk.host", json.dumps(options)]
    roles = trust != "trust.json"
    ledger, log = examine(broker, tmp_path, "py-1", words, image, roles=roles)
    assert told(ledger, Verdict.BROKEN) == {}, f"its log ends with:\n{log}"
    assert told(ledger, Verdict.NOT_EXERCISED) == {}, f"its log ends with:\n{log}"
    assert rules <= set(told(ledger, Verdict.KEPT))
