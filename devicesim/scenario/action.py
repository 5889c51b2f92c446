"""What all faults of a timeline share: when, for how long, on whom.

Decides the common keys of an action and the registry that each verb enters by being written down
(faults.py). Leaves out what a verb does to the world.

Rules: an action has one beginning, `at` or `when`; whether it may or must say `for`, and whether
it is aimed at devices, is a property of its verb. At the end of `for` the effect is undone. Without
it, an effect that lasts stays until another action ends it or the run does.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any, ClassVar, Final, get_args

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from devicesim.scenario.errors import Refusal
from devicesim.scenario.fields import At, Model, Name, PositiveDuration, Target, When


class Span(Enum):
    """Whether an action takes `for`."""

    REQUIRED = "must say for how long"
    OPTIONAL = "lasts, for as long as it says or until it is ended"
    INSTANT = "is over at once"


class Hits(StrEnum):
    """What an action is done to."""

    DEVICES = "devices"
    BROKER = "broker"
    GATEWAY = "gateway"


REGISTRY: Final[dict[str, type[Action]]] = {}
"""Verb to the class of its parameters, in the order in which they are written down."""


class Action(Model):
    """One line of the timeline."""

    hits: ClassVar[Hits]
    span: ClassVar[Span]
    verb: ClassVar[str]

    id: Name | None = Field(
        default=None, description="Name of this action, for triggers (action.ID.active) and checks."
    )
    at_ns: At | None = Field(default=None, alias="at", description="When it begins.")
    when: When | None = Field(
        default=None, description="Begins when this becomes true: a metric compared with a number."
    )
    once: bool = Field(
        default=True,
        description="With when: true acts the first time only, false each time it comes true.",
    )
    for_ns: PositiveDuration | None = Field(
        default=None, alias="for", description="How long it lasts; at the end it is undone."
    )
    target: Target | None = Field(
        default=None, description="Which devices it hits: a selector; all for everybody."
    )

    def __init_subclass__(cls, **_: Any) -> None:
        """Let the class keywords through to `__pydantic_init_subclass__`."""
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(
        cls, *, hits: Hits = Hits.DEVICES, span: Span = Span.OPTIONAL, **_: Any
    ) -> None:
        """Enter a verb into the registry: its name is the one value of its field `do`."""
        cls.hits, cls.span = hits, span
        (cls.verb,) = get_args(cls.model_fields["do"].annotation)
        REGISTRY[cls.verb] = cls

    @property
    def key(self) -> str:
        """What checks and reports call this action: its id, else its verb."""
        return self.id or self.verb

    @model_validator(mode="after")
    def _begins_once(self) -> Action:
        if (self.at_ns is None) == (self.when is None):
            found = "neither" if self.at_ns is None else "both"
            advice = "add `at: 45m`" if self.at_ns is None else "keep one of them"
            raise Refusal("either at or when", found=found, advice=advice)
        if self.when is None and not self.once:
            raise Refusal(
                "no once beside at",
                found="once: false",
                at=("once",),
                advice="an action with `at` happens once anyhow: remove it",
            )
        return self

    @model_validator(mode="after")
    def _lasts_as_its_verb_does(self) -> Action:
        if self.span is Span.REQUIRED and self.for_ns is None:
            raise Refusal(
                f"for, because {self.verb} {self.span.value}", found="no such key",
                advice="add `for: 30m`",
            )  # fmt: skip
        if self.span is Span.INSTANT and self.for_ns is not None:
            raise Refusal(
                f"no for, because {self.verb} {self.span.value}", found="for", at=("for",),
                advice="remove it",
            )  # fmt: skip
        return self

    @model_validator(mode="after")
    def _aims_as_its_verb_does(self) -> Action:
        if self.hits is Hits.DEVICES and self.target is None:
            raise Refusal(
                f"target, because {self.verb} hits devices", found="no such key",
                advice="add `target: all`, or a selector such as `target: group=kiosk`",
            )  # fmt: skip
        if self.hits is not Hits.DEVICES and self.target is not None:
            raise Refusal(
                f"no target, because {self.verb} hits the {self.hits.value}", found="target",
                at=("target",), advice="remove it",
            )  # fmt: skip
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the schema what the validators above insist on."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        required = schema.setdefault("required", [])
        if cls.hits is Hits.DEVICES:
            if cls.model_fields["target"].default is None:
                required.append("target")
        else:
            schema["properties"].pop("target", None)
        if cls.span is Span.REQUIRED:
            required.append("for")
        elif cls.span is Span.INSTANT:
            schema["properties"].pop("for", None)
        schema["oneOf"] = [{"required": ["at"]}, {"required": ["when"]}]
        return schema
