"""A class written for PyMARL trains in PyMARL2 and here, from one file, where `PYMARL2_DIR` names a checkout."""

import re
from pathlib import Path
from shutil import copy

from plugin_hosts import mended_copy, python
from test_own_task import beside
from tiny_runs import play, read

from envs import example_task

__all__ = ["beside"]  # the fixture
SETTINGS = {"t_max": 1000, "test_interval": 500, "test_nepisode": 8, "log_interval": 200, "batch_size": 8, "seed": 1}
# PyMARL2's main.py wants a map_name of every task.
ENTRY = """
from .meeting import Meeting
REGISTRY["meeting"] = lambda map_name, **kwargs: Meeting(**kwargs)
"""


def test_one_file_trains_in_pymarl2_and_here(tmp_path, beside):
    source = Path(example_task.__file__)
    root = mended_copy("PYMARL2_DIR", tmp_path / "pymarl2")
    copy(source, root / "src" / "envs" / "meeting.py")
    with (root / "src" / "envs" / "__init__.py").open("a") as registry:
        registry.write(ENTRY)
    (root / "src" / "config" / "envs" / "meeting.yaml").write_text("env: meeting\nenv_args: {map_name: meeting}\n")
    words = [f"{key}={value}" for key, value in SETTINGS.items()]
    said = python(root, "src/main.py", "--config=vdn", "--env-config=meeting", "with", *words, "use_cuda=False")
    there = [float(value) for value in re.findall(r"test_return_mean: +(\S+)", said)]

    name = beside("meeting", source.read_text())
    folder = play("vdn", "pymarl", **{"env_args.env": f"{name}:Meeting"}, **{k: str(v) for k, v in SETTINGS.items()})
    here = read(folder, "metrics.json")["test_return_mean"]["values"]
    assert len(there) >= 2 and len(here) >= 2 and all(0 <= value <= 1 for value in [*there, *here])
