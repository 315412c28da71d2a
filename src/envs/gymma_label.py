"""The names of people's own tasks in folders: readable, and never the same for different arguments."""

import hashlib
import json
import re

LONGEST_LABEL = 60  # characters


def safe_name(text: str) -> str:
    """Return a text with dashes for what folder names lack."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text)


def label(kwargs: str) -> str:
    """Return arguments (JSON) as the end of a folder's name: readable, and never the same for others."""
    given = json.loads(kwargs)
    if not given:
        return ""
    plain = "".join(f"-{name}{value}" for name, value in given.items())
    short = safe_name(plain).rstrip("-")
    if short == plain and len(short) <= LONGEST_LABEL and all(isinstance(v, int) for v in given.values()):
        return short
    return f"{short[:LONGEST_LABEL].rstrip('-')}-{hashlib.sha256(kwargs.encode()).hexdigest()[:6]}"
