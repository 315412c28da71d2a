"""What the doctor says of one thing."""

from __future__ import annotations

from typing import NamedTuple

WORKS, FAILS, NOTE = "ok", "no", "--"


class Finding(NamedTuple):
    """`mark`: whether it works, or fails, or is worth a note; `mend`: the command that mends it, if there is one."""

    mark: str
    subject: str
    said: str
    mend: str = ""

    def text(self) -> str:
        """Return it in one line, or two with the command below."""
        return f"{self.mark}  {self.subject}: {self.said}" + (f"\n      {self.mend}" if self.mend else "")
