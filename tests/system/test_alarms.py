"""Alarms of a gateway process: real broker, real web server, real browser, kill -9."""

import json
import signal
import socket
import sqlite3

import paho.mqtt.client as paho
import pytest
import typer
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from typer.testing import CliRunner

from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.adapters.webhook import signature
from gateway.cli import register
from gateway.core import rows
from gateway.core.audit.rows import ENTRY, AuditRow, entry_key
from tests_kit.agent_bundles import Bundle
from tests_kit.alarm_site import PATIENCE_S, Failing, Site
from tests_kit.alarm_stage import SECRET, Receiver, secret_file

pytestmark = pytest.mark.mosquitto
APP = typer.Typer()
register(APP)
DEVICES = tuple(f"kiosk-{number}" for number in range(6))


@pytest.fixture
def site_of(tmp_path):
    made = []

    def site_of(**said):
        made.append(Site(tmp_path, **said))
        return made[-1]

    yield site_of
    for site in made:
        site.end()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def retained(port, topic):
    """What stands on topics, by topic."""
    found, client = {}, paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_message = lambda _c, _d, said: found.__setitem__(said.topic, said.payload)
    client.connect("127.0.0.1", port)
    client.subscribe(topic, 1)
    client.loop_start()
    return found, client


async def test_a_broker_that_dies_is_told_once_also_when_the_gateway_dies_too(site_of, tmp_path):
    broker = await start_mosquitto(tmp_path / "broker")
    port = broker.endpoint.port
    with Receiver() as receiver:
        site = site_of(
            broker=f"mqtt://127.0.0.1:{port}", mqtt=True, webhook_url=receiver.url,
            webhook_secret_file=secret_file(tmp_path),
        )  # fmt: skip
        site.serve()
        site.until(lambda: site.api.get("/readyz").status_code == 200, "both connections")
        broker.kill()
        site.until(lambda: receiver.events == [("raised", "broker_down")], "the alarm")
        (alarm,) = site.alarms()
        assert (alarm["severity"], alarm["state"]) == ("critical", "raised")
        site.ask("POST", f"/v1/alarms/{alarm['id']}/acknowledge", {"why": "on my way"})
        site.until(lambda: len(receiver.events) == 2, "the acknowledgement")
        site.end(signal.SIGKILL)
        site.serve()
        (again,) = site.alarms()
        assert again == site.ask("GET", f"/v1/alarms/{alarm['id']}")
        assert (again["acknowledged_by"], again["state"]) == ("first", "acknowledged")
        await broker.restart()
        site.until(lambda: site.alarms()[0]["state"] == "cleared", "the end")
        site.until(lambda: len(receiver.events) == 3, "the end to be told")
        assert [change for change, _ in receiver.events] == ["raised", "acknowledged", "cleared"]
        (over,) = site.alarms()
        assert (over["id"], over["count"]) == (alarm["id"], 1), "one alarm, raised once"
        topic = f"fd/main/a/broker_down/{alarm['id']}"
        found, client = retained(port, "fd/main/a/#")
        site.until(lambda: topic in found, "the topic")
        client.disconnect()
        client.loop_stop()
        assert json.loads(found[topic])["data"] == over
        metrics = site.api.get("/metrics").text
        assert (
            'fleetdrill_alarms{kind="broker_down",severity="warning",state="raised"} 0.0' in metrics
        )
        for word in ("s3cret-path", secret_file(tmp_path).read_text().strip()):
            assert word not in site.said, "a secret is in the log"
    await broker.stop()


def test_a_halted_rollout_reaches_a_webhook_that_was_away_once_for_each_event(site_of, tmp_path):
    port = free_port()
    site = site_of(
        webhook_url=f"http://127.0.0.1:{port}/hook", webhook_secret_file=secret_file(tmp_path)
    )
    site.serve()
    old, new = Bundle(1, 20_000), Bundle(2, 30_000)
    for bundle in (old, new):
        site.publish(bundle)
    for name in DEVICES:
        site.ask("PUT", f"/v1/devices/{name}/labels", {"labels": {"region": "eu"}})
    site.ask("POST", "/v1/rollouts", {"id": "factory", "bundle": "gauge@1.1.0", "initial": True})
    devices = Failing(site.broker_port, DEVICES, old.digest)
    plan = {"id": "spring", "bundle": "gauge@1.2.0", "waves": [1.0], "soak": "0s", "jitter": "0s"}
    site.ask("POST", "/v1/rollouts", plan)
    site.until(lambda: site.alarms(kind="rollout_halted"), "the alarm")
    (alarm,) = site.alarms(kind="rollout_halted")
    assert alarm["subject"] == "spring"
    assert alarm["says"].startswith("Rollout spring was halted: ")
    site.ask("POST", "/v1/rollouts", {**plan, "id": "summer", "bundle": "gauge@1.1.0"})
    site.until(lambda: site.alarms(kind="rollout_halted", state="cleared"), "its end")
    with Receiver(port=port) as receiver:
        site.until(lambda: len(receiver.got) == 2, "both events")
        site.until(lambda: "waiting 0.0" in site.api.get("/metrics").text, "nothing to wait")
        assert [one.event["type"] for one in receiver.got] == ["alarm.raised", "alarm.cleared"]
        for one in receiver.got:
            headers = one.headers
            assert headers["webhook-id"] == one.event["id"]
            at_s = int(headers["webhook-timestamp"])
            expected = signature(SECRET, headers["webhook-id"], at_s, one.body)
            assert headers["webhook-signature"] == expected
    devices.close()


