"""A file becomes a scenario, or a screenful of what is wrong with it.

Decides the order: read YAML, lay it over what it extends, apply ``--set``, check shapes, check names. Leaves out where text
comes from: `read_text` is handed in, nothing here opens a file.

Rules: everything found in one step is told at once; a later step runs only when the earlier ones
left something sound to look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from devicesim.scenario.document import UnreadableError, read_document
from devicesim.scenario.errors import Problem, Refusal, ScenarioError
from devicesim.scenario.extend import extend
from devicesim.scenario.fleet import DEFAULT_START_UNIX_NS
from devicesim.scenario.overrides import apply_override
from devicesim.scenario.publish import raw_schema
from devicesim.scenario.quantities import read_unix_instant
from devicesim.scenario.references import find_complaints
from devicesim.scenario.schema import Scenario
from devicesim.scenario.translate import place, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence


def load(
    path_or_text: str,
    overrides: Sequence[str] = (),
    read_text: Callable[[str], str] | None = None,
    *,
    profiles: Collection[str] | None = None,
    links: Collection[str] | None = None,
) -> Scenario:
    """Load a scenario.

    Args:
        path_or_text: a path for `read_text`, or the YAML itself when it has a line break in it.
        overrides: ``path=value`` each, applied in order.
        read_text: reads a file; may raise OSError or UnicodeDecodeError.
        profiles: names of the profiles there are; None leaves them unchecked.
        links: names of the link classes there are; None leaves them unchecked.

    Raises:
        ScenarioError: it cannot be run; says all that is wrong.
    """
    file, text = _fetch(path_or_text, read_text)
    try:
        document, problems = read_document(text)
    except UnreadableError as error:
        raise ScenarioError(file, [error.problem], text.split("\n")) from error
    document = extend(file, document, problems, read_text)
    for override in overrides:
        if (problem := apply_override(document, override)) is not None:
            problems.append(problem)
    scenario = None
    try:
        scenario = Scenario.model_validate(
            _tuples(document.data), context={"start_unix_ns": _peek_start(document.data)}
        )
    except ValidationError as error:
        told = [problem.path for problem in problems]
        found = translate(error, document, raw_schema())
        problems += [problem for problem in found if problem.path not in told]
    if scenario is not None:
        complaints = find_complaints(scenario, profiles=profiles, links=links)
        problems += [place(document, path, refusal) for path, refusal in complaints]
    if problems or scenario is None:
        raise ScenarioError(file, problems, document.lines)
    return scenario


def _fetch(path_or_text: str, read_text: Callable[[str], str] | None) -> tuple[str, str]:
    if "\n" in path_or_text or not path_or_text or read_text is None:
        return "<text>", path_or_text
    try:
        return path_or_text, read_text(path_or_text)
    except UnicodeDecodeError as error:
        problem = Problem(path=(), expected="UTF-8 text", found=str(error.reason))
        raise ScenarioError(path_or_text, [problem]) from error
    except OSError as error:
        found = error.strerror or type(error).__name__
        problem = Problem(
            path=(),
            expected="a file that can be read",
            found=found.lower(),
            advice="check the path; `ls scenarios` lists those that come along",
        )
        raise ScenarioError(path_or_text, [problem]) from error


def _peek_start(data: Any) -> int | None:
    """Read clock.start ahead, for ISO instants elsewhere; None when it is wrong (told later)."""
    clock = data.get("clock") if isinstance(data, dict) else None
    start = clock.get("start") if isinstance(clock, dict) else None
    if start is None:
        return DEFAULT_START_UNIX_NS
    try:
        return read_unix_instant(start)
    except Refusal:
        return None


def _tuples(data: Any) -> Any:
    """Freeze lists: a scenario's sequences are tuples."""
    if isinstance(data, dict):
        return {key: _tuples(value) for key, value in data.items()}
    if isinstance(data, list):
        return tuple(_tuples(item) for item in data)
    return data
