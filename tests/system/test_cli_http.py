"""The command line over HTTP: every group, with tokens of its own, against a gateway process with live devices."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from devicesdk.bundle.archive import pack, unpack
from gateway.cli import EXIT_AWAY, EXIT_INVALID, EXIT_REFUSED, register
from gateway.commands.asking import EXIT_STOPPED
from tests_kit import tensor_models as little
from tests_kit.agent_bundles import SIGNERS
from tests_kit.console_stage import PATIENCE_S, ConsoleStage

pytestmark = pytest.mark.mosquitto
ROOT = Path(__file__).parents[2]
DEVICES = ("kiosk-1", "kiosk-2", "kiosk-3")
QUICK = ("--soak", "1s", "--jitter", "0s", "--trial", "500ms")
APP = typer.Typer()
register(APP)


class Shell:
    """Somebody at a terminal with a token of their own."""

    def __init__(self, stage, token):
        self.url, self._token = stage.url, token

    @property
    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        return {**env, "FLEETDRILL_URL": self.url, "FLEETDRILL_TOKEN": self._token}

    def say(self, *words, code=0):
        done = CliRunner().invoke(APP, words, env=self.env)
        assert done.exit_code == code, f"{words}: {done.exit_code}\n{done.output}"
        assert self._token not in done.output
        return done.output

    def ask(self, *words, code=0):
        return json.loads(self.say(*words, "--json", code=code))

    def start(self, *words, **env):
        return subprocess.Popen(
            [sys.executable, "-m", "devicesdk", *words], cwd=ROOT, env={**self.env, **env},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = ConsoleStage(tmp_path_factory.mktemp("cli"), DEVICES)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shells(stage):
    roles = ("viewer", "operator", "releaser", "security")
    made = {role: Shell(stage, stage.make_token(role)) for role in roles}
    return {**made, "admin": Shell(stage, stage.token)}


def test_a_signed_bundle_is_published_rolled_out_watched_and_taken_back(shells, tmp_path):
    releaser = shells["releaser"]
    archive, folder = tmp_path / "little.zip", tmp_path / "little"
    archive.write_bytes(pack(little.bundle(SIGNERS["targets"]).members))
    for name, content in unpack(archive.read_bytes()).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    published = releaser.ask("bundle", "publish", str(archive))
    assert published["bundle"] == "little@1.0.0"
    again = releaser.say("bundle", "publish", str(folder))
    assert published["digest"] in again, "an archive that was unpacked is signed, too"
    assert {"little@1.0.0", "gauge@1.2.0"} <= {
        one["name"] for one in releaser.ask("bundle", "list")
    }
    assert "fp32" in releaser.say("bundle", "show", "little@1.0.0")
    plan = ("--bundle", "gauge@1.2.0", "--waves", "34,100", *QUICK)
    preview = releaser.ask("rollout", "preview", "r1", *plan)
    assert [wave["size"] for wave in preview["waves"]] == [1, 2]
    assert releaser.say("rollout", "preview", "r1", "--bundle", "none@1", code=EXIT_REFUSED)
    assert "r1" in releaser.say("rollout", "create", "r1", *plan)
    watching = shells["viewer"].start("rollout", "watch", "r1")
    out, err = watching.communicate(timeout=PATIENCE_S)
    assert watching.returncode == 0, out + err
    lines = out.splitlines()
    assert "r1 completed; wave 1: 2 committed of 2" in lines[-1]
    assert len(lines) == len(set(lines)), "a line for each change, and no other"
    assert "wave 1: 2 devices, 2 committed" in releaser.say("rollout", "status", "r1")
    assert [one["id"] for one in releaser.ask("rollout", "list")] == ["r1"]
    assert releaser.say("rollout", "watch", "r1", "--until", "halted", code=EXIT_REFUSED)
    assert "r1" in releaser.say("rollout", "abort", "r1", "--revert")
    assert releaser.ask("rollout", "watch", "r1", "--until", "ended")["state"] == "aborted"


def test_a_rollout_is_started_watched_and_left_and_steered(shells):
    operator, releaser = shells["operator"], shells["releaser"]
    started = releaser.start(
        "rollout", "start", "slow", "--bundle", "gauge@1.2.0", "--waves", "34,100", "--soak", "1h",
        "--jitter", "0s", "--approve-wave", "1",
    )  # fmt: skip
    assert "slow running" in started.stdout.readline()
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=PATIENCE_S)
    assert (started.returncode, err) == (EXIT_STOPPED, ""), "Ctrl-C is no traceback"
    for verb in ("pause", "resume"):
        operator.say("rollout", verb, "slow")
    operator.say("rollout", "watch", "slow", "--until", "running")
    assert "slow" in releaser.say("rollout", "approve", "slow", code=EXIT_REFUSED)
    operator.say("rollout", "abort", "slow", "--keep")
    assert "expected the id of a rollout" in operator.say("rollout", "status", "no", code=EXIT_INVALID)  # fmt: skip
    late = operator.say("rollout", "watch", "slow", "--until", "bedtime", code=EXIT_INVALID)
    assert "expected --until completed" in late


def test_flags_are_set_and_seen_and_a_feature_is_killed_and_revived(shells):
    operator, security = shells["releaser"], shells["security"]
    operator.say("flag", "set", "all", "lamp", "on")
    operator.say("flag", "set", "all", "mode", '{"state":"ENABLED","variants":{"a":1},"defaultVariant":"a"}')  # fmt: skip
    assert operator.ask("flag", "get", "all", "lamp")["defaultVariant"] == "on"
    assert set(operator.ask("flag", "get", "all")["flags"]) >= {"lamp", "mode"}
    assert "found 'none'" in operator.say("flag", "get", "all", "none", code=EXIT_INVALID)
    assert "lamp mode" in operator.say("flag", "list")
    security.say("kill", "gauge")
    assert security.ask("kill")["features"] == ["gauge"]
    security.say("kill", "gauge", "--revive")
    assert "nothing is killed" in security.say("kill")


def test_devices_are_listed_shown_enrolled_and_their_drift_is_seen(shells, stage):
    operator, viewer = shells["operator"], shells["viewer"]
    operator.say("fleet", "enroll", "new/1", "--label", "site=a", code=EXIT_INVALID)
    operator.say("fleet", "enroll", "new-1", "--label", "site=a")
    page = viewer.ask("fleet", "list", "--limit", "2")
    assert [one["id"] for one in page["devices"]] == ["kiosk-1", "kiosk-2"]
    rest = viewer.ask("fleet", "list", "--after", page["next"])
    assert [one["id"] for one in rest["devices"]] == ["kiosk-3", "new-1"]
    assert [one["id"] for one in viewer.ask("fleet", "list", "--label", "site=a")["devices"]] == ["new-1"]  # fmt: skip
    assert viewer.ask("fleet", "show")["fleet"]["enrolled"] == 4
    assert viewer.ask("fleet", "show", "new-1")["labels"] == {"site": "a"}
    assert "found 'no'" in viewer.say("fleet", "show", "no", code=EXIT_INVALID)
    assert "published_bytes" in viewer.say("fleet", "transfers")
    stage.until(lambda: viewer.ask("fleet", "drift")["cohorts"], "a window")
    drift = viewer.ask("fleet", "drift")
    cohort = drift["cohorts"][0]["name"]
    assert "verdict" in viewer.say("fleet", "drift")
    assert cohort in viewer.say("fleet", "drift", cohort)
    assert "did you mean" in viewer.say("fleet", "drift", cohort[1:], code=EXIT_INVALID)
    viewer.say("fleet", "drift", cohort, "--feature", "confidence")


def test_experiments_debug_mode_tokens_and_approvals(shells, stage):
    releaser, security, admin = shells["releaser"], shells["security"], shells["admin"]
    releaser.say(
        "experiment", "create", "e1", "--bundle", "gauge@1.2.0", "--production", "gauge@1.1.0",
        "--mode", "shadow",
    )  # fmt: skip
    assert [one["id"] for one in releaser.ask("experiment", "list")] == ["e1"]
    assert releaser.ask("experiment", "show", "e1")["mode"] == "shadow"
    releaser.say("experiment", "stop", "e1")
    refused = security.say("debug", "grant", "nobody", "--why", "odd", code=EXIT_REFUSED)
    assert "nobody" in refused
    stage.ask("PUT", "/v1/devices/silent-1/labels", {"labels": {"site": "b"}})
    security.say("debug", "grant", "silent-1", "--why", "odd", "--for", "5m")
    security.say("debug", "revoke", "silent-1", "--why", "seen")
    assert "by the-security: odd" in security.say("debug", "list")
    assert "nothing was told" in security.say("debug", "told", "silent-1")
    text = admin.say("token", "make", "ana", "--role", "viewer", "--label", "region=eu").strip()
    ana = Shell(stage, text)
    assert ana.ask("token", "whoami")["labels"] == {"region": "eu"}
    assert [one["id"] for one in ana.ask("fleet", "list")["devices"]] == list(DEVICES)
    assert "expected a question within the scope" in ana.say("fleet", "drift", code=EXIT_REFUSED)
    assert "ana" in admin.say("token", "list")
    admin.say("token", "revoke", "ana")
    ended = ana.say("token", "whoami", code=EXIT_REFUSED)
    assert "was revoked" in ended
    assert "--token-file" in ended
    assert admin.say("approval", "list")
    assert "found 7" in admin.say("approval", "approve", "7", code=EXIT_INVALID)


def test_the_audit_log_is_read_and_verified_from_elsewhere(shells, stage, tmp_path):
    security, viewer = shells["security"], shells["viewer"]
    security.say("kill", "lamp")
    shown = security.say("audit", "show", "--verb", "kill", "--limit", "1")
    assert "the-security (security)  kill lamp done" in shown
    trust = ("--trust", str(stage.state / "keys/audit-trust.json"))
    heads = tmp_path / "heads"
    heads.write_text(security.say("audit", "witness", *trust))
    found = security.ask("audit", "verify", *trust, "--witness", str(heads))
    assert (found["sound"], found["witnesses"]) == (True, 1)
    assert "--trust" in security.say("audit", "verify", code=EXIT_INVALID)
    assert "expected somebody who may audit" in viewer.say("audit", "show", code=EXIT_REFUSED)


@pytest.mark.parametrize(
    "words",
    [
        ("rollout", "create", "no", "--bundle", "gauge@1.2.0"), ("rollout", "abort", "r1"),
        ("flag", "set", "all", "x", "on"), ("kill", "x"), ("fleet", "enroll", "d"),
        ("bundle", "publish", str(ROOT / "models/gauge/1.1.0"), "--key", "KEY"),
        ("experiment", "stop", "e1"), ("debug", "grant", "kiosk-1", "--why", "w"),
        ("token", "make", "t", "--role", "viewer"), ("approval", "deny", "1"), ("audit", "show"),
    ],
    ids=lambda words: " ".join(words[:2]),
)  # fmt: skip
def test_a_viewer_is_refused_what_changes_something(shells, words, tmp_path):
    if "KEY" in words:
        key = tmp_path / "targets.key"
        key.write_text("01" * 32 + "\n")
        key.chmod(0o600)
        words = (*words[:-1], str(key))
    said = shells["viewer"].say(*words, code=EXIT_REFUSED)
    assert "expected somebody who may" in said
    assert "the role viewer" in said


def whole(line):
    """One message of HTTP whose length is said."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += line.recv(65_536)
    head, _, body = found.partition(b"\r\n\r\n")
    said = re.search(rb"content-length: (\d+)", head.lower())
    while said is not None and len(body) < int(said[1]):
        body += line.recv(65_536)
    return head + b"\r\n\r\n" + body


