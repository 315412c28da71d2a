"""Multi-Agent MuJoCo, `mamujoco_v1` of `gymnasium-robotics`: agents share one robot's joints.

The package hands out the joints and decides what each agent sees: position and velocity of its own joints (for Ant and
Humanoid also forces on their bodies), the positions of joints up to `agent_obsk` joints away, and the robot's root.
Two of its scenarios show less than that with 1.4.2: both agents of CoupledHalfCheetah see the second cheetah's joints,
and in ManySegmentAnt joints are neighbours across segments from one side only.
"""

import io
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium
import numpy as np

from envs.action_spaces import ActionSpace, Continuous, Discrete
from envs.multiagentenv import EnvInfo, MultiAgentEnv
from utils.errors import UserError, nearest

try:
    import mujoco  # noqa: F401  it loads what MUJOCO_GL names, whether anything is drawn or not
except ModuleNotFoundError:
    raise
except (AttributeError, ImportError, RuntimeError) as why:
    raise UserError(f"MuJoCo does not start with MUJOCO_GL={os.environ.get('MUJOCO_GL')}: {why}; unset it") from why

with redirect_stderr(io.StringIO()):  # it prints news of other robots
    from gymnasium_robotics import mamujoco_v1
from gymnasium_robotics.envs.multiagent_mujoco import many_segment_ant, many_segment_swimmer
from gymnasium_robotics.envs.multiagent_mujoco.coupled_half_cheetah import CoupledHalfCheetahEnv
from gymnasium_robotics.envs.multiagent_mujoco.obsk import get_parts_and_edges

CONFS: dict[str, tuple[str, ...]] = {  # scenario -> what agent_conf may be
    "Ant": ("2x4", "2x4d", "4x2", "8x1"),
    "CoupledHalfCheetah": ("1p1",),
    "HalfCheetah": ("2x3", "6x1"),
    "Hopper": ("3x1",),
    "Humanoid": ("9|8",),
    "HumanoidStandup": ("9|8",),
    "Pusher": ("3p",),
    "Reacher": ("2x1",),
    "Swimmer": ("2x1",),
    "Walker2d": ("2x3", "6x1"),
}
ONE_JOINT_EACH = {("Ant", "8x1"), ("Walker2d", "6x1")}  # ours: the package does not have them
SEGMENTED = {  # scenario -> the robot it lengthens, and what writes its model; agent_conf is agents x segments of each
    "ManySegmentAnt": ("Ant-v5", many_segment_ant.gen_asset),
    "ManySegmentSwimmer": ("Swimmer-v5", many_segment_swimmer.gen_asset),
}


def check_task(scenario: str, agent_conf: str) -> None:
    """Raise `UserError` unless the scenario exists and can be shared out so."""
    if scenario not in CONFS and scenario not in SEGMENTED:
        raise UserError(f"unknown scenario {scenario!r}: did you mean {nearest(scenario, [*CONFS, *SEGMENTED])}?")
    if scenario in SEGMENTED:
        if not re.fullmatch(r"[1-9][0-9]?x[1-9][0-9]?", agent_conf) or agent_conf == "1x1":
            raise UserError(
                f"env_args.agent_conf={agent_conf}: {scenario} takes agents x segments of each, at least two segments "
                "in all, for example 6x1"
            )
    elif agent_conf not in CONFS[scenario]:
        raise UserError(f"env_args.agent_conf={agent_conf}: {scenario} takes {' or '.join(CONFS[scenario])}")


def torques(low: np.ndarray, high: np.ndarray, n_bins: int) -> np.ndarray:
    """Return what each action of an agent does: (n_bins ** joints, joints), in the actuators' units.

    Every joint has `n_bins` levels from `low` to `high`, both (joints,); the first joint's level changes fastest.
    """
    levels = np.linspace(low, high, n_bins)
    grid = np.indices((n_bins,) * len(low)).reshape(len(low), -1)[::-1].T
    return np.take_along_axis(levels, grid, axis=0)


