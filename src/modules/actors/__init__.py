"""Actors: what an agent knows to a density over its actions."""
