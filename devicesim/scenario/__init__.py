"""The scenario language: one YAML file for an outage, a fleet, a plan and a verdict.

`load` reads a file into a frozen `Scenario` or raises a `ScenarioError` that fits one screen;
`expand` turns its groups into devices; `json_schema` is what editors complete with.
"""

from __future__ import annotations

from devicesim.scenario.errors import ScenarioError
from devicesim.scenario.load import load
from devicesim.scenario.population import DeviceSpec, expand
from devicesim.scenario.publish import json_schema, schema_text
from devicesim.scenario.schema import Scenario

__all__ = [
    "DeviceSpec",
    "Scenario",
    "ScenarioError",
    "expand",
    "json_schema",
    "load",
    "schema_text",
]
