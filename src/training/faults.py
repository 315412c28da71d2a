"""What is kept of a run that a fault in its task's code has ended: the traceback, and how to see it happen again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.assembly import Run
from utils.errors import RunFailedError
from utils.files import write_whole, writing
from utils.naming import typed

FAULT = "fault.json"


@contextmanager
def faults_kept(run: Run, folder: Path) -> Iterator[None]:
    """Write `fault.json` into the run's folder when a task's fault ends it: the line, its notes, the episode played.

    `python src/doctor.py --repeat FOLDER` plays that episode again; a note says so.
    """
    try:
        yield
    except RunFailedError as failure:
        played = getattr(failure, "played", None)
        if played is not None:
            told = {"env": run.args.env, "env_args": run.args.env_args, "line": str(failure), **played}
            told["notes"] = list(getattr(failure, "__notes__", ()))
            with writing(folder / FAULT):
                write_whole(folder / FAULT, lambda path: path.write_text(json.dumps(told)))
            failure.add_note(f"to play this very episode again: {typed('doctor')} --repeat {folder}")
        raise
