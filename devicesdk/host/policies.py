"""A run-time policy on somebody's desk: checked, and asked what it decides.

Decides words. Leaves out the policy's rules (devicesdk/agent/policy.py), which are the device's own: what is
said here is what a device will do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from devicesdk.agent.policy import (
    POLICY_BYTES_MAX,
    Context,
    Policy,
    PolicyError,
    read_policy,
)

__all__ = ["PolicyError", "as_flag", "context_of", "in_words", "read"]


def read(file: Path) -> Policy:
    """Read and check a policy.

    Raises:
        PolicyError: it is not one, or cannot be read.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(POLICY_BYTES_MAX + 1)
    except OSError as error:
        raise PolicyError(
            f"expected a policy in {file}, found: {error.strerror}; check the path"
        ) from error
    return read_policy(content)


def context_of(words: list[str]) -> Context:
    """Make a context of ``name=value`` words; what is not said is a healthy device's.

    Raises:
        PolicyError: an unknown name, or a value that does not fit.
    """
    names = [field.name for field in msgspec.structs.fields(Context)]
    said: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in names:
            raise PolicyError(f"expected name=value with a name out of {names}, found {word!r}")
        said[name] = value
    try:
        return msgspec.convert(said, Context, strict=False)
    except msgspec.ValidationError as error:
        raise PolicyError(f"expected values that fit their names in {words}: {error}") from error


def in_words(policy: Policy, context: Context) -> list[str]:
    """What is decided, by which rule, and which rules were passed over."""
    index = policy.choose(context)
    rule = policy.rules[index]
    use = rule.use
    passed = ", ".join(earlier.name for earlier in policy.rules[:index])
    lines = [
        f"rule {rule.name} ({index + 1} of {len(policy.rules)}) decides",
        f"  path      {use.path}",
        f"  variants  {', '.join(use.variants) or 'as in the image'}",
        f"  frames    {use.frames_permille / 10:g} % of the usual number",
        f"  windows   {use.windows} in one",
        f"  side      {use.side or 'as the camera has it'}",
    ]
    return [*lines, f"  passed    {passed}"] if passed else lines


def as_flag(policy: Policy) -> list[str]:
    """The flagd definition that puts a policy into force, with ``off`` as the way back."""
    document = msgspec.json.decode(msgspec.json.encode(policy))
    flag = {"state": "ENABLED", "variants": {"on": document, "off": {}}, "defaultVariant": "on"}
    return [msgspec.json.encode(flag).decode()]
