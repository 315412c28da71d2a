"""Helpers that know nothing of the rest: settings, logging, checkpoints, seeds."""
