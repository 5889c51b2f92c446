# Everything from a machine with nothing but Python 3.11 and apt: `make demo`, `make test`.
# Each target does all of its own set-up; the second time that takes no time at all.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# Debian's before any other: it rehearses 11 to 15 % more device-hours a second than what pyenv compiles by
# default, which is without --enable-optimizations.
# One that cannot make virtual environments, for want of python3.11-venv, is no use while there is another.
DEBIANS := /usr/bin/python3.11
PYTHON ?= $(shell $(DEBIANS) -c 'import ensurepip, venv' 2>/dev/null && echo $(DEBIANS) || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
export OPENBLAS_NUM_THREADS = 1

PORT ?= 8140
PLAY ?=

.PHONY: help setup broker postgres browser node load demo serve live soak chaos test lint audit bench campaign scenarios blueprints clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) ## a virtual environment in .venv with the command fleetdrill in it

$(STAMP): pyproject.toml requirements.lock
	command -v $(PYTHON) >/dev/null || { echo "expected $(PYTHON) on the path: install Python 3.11 first"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV) || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3.11-venv && $(PYTHON) -m venv --clear $(VENV); } || \
		{ echo "expected $(PYTHON) to make a virtual environment, found that it could not (above): install python3.11-venv, or name another with make PYTHON=..."; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(STAMP)

broker: ## mosquitto: what live runs use, and what the in-memory broker is held against
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq mosquitto mosquitto-clients; }

postgres: ## PostgreSQL: tests start servers of their own with its programs
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq postgresql; }

browser: # Debian's chromium: tests look at the console with it
	@command -v chromium >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium; }

node: # a device in another language proves the protocol's page
	@command -v node >/dev/null && command -v npm >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq nodejs npm; }

load: # mosquitto's own C library and a compiler, for the peers in `make bench`
	@{ [ -f /usr/include/mosquitto.h ] && command -v gcc >/dev/null; } || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libmosquitto-dev gcc libc6-dev; }

demo: setup ## rehearse a day of an outage on 2,000 devices; ends in a verdict and a report
	$(BIN)/fleetdrill run scenarios/first-light.yaml

serve: setup broker ## broker, gateway, console and fifty live devices to play with, on http://127.0.0.1:8140 (PORT=0: a free port)
	$(BIN)/fleetdrill playground --port $(PORT) $(PLAY)

live: setup broker ## six hours of the same day in six minutes, against a real broker
	$(BIN)/fleetdrill run scenarios/first-light.yaml --set clock.mode=real --set clock.speed=60 --set scale=0.1 --until 6h

soak: setup broker ## half an hour of 1,000 devices, the broker killed every five minutes
	$(BIN)/fleetdrill soak scenarios/soak.yaml --devices 1000 --for 30m --restart-broker-every 5m

chaos: setup broker ## kill -9 of broker, gateway and devices in the middle of rollouts, twenty times each; of a busy gateway fifty, of a saving broker two hundred
	$(BIN)/pytest tests/chaos -m slow
	$(BIN)/pytest tests/chaos/test_half_open.py -m "not slow" -s

lint: setup ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Three workers on two processors: a third of the tests' time is spent waiting for the clock.
test: setup broker postgres browser node lint ## everything that CI runs
	$(BIN)/pytest -n 3 --dist worksteal

blueprints: setup # models that contain other people's weights, composed from the installed wheels
	@PYTHONPATH=. $(BIN)/python models/complete.py > /dev/null || echo "those scenarios will be skipped"

audit: setup ## pins, licences, a bill of materials, and known vulnerabilities if their database answers
	@[ -x $(VENV)-audit/bin/pip-audit ] || { $(PYTHON) -m venv --clear $(VENV)-audit && \
		$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; } || \
		echo "expected to install pip-audit, could not: vulnerabilities stay unknown"
	$(BIN)/python .ci/audit.py --sbom build/sbom.json --with $(VENV)-audit/bin/pip-audit

campaign: setup broker postgres blueprints ## slow tests, a line each, then every scenario at full size (tens of minutes)
	failed=0; $(BIN)/pytest -m slow -v -rs || failed=1; \
	$(BIN)/python -m bench.scenarios || failed=1; exit $$failed

bench: setup broker load ## speeds, each beside a floor or a peer measured in the same run
	$(BIN)/python -m bench

scenarios: setup blueprints ## run every shipped scenario at full size and compare its verdict with scenarios/expected
	$(BIN)/python -m bench.scenarios

clean: ## remove what the targets made
	rm -rf $(VENV) $(VENV)-audit runs playground build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