class MAMuJoCoEnv(MultiAgentEnv):
    """A robot whose joints belong to several agents; an action is a torque for each joint of an agent.

    `action_space=bins` gives each joint `n_bins` levels of torque, and an action is one combination of an agent's
    levels; `continuous` takes torques as they are, in the actuators' units, clipped to their range. Agents with fewer
    joints than others have fewer actions, or numbers, available.

    The package gives the team's reward to every agent: it is taken once, not summed. An episode terminates when the
    robot falls (Ant, Hopper, Humanoid, Walker2d) and is truncated after `episode_limit` steps. Observations end with
    zeros where others' are longer; the state is the robot's full observation. Info: `x_position`, in metres, for robots
    that run.
    """

    def __init__(
        self,
        scenario: str,
        agent_conf: str,
        agent_obsk: int,
        action_space: str,
        n_bins: int,
        max_actions: int,
        episode_limit: int,
    ) -> None:
        check_task(scenario, agent_conf)
        self._game = _game(scenario, agent_conf, agent_obsk)
        parts = self._game.agent_action_partitions
        ranges = self._game.single_agent_env.model.actuator_ctrlrange  # the action space rounds them to float32
        self._ranges = [ranges[[joint.act_ids for joint in part]].T for part in parts]  # low and high, (2, joints) each
        space, sizes = self._torque_space(action_space, n_bins, max_actions)
        self._available = np.arange(sizes.max()) < sizes[:, None]
        self._agents = self._game.possible_agents
        obs_size = max(self._game.observation_space(agent).shape[0] for agent in self._agents)
        self._obs = np.zeros((len(self._agents), obs_size), dtype=np.float32)
        self._steps = 0
        self.info = EnvInfo(
            n_agents=len(self._agents),
            n_actions=int(sizes.max()),
            obs_size=obs_size,
            state_size=self._game.single_agent_env.observation_space.shape[0],
            episode_limit=episode_limit,
            obs_dtype=np.dtype(np.float32),
            state_dtype=np.dtype(np.float32),
            has_winner=False,
            action_space=space,
        )

    def _torque_space(self, action_space: str, n_bins: int, max_actions: int) -> tuple[ActionSpace, np.ndarray]:
        """Return the space of actions, and how much of it each agent has (N,)."""
        joints = np.array([bounds.shape[1] for bounds in self._ranges])
        if action_space == "continuous":
            low, high = (np.full((len(joints), joints.max()), missing, dtype=np.float32) for missing in (-1, 1))
            for agent, bounds in enumerate(self._ranges):
                low[agent, : joints[agent]], high[agent, : joints[agent]] = bounds
            self._torques = None
            return Continuous(low, high), joints
        _check_actions(n_bins, int(joints.max()), max_actions)
        self._torques = [torques(*bounds, n_bins) for bounds in self._ranges]
        return Discrete(), np.array([len(table) for table in self._torques])

    @classmethod
    def task_name(cls, env_args: Mapping[str, Any]) -> str:
        """Return scenario, conf and sight, as `HalfCheetah-6x1-obsk1`; raise `UserError` for an unknown task."""
        scenario, conf = env_args["scenario"], env_args["agent_conf"]
        check_task(scenario, conf)
        return f"{scenario}-{conf.replace('|', '-')}-obsk{env_args['agent_obsk']}"

    @classmethod
    def packages(cls, env_args: Mapping[str, Any]) -> Sequence[str]:
        """Return the packages that hold the rules."""
        return ("gymnasium-robotics", "mujoco")

    def reset(self, seed: int) -> None:
        """Begin a new episode drawn from `seed` alone: MuJoCo's data, warm starts included, is cleared."""
        self._see(self._game.reset(seed=int(seed))[0])
        self._steps = 0

    def step(self, actions: np.ndarray) -> tuple[float, bool, bool, dict[str, float]]:
        """Take one joint action: rows of each agent's `torques`, integers (N,), or the torques themselves, (N, C)."""
        if self._torques is None:
            applied = [
                np.clip(own[: bounds.shape[1]], *bounds) for own, bounds in zip(actions, self._ranges, strict=True)
            ]
        else:
            applied = [table[action] for table, action in zip(self._torques, actions, strict=True)]
        seen, rewards, ends, _, infos = self._game.step(dict(zip(self._agents, applied, strict=True)))
        self._see(seen)
        self._steps += 1
        first = self._agents[0]
        terminated = bool(ends[first])
        truncated = not terminated and self._steps >= self.info.episode_limit
        figures = {name: float(infos[first][name]) for name in ("x_position",) if name in infos[first]}
        return float(rewards[first]), terminated, truncated, figures

    def _see(self, seen: Mapping[str, np.ndarray]) -> None:
        for row, agent in zip(self._obs, self._agents, strict=True):
            row[: len(seen[agent])] = seen[agent]

    def get_obs(self) -> np.ndarray:
        """Return (N, obs_size) float32, in the package's order: own joints, others by distance, the root."""
        return self._obs

    def get_state(self) -> np.ndarray:
        """Return the robot's full observation, Gymnasium's: (state_size,) float32."""
        return self._game.state().astype(np.float32)

    def get_avail_actions(self) -> np.ndarray:
        """Return (N, W) bool: all that an agent's joints can do."""
        return self._available

    def action_names(self) -> Sequence[str]:
        """Return the torque on each joint, as `+0.4` or `+0.4 -1`; agents with fewer joints use the first parts.

        For continuous actions: `joint 0`, `joint 1`, …, counted for each agent.
        """
        if self._torques is None:
            return [f"joint {number}" for number in range(self.info.n_actions)]
        table = max(self._torques, key=len)
        return [" ".join(f"{torque:+.4g}" for torque in row.round(6) + 0.0) for row in table]

    def render(self) -> np.ndarray:
        """Return the robot as the package's camera sees it, (480, 480, 3) uint8; raise `UserError` without OpenGL."""
        if sys.platform == "linux":
            os.environ.setdefault("MUJOCO_GL", "egl")  # Gymnasium would take GLFW, which needs a screen
        viewer = self._game.single_agent_env.mujoco_renderer.viewer
        try:
            if viewer is not None:
                viewer.make_context_current()  # Gymnasium does not: pictures would freeze once another robot is drawn
            return self._game.render()
        except Exception as why:  # each backend and driver fails in its own way
            raise UserError(
                f"MuJoCo cannot draw here with MUJOCO_GL={os.environ.get('MUJOCO_GL')} "
                f"({type(why).__name__}); set it to egl, osmesa or glfw, whichever this machine has"
            ) from why

    def close(self) -> None:
        """Free the renderer."""
        self._game.close()


