"""On Ray the same results as on processes, bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests_kit import worlds

pytest.importorskip("ray")
SCRIPT = """
import sys
from pathlib import Path
from devicesim.sweep.engines import open_engine
from devicesim.sweep.task import Setup, Task, comparable
file = sys.argv[1]
setup = Setup(file=file, text=Path(file).read_text())
tasks = [Task(key=str(seed), seed=seed) for seed in range(1, 7)]
found = {}
for name in ("processes", "ray"):
    with open_engine(name, setup, 2) as engine:
        found[name] = sorted(comparable(result) for result in engine.run(tasks))
assert len(found["ray"]) == 6
assert found["ray"] == found["processes"], "Ray computes otherwise"
print("same")
"""


@pytest.mark.slow
def test_ray_and_processes_agree(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text(worlds.scenario_text(worlds.ROLLOUT, count=3, duration="40m"))
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert "same" in done.stdout, f"{done.stdout}\n{done.stderr}"
