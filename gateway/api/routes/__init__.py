"""Routes by resource; each module has a `router`."""