class Swallowing:
    """A way to the gateway on which the answer to the first mutation is lost, after it was done."""

    def __init__(self, url):
        host, _, port = url.removeprefix("http://").partition(":")
        self._there = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.swallowed = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client, socket.create_connection(self._there) as gateway:
                client.settimeout(PATIENCE_S)
                gateway.settimeout(PATIENCE_S)
                asked = whole(client)
                gateway.sendall(asked)
                answered = whole(gateway)
                if asked.startswith((b"PUT", b"POST")) and not self.swallowed:
                    self.swallowed += 1
                    continue
                client.sendall(answered)

    def close(self):
        self._listening.close()


def test_a_lost_answer_is_repeated_and_done_once(shells, stage):
    security = shells["security"]
    before = security.ask("kill")["version"]
    lossy = Swallowing(stage.url)
    said = security.say("kill", "door", "--url", lossy.url)
    lossy.close()
    assert lossy.swallowed == 1, "the answer was lost"
    assert "door" in said
    assert security.ask("kill")["version"] == before + 1, "and it was done once"
    assert security.say("audit", "show", "--subject", "door").count("kill door done") == 1
    once = ("flag", "set", "all", "once", "on", "--once", "my-key")
    first, second = (shells["releaser"].say(*once) for _ in range(2))
    assert first == second


def test_nobody_there_is_said_with_a_code_of_its_own(shells):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        said = shells["viewer"].say("fleet", "list", "--url", url, code=EXIT_AWAY)
    assert "expected a gateway at" in said


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("fleetdrill rollout status ", "r1"),
        ("fleetdrill fleet show kiosk-", "kiosk-2"),
        ("fleetdrill flag get all la", "lamp"),
    ],
)
def test_a_shell_completes_what_the_gateway_knows(shells, line, found):
    words = line.split(" ")
    env = {"_FLEETDRILL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}  # fmt: skip
    code = "from devicesdk import cli; import sys; sys.argv[0] = 'fleetdrill'; cli.main()"
    viewer = shells["viewer"]
    for _ in range(20):  # a busy machine may need more than the second that a shell is kept waiting
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**viewer.env, **env}, capture_output=True,
            text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        if done.stdout.strip():
            break
    assert found in done.stdout.split(), done.stderr
    nobody = {"FLEETDRILL_URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**viewer.env, **env, **nobody},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("", ""), "silent where nobody answers"
