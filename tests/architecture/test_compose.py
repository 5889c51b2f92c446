"""docker-compose.yml and everything it names: files, ports, variables, commands, build steps.

No container engine is needed: the file is checked against the Compose schema, commands by our own
command line, variables by the gateway's own configuration, the key script by running it, the build by
building from the very files that the Dockerfile copies.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters import metrics
from gateway.adapters.alarm_metrics import AlarmsCollector
from gateway.config import load_config
from gateway.core.alarms.alarms import Severity, State
from gateway.core.alarms.rules import KINDS
from gateway.ports import AlarmTally, Counters

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text().replace("\\\n", " ")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {name: s for name, s in SERVICES.items() if s["image"].startswith("fleetdrill-")}
FOREIGN = {name: s for name, s in SERVICES.items() if name not in OURS}
KNOWN_VARIABLES = {
    # what third-party images document, and libpq's own
    "postgres": {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE"},
    "gateway": {"PGPASSFILE"},
}
UID_OF = {"mosquitto": 1883, "postgres": 999, "gateway": 10001, "device": 10001}
"""Accounts of the images; ours is made in the Dockerfile."""


def mounts(service):
    """(source, target) of each mount."""
    return [tuple(mount.split(":")[:2]) for mount in service.get("volumes", [])]


def lines(keyword):
    return [m.split() for m in re.findall(rf"^{keyword} (.+)$", DOCKERFILE, re.MULTILINE)]


def conf(key):
    text = (ROOT / "mosquitto/mosquitto.conf").read_text()
    return re.findall(rf"^{key} (.+)$", text, re.MULTILINE)


# -- the file itself -------------------------------------------------------------------------------


def test_it_is_valid_by_the_compose_schema():
    schema = json.loads((ROOT / "tests/golden/compose-spec.json").read_text())
    checker = jsonschema.Draft201909Validator(schema)  # it names this draft by a wrong address
    document = json.loads(json.dumps(COMPOSE))
    assert [error.message for error in checker.iter_errors(document)] == []
    document["services"]["gateway"]["comand"] = []
    assert not checker.is_valid(document), "the schema must refuse a misspelt key"


def test_files_volumes_and_networks_that_are_named_exist():
    named, joined = set(), set()
    for name, service in SERVICES.items():
        for source, _ in mounts(service):
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name} mounts {source}, which does not exist"
            else:
                named.add(source)
        joined.update(service.get("networks", []))
    assert named == set(COMPOSE["volumes"])
    assert joined == set(COMPOSE["networks"])


def test_whoever_is_waited_for_exists_and_can_say_that_it_is_ready():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}, which does not exist"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{other} never says that it is healthy"


def test_nothing_but_loopback_is_reachable_from_outside():
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port} beyond this machine"


def test_third_party_images_are_pinned_to_a_version():
    for name, service in FOREIGN.items():
        assert re.search(r":v?\d+\.\d+", service["image"]), f"{name}: pin {service['image']}"
    (argument,) = [words[0] for words in lines("ARG")]
    assert re.fullmatch(r"PYTHON=3\.11\.\d+-slim-\w+", argument)


def test_our_services_are_confined():
    for name, service in OURS.items():
        if name != "keys":
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
    assert SERVICES["keys"]["network_mode"] == "none", "who holds every key talks to nobody"


# -- commands and variables ------------------------------------------------------------------------


def command_line(target):
    """Our commands as an image of that target has them: a device has no gateway installed."""
    app = typer.Typer(name="fleetdrill")
    for point in PROJECT["project"]["entry-points"]["fleetdrill.commands"].values():
        module, function = point.split(":")
        if target == "gateway" or module.startswith("devicesdk."):
            getattr(import_module(module), function)(app)
    app.callback()(lambda: None)
    return typer.main.get_command(app)


def parse(command, words):
    """Parse as the command line would, without running; raises click's UsageError."""
    context = command.make_context(command.name, list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return context.params


def our_commands():
    for name, service in OURS.items():
        target = service["build"]["target"]
        if "entrypoint" in service:
            script = (ROOT / f"deploy/docker/{service['entrypoint'][0]}.sh").read_text()
            for line in re.findall(r"^ *(fleetdrill .*)$", script, re.MULTILINE):
                yield name, target, [word for word in shlex.split(line)[1:] if word != "$@"]
        else:
            yield name, target, service["command"]
        test = service.get("healthcheck", {}).get("test", ["CMD"])
        if test[1:2] == ["fleetdrill"]:
            yield name, target, test[2:]


@pytest.mark.parametrize(("name", "target", "words"), list(our_commands()))
def test_every_command_of_ours_is_one_that_its_image_has(name, target, words):
    assert parse(command_line(target), words) is not None


def test_a_command_that_does_not_exist_would_be_noticed():
    with pytest.raises(Exception, match="No such option"):
        parse(command_line("gateway"), ["gateway", "serve", "--colour", "blue"])
    with pytest.raises(Exception, match="No such command"):
        parse(command_line("device"), ["gateway", "serve"])


def environment(name):
    return {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}


def test_every_variable_is_read_by_somebody():
    for name in SERVICES:
        for variable in environment(name):
            known = variable in KNOWN_VARIABLES.get(name, set())
            known |= name == "grafana" and variable.startswith("GF_")
            known |= name == "gateway" and variable.startswith("FLEETDRILL_")
            assert known, f"nobody reads {variable} in {name}"
    assert load_config(env=environment("gateway")) is not None  # refuses what it does not know


def test_the_gateway_finds_broker_database_and_keys():
    found = load_config(env=environment("gateway"))
    assert found.broker.url == f"mqtts://mosquitto:{conf('listener')[0]}"
    assert found.gateway.database == "postgresql+psycopg://fleetdrill@postgres/fleetdrill"
    assert environment("postgres")["POSTGRES_DB"] == "fleetdrill"
    assert {"broker", "database", "metrics"} == set(SERVICES["gateway"]["networks"])


# -- ports and metrics -----------------------------------------------------------------------------


def test_ports_are_those_that_are_listened_on():
    (listener,) = conf("listener")
    assert SERVICES["mosquitto"]["ports"] == [f"127.0.0.1:{listener}:{listener}"]
    words = SERVICES["mosquitto"]["healthcheck"]["test"]
    assert words[words.index("-p") + 1] == listener
    for name in OURS:
        command = SERVICES[name]["command"]
        if "--broker" in command:
            url = command[command.index("--broker") + 1]
            assert url == f"mqtts://mosquitto:{listener}", name


def test_prometheus_asks_where_the_gateway_answers():
    asked = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (job,) = asked["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"gateway:{metrics.PORT}"]}]
    assert job.get("metrics_path", "/metrics") == "/metrics"
    said = environment("gateway")
    assert said["FLEETDRILL_METRICS_PORT"] == str(metrics.PORT)
    assert said["FLEETDRILL_METRICS_HOST"] == "0.0.0.0"
    targets = [target for _, target in mounts(SERVICES["prometheus"])]
    for file in asked["rule_files"]:
        assert f"/etc/prometheus/{file}" in targets


def test_grafana_is_provisioned_from_files_that_are_mounted():
    folder = ROOT / "deploy/grafana/provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"][0]
    published = SERVICES["prometheus"]["ports"][0].rsplit(":", 1)[1]
    assert source["url"] == f"http://prometheus:{published}"
    provider = yaml.safe_load((folder / "dashboards/fleetdrill.yml").read_text())["providers"][0]
    mounted = {target: source for source, target in mounts(SERVICES["grafana"])}
    inside = provider["options"]["path"]
    home = environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / mounted[inside] / Path(home).relative_to(inside)).is_file()
    for dashboard in (ROOT / mounted[inside]).glob("*.json"):
        for panel in json.loads(dashboard.read_text())["panels"]:
            assert panel["datasource"]["uid"] == source["uid"], panel["title"]


