"""A page that shows runs while they train: what is read of a results folder, and who may read it."""
