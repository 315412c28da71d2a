"""Greedy evaluation: which episodes are played, what is logged and listed of them, which checkpoint was best."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runners.base_runner import EpisodeResult, Streams
from training.assembly import Run, run_numbers
from training.checkpoint import save_checkpoint
from training.seeding import Stream, episode_streams
from utils.files import writing
from utils.logging import Console, append_rows

REPLAYS = "replays"
EVAL_EPISODES = "eval_episodes.csv"
BEST = "best"  # the folder of the best checkpoint, see absolute.py


def evaluate(run: Run, folder: Path, console: Console) -> None:
    """Play `test_nepisode` greedy episodes on streams of their own, log them, and append one row for each."""
    results = play_greedy(run, evaluation_streams(run, run.args.test_nepisode))
    log_results(run, results, prefix="test_")
    with writing(folder / EVAL_EPISODES):
        append_rows(folder / EVAL_EPISODES, *episode_list(run, run.t_env, results))
    mean = run.logger.latest["test_return_mean"]
    console.say(f"t_env {run.t_env}: test return {mean:.3f} over {len(results)} {run.mac.evaluates()}")
    if run.args.save_replay:
        run.runner.save_replays(folder / REPLAYS)


def evaluation_streams(run: Run, count: int) -> list[tuple[int, np.random.Generator]]:
    """Return the streams of the first `count` evaluation episodes at `run.t_env`."""
    return [episode_streams(run.eval_seed, Stream.TEST_EPISODE, run.t_env, number) for number in range(count)]


def play_greedy(run: Run, streams: Streams) -> list[EpisodeResult]:
    """Play one greedy episode per stream, `batch_size_run` at once.

    With `evaluation_epsilon` some actions are random, with `evaluation_draws` all are drawn from the policy; each
    episode's from its own stream.
    """
    results: list[EpisodeResult] = []
    epsilon = run.mac.epsilon(run.t_env, test_mode=True)
    with run.clock.booking_all_on("test"):
        for first in range(0, len(streams), run.args.batch_size_run):
            results += run.runner.run(run.mac, streams[first : first + run.args.batch_size_run], epsilon)[1]
    return results


def episode_list(run: Run, t_env: int, results: Sequence[EpisodeResult]) -> tuple[list[str], list[list[Any]]]:
    """Return header and rows of greedy episodes in the archive's lists: `eval_episodes.csv`, `absolute_episodes.csv`.

    Agents with rewards of their own have a column each, `agent_0_return` and so on; `return` is their sum. What the
    environment lists has columns too, empty where an episode did not tell.
    """
    info = run.runner.info
    header = ["t_env", "seed", "return", "length", "truncated", "won"]
    header += [f"agent_{agent}_return" for agent in range(info.n_rewards) if info.n_rewards > 1]
    header += info.listed
    rows = []
    for result in results:
        won = str(int(result.info["battle_won"])) if info.has_winner else ""
        row = [t_env, result.seed, result.episode_return, result.length, int(result.truncated), won]
        rows.append([*row, *(result.agent_returns or ()), *(result.info.get(name, "") for name in info.listed)])
    return header, rows


def log_results(run: Run, results: list[EpisodeResult], prefix: str) -> None:
    """Log mean and spread of returns, mean length, and the means of what the environment says of an episode.

    Where agents have rewards of their own, the mean of each agent's return too: `agent_0_return_mean` and so on.
    """
    returns = np.array([result.episode_return for result in results])
    figures = {
        "return_mean": returns.mean(),
        "return_std": returns.std(),
        "ep_length_mean": np.mean([result.length for result in results]),
    }
    if results[0].agent_returns is not None:
        for agent, mean in enumerate(np.mean([result.agent_returns for result in results], axis=0)):
            figures[f"agent_{agent}_return_mean"] = mean
    for key in dict.fromkeys(key for result in results for key in result.info):  # some tasks tell some at times alone
        figures[f"{key}_mean"] = np.mean([result.info[key] for result in results if key in result.info])
    for key, value in figures.items():
        run.logger.log_stat(prefix + key, float(value), run.t_env)


def evaluation_due(run: Run) -> bool:
    """Say whether it is time for an evaluation: at the start, every `test_interval` steps, and at the end."""
    done = run.logger.history.get("test_return_mean", {"steps": []})["steps"]
    at_the_end = run.t_env >= run.args.t_max and (not done or done[-1] < run.t_env)
    return not done or at_the_end or run.due["test"].is_due(run.t_env)


def keep_if_best(run: Run, folder: Path) -> None:
    """Save what was just evaluated if it is better than all before, for `absolute.evaluate_best`."""
    *earlier, last = run.logger.history[run.args.report_metric]["values"]
    if run.args.absolute_factor > 0 and all(last > value for value in earlier):
        with writing(folder / BEST):
            save_checkpoint(folder / BEST, run.t_env, run.learner.state_tensors(), run_numbers(run), {})
