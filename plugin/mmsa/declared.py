"""The settings of MMSA held against what `config/algs/mmsa.yaml` declared of them when it was installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmsa.settings.schema import read_declaration
from mmsa.utils.errors import UserError

FILE = "src/config/algs/mmsa.yaml"


def check(given: Mapping[str, Any]) -> None:
    """Raise ValueError, one line with setting, value and what is allowed, for what is missing or out of range."""
    declared = json.loads(Path(__file__).with_name("declared.json").read_text(encoding="utf-8"))
    for key, (comment, line) in declared.items():
        setting = read_declaration(key, comment, FILE, line)
        if setting is None:
            raise ValueError(f"{FILE}:{line}: what {key} may be cannot be read; install MMSA again")
        if key not in given:
            raise ValueError(f"{key} is missing: {FILE} had it in line {line}, {setting.allowed}")
        try:
            setting.parse(given[key])
        except UserError as mistake:
            raise ValueError(str(mistake)) from None
