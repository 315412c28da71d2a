"""A run from its settings to its archive: assembly, the one loop, evaluation, checkpoints, exact resume."""
