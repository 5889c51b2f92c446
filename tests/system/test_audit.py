"""Tokens, a second person and the audit log of a gateway that runs, was killed, and was tampered with."""

import base64
import json
import re
import signal
import sqlite3
import urllib.request

import pytest

from tests.system.test_gateway_serve import Site

pytestmark = pytest.mark.mosquitto
SERVE = ("--broker", "mosquitto")


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.end()


def audit(site, *words, code=0):
    return site.run("audit", *words, "--state", str(site.state), code=code)


def database(site):
    return sqlite3.connect(site.state / "gateway.db", isolation_level=None)


def http(site, path, token):
    url = (site.state / "http.url").read_text().strip()
    asked = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def everything_written(site, said):
    """All bytes in the state folder but the first token's own file, and what was logged."""
    files = [
        file for file in site.state.rglob("*") if file.is_file() and file.name != "admin.token"
    ]
    return {str(file): file.read_bytes() for file in files} | {"log": said.encode()}


def test_the_text_of_a_token_is_nowhere_but_on_standard_output(site):
    site.env["FLEETDRILL_LOG_LEVEL"] = "DEBUG"
    said = "".join(site.serve("--json-logs", *SERVE))
    first = (site.state / "admin.token").read_text().strip()
    text = site.run(
        *("token", "make", "ana", "--role", "releaser", "--for", "1h", "--label", "region=eu"),
        *("--state", str(site.state)),
    )
    assert re.fullmatch(r"fd_ana_[a-z2-7]{52}\n", text), text
    token = text.strip()
    assert http(site, "/v1/rollouts", token)[0] == 200
    status, refusal = http(site, "/v1/rollouts", token[:-1])
    assert status == 401
    listed = site.run("token", "list", "--state", str(site.state))
    assert re.search("ana +releaser +region=eu", listed)
    assert site.ask("token", "revoke", "ana")["said"] == ["Token ana has ended."]
    status, ended = http(site, "/v1/rollouts", token)
    assert status == 401
    code, rest = site.end()
    assert code == 0, rest
    for where, data in everything_written(site, said + rest + refusal + listed + ended).items():
        for secret in (token, first):
            word = secret.rpartition("_")[2]
            raw = base64.b32decode(word.upper() + "====")
            assert word[:-1].encode() not in data, f"the secret of {secret[:8]} is in {where}"
            assert raw not in data, f"the bytes of the secret of {secret[:8]} are in {where}"
    assert (site.state / "audit.heads").stat().st_mode & 0o077 == 0


def test_the_log_is_verified_while_the_gateway_runs_after_kill_nine_and_after_an_attack(site):
    site.serve(*SERVE)
    site.ask("kill", "gauge")
    site.ask("fleet", "enroll", "d1", "--label", "region=eu")
    assert "sound: 3 entries" in audit(site, "verify")
    kept = site.state.parent / "kept.txt"
    kept.write_text(audit(site, "witness"))
    site.end(signal.SIGKILL)
    assert re.search(r"sound: .*\d kept heads agree", audit(site, "verify", "--witness", str(kept)))
    entries = [json.loads(line) for line in audit(site, "show", "--json").splitlines()]
    assert [entry["verb"] for entry in entries] == ["token.make", "kill", "device.enroll"]
    assert "(admin)  kill gauge done" in audit(site, "show", "--verb", "kill")

    with database(site) as rows:
        rows.execute("DELETE FROM rows WHERE tbl = 'audit.entry' AND key = '000000000002'")
    assert [one["kind"] for one in tampered(site)["findings"]] == ["missing"]
    site.serve(*SERVE)
    site.ask("kill", "gauge", "--revive")
    site.end()
    found = tampered(site)
    assert found["sound"] is False
    assert [(one["kind"], one["entry"]) for one in found["findings"]] == [("missing", 2)]


def tampered(site, *words):
    """What `audit verify` finds in this process."""
    from typer.testing import CliRunner

    from tests.system.test_gateway_serve import APP

    done = CliRunner().invoke(
        APP, ["audit", "verify", "--json", "--state", str(site.state), *words]
    )
    assert done.exit_code in (0, 1), done.output
    found = json.loads(done.stdout)
    assert (done.exit_code == 0) == found["sound"]
    return found


def test_a_log_that_was_rolled_back_is_noticed_by_the_gateway_and_by_whoever_kept_a_head(site):
    site.serve(*SERVE)
    site.ask("kill", "gauge")
    site.end()
    before = (site.state / "gateway.db").read_bytes()
    site.serve(*SERVE)
    site.ask("kill", "gauge", "--revive")
    kept = site.state.parent / "kept.txt"
    kept.write_text(audit(site, "witness"))
    site.end()
    own = (site.state / "audit.heads").read_text().splitlines()
    assert own[-1] + "\n" == kept.read_text(), "the newest head is kept at the end"
    (site.state / "gateway.db").write_bytes(before)
    found = tampered(site, "--witness", str(kept))
    assert {one["kind"] for one in found["findings"]} == {"cut"}
    (site.state / "audit.heads").unlink()
    assert tampered(site)["sound"], "nobody who could know is left"
    (site.state / "audit.heads").write_text("\n".join(own) + "\n")
    said = "".join(site.serve(*SERVE))
    assert "the audit log is not what it was" in said
    site.ask("kill", "other")
    site.end()
    found = {(one["kind"], one["entry"]) for one in tampered(site)["findings"]}
    assert found == {("missing", 3)}, "the gateway covered it up"


def test_a_second_person_agrees_over_the_door_and_the_api(site):
    site.env["FLEETDRILL_SECURITY_SECOND_PERSON"] = "kill"
    site.serve(*SERVE)
    assert site.ask("kill", "gauge")["waits"] == 1
    assert site.ask("fleet", "show")["fleet"]["kill_version"] == 0
    state = ("--state", str(site.state))
    assert "own: somebody else must decide" in site.run("approval", "approve", "1", *state, code=1)
    (view,) = site.ask("approval", "list")
    assert (view["state"], view["verb"]["feature"]) == ("waits", "gauge")
    assert "kill" in site.run("approval", "list", *state)
    assert site.run("approval", "deny", "9", *state, code=2)
    site.end()
    site.env["FLEETDRILL_SECURITY_SECOND_PERSON"] = "kil"
    refused = site.run("gateway", "serve", *state, *SERVE, code=2)
    assert "did you mean kill?" in refused


def test_what_is_no_log_is_said(site, tmp_path):
    assert "expected a gateway's database" in audit(site, "show", code=2)
    site.serve(*SERVE)
    site.end()
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    assert "expected heads in" in audit(site, "verify", "--witness", str(empty), code=2)
    (site.state / "keys" / "audit.key").unlink()
    state = ("--state", str(site.state))
    assert "expected the audit key" in site.run("gateway", "serve", *state, *SERVE, code=2)
