"""What runs in the embedded broker's process: ``python -m gateway.adapters.brokers.embedded_child TOML``.

Decides that it ends with its parent: the broker has no way to be stopped from within, so the process
watches its standard input, which the parent holds open, and goes when that closes.
"""

from __future__ import annotations

import logging
import os
import sys
import threading


def _end_with_parent() -> None:
    try:
        sys.stdin.buffer.read()
    finally:
        os._exit(0)


def main(config: str) -> None:
    """Serve until the parent goes away."""
    from iotcore import Broker

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    # rumqttd wraps routing in error spans, which would print a line for every packet.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Broker(config_path=config).run_forever()


if __name__ == "__main__":
    main(sys.argv[1])
