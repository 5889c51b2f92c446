"""`Works` whose fleet goes by roles: keys made, releases listed and signed, roles published, as an owner does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from gateway.broker_cli import register
from gateway.runtime import verbs
from tests_kit.works import Works

_ASK_FOR_IT = frozenset({"sign", "rotate", "init"})
"""Commands that read a passphrase."""


class RoleWorks(Works):
    """The same processes; devices are enrolled with a root.

    Args:
        folder: for state, keys and logs.
        devices: ids of those that `obeyed` and `undisturbed` look at.
    """

    def __init__(self, folder: Path, *devices: str) -> None:
        super().__init__(folder, *devices)
        self.keyring = folder / "keys"
        for file in self.keyring.iterdir():  # `Works` made plain keys: begin anew, with roles
            file.unlink()
        self.keys("init", self.keyring, "--roles")

    def keys(self, *words: Any) -> str:
        """A command of the group `keys`; returns what it printed."""
        app = typer.Typer(pretty_exceptions_enable=False)
        register(app)
        secret = self.folder / "secret"
        if not secret.exists():
            secret.touch(0o600)
            secret.write_text("a long passphrase\n")
        more = ["--passphrase-file", str(secret)] if words[0] in _ASK_FOR_IT else []
        done = CliRunner().invoke(app, ["keys", *map(str, words), *more])
        assert done.exit_code == 0, done.output
        return done.stdout

    def tell(self, *names: str) -> None:
        """Publish role metadata."""
        files = [self.keyring / "roles" / name for name in names]
        self.keys("publish", *files, "--state", self.state)

    def release(self, *versions: str) -> None:
        """List shipped bundles, and have both holders sign."""
        bundles = [word for version in versions for word in ("--bundle", f"models/gauge/{version}")]
        self.keys("release", self.keyring, *bundles)
        signers = [
            word for n in (1, 2) for word in ("--key", self.keyring / f"offline/targets-{n}.pem")
        ]
        self.keys("sign", self.keyring / "roles/targets.json", *signers)

    def enrolled(self, device: str, *words: Any, **labels: str) -> None:
        """Start a device that holds nothing but the first root, and enroll it."""
        port = int((self.state / "broker.port").read_text())
        self.start(
            device, "device", "run", "--broker", f"mqtt://127.0.0.1:{port}", "--id", device,
            "--state", self.folder / device, "--trust", self.keyring / "roles/1.root.json", "--verbose", *words,
        )  # fmt: skip
        self.ask(verbs.EnrollDevice(device=device, labels=labels))
        self.until(lambda: self.show(device).get("online"), f"{device} to come")
