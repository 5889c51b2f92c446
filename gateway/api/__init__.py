"""The gateway's HTTP API, /v1."""
