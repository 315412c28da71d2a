"""Assembly: `build` makes everything a run needs, and refuses what cannot work before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch as th
from torch import Tensor

from components import EXPERIENCES
from components.disk_rows import DiskRows
from components.episode_batch import EpisodeBatch
from controllers import REGISTRY as CONTROLLERS
from envs import EnvInfo, check_keeps_replays, env_path, task_name
from learners import METHODS, MIXED
from learners import REGISTRY as LEARNERS
from learners.side_by_side import SideBySide
from modules.actors import REGISTRY as ACTORS
from modules.agents import REGISTRY as AGENTS
from modules.mixers import REGISTRY as MIXERS
from runners import REGISTRY as RUNNERS
from runners.base_runner import BaseRunner, EpisodeResult, Limits
from settings import extended, outside_learners, to_args
from training.checkpoint import find_checkpoint, load_checkpoint
from training.overlap import Overlap
from training.room import Kept, check_room, disk_folder
from training.seeding import Stream, seed_number
from training.threads import AUTO, settle_threads
from training.transfer import Transfer, take_what_fits
from utils.errors import UserError, nearest
from utils.logging import Logger
from utils.memory import no_room
from utils.memory_there import withdraw
from utils.timing import PhaseClock


class Every:
    """Says when `interval` steps have passed since what it counts was `done`."""

    def __init__(self, interval: int, last: int) -> None:
        self.interval, self.last = interval, last

    def is_due(self, t_env: int) -> bool:
        """Return whether it is time at `t_env`."""
        return t_env - self.last >= self.interval

    def done(self, t_env: int) -> None:
        """Start counting anew, if it was time."""
        if self.is_due(t_env):
            self.last = t_env


@dataclass
class Run:
    """Everything a run is made of, and where it stands: `t_env` environment steps and `episode` episodes so far.

    `due` says when it is time to test, log and save; `replay_saved` how many episodes of replay are on disk or gone,
    `replay_needed` the first one that the last checkpoint needs; `generators` what the process's generators are to be
    set to before training, see `utils.random_state`; `side_by_side` the processes that share updates, if there are any;
    `overlap` who learns while a round is played, if anybody; `transfer` what was taken of another run's networks, if
    anything was; `saved_at` the steps of the last checkpoint, -1 where it lacks something; `notes` what is to be told
    at the start.
    """

    args: Any
    task: str
    runner: BaseRunner
    mac: Any
    learner: Any
    experience: Any
    logger: Logger
    clock: PhaseClock
    due: dict[str, Every]
    t_env: int = 0
    episode: int = 0
    eval_seed: int = 0
    recent: list[EpisodeResult] = field(default_factory=list)
    replay_saved: int = 0
    replay_needed: int = 0
    generators: tuple[dict[str, Tensor], dict[str, Any]] | None = None
    side_by_side: SideBySide | None = None
    overlap: Overlap | None = None
    transfer: Transfer | None = None
    saved_at: int = -1
    notes: list[str] = field(default_factory=list)

    def close(self) -> None:
        """End environments and workers, and the processes that share updates."""
        if self.overlap is not None:
            self.overlap.close()
        if self.side_by_side is not None:
            self.side_by_side.close()
        self.runner.close()
        withdraw()


def build(settings: Mapping[str, Any]) -> Run:
    """Make a run from resolved settings (with a seed); raise `UserError` for what cannot work. Writes nothing."""
    args = to_args(settings)
    check(args)
    th.set_num_threads(1 if args.threads == AUTO else args.threads)
    th.manual_seed(seed_number(args.seed, Stream.TORCH))
    clock, logger = PhaseClock(), Logger()
    limits = Limits(args.max_losses_in_a_row, args.env_timeout, args.max_env_restarts)
    runner = RUNNERS[args.runner](env_path(args.env), args.env_args, args.batch_size_run, clock, limits)
    try:
        if args.buffer_dtype == "float16":
            runner.keep_floats_as(th.float16)
        args = _with_sizes(args, runner)
        check_task(args)
        mac, learner, experience = _made(args, runner, logger)
        intervals = {"test": args.test_interval, "log": args.log_interval, "save": args.save_model_interval}
        due = {name: Every(interval, last=0) for name, interval in intervals.items()}
        run = Run(args, task_name(args.env, args.env_args), runner, mac, learner, experience, logger, clock, due)
        run.eval_seed = args.seed
        if not args.evaluate:
            run.notes.append(check_room(Kept(learner.EXPERIENCE, experience, args, runner)))
        settle_threads(run)
        if args.overlap > 0 and not args.evaluate:
            run.overlap = _overlapping(run)
        if args.checkpoint_path is not None:
            _begin_from_checkpoint(run)
        return run
    except BaseException:
        runner.close()
        withdraw()
        raise


def _with_sizes(args: Any, runner: BaseRunner) -> Any:
    """Return the settings with the sizes that are learnt from the environment."""
    info = runner.info
    if args.report_metric == "test_battle_won_mean" and not info.has_winner:
        raise UserError("report_metric=test_battle_won_mean: nobody wins here; take report_metric=test_return_mean")
    return with_sizes(args, info)


def _made(args: Any, runner: BaseRunner, logger: Logger) -> tuple[Any, Any, Any]:
    """Return controller, learner and experience; raise `UserError` for settings or sizes that cannot be."""
    try:
        mac = CONTROLLERS[args.mac](runner.scheme, runner.groups, args)
        mac.agent.to(_device(args.device))
        learner = LEARNERS[args.learner](mac, runner.scheme, logger, args)
        if args.batch_steps > 0 and learner.EXPERIENCE != "fresh":
            raise ValueError(f"batch_steps={args.batch_steps} is for policies: replay gives batch_size episodes")
        EpisodeBatch(runner.scheme, runner.groups, args.batch_size_run, runner.max_seq_length)  # is there room?
        experience = EXPERIENCES[learner.EXPERIENCE](
            runner.scheme,
            runner.groups,
            args.buffer_size,
            runner.max_seq_length,
            seed_number(args.seed, Stream.REPLAY),
            learner.device if args.buffer_device == "learner" else "cpu",
            DiskRows(disk_folder(args)) if args.buffer_device == "disk" else None,
        )
    except ValueError as why:
        raise UserError(f"these settings do not go together: {why}") from why
    except (MemoryError, RuntimeError) as why:
        if no_room(why) is None:
            raise
        raise UserError(f"networks or episodes of these sizes do not fit into memory ({no_room(why)})") from why
    return mac, learner, experience


def _overlapping(run: Run) -> Overlap:
    try:
        return Overlap(run.mac, run.learner, th.get_num_threads())
    except ValueError as why:
        raise UserError(f"these settings do not go together: {why}; take overlap=0") from why


def _begin_from_checkpoint(run: Run) -> None:
    """Take up what `checkpoint_path` names: weights and counters, or the parts that fit."""
    path = find_checkpoint(run.args.checkpoint_path)
    tensors, numbers = load_checkpoint(path)
    if run.args.checkpoint_transfer:
        run.transfer = take_what_fits(run.learner, path, tensors)
        return
    numbers.pop("resume", None)  # a new run: replay, generators and figures are its own
    load_learner(run, path, tensors, numbers)
    _refuse_few_steps(run, path)


def _refuse_few_steps(run: Run, path: Path) -> None:
    """Refuse a new run from a checkpoint's weights that would train nothing: its steps go on from the checkpoint's."""
    if not run.args.evaluate and run.t_env >= run.args.t_max:
        raise UserError(
            f"t_max={run.args.t_max}: the checkpoint {path} has {run.t_env} steps, and a run from its weights goes on "
            f"from there; take a t_max above {run.t_env}, or checkpoint_transfer=True, which counts from 0"
        )


def with_sizes(args: Any, info: EnvInfo) -> Any:
    """Return the settings with the sizes beside them that are learnt from a task."""
    return extended(
        args,
        n_agents=info.n_agents,
        n_actions=info.n_actions,
        action_space=info.action_space,
        entities=info.entities,
        n_rewards=info.n_rewards,
        noop=info.noop,
        obs_images=info.obs_images,
        obs_shape=info.obs_size,
        state_shape=info.state_size,
    )


def check(args: Any) -> None:
    """Refuse unknown registry names, and settings that are each fine but do not go together."""
    LEARNERS.update({name: _imported(name, what) for name, what in outside_learners().items()})
    for setting, registry in (
        ("runner", RUNNERS), ("mac", CONTROLLERS), ("learner", LEARNERS), ("agent", AGENTS), ("mixer", MIXERS),
    ):  # fmt: skip
        name = getattr(args, setting)
        if name not in registry:
            raise UserError(f"{setting}={name}: no such {setting}; did you mean {nearest(name, registry)}?")
    if args.runner == "episode" and args.batch_size_run != 1:
        raise UserError(
            f"runner=episode plays one episode at a time, not {args.batch_size_run}: "
            "add batch_size_run=1, or take runner=vector"
        )
    if args.buffer_size < max(args.batch_size, args.batch_size_run):
        raise UserError(
            f"buffer_size={args.buffer_size} is smaller than batch_size={args.batch_size} or "
            f"batch_size_run={args.batch_size_run}: nothing would ever be learnt"
        )
    if args.device == "cuda" and not th.cuda.is_available():
        raise UserError("device=cuda: Torch sees no GPU here; take device=cpu or device=auto")
    if args.cuda_graph and _device(args.device) != "cuda":
        raise UserError("cuda_graph=True needs a GPU, and the networks are on the CPU; take cuda_graph=False")
    if args.acting_graph and _device(args.device) != "cuda":
        raise UserError("acting_graph=True needs a GPU, and the networks are on the CPU; take acting_graph=False")
    if "actor" in vars(args) and args.actor not in ACTORS:
        raise UserError(f"actor={args.actor}: no such actor; did you mean {nearest(args.actor, ACTORS)}?")
    _check_saving(args)
    for name in ("test_nepisode", "updates_per_run", "keep_checkpoints", "use_tensorboard", "local_results_path"):
        getattr(args, name)  # read later: one that is missing is told now
    task_name(args.env, args.env_args)  # raises for a bad task


def _imported(name: str, what: Any) -> Any:
    """Return a learner that was registered as a class, or as the text `module:Class`."""
    if not isinstance(what, str):
        return what
    module, _, class_name = what.partition(":")
    try:
        return getattr(import_module(module), class_name)
    except (ImportError, AttributeError) as why:
        raise UserError(f"the learner {name} was registered as {what}, which cannot be imported: {why}") from why


def check_task(args: Any) -> None:
    """Refuse a learner that can do nothing with the task's actions or rewards, and name the methods that can."""
    learner, kind = LEARNERS[args.learner], args.action_space.kind
    if kind not in learner.ACTIONS:
        able = [method for name, methods in METHODS.items() if kind in LEARNERS[name].ACTIONS for method in methods]
        raise UserError(
            f"{args.name} learns {' and '.join(sorted(learner.ACTIONS))} actions, and this task's are {kind}; "
            f"take --config={one_of(able)}"
        )
    if args.n_rewards > 1 and not learner.uses_own_rewards(args):
        able = [m for name, methods in METHODS.items() if LEARNERS[name].OWN_REWARDS for m in methods if m not in MIXED]
        raise UserError(
            f"common_reward=False gives every agent a reward of its own, and {args.name} learns from the team's; "
            f"take --config={one_of(able)}, or common_reward=True"
        )


