"""The runs of a study: which there are, doing them, and telling how far they are."""
