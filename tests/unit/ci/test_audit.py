"""The audit of what we stand on: what it finds, and that it never takes silence for soundness."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)


def test_the_lock_is_whole_pinned_and_of_permitted_licences():
    assert audit.findings() == []


def test_a_line_that_is_no_pin_is_refused():
    assert audit.pins("# words\n\nA_b==1.0\n") == {"a-b": "1.0"}
    for line in (
        "a>=1",
        "a",
        "a==1.*",
        "-e .",
        "a @ file:///tmp/a",
        "a==1 --hash=sha256:00",
        "https://x/y.whl",
    ):
        with pytest.raises(ValueError, match="expected name==version"):
            audit.pins(line)
    with pytest.raises(ValueError, match="once"):
        audit.pins("a-b==1\na_B==2\n")


def test_a_hole_in_the_lock_is_found_and_what_nobody_needs_too(tmp_path, monkeypatch):
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("h11==")]
    lock = tmp_path / "lock"
    lock.write_text("\n".join([*kept, "pip==1.0"]))
    monkeypatch.setattr(audit, "LOCK", lock)
    found = audit.findings()
    assert "h11 is needed and not pinned" in found, "a need of a need"
    assert "pip is pinned and needed by nothing" in found
    assert any(line.startswith("pip: expected 1.0 as pinned") for line in audit.drift())


@pytest.mark.parametrize(
    ("expression", "may"),
    [("MIT", True), ("Apache-2.0 AND BSD-2-Clause", True), ("EPL-2.0 OR BSD-3-Clause", True),
     ("(MIT OR GPL-3.0-only)", True), ("GPL-3.0-only", False), ("MIT AND AGPL-3.0-only", False), ("", False), ("Proprietary", False)],
)  # fmt: skip
def test_a_licence_is_met_or_not(expression, may):
    assert audit.permitted(expression) is may


def test_the_bill_of_materials_is_valid_and_names_every_pin():
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = audit.bill()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    told = json.loads(text)
    pinned = audit.pins((ROOT / "requirements.lock").read_text())
    assert {one["name"]: one["version"] for one in told["components"]} == pinned
    under = {one["ref"]: one.get("dependsOn", []) for one in told["dependencies"]}
    assert "h11" in under["uvicorn"]


def dependency(name, **more):
    return {"name": name, "version": "1.0", **more}


def test_a_database_that_knows_nothing_is_not_taken_for_an_answer():
    skipped = [dependency(name, skip_reason="not found") for name in "ab"]
    assert audit.read_audit(json.dumps({"dependencies": skipped}), "") == ([], 0, "not found")
    assert audit.read_audit("", "Traceback\nConnectionError: no way") == ([], 0, "ConnectionError: no way")  # fmt: skip
    bad = dependency("c", vulns=[{"id": "PYSEC-1", "fix_versions": ["2.0"]}])
    told = audit.read_audit(json.dumps({"dependencies": [*skipped, bad]}), "")
    assert told == (["c 1.0: PYSEC-1, fixed in 2.0"], 1, "not found")


def test_unknown_is_said_and_is_an_error_for_the_strict(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(audit, "drift", list)
    monkeypatch.setattr(audit, "findings", list)
    nowhere = ["--with", str(tmp_path / "none")]
    assert (audit.main(nowhere), audit.main([*nowhere, "--strict"])) == (0, 2)
    assert capsys.readouterr().out.count("known vulnerabilities: UNKNOWN") == 2
    monkeypatch.setattr(audit, "vulnerabilities", lambda _: (["c 1.0: PYSEC-1"], 1, ""))
    assert audit.main(nowhere) == 1