def _game(scenario: str, agent_conf: str, agent_obsk: int) -> mamujoco_v1.parallel_env:
    apart = (scenario, agent_conf) in ONE_JOINT_EACH
    parts, edges, roots = get_parts_and_edges(scenario, None if apart else agent_conf)
    joints = sorted(chain(*parts), key=lambda joint: joint.act_ids)
    for number, joint in enumerate(joints):
        # The package sorts joints by label, and three of Pusher's share one: their order would change from run to run.
        if [other.label for other in joints].count(joint.label) > 1:
            joint.label += f"_{number}"
    factorization = {"partition": [(joint,) for joint in joints] if apart else parts, "edges": edges, "globals": roots}
    robot = _robot(scenario, agent_conf)
    return mamujoco_v1.parallel_env(scenario, agent_conf, agent_obsk, factorization, gym_env=robot)


def _robot(scenario: str, agent_conf: str) -> gymnasium.Env:
    """Return Gymnasium's environment without the time limit it is registered with (Reacher's is 50 steps)."""
    if scenario == "CoupledHalfCheetah":
        return CoupledHalfCheetahEnv("rgb_array")
    settings = {"render_mode": "rgb_array", "disable_env_checker": True}
    if scenario not in SEGMENTED:
        return gymnasium.make(f"{scenario}-v5", **settings).unwrapped
    name, write_model = SEGMENTED[scenario]
    agents, segments = map(int, agent_conf.split("x"))
    # Left to itself the package writes the model into its own folder and deletes it: workers would race for it.
    with TemporaryDirectory() as folder:
        model = str(Path(folder) / "model.xml")
        write_model(agents * segments, model)
        return gymnasium.make(name, xml_file=model, **settings).unwrapped


def _check_actions(n_bins: int, joints: int, max_actions: int) -> None:
    if n_bins**joints <= max_actions:
        return
    fitting = max(bins for bins in range(1, n_bins) if bins**joints <= max_actions)
    advice = f"take env_args.n_bins={fitting}" if fitting > 1 else "take an agent_conf with fewer joints per agent"
    raise UserError(
        f"env_args.n_bins={n_bins}: an agent with {joints} joints would have {n_bins}^{joints} = {n_bins**joints} "
        f"actions, and env_args.max_actions={max_actions}; {advice}, or raise max_actions"
    )
