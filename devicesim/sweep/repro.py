"""A scenario as a file that can be handed to somebody else.

Decides how plain data is spelled as YAML, and what the head of a ``repro.yaml`` tells. Leaves out how small it
is (shrink.py).

Rule: the text reads back as the very data it was made from; where YAML's own spelling would not (a word
that the loader takes for a number), everything is quoted instead.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any, Final

import yaml

from devicesim.scenario.document import read_document

WIDTH: Final = 100
_FIRST: Final = ("scenario", "title", "seed", "clock", "scale", "regions", "fleet", "telemetry")
_LAST: Final = ("checks",)


def to_yaml(data: dict[str, Any], seed: int) -> str:
    """Spell a scenario: head first, checks last, small mappings on one line."""
    said = data | {"seed": seed}
    middle = [key for key in said if key not in (*_FIRST, *_LAST)]
    ordered = {key: said[key] for key in (*_FIRST, *middle, *_LAST) if key in said}
    text = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=WIDTH)
    if read_document(text)[0].data != ordered:
        text = json.dumps(ordered, indent=1, ensure_ascii=False) + "\n"
    return text


def with_head(text: str, facts: dict[str, str]) -> str:
    """Put comments above a scenario: one paragraph per fact, its name before it."""
    lines = ["# The smallest scenario found in which this check still fails.", "#"]
    for name, value in facts.items():
        folded = textwrap.wrap(
            " ".join(value.split()), WIDTH - 12, break_long_words=False, break_on_hyphens=False
        ) or [""]
        lines.append(f"#   {name:<8}{folded[0]}".rstrip())
        lines += [f"#   {'':<8}{line}" for line in folded[1:]]
    return "\n".join(lines) + "\n" + text
