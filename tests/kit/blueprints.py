"""Blueprints' bundles in tests: completed from installed wheels, or the test is skipped and says why."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "models"


def script(name):
    """A training or building script of models/, imported."""
    if str(MODELS) not in sys.path:
        sys.path.insert(0, str(MODELS))
    return importlib.import_module(name)


def completed(*bundles):
    """Make sure that bundles with other people's weights have their model files."""
    pytest.importorskip("onnx", reason="bundles are composed with onnx: fleetdrill[bundle]")
    complete = script("complete")
    for bundle in bundles:
        try:
            complete.complete(MODELS, bundle)
        except complete.MissingWheel as error:
            pytest.skip(f"{bundle} needs fleetdrill[{complete.EXTRAS[bundle]}]: {error}")
