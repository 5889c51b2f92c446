"""What the gateway must say of drift: which devices are told what, by when; and how it watches.

Decides the words for a scenario's promises about verdicts and the options of the watch. Leaves out the tests and
the causes (gateway/core/collect) and the keeping of promises (devicesim/world/checks/verdicts.py).

Rules: ``who`` selects devices, not cohorts: a device is told what its cohort is told, and *sensor* when it is
singled out in a cohort of which nothing else is said. A selector that draws anew is refused, because nobody
could know whom it meant.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from devicesdk.wire.timebase import MINUTE, format_duration
from devicesim.scenario.errors import Refusal
from devicesim.scenario.fields import Model, PositiveDuration, Target

Verdict = Literal["none", "data", "hardware", "both", "sensor"]


class Told(Model):
    """One promise about what devices are told."""

    who: Target = Field(description="Devices, as in a target.", examples=["profile=rpi5-kiosk"])
    verdict: Verdict = Field(
        description="data: inputs moved; hardware: golden probes fail; both; sensor: one device alone; "
        "none: nobody of them is ever told anything.",
        examples=["hardware"],
    )
    within_ns: PositiveDuration | None = Field(
        default=None,
        alias="within",
        description="Each of them is told so within this; not of none.",
    )
    after: str | None = Field(
        default=None, description="Verb or id of an action: counted from its beginning."
    )

    @model_validator(mode="after")
    def _of_its_kind(self) -> Told:
        if self.who.drawn:
            raise Refusal(
                "a selector by labels", found=str(self.who), at=("who",),
                advice="name the devices: `id=kiosk-0007`, `region=north`",
            )  # fmt: skip
        if (self.verdict == "none") != (self.within_ns is None):
            raise Refusal(
                "`within` of every verdict but none",
                found="no such key" if self.within_ns is None else "none within a time",
                at=("within",),
                advice="`within: 6h`; of `none` leave it out: it holds all the time",
            )
        if self.verdict == "none" and self.after is not None:
            raise Refusal("no `after` with none", found=self.after, at=("after",))
        return self

    def __str__(self) -> str:
        if self.within_ns is None:
            return f"{self.who}: never a verdict"
        tail = f" of {self.after}" if self.after is not None else ""
        return f"{self.who}: {self.verdict} within {format_duration(self.within_ns)}{tail}"


class DriftWatch(Model):
    """How the gateway watches for drift.

    The floor of 0.25 is for cohorts of tens to hundreds and windows shorter than a day: they are not the training
    population, and their light changes with the hour (healthy ones reach 0.13 in an hour and more in a quarter
    of one: models/README.md).
    """

    window_ns: PositiveDuration = Field(
        default=15 * MINUTE,
        alias="window",
        description="Cohorts are judged over this long; with whole days the hour is no shift.",
    )
    effect_min: float = Field(
        default=0.25,
        ge=0.001,
        le=10,
        description="Population stability index below which a shift is of no interest; an alarm clears"
        " below half of it.",
    )
