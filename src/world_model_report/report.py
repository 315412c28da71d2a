"""The report put together: what was played, the numbers, the short answer, the pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from components.episode_batch import EpisodeBatch
from runners.base_runner import EpisodeResult
from settings import read_json
from training.assembly import Run
from utils.commit import commit_of
from utils.errors import UserError
from world_model_report.episode_figure import draw_episode, story_of
from world_model_report.estimates import Comparison, Estimate, compare, estimates
from world_model_report.horizon_figures import draw_errors, draw_matches
from world_model_report.lookahead import Lookahead
from world_model_report.path_figures import draw_hidden_paths, draw_latent_paths, spread_of_episodes
from world_model_report.words import answer

SHOWN = 3  # episodes whose latents are drawn
BANDS = "Bands: 95%, by bootstrap over episodes."
CAPTIONS = {
    "errors": (
        "How far ahead can it see?",
        "Open-loop predictions under the actions really taken, against what then came: mean squared error over that of "
        "a predictor that always says the mean of all rows, both on the same rows. Below both other lines, the model "
        f"has learnt how states move; above 1, to say the mean would be better. {BANDS}",
    ),
    "actions": (
        "Does it know what agents will do?",
        "How often the greedy action in the imagined hidden state is what the agent then did. The ceiling is what the "
        "real hidden state gives for the same steps: agents explored, and those who act in imagination may be the "
        f"target copies. {BANDS}",
    ),
    "latent": (
        "Latent state of the team, real and imagined",
        "First two principal components of the real latents of all episodes. Paths of an episode of median length, of "
        "the longest, and of one that is longer than a quarter of them, imagined under the actions really taken.",
    ),
    "hidden": (
        "Hidden state of each agent, real and imagined",
        "The same for the hidden states, decoded from imagined latents; components are each agent's own.",
    ),
    "episode": (
        "One episode, step by step",
        "The episode of median length, whose paths are drawn above. First what an agent did; below it, what the model, "
        "1, 2 and 3 steps before, imagined that it would do, greedily, after the actions really taken until then. "
        "Columns are environment steps; of a long episode the first 100 are shown.",
    ),
}


@dataclass(frozen=True)
class Played:
    """Fresh episodes, how they came about, and how many steps ahead to look."""

    batch: EpisodeBatch
    results: list[EpisodeResult]
    epsilon: float
    seed: int
    horizon: int


@dataclass(frozen=True)
class Report:
    """All that is written.

    `facts`: what this is a report of. `metrics`: what `learner.diagnose` gives. `estimates`: the numbers against the
    horizon. `settings`: the run's, from its archive. `figures`: by file name without `.png`; `captions` their headings
    and what they show.
    """

    title: str
    facts: dict[str, Any]
    answer: list[str]
    comparisons: list[Comparison]
    metrics: dict[str, float]
    estimates: list[Estimate]
    settings: dict[str, Any]
    figures: dict[str, Figure]
    captions: dict[str, tuple[str, str]]


def make_report(run: Run, run_folder: Path, played: Played, command: str) -> Report:
    """Look at the episodes with the run's world model and agents."""
    rollout_horizon = run.args.rollout_horizon
    look = Lookahead(run.learner, played.batch, played.horizon)
    metrics = {name: value.item() for name, value in run.learner.diagnose(played.batch).items()}
    found, comparisons = estimates(look), compare(look, rollout_horizon)
    episodes = spread_of_episodes(look.lengths, SHOWN)
    names = run.runner.env.action_names()
    return Report(
        title=f"World model of {run.args.name} on {run.task}, after {run.t_env:,} steps",
        facts=facts_of(run, run_folder, played, command),
        answer=answer(comparisons, rollout_horizon, metrics),
        comparisons=comparisons,
        metrics=metrics,
        estimates=found,
        settings=settings_of(run_folder),
        figures={
            "errors": draw_errors(found, rollout_horizon),
            "actions": draw_matches(found, rollout_horizon),
            "latent": draw_latent_paths(look, episodes),
            "hidden": draw_hidden_paths(look, episodes[0]),
            "episode": draw_episode(story_of(look, episodes[0]), names),
        },
        captions=CAPTIONS,
    )


def facts_of(run: Run, run_folder: Path, played: Played, command: str) -> dict[str, Any]:
    """Return what this is a report of, and how to have it again."""
    results = played.results
    info = run_folder / "info.json"
    return {
        "run": str(run_folder),
        "checkpoint": Path(run.args.checkpoint_path).name,
        "environment steps": run.t_env,
        "algorithm": run.args.name,
        "task": run.task,
        "seed of the run": run.args.seed,
        "commit of the run": _read(info).get("commit", "unknown") if info.exists() else "unknown",
        "command": command,
        "commit of this report": commit_of(Path(__file__).parents[1]),
        "episodes": len(results),
        "environment steps in them": sum(result.length for result in results),
        "their mean return": float(np.mean([result.episode_return for result in results])),
        "share of random actions, ε": played.epsilon,
        "seed of the episodes": played.seed,
    }


def settings_of(run_folder: Path) -> dict[str, Any]:
    """Return a run's settings, from its archive."""
    return _read(run_folder / "config.json")


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no names; leave checkpoints in their archive")
    return content
