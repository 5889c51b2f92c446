"""What we stand on, looked through: pins, licences, a bill of materials, known vulnerabilities.

    python .ci/audit.py [--sbom FILE] [--with PIP-AUDIT] [--offline] [--strict]

Decides what may be in requirements.lock. Leaves out installing it (the Makefile) and renewing it
(docs/how-to/upgrade-dependencies.md).

Rules: every package that anything of ours needs is pinned to one version, the one that is installed, and nothing is
pinned that nobody needs; a licence that is not in the list is a finding, also one that nobody can read; what could
not be looked up is told as unknown, never as sound.

Exit codes: 0 sound as far as it could be looked at; 1 a finding; 2 with --strict: vulnerabilities are unknown.
"""

# ruff: noqa: INP001, T201 - a script, which tells what it found

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = ROOT / "requirements.lock"
AUDIT_S_MAX: Final = 300
_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+]+)")

ALLOWED: Final = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0",
    "PSF-2.0", "Zlib", "LGPL-3.0-only",
})  # fmt: skip
"""What may be linked to and shipped beside Apache-2.0. LGPL: imported as it is, replaceable, an optional extra."""
SPELLED: Final = {
    "apache software license": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "bsd license": "BSD-3-Clause", "bsd": "BSD-3-Clause", "3-clause bsd license": "BSD-3-Clause", "isc license (iscl)": "ISC",
    "mit license": "MIT", "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "python software foundation license": "PSF-2.0",
}  # fmt: skip
"""Names of licences in older metadata."""
READ: Final = {"axe-playwright-python": "MIT"}
"""Read by us in the package's own files: their metadata says nothing."""
BUILD_ONLY: Final = frozenset({"editables"})
"""Pinned for `pip install --editable`, which asks for them in an environment of its own."""


def pins(text: str) -> dict[str, str]:
    """Version by canonical name; raises `ValueError` at a line that is no pin."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _PIN.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number}: expected name==version, found {line!r}")
        name = canonicalize_name(match[1])
        if name in found:
            raise ValueError(f"line {number}: expected each name once, found {name} again")
        found[name] = match[2]
    return found


def needed(project: dict[str, Any], extras: tuple[str, ...] = ("dev",)) -> set[str]:
    """Canonical names of everything that the project needs here, its needs' needs included."""
    own, found = project["project"], set[str]()
    options = own["optional-dependencies"]
    waiting = [
        Requirement(line) for line in (*own["dependencies"], *project["build-system"]["requires"])
    ]
    waiting += [Requirement(line) for extra in extras for line in options[extra]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        name, more = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, more) in seen:
            continue
        seen.add((name, more))
        if name == own["name"]:
            waiting += [Requirement(line) for extra in more for line in options[extra]]
            continue
        if wanted.marker is None or wanted.marker.evaluate():
            found.add(name)
            waiting += _needs(name, more)
    return found


