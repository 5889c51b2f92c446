"""What a bare device install brings and what it loads."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests_kit.device_stage import ENVIRONMENT, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_FOR_DEVICES = {
    "alembic", "bokeh", "devicesim", "gateway", "hypothesis", "iotcore", "jinja2", "junitparser", "onnx", "pandas",
    "prometheus_client", "pydantic", "pydantic_core", "pytest", "rich", "simpy", "sqlalchemy", "uvloop", "yaml",
}  # fmt: skip
BUNDLE_DESK = {"onnx"}
"""What the bundle tool imports, when it is used; the extra `bundle` brings it."""
LOADS = """
import sys
import devicesdk.host.cli, devicesdk.host.__main__, devicesdk.host.host
import devicesdk.aio.lean, devicesdk.aio.aiomqtt_port
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_a_device_loads_nothing_of_the_server_or_the_simulator():
    ran = subprocess.run(
        [sys.executable, "-c", LOADS], check=True, capture_output=True, text=True, env=ENVIRONMENT
    )
    loaded = set(ran.stdout.split())
    assert {"devicesdk", "onnxruntime", "numpy"} <= loaded
    assert loaded & NOT_FOR_DEVICES == set()


def normal(name):
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", name)[0]).lower()


def base():
    return {normal(requirement) for requirement in PROJECT["dependencies"]}


def test_the_base_is_what_a_device_needs_and_nothing_more():
    assert base() == {
        "aiomqtt", "backports-zstd", "cryptography", "datasketches", "msgpack", "mqtt5", "msgspec", "numpy",
        "onnxruntime", "openfeature-flagd-core", "paho-mqtt", "securesystemslib", "tuf", "typer",
    }  # fmt: skip
    extras = PROJECT["optional-dependencies"]
    for name in ("simpy", "pydantic", "bokeh", "jinja2"):
        assert name in {normal(requirement) for requirement in extras["sim"]}
    for name in ("sqlalchemy", "alembic", "prometheus-client", "uvloop"):
        assert name in {normal(requirement) for requirement in extras["gateway"]}


def test_everything_that_the_device_imports_is_in_the_base():
    owners = packages_distributions()
    missing = {}
    for path in sorted((ROOT / "devicesdk").rglob("*.py")):
        for name in imported(ast.parse(path.read_text())):
            top = name.partition(".")[0]
            if top in {*sys.stdlib_module_names, "compression", "devicesdk"}:  # stdlib from 3.14 on
                continue
            distributions = {normal(owner) for owner in owners.get(top, [top])}
            if top == "openfeature":  # a namespace: flagd-core brings the SDK
                distributions.add("openfeature-flagd-core")
            extra = BUNDLE_DESK if path.is_relative_to(ROOT / "devicesdk/packing") else set()
            if not distributions & (base() | extra):
                missing.setdefault(top, []).append(str(path.relative_to(ROOT)))
    assert missing == {}, "imported by a device and not in its dependencies"


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