def test_an_audit_log_that_somebody_changed_is_an_alarm(site_of):
    site = site_of()
    site.serve()
    for feature in "abc":
        site.ask("PUT", f"/v1/kills/{feature}")
    assert site.alarms() == []
    site.end()
    with sqlite3.connect(site.state / "gateway.db") as database:
        where = (ENTRY, entry_key(2))
        (data,) = database.execute("SELECT row FROM rows WHERE tbl=? AND key=?", where).fetchone()
        row = rows.decode(AuditRow, data)
        other = rows.encode(AuditRow(*(getattr(row, f) if f != "actor" else "nobody" for f in row.__struct_fields__)))  # fmt: skip
        database.execute("UPDATE rows SET row=? WHERE tbl=? AND key=?", (other, *where))
    database.close()
    site.serve()
    site.until(lambda: site.alarms(kind="audit_broken"), "the alarm")
    (alarm,) = site.alarms()
    assert (alarm["severity"], "entry 2 is not what it was" in alarm["says"]) == ("critical", True)
    said = shell(site, "list")
    assert said.startswith(f"{alarm['id']}  critical  raised")
    assert "is acknowledged" in shell(site, "ack", str(alarm["id"]), "--why", "we know")
    assert "is silent" in shell(site, "silence", str(alarm["id"]), "--for", "30d")
    assert "silent until" in shell(site, "show", str(alarm["id"]))


def shell(site, *words):
    done = CliRunner().invoke(APP, ["alarm", *words, "--state", str(site.state)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_console_shows_them_live_and_lets_somebody_look_after_them(site_of):
    site = site_of(disk_percent_raise=99, disk_percent_clear=100, disk_percent_critical=0)
    site.serve()
    site.until(lambda: site.alarms(kind="disk"), "the alarm")
    (alarm,) = site.alarms()
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])  # fmt: skip
        for scheme in ("light", "dark"):
            page = chromium.new_page(color_scheme=scheme)
            page.set_default_timeout(PATIENCE_S * 1000)
            faults = []
            page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
            page.goto(f"{site.api.base_url}/")
            page.get_by_label("Token").fill((site.state / "admin.token").read_text().strip())
            page.keyboard.press("Enter")
            badge = page.locator("nav .badge")
            expect(badge).to_have_text("1 1 open")
            page.keyboard.press("g")
            page.keyboard.press("l")
            expect(page.get_by_role("heading", name="Alarms", level=1)).to_be_visible()
            expect(page.get_by_role("link", name="free")).to_be_visible()
            page.keyboard.press("j")
            expect(page.get_by_role("link", name="free")).to_be_focused()
            if scheme == "light":
                act(page, site, alarm)
            found = Axe().run(page).response["violations"]
            serious = [v["id"] for v in found if v["impact"] in ("serious", "critical")]
            assert serious == [], f"{scheme}: {serious}"
            assert faults == []
            page.close()
        chromium.close()


def act(page, site, alarm):
    """Acknowledge and silence it, and see what somebody else does."""
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("dialog").get_by_label("Why").fill("on it")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".alarm header")).to_contain_text("acknowledged")
    assert site.ask("GET", f"/v1/alarms/{alarm['id']}")["acknowledged_why"] == "on it"
    site.ask("POST", f"/v1/alarms/{alarm['id']}/silence", {"lasts": "8h", "why": "known"})
    expect(page.locator(".alarm header")).to_contain_text("silent")
    page.get_by_role("button", name="End the silence").click()
    page.get_by_role("dialog").get_by_role("button", name="End the silence").click()
    expect(page.locator(".alarm header")).not_to_contain_text("silent")
    assert site.ask("GET", f"/v1/alarms/{alarm['id']}")["silent_until_ms"] == 0
