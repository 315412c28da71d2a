"""Whole runs with tiny settings, and what is read back from their archives."""

import csv
import json
from pathlib import Path

import main

MAIN = Path(main.__file__)
TINY = {
    "seed": "1", "t_max": "200", "batch_size": "8", "batch_size_run": "4", "buffer_size": "32", "device": "cpu",
    "test_interval": "60", "test_nepisode": "3", "log_interval": "50", "learner_log_interval": "50",
    "target_update_interval": "16", "epsilon_anneal_time": "150", "save_model_interval": "80",
}  # fmt: skip
DREAMS = {
    "world_hidden": "16", "latent_groups": "4", "latent_classes": "4", "world_width": "16", "decoder_width": "16",
    "attention_heads": "2", "attention_hidden": "16", "actor_width": "16", "critic_width": "16", "critic_heads": "2",
    "bins": "21", "bins_range": "3", "segments": "4", "segment_length": "8", "starts": "16", "horizon": "4",
    "learn_after": "40", "behaviour_after": "3", "buffer_size": "200",
}  # fmt: skip
LBF = {"env_args.key": "Foraging-5x5-2p-1f-v3", "env_args.episode_limit": "10"}


def settings_of(env, **settings):
    return TINY | (LBF if env == "lbf" else {}) | settings


def words(alg, env, settings):
    return [f"--config={alg}", f"--env-config={env}", "with", *(f"{k}={v}" for k, v in settings.items())]


def play(alg, env="matrix_game", results="results", **settings):
    """Train (or evaluate) through the command line and return the run's folder."""
    argv = words(alg, env, settings_of(env, local_results_path=str(results), **settings))
    assert main.main(argv) == 0
    (folder,) = [path.parent for path in Path(results).glob("sacred/*/*/*/config.json")]
    return folder


def read(folder, name):
    return json.loads((folder / name).read_text())


def csv_rows(folder):
    with (folder / "eval_episodes.csv").open() as file:
        return list(csv.DictReader(file))


def has_trained(folder, steps=100):
    """Say whether a run has been evaluated after so many steps: `metrics.json` comes ten seconds after the start."""
    path = folder / "eval_episodes.csv"
    last = path.read_text().rpartition("\n")[0].rpartition("\n")[2] if path.exists() else ""
    return last[:1].isdecimal() and int(last.partition(",")[0]) >= steps


def files(folder):
    """Every file below a folder, and what it holds."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(run, folder, words, says, capsys):
    """Call a tool with words in which {folder} stands for a run's: one line, exit code 2, and nothing is written."""
    before = files(folder)
    assert run(*(word.format(folder=folder) for word in words)) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err and not out
    assert files(folder) == before
