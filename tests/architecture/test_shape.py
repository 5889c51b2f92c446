"""The shape of the house: sizes, twins, and who may touch the outside world."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "devicesim", "devicesdk")
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
PURE = (
    "devicesdk/wire",
    "devicesdk/bundle",
    "devicesdk/sketches",
    "devicesdk/agent",
    "gateway/core",
)
TWINNED = (
    *PURE,
    "devicesim/models",
    "devicesim/scenario",
    "devicesim/world/broker",
    "devicesim/report",
    "devicesdk/inference",
)
VOCABULARIES = {
    # modules of declarations alone: exercised by every test of the machine that speaks them
    "devicesdk/agent/stimuli.py",
    "devicesdk/agent/effects.py",
    "gateway/core/stimuli.py",
    "gateway/core/effects.py",
    "gateway/core/internal.py",
    "devicesdk/agent/sites.py",
    "gateway/core/sites.py",
}


def sources(*folders):
    return sorted(p for folder in folders or PACKAGES for p in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    "path", sources(*PACKAGES, "tests", "models", "bench"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    lines = text.count("\n")
    assert lines <= FILE_LINES_MAX, (
        f"{path.relative_to(ROOT)} has {lines} lines: split it by what it decides"
    )
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = node.end_lineno - node.lineno + 1
            assert size <= FUNCTION_LINES_MAX, (
                f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {size} lines"
            )


def test_each_module_says_what_it_decides():
    silent = [
        str(p.relative_to(ROOT))
        for p in sources()
        if p.read_text().strip() and not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert silent == []


def test_each_pure_module_has_its_unit_test_twin():
    missing = []
    for folder in TWINNED:
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT)
            if path.name == "__init__.py" or str(inside) in VOCABULARIES:
                continue
            twin = ROOT / "tests" / "unit" / inside.parent / f"test_{path.name}"
            if not twin.exists():
                missing.append(str(inside))
    assert missing == [], f"no tests/unit twin for: {missing}"


def test_nothing_in_the_repository_names_a_registry_or_a_path_of_this_machine():
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    words = ("index-url", "/" + "work/", "files.pythonhosted" + ".org")
    found = []
    for name in names:
        path = ROOT / name
        if path.suffix in {".onnx", ".npz", ".png"} or not path.is_file() or path == Path(__file__):
            continue
        text = path.read_text(errors="ignore")
        found += [f"{name}: {word}" for word in words if word in text]
    assert found == []