def exported():
    """Names of all samples that a gateway which can nothing but its duty tells Prometheus."""
    registry = CollectorRegistry()
    counters = Counters()
    counters.messages_in["have"] = counters.messages_out["want"] = 1
    registry.register(metrics.CountersCollector(counters, lambda: 0))
    registry.register(AlarmsCollector(AlarmTally()))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {sample.name for family in families for sample in family.samples}


def test_dashboards_and_alarms_name_metrics_that_exist_and_dashboards_show_them_all():
    names = exported()
    assert metrics.metric_names() <= names
    texts = {
        "alerts": (ROOT / "deploy/prometheus/alerts.yml").read_text(),
        "dashboard": (ROOT / "deploy/grafana/dashboards/gateway.json").read_text(),
    }
    for name, text in texts.items():
        named = set(re.findall(r"\bfleetdrill_\w+", text))
        assert "fleetdrill_alarms" in named, name
        assert named <= names, f"{name}: {named - names}"
    shown = set(re.findall(r"\bfleetdrill_\w+", texts["dashboard"]))
    assert names - shown == set(), "the dashboard shows every metric"


def test_dashboards_and_alarms_ask_for_alarms_that_there_can_be():
    closed = {
        "kind": set(KINDS),
        "severity": {severity.name.lower() for severity in Severity},
        "state": {State.RAISED.name.lower(), State.ACKNOWLEDGED.name.lower()},
    }
    asked = set()
    for file in ("prometheus/alerts.yml", "grafana/dashboards/gateway.json"):
        text = (ROOT / "deploy" / file).read_text().replace('\\"', '"')
        for labels in re.findall(r"fleetdrill_alarms\{([^}]*)\}", text):
            for name, value in re.findall(r'(\w+)!?="(\w+)"', labels):
                assert value in closed[name], f"{file}: {name} is never {value}"
                asked.add((name, value))
        for names in re.findall(r"sum by \(([\w, ]+)\) \(fleetdrill_alarms", text):
            assert set(names.split(", ")) <= closed.keys(), file
    assert {name for name, _ in asked} == closed.keys(), "nothing was looked at"


