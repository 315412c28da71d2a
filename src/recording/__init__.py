"""What `record.py` draws beside an environment's picture."""
