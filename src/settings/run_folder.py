"""What a run's folder in the archive says of its settings.

The archive is data: its settings pass the same checks as a command line, and reading it runs no code.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from settings.config import resolve
from settings.declarations import changeable, earlier_values, unexplained
from settings.for_hosts import FOR_HOSTS
from settings.schema import as_text, shown
from settings.yaml_file import read_entries
from utils.errors import PassingError, UserError, may_pass
from utils.locks import is_held

LATEST = "latest"


def find_run(name: str, changes: Mapping[str, str], config_dir: Path, verb: str = "resume") -> Path:
    """Return the folder of a run: `name` itself, or for "latest" the training started last anywhere below the results.

    Evaluations of a checkpoint do not count then, nor, to `resume`, runs that a process works at. `verb` is what is to
    be done with it, for messages.
    """
    if name != LATEST:
        if not (Path(name) / "config.json").is_file():
            raise UserError(f"{verb}={shown(name)}: no run here; give results/sacred/<task>/<algorithm>/<id>")
        return Path(name)
    results = changes.get("local_results_path", _default_results(config_dir))
    runs = [folder for folder in _run_folders(Path(results)) if not _evaluates(folder)]
    if not runs:
        raise UserError(f"{verb}=latest: no run in {shown(results)}; give a run's folder")
    if verb == "resume":
        runs = [folder for folder in runs if not is_held(folder)]
        if not runs:
            raise PassingError(f"resume=latest: each run in {shown(results)} is in use; wait, or give a folder")
    return max(runs, key=lambda folder: (folder / "config.json").stat().st_mtime)


def refuse_absent(folder: Path, why: object = None) -> None:
    """Raise `PassingError` where a run that was found is away now, or its file system gives no answer: no damage.

    `why` is what went wrong there, if it is known.
    """
    here = os.path.isfile(folder / "config.json")  # Path.is_file raises where there is no answer
    if not here or (isinstance(why, Exception) and may_pass(why)):
        raise PassingError(
            f"{folder} cannot be read now ({why if here else 'it is not there any more'}); see to it, then resume again"
        )


def _run_folders(results: Path) -> Iterator[Path]:
    """Yield the folders of runs at any depth, `…/sacred/<task>/<algorithm>/<id>`: a study's and the demo's too."""
    for place, below, files in os.walk(results):
        folder = Path(place)
        if "config.json" in files and folder.name.isdigit() and folder.parts[-4:-3] == ("sacred",):
            below.clear()
            yield folder


def _evaluates(folder: Path) -> bool:
    return _read_config(folder / "config.json").get("evaluate") is True


def _default_results(config_dir: Path) -> str:
    return next(e.text for e in read_entries(config_dir / "default.yaml") if e.key == "local_results_path")


def settings_from(verb: str, name: str, changes: Mapping[str, str], config_dir: Path) -> dict[str, Any]:
    """Return the settings of a new run on the weights of an archived one: as it had them, but for those that change.

    Args:
        verb: "evaluate", or "continue" training.
        name: a run's folder (its last checkpoint is taken), a checkpoint in it, or "latest".
        changes: settings to differ, as text.
        config_dir: where the settings are declared.
    """
    checkpoint = Path(name)
    if (checkpoint / "numbers.json").is_file():
        folder = checkpoint.resolve().parents[1]
    else:
        folder = checkpoint = find_run(name, changes, config_dir, verb)
    start = {
        "checkpoint_path": str(checkpoint),
        "checkpoint_transfer": "false",
        "evaluate": str(verb == "evaluate").lower(),
    }
    return archived_settings(folder, start | dict(changes), config_dir)


def resumed_settings(folder: Path, changes: Mapping[str, str], config_dir: Path) -> dict[str, Any]:
    """Return the settings with which a run goes on; raise `UserError` for a change that would alter it.

    So does a setting that changes figures, that is younger than the run, and of which nobody has said what it was
    before: it may be given.
    """
    config = _read_config(folder / "config.json")
    pair, texts = (config["name"], config["env_config"]), _texts(config)
    unknown = unexplained(texts, *pair, config_dir)
    allowed = changeable(*pair, config_dir)
    for key in changes:
        if key not in allowed and key not in unknown:
            raise UserError(
                f"{shown(key)}: a resumed run keeps its settings, only {', '.join(sorted(allowed))} may differ; "
                "for a new run from its weights: with checkpoint_path=..."
            )
    _refuse_unknown([key for key in unknown if key not in changes], folder, pair, config_dir)
    settings = archived_settings(folder, changes, config_dir)
    if settings["evaluate"]:
        raise UserError(f"{folder} was an evaluation; there is nothing to resume")
    return settings


def _refuse_unknown(keys: list[str], folder: Path, pair: tuple[str, str], config_dir: Path) -> None:
    if keys:
        today = resolve(*pair, {}, config_dir)
        values = " ".join(f"{key}={as_text(_value(today, key))}" for key in keys)
        raise UserError(
            f"{folder} was begun before there was {', '.join(keys)}, and nothing says what stood for it then; give it "
            f"(today's default would be: with {values}), or go on with the code of that time ({folder / 'info.json'} "
            "has its commit)"
        )


def _value(settings: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        settings = settings[part]
    return settings


def archived_settings(folder: Path, changes: Mapping[str, str], config_dir: Path) -> dict[str, Any]:
    """Return the settings of a run's folder, with some changed.

    What it does not say is what it meant when it was made, where that is declared, and else today's default.
    """
    config = _read_config(folder / "config.json")
    pair, texts = (config["name"], config["env_config"]), _texts(config)
    return resolve(*pair, earlier_values(texts, *pair, config_dir) | texts | dict(changes), config_dir)


def read_json(path: Path, advice: str = "leave checkpoints in their archive") -> Any:
    """Return what a file of the archive holds; raise `UserError`, with advice, where it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as why:  # no UTF-8, no JSON, a number of thousands of digits
        raise UserError(f"{path} cannot be read ({why}); {advice}") from why


def read_info(folder: Path) -> dict[str, Any]:
    """Return what `info.json` says, nothing where it is not there yet; raise `UserError` for another form."""
    path = folder / "info.json"  # sacred writes it with its first heartbeat, some seconds after the start
    advice = "remove it to go on without it"
    info = read_json(path, advice) if path.exists() else {}
    if not isinstance(info, dict) or not isinstance(info.get("resumed", []), list):
        raise UserError(f"{path} is not what this version writes; {advice}")
    for start in (info, *info.get("resumed", [])):
        _read_versions(start)
    return info


def _read_versions(start: Any) -> None:
    """Put plain text in the place of what older archives have as versions of packages: a pickled object, as text."""
    packages = start.get("packages") if isinstance(start, dict) else None
    if not isinstance(packages, dict):
        return
    for name, version in packages.items():
        if isinstance(version, dict):
            try:
                packages[name] = str(version["py/newargs"]["py/tuple"][0])
            except (KeyError, IndexError, TypeError):
                packages[name] = "unknown"


def _read_config(path: Path) -> dict[str, Any]:
    config = read_json(path)
    if not isinstance(config, dict) or not all(isinstance(config.get(k), str) for k in ("name", "env_config")):
        raise UserError(f"{path} is not a config.json of this version: it does not name the two configs of the run")
    return config


def _texts(config: Mapping[str, Any], group: str = "") -> dict[str, str]:
    """Return settings by dotted key, as a command line would give them."""
    texts: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            texts |= _texts(value, f"{group}{key}.")
        elif group or key not in ("name", "env_config", "env", *FOR_HOSTS):
            texts[group + key] = as_text(value)
    return texts