def test_every_alarm_says_what_it_means():
    groups = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_panels_do_not_overlap():
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/gateway.json").read_text())
    taken = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} covers {taken[x, y]}"
                taken[x, y] = panel["title"]
        assert at["x"] + at["w"] <= 24


# -- images ----------------------------------------------------------------------------------------


def test_build_steps_name_stages_files_and_extras_that_exist():
    stages = [words[words.index("AS") + 1] for words in lines("FROM")]
    for words in lines("FROM"):
        assert words[0].startswith("python:${PYTHON}") or words[0] in stages
    for *sources, _ in lines("COPY"):
        if sources[0].startswith("--from="):
            assert sources[0].removeprefix("--from=") in stages
            continue
        for source in sources:
            assert (ROOT / source).exists(), f"the Dockerfile copies {source}: no such file"
    for extra in re.findall(r'"\.\[(\w+)\]"', DOCKERFILE):
        assert extra in PROJECT["project"]["optional-dependencies"]
    for name, service in OURS.items():
        assert service["build"]["target"] in stages, name
        assert (ROOT / service["build"]["dockerfile"]).is_file(), name


def test_what_is_copied_is_not_ignored():
    allowed = re.findall(
        r"^!(.+)$", (ROOT / "deploy/docker/Dockerfile.dockerignore").read_text(), re.MULTILINE
    )
    copied = {s for *ss, _ in lines("COPY") if not ss[0].startswith("--") for s in ss}
    assert copied == set(allowed)


def test_images_do_not_run_as_root():
    assert lines("USER") == [["10001:10001"]]
    assert "--uid 10001" in DOCKERFILE
    assert [name for name, service in OURS.items() if "user" in service] == ["keys"]


def test_the_package_builds_from_the_copied_files_alone(tmp_path):
    source = tmp_path / "src"
    for *sources, _ in lines("COPY"):
        for name in sources if not sources[0].startswith("--") else ():
            if (ROOT / name).is_dir():
                skip = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, source / name, ignore=skip)
            else:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, source / name)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--wheel-dir", tmp_path, source],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("fleetdrill-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    for package in ("devicesdk", "gateway"):
        for file in (ROOT / package).rglob("*.py"):
            assert str(file.relative_to(ROOT)) in inside, f"the image lacks {file}"