def one_of(names: Sequence[str]) -> str:
    """Return ``a, b or c``."""
    *others, last = sorted(names)
    return f"{', '.join(others)} or {last}" if others else last


def _check_saving(args: Any) -> None:
    for name in ("evaluate", "checkpoint_transfer"):
        if getattr(args, name) and args.checkpoint_path is None:
            raise UserError(f"{name}=True needs checkpoint_path=<a run's folder or checkpoint>")
    if args.save_replay:
        if not args.evaluate:
            raise UserError("save_replay=True goes with evaluate=True: a game's replay holds all that it has played")
        check_keeps_replays(args.env)
    if args.absolute_factor > 0 and not args.save_model:
        raise UserError("absolute_factor needs the best checkpoint; take save_model=True, or absolute_factor=0")


def _device(setting: str) -> str:
    return ("cuda" if th.cuda.is_available() else "cpu") if setting == "auto" else setting


def load_learner(run: Run, path: Path, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Take up weights, targets, optimiser and counters of the checkpoint at `path`; `UserError` if they do not fit."""
    if not _same_form(numbers, run_numbers(run)):
        raise UserError(f"the checkpoint {path} does not hold what this version saves; take another one")
    for what, ours in (("algorithm", run.args.name), ("task", run.task)):
        if numbers[what] != ours:
            raise UserError(
                f"the checkpoint {path} is of {what} {numbers[what]}, and this run of {ours}; take the same {what}, or "
                "checkpoint_transfer=True for what fits"
            )
    try:
        run.learner.load_state(tensors, numbers["learner"])
    except RuntimeError as why:
        raise UserError(
            f"the checkpoint {path} has networks of other sizes; give the settings it was trained with"
        ) from why
    run.t_env, run.episode = numbers["t_env"], numbers["episode"]
    for every in run.due.values():
        every.last = run.t_env
    if run.args.evaluate:
        run.eval_seed = numbers["seed"]  # so that the evaluation made at this checkpoint can be repeated


def _same_form(numbers: Any, expected: Any) -> bool:
    """Say whether two things read from JSON have the same keys and kinds of values."""
    if not isinstance(expected, dict):
        return type(numbers) is type(expected)
    same_keys = isinstance(numbers, dict) and numbers.keys() == expected.keys()
    return same_keys and all(_same_form(numbers[key], value) for key, value in expected.items())


def run_numbers(run: Run) -> dict[str, Any]:
    """Return what a checkpoint says of its run besides tensors."""
    return {
        "algorithm": run.args.name,
        "task": run.task,
        "seed": run.args.seed,
        "t_env": run.t_env,
        "episode": run.episode,
        "learner": run.learner.state_numbers(),
    }
