"""What `doctor.py` looks at. Standard library alone: it has to answer where nothing is installed."""
