"""Every number of a configuration has bounds, and what we ship lies within them."""

from __future__ import annotations

import msgspec
import pytest

from devicesdk.agent.backoff_policies import POLICIES
from devicesdk.agent.config import AgentConfig, BackoffConfig
from devicesdk.host.bounds import AGENT, BACKOFF, WORDS, refusal


def numbers(kind: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(kind) if field.type is int}


def test_no_number_is_without_bounds() -> None:
    assert numbers(AgentConfig) == AGENT.keys()
    assert numbers(BackoffConfig) == BACKOFF.keys()


def test_what_we_ship_is_within_bounds() -> None:
    assert refusal(AgentConfig()) == ""


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_so_is_what_a_library_does_unless_it_gives_up_for_good(name: str) -> None:
    config = POLICIES[name].config
    refused = refusal(AgentConfig(backoff=config))
    assert bool(refused) == (config.attempts_max > 0 and not config.rest_ns), refused


@pytest.mark.parametrize("name", sorted(AGENT))
def test_a_value_below_or_above_is_refused_by_name(name: str) -> None:
    for found in (AGENT[name][0] - 1, AGENT[name][1] + 1):
        said = refusal(msgspec.structs.replace(AgentConfig(), **{name: found}))
        assert said.startswith(f"expected {name} from"), said
        assert said.endswith(f"found {found}")


@pytest.mark.parametrize("name", sorted(BACKOFF))
def test_so_is_one_of_the_back_off(name: str) -> None:
    for found in (BACKOFF[name][0] - 1, BACKOFF[name][1] + 1):
        backoff = msgspec.structs.replace(BackoffConfig(), **{name: found})
        assert refusal(AgentConfig(backoff=backoff)).startswith(f"expected backoff.{name} from")


@pytest.mark.parametrize("name", sorted(WORDS))
def test_a_word_that_nothing_knows_is_refused(name: str) -> None:
    backoff = msgspec.structs.replace(BackoffConfig(), **{name: "sometimes"})
    said = refusal(AgentConfig(backoff=backoff))
    assert said == f"expected backoff.{name} out of {', '.join(WORDS[name])}, found 'sometimes'"
