"""Greedy episodes of a checkpoint as pictures: `python src/record.py PATH [--episodes N] [--seed N] [--out FOLDER]`.

Plays the episodes that the evaluation at that checkpoint played, without a screen, and writes a GIF and an MP4. Below
every picture of the environment stands what each agent thought of its actions, and which one it chose.
"""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from PIL import Image
from torch import Tensor

from components.episode_batch import EpisodeBatch, Rows
from envs.multiagentenv import MultiAgentEnv
from recording.q_strip import Choice, chosen_rows, draw_strip, scale_of, strip_width
from runners.base_runner import EpisodeResult
from training.assembly import Run
from training.checkpoint import run_folder_of
from training.evaluation import evaluation_streams
from training.reopen import ONE_HERE, reopen
from utils.arguments import Parser, whole
from utils.drawing import FAINT, Canvas, text_width
from utils.exits import exit_code
from utils.movie import Frame, write_movie
from utils.naming import typed

CONFIG_DIR = Path(__file__).parent / "config"
TITLE_HEIGHT, MARGIN, TEXT = 52, 16, 15  # pixels
LAST_STAYS = 2.0  # seconds that the end of an episode is shown


class Watched:
    """A controller as the runner knows it, which keeps a picture of `env` and the values behind every choice."""

    def __init__(self, mac: Any, env: MultiAgentEnv) -> None:
        self.mac, self.env = mac, env
        self.pictures: list[np.ndarray] = []
        self.choices: list[Choice] = []

    def init_hidden(self, batch_size: int) -> Tensor:
        """Return the hidden state before the first step: an episode begins."""
        self.pictures, self.choices = [], []
        return self.mac.init_hidden(batch_size)

    def draws(self, generators: Sequence[np.random.Generator], steps: int, epsilon: float) -> np.ndarray | None:
        """Return what the controller draws."""
        return self.mac.draws(generators, steps, epsilon)

    @th.no_grad()
    def select_actions(
        self, batch: EpisodeBatch, t_ep: int, hidden: Tensor, epsilon: float, draws: np.ndarray | None, bs: Rows
    ) -> tuple[np.ndarray, Tensor]:
        """Choose as the controller does, for the one episode of `batch`."""
        q, _ = self.mac.step(batch, t_ep, hidden, bs)
        actions, hidden = self.mac.select_actions(batch, t_ep, hidden, epsilon, draws, bs)
        self.pictures.append(self.env.render().copy())
        chosen = chosen_rows(actions[0], self.env.info.action_space)
        self.choices.append(Choice(q[0], batch.array("avail_actions")[0, t_ep], chosen))
        return actions, hidden


@dataclass(frozen=True)
class Episode:
    """A played episode of T steps: T + 1 pictures, the T choices between them, and how it went."""

    number: int
    pictures: list[np.ndarray]
    choices: list[Choice]
    result: EpisodeResult


def play(run: Run, count: int) -> Iterator[Episode]:
    """Play greedy episodes one after the other: the first `count` of the evaluation, if it had as many."""
    env = run.runner.env
    watched = Watched(run.mac, env)
    for number, stream in enumerate(evaluation_streams(run, count)):
        (result,) = run.runner.run(watched, [stream], epsilon=run.mac.epsilon(run.t_env, test_mode=True))[1]
        yield Episode(number, [*watched.pictures, env.render()], watched.choices, result)


def check_drawable(env: MultiAgentEnv) -> None:
    """Raise `UserError` for an environment that has no pictures."""
    env.reset(0)
    env.render()


def frames(run: Run, count: int, fps: int) -> Iterator[Frame]:
    """Play episodes, print how each went, and yield their frames: one per step, and one of the end that stays."""
    where = f"{run.args.name} on {run.task}, after {run.t_env:,} steps"
    for episode in play(run, count):
        result, title = episode.result, f"episode {episode.number + 1} of {count}"
        summary = f"return {result.episode_return:.3f} in {result.length} steps"
        print(f"{title}: {summary}{', cut off by the time limit' if result.truncated else ''}")
        drawn = _frame_drawer(run, episode, where)
        for picture, choice in zip(episode.pictures[:-1], episode.choices, strict=True):
            yield Frame(drawn(picture, choice, title), 1)
        yield Frame(drawn(episode.pictures[-1], None, f"{title}: {summary}"), max(round(LAST_STAYS * fps), 1))


def _frame_drawer(run: Run, episode: Episode, where: str) -> Callable[[np.ndarray, Choice | None, str], Image.Image]:
    """Return a function that puts title, picture and strip on one sheet; an episode's bars share one scale."""
    names, scale = run.runner.env.action_names(), scale_of(episode.choices, run.mac.shows)
    n_agents = run.runner.info.n_agents
    width = strip_width(n_agents, episode.pictures[0].shape[1])

    def drawn(picture: np.ndarray, choice: Choice | None, title: str) -> Image.Image:
        head = Canvas(width, TITLE_HEIGHT)
        head.text((MARGIN, 20), where, min(TEXT, TEXT * (width - 2 * MARGIN) / text_width(where, TEXT)))
        head.text((MARGIN, 42), title, TEXT, FAINT)
        return _stacked([head.image(), Image.fromarray(picture), draw_strip(choice, n_agents, names, scale, width)])

    return drawn


def _stacked(parts: Sequence[Image.Image]) -> Image.Image:
    """Return pictures below each other, centred."""
    width = max(part.width for part in parts)
    sheet = Image.new("RGB", (width, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        sheet.paste(part, ((width - part.width) // 2, top))
        top += part.height
    return sheet


def record(run: Run, count: int, seed: int | None, out: Path | None, fps: int) -> list[Path]:
    """Record `count` episodes and return the paths of the GIF and the MP4."""
    if seed is not None:
        run.eval_seed = seed
    check_drawable(run.runner.env)
    run_folder = run_folder_of(Path(run.args.checkpoint_path))
    return write_movie(out or run_folder / "recordings" / f"t_{run.t_env}", frames(run, count, fps), fps)


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog=typed("record"), description="A GIF and an MP4 of greedy episodes of a checkpoint.")
    parser.add_argument("path", metavar="PATH", help="a run's folder (its last checkpoint is taken) or a checkpoint")
    parser.add_argument("--episodes", type=whole(1, 1000), default=3, metavar="N",
                        help="how many to play (default: 3)")  # fmt: skip
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), metavar="N",
                        help="where the episodes come from (default: the run's own seed, whose episodes the "
                        "evaluation at this checkpoint played)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="where to write (default: <the run's folder>/recordings/t_<steps>)")  # fmt: skip
    parser.add_argument("--fps", type=whole(1, 50), default=4, metavar="N", help="steps per second (default: 4)")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Record, print where the films are, and return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "no film was written")


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    run = reopen(args.path, CONFIG_DIR, ONE_HERE)
    try:
        paths = record(run, args.episodes, args.seed, args.out, args.fps)
    finally:
        run.close()
    for path in paths:
        print(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
