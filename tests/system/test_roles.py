"""Real processes that go by roles: enrolled with a root, updated, and through a rotation of every online key."""

import pytest

from gateway.runtime import verbs
from tests_kit.role_works import RoleWorks

pytestmark = pytest.mark.mosquitto
DEVICE = "dev-1"


@pytest.fixture
def works(tmp_path):
    made = RoleWorks(tmp_path, DEVICE)
    yield made
    made.close()


def test_a_release_and_a_rotation_reach_a_device(works):
    folder = works.keyring
    works.gateway("--broker", "mosquitto")
    works.until(lambda: works.ask(verbs.Overview()), "the gateway")
    works.release("1.0.0", "1.1.0")
    works.tell("root.json", "targets.json")
    works.enrolled(DEVICE, role="worker")
    works.until_runs(DEVICE, works.roll_out("1.0.0", "worker"))
    trusted = (works.folder / DEVICE / "trust").read_bytes()

    draft = folder / "roles/2.root.json"
    works.keys("rotate", folder, "snapshot", "timestamp", "director", "flags")
    works.keys("sign", draft, "--key", folder / "offline/root-1.pem", "--key", folder / "offline/root-3.pem")  # fmt: skip
    works.tell("2.root.json")
    old = works.processes.pop("gateway")
    old.terminate()
    old.wait(120)
    works.gateway("--broker", "mosquitto")
    works.until(lambda: works.ask(verbs.Overview()), "the gateway")
    works.until_runs(DEVICE, works.roll_out("1.1.0", "worker"))
    works.until_logged(DEVICE, "root_taken")
    assert (works.folder / DEVICE / "trust").read_bytes() != trusted
    works.obeyed(works.order())
