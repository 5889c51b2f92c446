"""Rehearses a rollout of a live registry: its shape and the real bundle's bytes become a virtual fleet."""
