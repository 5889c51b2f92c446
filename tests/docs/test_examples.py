"""Every command in the documentation runs, and every scenario in it is valid."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from devicesim.scenario import load

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NOT_HERE = ("make ",)  # CI is `make test` itself
SHRINK = {
    "scenarios/first-light.yaml": "0.01",
    "scenarios/poisoned-model.yaml": "0.05",
    "scenarios/bandit-with-brakes.yaml": "0.02",
    "scenarios/heat-wave-throttle.yaml": "0.01",
}


def blocks(language):
    for page in PAGES:
        for match in re.finditer(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL):
            yield page, match[1]


def commands():
    for page, block in blocks("console"):
        found = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        yield page, [line for line in found if not line.startswith(NOT_HERE)]


def fast(words):
    """The same command on fewer devices."""
    for file, scale in SHRINK.items():
        if file in words:
            kept = [
                w
                for i, w in enumerate(words)
                if not (w.startswith("scale=") or words[i + 1 : i + 2] == [f"scale={w}"])
            ]
            kept = [
                w
                for i, w in enumerate(kept)
                if not (w == "--set" and (i + 1 == len(kept) or kept[i + 1].startswith("--")))
            ]
            return [*kept, "--set", f"scale={scale}"]
    return words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_commands_of_a_page_run_in_their_order(page, tmp_path):
    for owner, lines in commands():
        if owner != page:
            continue
        for line in lines:
            words = shlex.split(
                line.replace("runs/", f"{tmp_path}/runs/").replace(
                    "--out runs", f"--out {tmp_path}/runs"
                )
            )
            assert words[0] == "fleetdrill", f"{page.name}: a command nobody tests: {line}"
            done = subprocess.run(
                [sys.executable, "-m", "devicesdk", *fast(words[1:])],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            # a check about scale may fail on a handful of devices; the command itself must work
            assert done.returncode in (0, 1), f"{page.name}: {line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_scenarios_of_a_page_are_valid(page):
    for owner, block in blocks("yaml"):
        if owner == page:
            assert load(block, (), None).fleet


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_the_python_of_the_page_on_flags_runs(tmp_path):
    found = [block for page, block in blocks("python") if page.name == "use-flags-in-your-code.md"]
    assert found, "the page has no example"
    for number, block in enumerate(found):
        script = tmp_path / f"example_{number}.py"
        script.write_text(block)
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
