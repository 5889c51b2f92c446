"""What happens at the socket is tried on both loops: a gateway runs on uvloop, whose transports are of another kind."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
