"""What may stand next on a command line of `mmsa`: commands, configs, settings and values, as they are declared."""

from collections.abc import Iterable, Mapping, Sequence

from settings import ALGS, ENVS, PROTOCOLS, RUN_VERBS, Setting, config_names, listed_settings
from study import SUBCOMMANDS
from utils.errors import UserError
from utils.naming import SRC

CONFIG_DIR = SRC / "config"
_FLAGS = {"--config": ALGS, "--env-config": ENVS}


def candidates(words: Sequence[str], commands: Iterable[str]) -> list[str]:
    """Return the words that may stand where the last of `words` is being typed; no files, and no options of tools.

    A word that goes on (`lr=`) ends with the sign behind which it does.
    """
    *before, now = words
    match before:
        case []:
            found = list(commands)
        case ["study"]:
            found = list(SUBCOMMANDS)
        case ["completion"]:
            found = ["bash", "zsh"]
        case ["doctor", *_]:
            found = config_names(CONFIG_DIR, ENVS)
        case ["settings", *given]:
            found = [*_flags(given, now), "--files-schema", "--json-schema"]
        case ["train", *given]:
            found = _train(given, now)
        case _:
            found = []
    return [word for word in found if word.startswith(now)]


def _train(given: Sequence[str], now: str) -> list[str]:
    if "with" in given:
        return _settings(given, now)
    archived = given and given[0].partition("=")[0] in RUN_VERBS
    verbs = [] if given else [form for verb in RUN_VERBS for form in (f"{verb}=", f"{verb}=latest")]
    return ["with"] * bool(given) + verbs + ([] if archived else _flags(given, now))


def _flags(given: Sequence[str], now: str) -> list[str]:
    """Return the flags that are not given yet; with the names of configs where the sign is typed already."""
    flag, sign, _ = now.partition("=")
    if sign and flag in _FLAGS:
        return [f"{flag}={name}" for name in config_names(CONFIG_DIR, _FLAGS[flag])]
    return [f"{flag}=" for flag in _FLAGS if not any(word.startswith(f"{flag}=") for word in given)]


def _settings(given: Sequence[str], now: str) -> list[str]:
    chosen = dict(word.split("=", 1) for word in given if "=" in word)
    try:
        declared, _ = listed_settings(chosen.get("--config"), chosen.get("--env-config"), CONFIG_DIR)
    except UserError:  # a config that does not exist is told when the command is given
        return []
    key, sign, _ = now.partition("=")
    if sign:
        return [f"{key}={value}" for value in _values(key, declared)]
    return [f"{key}=" for key in declared if key not in chosen]


def _values(key: str, declared: Mapping[str, Setting]) -> list[str]:
    if key not in declared:
        return []
    setting = declared[key]
    found = {"bool": ["true", "false"], "choice": list(setting.choices)}.get(setting.kind, [])
    if key == "protocol":
        found = config_names(CONFIG_DIR, PROTOCOLS)
    return found + ["null"] * setting.nullable + ([setting.other] if setting.other else [])
