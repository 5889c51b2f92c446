"""Rehearsals of rollouts: what is handed to a simulator, what it answers, and the book that is kept of it."""
