"""Trained agents in somebody else's program: as an object that acts, and as a file for other runtimes."""