def _needs(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for line in lines:
        wanted = Requirement(line)
        chosen = [{"extra": extra} for extra in ("", *extras)]
        if wanted.marker is None or any(wanted.marker.evaluate(one) for one in chosen):
            wanted.marker = None
            yield wanted


def licence_of(found: Distribution) -> str:
    """As an SPDX expression; empty: nobody knows."""
    told = found.metadata
    name = canonicalize_name(told["Name"])
    if name in READ:
        return READ[name]
    if told.get("License-Expression"):
        return str(told["License-Expression"])
    classes = [
        one.split(" :: ")[-1]
        for one in told.get_all("Classifier") or ()
        if one.startswith("License ::")
    ]
    words = [one for one in classes if one != "OSI Approved"] or [
        (told.get("License") or "").strip()
    ]
    return " AND ".join(SPELLED.get(word.lower(), word) for word in words)


def permitted(expression: str) -> bool:
    """Whether an expression can be met by licences of the list: all of each AND, one of each OR."""
    choices = re.sub(r"[()]", " ", expression).split(" OR ")
    return any(all(word.strip() in ALLOWED for word in choice.split(" AND ")) for choice in choices)


def findings() -> list[str]:
    """What is wrong with pins and licences."""
    wanted, pinned = needed(_project()), pins(LOCK.read_text())
    found = [f"{name} is needed and not pinned" for name in sorted(wanted - set(pinned))]
    idle = set(pinned) - wanted - BUILD_ONLY
    found += [f"{name} is pinned and needed by nothing" for name in sorted(idle)]
    for name in sorted(set(pinned) - BUILD_ONLY):
        said = _licence_or_none(name)
        if not said:
            found.append(f"{name} has a licence that nobody can read, or is not installed")
        elif not permitted(said):
            found.append(f"{name}: expected a licence of the list, found {said}")
    return found


def drift() -> list[str]:
    """Packages whose installed version is not the pinned one: what was looked at is not what is pinned."""
    found = []
    for name, version in sorted(pins(LOCK.read_text()).items()):
        try:
            there = distribution(name).version
        except PackageNotFoundError:
            continue
        if there != version:
            found.append(f"{name}: expected {version} as pinned, found {there} installed")
    return found


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def bill() -> str:
    """A bill of materials, CycloneDX 1.6 as JSON: what is pinned, with licences and who needs what."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    own = _project()["project"]
    make, licences = Bom(), LicenseFactory()
    root = Component(name=own["name"], version=own["version"], type=ComponentType.APPLICATION, bom_ref=own["name"],
                     licenses=[licences.make_from_string(own["license"])])  # fmt: skip
    make.metadata.component = root
    parts: dict[str, Component] = {}
    for name, version in sorted(pins(LOCK.read_text()).items()):
        said = _licence_or_none(name)
        parts[name] = Component(
            name=name, version=version, bom_ref=name, purl=PackageURL("pypi", None, name, version),
            licenses=[licences.make_from_string(said)] if said else [],
        )  # fmt: skip
        make.components.add(parts[name])
    make.register_dependency(root, list(parts.values()))
    for name, part in parts.items():
        under = {canonicalize_name(one.name) for one in _needs(name, frozenset())}
        make.register_dependency(part, [parts[one] for one in sorted(under) if one in parts])
    return str(JsonV1Dot6(make).output_as_string(indent=2))


def _licence_or_none(name: str) -> str:
    try:
        return licence_of(distribution(name))
    except PackageNotFoundError:
        return ""


def vulnerabilities(program: str) -> tuple[list[str], int, str]:
    """Known ones by pip-audit, how many packages were looked up, and why the others were not."""
    words = [
        "-r",
        str(LOCK),
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    try:
        done = subprocess.run(
            [program, *words],
            capture_output=True, text=True, check=False, timeout=AUDIT_S_MAX,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [], 0, f"no answer within {AUDIT_S_MAX} s"
    except OSError as error:
        return [], 0, f"expected the program pip-audit, found: {error}"
    return read_audit(done.stdout, done.stderr)


def read_audit(told: str, complaints: str) -> tuple[list[str], int, str]:
    """As `vulnerabilities`, from what pip-audit wrote. Where the database knows no package, pip-audit skips all
    of them and says that nothing was found."""
    try:
        looked = json.loads(told)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = complaints.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        return [], 0, last[0][:200]
    found = [
        f"{one['name']} {one['version']}: {bad['id']}, fixed in {', '.join(bad['fix_versions']) or 'nothing yet'}"
        for one in looked
        for bad in one.get("vulns", ())
    ]
    skipped = [one["skip_reason"] for one in looked if "skip_reason" in one]
    return found, len(looked) - len(skipped), skipped[0][:200] if skipped else ""


def main(words: list[str] | None = None) -> int:
    """Look at everything, tell it, and return the exit code."""
    ask = argparse.ArgumentParser(description="Look through what we stand on.")
    ask.add_argument("--sbom", type=Path, help="write a bill of materials (CycloneDX 1.6)")
    ask.add_argument("--with", dest="program", default="pip-audit", help="where pip-audit is")
    ask.add_argument("--offline", action="store_true", help="ask no database of vulnerabilities")
    ask.add_argument("--strict", action="store_true", help="unknown is not good enough")
    said = ask.parse_args(words)
    wrong = [*findings(), *drift()]
    print(f"pins and licences: {len(pins(LOCK.read_text()))} packages, {len(wrong)} findings")
    if said.sbom is not None:
        said.sbom.parent.mkdir(parents=True, exist_ok=True)
        said.sbom.write_text(bill() + "\n")
        print(f"bill of materials: {said.sbom}")
    known, looked, why = ([], 0, "not asked") if said.offline else vulnerabilities(said.program)
    if looked:
        rest = f"; others were not: {why}" if why else ""
        print(f"known vulnerabilities: {len(known)} in {looked} packages that were looked up{rest}")
    else:
        print(f"known vulnerabilities: UNKNOWN, no package could be looked up: {why}")
    for line in (*wrong, *known):
        print(f"  {line}")
    if wrong or known:
        return 1
    return 2 if said.strict and (why or not looked) else 0


if __name__ == "__main__":
    sys.exit(main())
