"""The report on a recurrent world model put together: numbers, the short answer, pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from envs.multiagentenv import MultiAgentEnv
from training.assembly import Run
from utils.errors import UserError
from world_model_report.bands import Band, ratio_band
from world_model_report.dream_figures import draw_calibration, draw_lines, draw_story
from world_model_report.dream_lookahead import DreamLookahead
from world_model_report.estimates import Comparison, Estimate
from world_model_report.report import Played, Report, facts_of, settings_of

CAPTIONS = {
    "errors": (
        "How far ahead can it see?",
        "Open-loop predictions under the actually taken actions, from rows with enough context, against what then "
        "came. keep: the last observation; mean: the mean of all rows; shuffled: one agent's imagination beside "
        "another's of another episode. Bands: 95%, by bootstrap over episodes.",
    ),
    "calibration": (
        "Does the task go on as often as it says?",
        "One step ahead: how often the task went on (for an agent), by how likely the model said it was. Larger dots "
        "hold more. On the line it may be believed.",
    ),
    "episode": (
        "One episode, real and imagined",
        "The longest episode after its context: what was observed, and what was imagined without looking, under the "
        "same actions.",
    ),
}


def make_dream_report(run: Run, run_folder: Path, played: Played, command: str, context: int) -> Report:
    """Look at the episodes with the run's world model."""
    look = DreamLookahead(run.learner, played.batch, context, played.horizon)
    begun = {"rows of context": context, "imagined on from": starts(look)}
    found = list(look.estimates())
    comparisons = compare(look, run.args.horizon)
    return Report(
        title=f"World model of {run.args.name} on {run.task}, after {run.t_env:,} steps",
        facts=facts_of(run, run_folder, played, command) | begun,
        answer=say_answer(look, comparisons, found),
        comparisons=comparisons,
        metrics=metrics_of(look),
        estimates=found,
        settings=settings_of(run_folder),
        figures={
            "errors": draw_lines(found),
            "calibration": draw_calibration(look.calibration()),
            "episode": draw_story(*look.story(look.longest(), played.horizon), drawer(run.runner.env)),
        },
        captions=CAPTIONS,
    )


def starts(look: DreamLookahead) -> str:
    """Say from which rows was imagined on."""
    return "every row" if look.every == 1 else f"one row of an episode in {look.every}"


def drawer(env: MultiAgentEnv) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return how an environment draws what agents see, (N, I) -> picture; None where it cannot."""
    try:
        env.reset(0)
        env.render_observation(env.get_obs().astype(np.float32))
    except UserError:
        return None
    return env.render_observation


def compare(look: DreamLookahead, horizon: int) -> list[Comparison]:
    """Compare the model's errors with the naive predictors' at one horizon, or at the longest that episodes reach."""
    j = min(horizon, len(look.ahead))
    ahead, episodes = look.ahead[j - 1], look.ahead[j - 1].episode.numpy()
    there = look.filled & ~look.segment.first
    comparisons = []
    for what in ("obs", "reward", "goes_on"):
        real, whole = getattr(ahead.real, what), getattr(look.segment, what)
        naive = {"mean": whole[there].mean(dim=0)}
        if what == "obs":
            naive = {"keep": whole[ahead.episode, ahead.row], **naive}
        mine = (getattr(ahead, what) - real).square().flatten(1).mean(dim=1).numpy()
        for name, guess in naive.items():
            other = (guess - real).square().flatten(1).mean(dim=1).numpy()
            comparisons.append(Comparison(what, name, j, ratio_band(mine, other, episodes)))
    return comparisons


def metrics_of(look: DreamLookahead) -> dict[str, float]:
    """Return what reconstruction loses, and what is said of rewards one step ahead."""
    ahead = look.ahead[0]
    some = ahead.real.reward != 0
    return {
        "reconstruction_error": (look.seen - look.segment.obs).square()[look.filled].mean().item(),
        "observation_variance": look.segment.obs[look.filled].var(dim=0).mean().item(),
        "reward_where_some": _mean(ahead.reward[some]),
        "reward_where_some_real": _mean(ahead.real.reward[some]),
        "reward_where_none": _mean(ahead.reward[~some]),
    }


def _mean(x: np.ndarray) -> float:
    return x.mean().item() if len(x) else float("nan")


NAMES = {"obs": "observations", "reward": "rewards", "goes_on": "continuation"}
SAID = {"keep": "«nothing changes»", "mean": "«always the mean»"}


def say_answer(look: DreamLookahead, comparisons: Sequence[Comparison], found: Sequence[Estimate]) -> list[str]:
    """Return sentences: errors at the run's horizon beside the naive ones', and whether agents agree."""
    j = comparisons[0].horizon
    steps = "1 step" if j == 1 else f"{j} steps"
    sentences = [f"{steps} ahead, after {look.context} rows of context, under the actions really taken:"]
    for what, name in NAMES.items():
        parts = [f"{_times(c.ratio)} that of {SAID[c.naive]} ({c.verdict})" for c in comparisons if c.what == what]
        sentences.append(f"For {name} the model's squared error is {' and '.join(parts)}.")
    apart = {e.predictor: e.mean for e in found if (e.quantity, e.horizon) == ("disagreement", j)}
    if apart:
        sentences.append(
            f"What two agents really see alike they are imagined to see {apart['model']:.2f} standard deviations "
            f"apart; without any agreement it would be {apart['shuffled']:.2f}."
        )
    return sentences


def _times(ratio: Band) -> str:
    if not np.isfinite(ratio.mean):
        return "beyond comparison with"
    band = f" (95% band {ratio.low:.2f} to {ratio.high:.2f})" if np.isfinite(ratio.low + ratio.high) else ""
    return f"{ratio.mean:.2f} times{band}"
