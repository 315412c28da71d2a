"""Greedy episodes of a checkpoint as pictures: `python src/record.py PATH [--episodes N] [--seed N] [--context N] …`.

Plays the episodes that the evaluation at that checkpoint played, without a screen, and writes a GIF and an MP4. Below
every picture of the environment stands what each agent thought of its actions, and which one it chose. Of agents that
learn in dreams, what their world model imagines of the same episode stands beside it, where observations can be drawn.
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
from recording.imagined_panel import Told, draw_told
from recording.q_strip import Choice, chosen_rows, draw_strip, scale_of, strip_width
from runners.base_runner import EpisodeResult
from training.assembly import Run
from training.checkpoint import run_folder_of
from training.evaluation import evaluation_streams
from training.reopen import ONE_HERE, reopen
from utils.arguments import Parser, whole
from utils.drawing import FAINT, Canvas, text_width
from utils.errors import UserError
from utils.exits import exit_code
from utils.movie import Frame, write_movie
from utils.naming import typed
from world_model_report.imagined_episode import ImaginedEpisode, imagined_episode

CONFIG_DIR = Path(__file__).parent / "config"
TITLE_HEIGHT, MARGIN, TEXT = 52, 16, 15  # pixels
CONTEXT = 1  # rows: an episode is imagined from its first observation on
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
    """A played episode of T steps: T + 1 pictures and rows, the T choices between them, and how it went."""

    number: int
    pictures: list[np.ndarray]
    choices: list[Choice]
    result: EpisodeResult
    batch: EpisodeBatch


def play(run: Run, count: int) -> Iterator[Episode]:
    """Play greedy episodes one after the other: the first `count` of the evaluation, if it had as many."""
    env = run.runner.env
    watched = Watched(run.mac, env)
    for number, stream in enumerate(evaluation_streams(run, count)):
        batch, (result,) = run.runner.run(watched, [stream], epsilon=run.mac.epsilon(run.t_env, test_mode=True))
        yield Episode(number, [*watched.pictures, env.render()], watched.choices, result, batch)


def check_drawable(env: MultiAgentEnv) -> None:
    """Raise `UserError` for an environment that has no pictures."""
    env.reset(0)
    env.render()


def draws_dreams(run: Run) -> bool:
    """Say whether a run has a world model whose dreams can be drawn; print why, where it has one and they cannot."""
    if not hasattr(run.learner, "world"):
        return False
    env = run.runner.env
    try:
        env.reset(0)
        env.render_observation(env.get_obs().astype(np.float32))
    except UserError as why:
        print(f"nothing imagined stands beside the episodes: {why}")
        return False
    return True


def panels_beside(run: Run, episode: Episode, context: int) -> list[Image.Image]:
    """Return what a dream method's world model says of every row of an episode, drawn."""
    told = imagined_episode(run.learner, episode.batch, context, seed=episode.result.seed)
    return [draw_told(_told(told, row, run.runner.env)) for row in range(len(told.obs))]


def _told(told: ImaginedEpisode, row: int, env: MultiAgentEnv) -> Told:
    observed, said = (env.render_observation(obs[row].numpy()) for obs in (told.real.obs, told.obs))
    numbers = [
        None if row == 0 else (getattr(told, name)[row].mean().item(), getattr(told.real, name)[row].mean().item())
        for name in ("reward", "goes_on")
    ]
    return Told(observed, said, row < told.context, *numbers)


def frames(run: Run, count: int, fps: int, context: int = CONTEXT) -> Iterator[Frame]:
    """Play episodes, print how each went, and yield their frames: one per step, and one of the end that stays."""
    dreams = draws_dreams(run)
    where = f"{run.args.name} on {run.task}, after {run.t_env:,} steps"
    for episode in play(run, count):
        result, title = episode.result, f"episode {episode.number + 1} of {count}"
        summary = f"return {result.episode_return:.3f} in {result.length} steps"
        print(f"{title}: {summary}{', cut off by the time limit' if result.truncated else ''}")
        pictures = [Image.fromarray(picture) for picture in episode.pictures]
        if dreams:
            beside = panels_beside(run, episode, context)
            pictures = [_together(pair, "beside") for pair in zip(pictures, beside, strict=True)]
        drawn = _frame_drawer(run, episode, where, pictures[0].width)
        for picture, choice in zip(pictures[:-1], episode.choices, strict=True):
            yield Frame(drawn(picture, choice, title), 1)
        yield Frame(drawn(pictures[-1], None, f"{title}: {summary}"), max(round(LAST_STAYS * fps), 1))


def _frame_drawer(
    run: Run, episode: Episode, where: str, at_least: int
) -> Callable[[Image.Image, Choice | None, str], Image.Image]:
    """Return a function that puts title, picture and strip on one sheet; an episode's bars share one scale."""
    names, scale = run.runner.env.action_names(), scale_of(episode.choices, run.mac.shows)
    n_agents = run.runner.info.n_agents
    width = strip_width(n_agents, at_least)

    def drawn(picture: Image.Image, choice: Choice | None, title: str) -> Image.Image:
        head = Canvas(width, TITLE_HEIGHT)
        head.text((MARGIN, 20), where, min(TEXT, TEXT * (width - 2 * MARGIN) / text_width(where, TEXT)))
        head.text((MARGIN, 42), title, TEXT, FAINT)
        return _together([head.image(), picture, draw_strip(choice, n_agents, names, scale, width)], "below")

    return drawn


def _together(parts: Sequence[Image.Image], how: str) -> Image.Image:
    """Return pictures below or beside each other, centred."""
    widths, heights = zip(*(part.size for part in parts), strict=True)
    below = how == "below"
    sheet = Image.new("RGB", (max(widths), sum(heights)) if below else (sum(widths), max(heights)), "white")
    at = 0
    for part in parts:
        place = ((sheet.width - part.width) // 2, at) if below else (at, (sheet.height - part.height) // 2)
        sheet.paste(part, place)
        at += part.height if below else part.width
    return sheet


def record(
    run: Run, count: int, seed: int | None, out: Path | None, fps: int, context: int | None = None
) -> list[Path]:
    """Record `count` episodes and return the paths of the GIF and the MP4."""
    if context is not None and not hasattr(run.learner, "world"):
        raise UserError(f"--context is for runs of dreamer, mamba, mabl or dmawm, not of {run.args.name}")
    if seed is not None:
        run.eval_seed = seed
    check_drawable(run.runner.env)
    run_folder = run_folder_of(Path(run.args.checkpoint_path))
    return write_movie(
        out or run_folder / "recordings" / f"t_{run.t_env}", frames(run, count, fps, context or CONTEXT), fps
    )


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog=typed("record"), description="A GIF and an MP4 of greedy episodes of a checkpoint.")
    parser.add_argument("path", metavar="PATH", help="a run's folder (its last checkpoint is taken) or a checkpoint")
    parser.add_argument("--episodes", type=whole(1, 1000), default=3, metavar="N",
                        help="how many to play (default: 3)")  # fmt: skip
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), metavar="N",
                        help="where the episodes come from (default: the run's own seed, whose episodes the "
                        "evaluation at this checkpoint played)")  # fmt: skip
    parser.add_argument("--context", type=whole(1, 1000), metavar="N",
                        help="rows of an episode that the world model of dreamer, mamba, mabl or dmawm sees before it "
                        f"imagines the others beside them (default: {CONTEXT})")  # fmt: skip
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
        paths = record(run, args.episodes, args.seed, args.out, args.fps, args.context)
    finally:
        run.close()
    for path in paths:
        print(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