# -- keys ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """What the key script makes, run for real in a folder of its own."""
    if os.geteuid() != 0:
        pytest.skip("the key script gives files to other accounts: only root can")
    top = tmp_path_factory.mktemp("keys")
    for name in ("keys", "for", "bin"):
        (top / name).mkdir()
    shim = top / "bin/fleetdrill"
    shim.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nimport typer\n"
        "from gateway.broker_cli import register\napp = typer.Typer()\nregister(app)\napp()\n"
    )
    shim.chmod(0o755)
    script = (ROOT / "deploy/docker/init-keys.sh").read_text()
    for place in ("/keys", "/for"):
        script = re.sub(rf"(?<![\w/]){place}\b", str(top) + place, script)
    (top / "init").write_text(script)

    def run():
        words = ["sh", str(top / "init"), *SERVICES["keys"]["command"]]
        env = {**os.environ, "PATH": f"{top}/bin:{os.environ['PATH']}"}
        done = subprocess.run(
            words, env=env, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr

    run()
    return top, run


def volume_folders():
    """Volume to the place where the key script fills it."""
    return dict(mounts(SERVICES["keys"]))


def wanted_files(name):
    """Paths that a service is told about, in its command, variables, health check or configuration."""
    service = SERVICES[name]
    words = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
    words += environment(name).values()
    if name == "mosquitto":
        words += conf("cafile") + conf("certfile") + conf("keyfile")
    return [word for word in words if word.startswith("/")]


@pytest.mark.parametrize("name", [n for n in SERVICES if n != "keys"])
def test_each_service_finds_the_keys_that_it_is_told_of_and_they_are_its_own(handed_out, name):
    top, _ = handed_out
    folders = volume_folders()
    uid = UID_OF.get(name.split("-", maxsplit=1)[0])
    for source, target in mounts(SERVICES[name]):
        if source not in folders:
            continue
        place = top / folders[source].lstrip("/")
        for file in place.rglob("*"):
            assert file.stat().st_uid == uid, f"{name} cannot read {file}"
            assert file.stat().st_mode & 0o077 == 0, f"others can read {file}"
        for word in wanted_files(name):
            if word == target or word.startswith(f"{target}/"):
                assert (place / Path(word).relative_to(target)).exists(), f"{name} lacks {word}"


def test_what_must_stay_offline_is_handed_to_nobody(handed_out):
    top, _ = handed_out
    handed = {file.name for file in (top / "for").rglob("*") if file.is_file()}
    assert handed.isdisjoint({"targets.key", "ca.key"})
    secrets = {file.read_bytes() for file in (top / "keys").rglob("*.key")}
    offline = {(top / "keys" / name).read_bytes() for name in ("targets.key", "tls/ca.key")}
    given = {file.read_bytes() for file in (top / "for").rglob("*") if file.is_file()}
    assert offline <= secrets
    assert not offline & given
    holders = [n for n, s in SERVICES.items() if "keys" in dict(mounts(s))]
    assert holders == ["keys"]


def test_the_password_of_the_database_is_the_same_on_both_sides(handed_out):
    top, _ = handed_out
    password = (top / "for/postgres/postgres.password").read_text()
    host, port, database, user, told = (top / "for/gateway/pgpass").read_text().strip().split(":")
    assert (host, port, database, user) == ("postgres", "5432", "fleetdrill", "fleetdrill")
    assert told == password
    assert len(password) == 48


def test_run_again_it_changes_nothing(handed_out):
    top, run = handed_out

    def content():
        return {f: f.read_bytes() for f in top.rglob("*") if f.is_file()}

    before = content()
    run()
    assert content() == before


def test_scripts_are_plain_sh_and_are_what_the_services_run():
    run = {s["entrypoint"][0] for s in OURS.values() if "entrypoint" in s}
    shipped = sorted((ROOT / "deploy/docker").glob("*.sh"))
    assert run == {script.stem for script in shipped}
    for script in shipped:
        assert script.read_text().startswith("#!/bin/sh\n")
        assert os.access(script, os.X_OK)
        assert subprocess.run(["sh", "-n", script], check=False, timeout=60).returncode == 0
        assert [f"deploy/docker/{script.name}", f"/usr/local/bin/{script.stem}"] in lines("COPY")


def test_every_device_of_the_fleet_gets_keys_and_is_enrolled():
    fleet = [name for name in SERVICES if name.startswith("device-")]
    assert SERVICES["keys"]["command"] == SERVICES["enroll"]["command"] == fleet
    for name in fleet:
        command = SERVICES[name]["command"]
        assert command[command.index("--id") + 1] == name
