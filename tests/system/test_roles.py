"""Real processes that go by roles: enrolled with a root, updated, and through a rotation of every online key."""

import pytest
import typer
from typer.testing import CliRunner

from gateway.broker_cli import register
from gateway.runtime import verbs
from tests_kit.works import Works

pytestmark = pytest.mark.mosquitto
DEVICE = "dev-1"


@pytest.fixture
def works(tmp_path):
    made = Works(tmp_path, DEVICE)
    yield made
    made.close()


def keys(works, *words):
    """A command of the group `keys`, without the passphrase to ask for."""
    app = typer.Typer(pretty_exceptions_enable=False)
    register(app)
    secret = works.folder / "secret"
    if not secret.exists():
        secret.touch(0o600)
        secret.write_text("a long passphrase\n")
    asks = words[0] in ("sign", "rotate", "init")
    more = ["--passphrase-file", str(secret)] if asks else []
    done = CliRunner().invoke(app, ["keys", *map(str, words), *more])
    assert done.exit_code == 0, done.output
    return done.stdout


def tell(works, *names):
    files = [works.folder / "keys/roles" / name for name in names]
    return keys(works, "publish", *files, "--state", works.state)


def release(works, *versions):
    """List shipped bundles, and have both holders sign."""
    folder = works.folder / "keys"
    bundles = [word for version in versions for word in ("--bundle", f"models/gauge/{version}")]
    keys(works, "release", folder, *bundles)
    signers = [word for n in (1, 2) for word in ("--key", folder / f"offline/targets-{n}.pem")]
    keys(works, "sign", folder / "roles/targets.json", *signers)


def test_a_release_and_a_rotation_reach_a_device(works):
    folder = works.folder / "keys"
    for file in folder.iterdir():  # `Works` made plain keys: begin anew, with roles
        file.unlink()
    keys(works, "init", folder, "--roles")
    works.gateway("--broker", "mosquitto")
    works.until(lambda: works.ask(verbs.Overview()), "the gateway")
    release(works, "1.0.0", "1.1.0")
    tell(works, "root.json", "targets.json")
    port = int((works.state / "broker.port").read_text())
    works.start(
        DEVICE, "device", "run", "--broker", f"mqtt://127.0.0.1:{port}", "--id", DEVICE,
        "--state", works.folder / DEVICE, "--trust", folder / "roles/1.root.json", "--verbose",
    )  # fmt: skip
    works.ask(verbs.EnrollDevice(device=DEVICE, labels={"role": "worker"}))
    works.until(lambda: works.show(DEVICE).get("online"), "the device to come")
    works.until_runs(DEVICE, works.roll_out("1.0.0", "worker"))
    trusted = (works.folder / DEVICE / "trust").read_bytes()

    draft = folder / "roles/2.root.json"
    keys(works, "rotate", folder, "snapshot", "timestamp", "director", "flags")
    keys(works, "sign", draft, "--key", folder / "offline/root-1.pem", "--key", folder / "offline/root-3.pem")  # fmt: skip
    tell(works, "2.root.json")
    old = works.processes.pop("gateway")
    old.terminate()
    old.wait(30)
    works.gateway("--broker", "mosquitto")
    works.until(lambda: works.ask(verbs.Overview()), "the gateway")
    works.until_runs(DEVICE, works.roll_out("1.1.0", "worker"))
    works.until_logged(DEVICE, "root_taken")
    assert (works.folder / DEVICE / "trust").read_bytes() != trusted
    works.obeyed(works.order())
