"""How a fleet, or a group of it, comes back: a client library by name, or figures of its own.

Decides the words, and how they become the agent's configuration. Leaves out the formulas
(`devicesdk.agent.backoff`) and what each library does (`devicesdk.agent.backoff_policies`).

Rules: a name alone is the library out of the box, keys beside ``policy`` change it; figures without a
policy are this agent's own, whose growth is forgotten as ``agent.stable_after`` says.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from pydantic import BeforeValidator, Field, JsonValue, model_validator

from devicesdk.agent.backoff_policies import POLICIES, named
from devicesdk.agent.config import BackoffConfig
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.scenario.errors import Refusal, choices, nearest_word, show
from devicesim.scenario.fields import Duration, Model, PositiveDuration, Share, must_be_one_of

_PERMILLE: Final = 1000


class Backoff(Model):
    """The wait before connecting again, growing with each failure."""

    policy: str | None = Field(
        default=None,
        description="What a client library does out of the box, by name; other keys change it.",
        examples=["hivemq"],
    )
    base_ns: PositiveDuration = Field(default=SECOND, alias="base", description="First wait.")
    cap_ns: PositiveDuration = Field(default=2 * MINUTE, alias="cap", description="Longest wait.")
    jitter: Literal["decorrelated", "full", "equal", "share", "none"] = Field(
        default="decorrelated",
        description="decorrelated: from base to three times the last wait; full: from nothing to"
        " the grown wait; equal: its upper half; share: as `spread` says; none: the grown wait"
        " itself, a thundering herd.",
    )
    growth: Literal["doubling", "linear", "constant"] = Field(
        default="doubling", description="How a wait grows; of no use to decorrelated jitter."
    )
    step_ns: Duration = Field(
        default=0, alias="step", description="With linear growth, what each wait adds."
    )
    spread: Share = Field(
        default=0.0,
        description="With jitter: share, how far from the grown wait to both sides.",
        examples=["25%"],
    )
    reset: Literal["stable", "connack"] = Field(
        default="stable",
        description="When the growth is forgotten: after a session of agent.stable_after, or as"
        " soon as the broker says yes.",
    )
    attempts_max: int = Field(
        default=0,
        alias="attempts",
        ge=0,
        le=1_000_000,
        description="Retries in a row until it stops trying for `rest`; 0: it never does.",
    )
    rest_ns: Duration = Field(
        default=0,
        alias="rest",
        description="How long it then stops; 0: until its carrier comes again, or a boot.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Backoff:
        said = self.config(0)
        if said.cap_ns < said.base_ns:
            raise Refusal("a cap of at least base", found="a smaller one", at=("cap",))
        if "spread" in self.model_fields_set and said.jitter != "share":
            advice = "write `jitter: share`"
            raise Refusal(
                "spread only beside it", found="another jitter", at=("spread",), advice=advice
            )
        return self

    def config(self, stable_ns: int) -> BackoffConfig:
        """What the agent goes by.

        Args:
            stable_ns: age of a session that resets the growth, where no library decides.
        """
        said = self.model_fields_set - {"policy", "spread"}
        figures = {name: getattr(self, name) for name in sorted(said)}
        if "spread" in self.model_fields_set:
            figures["below_permille"] = figures["above_permille"] = round(_PERMILLE * self.spread)
        if self.policy is None:
            return msgspec.structs.replace(BackoffConfig(stable_ns=stable_ns), **figures)
        return msgspec.structs.replace(named(self.policy), **figures)


def read_backoff(value: object) -> object:
    """Look a policy up by its name; a mapping passes through with its own checked.

    Raises:
        Refusal: no such policy.
    """
    if isinstance(value, Backoff):
        return value
    if isinstance(value, dict):
        name = value.get("policy")
        if name is not None:
            if not isinstance(name, str):
                raise Refusal("the name of a policy", found=show(name), at=("policy",))
            must_be_one_of(name, POLICIES, "a back-off policy", ("policy",))
        return value
    if not isinstance(value, str) or value not in POLICIES:
        expected = f"a back-off: {choices(POLICIES)}; or {{base: 1s, cap: 2m, jitter: full}}"
        nearest = nearest_word(value, POLICIES) if isinstance(value, str) else ""
        raise Refusal(expected, found=show(value), nearest=nearest)
    return Backoff(policy=value)


ABackoff = Annotated[Backoff, BeforeValidator(read_backoff)]
WORDS: Final[dict[str, JsonValue]] = {"x-words": [*POLICIES]}
"""What an editor offers where an `ABackoff` stands."""
