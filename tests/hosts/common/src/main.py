"""Train: `python src/main.py --config=mmsa --env-config=tiny with t_max=100`; prints what was logged."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml
from run import run

CONFIG = Path(__file__).parent / "config"


def settings_of(config, env_config):
    files = (CONFIG / "default.yaml", CONFIG / "envs" / f"{env_config}.yaml", CONFIG / "algs" / f"{config}.yaml")
    settings = {}
    for file in files:
        settings |= yaml.safe_load(file.read_text())
    return settings


if __name__ == "__main__":
    config, env_config, *updates = [word for word in sys.argv[1:] if word != "with"]
    settings = settings_of(config.removeprefix("--config="), env_config.removeprefix("--env-config="))
    for update in updates:
        key, value = update.split("=")
        settings[key] = yaml.safe_load(value)
    print(json.dumps(run(SimpleNamespace(**settings))))
