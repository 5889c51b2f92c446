"""``python -m devicesdk`` is the command `fleetdrill`."""

from devicesdk.cli import main

main()
