"""Classes with PyMARL's contract, in its forms, run unchanged; what they lack is told in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
from test_own_task import beside
from tiny_runs import csv_rows, play, read

from envs import example_task, make_env
from utils.errors import UserError

__all__ = ["beside"]  # the fixture
SOURCE = Path(example_task.__file__).read_text()
BEGIN = '        """Begin an episode."""\n'
FIVE = SOURCE.replace("def reset(self)", "def reset(self, seed=None, options=None)")
FIVE = FIVE.replace(BEGIN, BEGIN + "        self._rng = np.random.default_rng(seed)\n").replace(
    "return float(met), met or self._steps >= self.episode_limit, info",
    "return self.get_obs(), [float(met) / 2] * 2, met, not met and self._steps >= self.episode_limit, info",
)


def make(env, kwargs="{}", common_reward=True):
    return make_env("pymarl", {"env": env, "kwargs": kwargs, "common_reward": common_reward})


def outcomes(env, seed):
    """Play an episode with fixed draws; return what is seen and told, ends as `episode_limit` and steps apart."""
    rng, told = np.random.default_rng(seed), []
    env.reset(seed)
    while not told or not any(told[-1][1:3]):
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in env.get_avail_actions()])
        told.append(env.step(actions))
    return env.get_obs().tolist(), env.get_state().tolist(), told


def test_the_class_by_itself_gives_the_same_episode():
    env, alone = make("envs.example_task:Meeting"), example_task.Meeting()
    ends = set()
    for seed in range(20):
        rng, over = np.random.default_rng(seed), False
        alone.seed(seed)
        alone.reset()
        env.reset(seed)
        while not over:
            np.testing.assert_array_equal(env.get_obs(), alone.get_obs())
            np.testing.assert_array_equal(env.get_state(), alone.get_state())
            np.testing.assert_array_equal(env.get_avail_actions(), np.array(alone.get_avail_actions()) == 1)
            actions = np.array([rng.choice(np.flatnonzero(row)) for row in env.get_avail_actions()])
            reward, terminated, truncated, info = env.step(actions)
            theirs, over, told = alone.step(actions.tolist())
            assert (reward, terminated or truncated, truncated) == (theirs, over, told.get("episode_limit", False))
            assert info == ({"battle_won": float(reward == 1)} if over else {})
        ends.add((terminated, truncated))
    assert ends == {(True, False), (False, True)} and env.info.repeatable and env.info.has_winner


def test_epymarls_form_is_the_same_task(beside):
    env, other = make("envs.example_task:Meeting"), make(f"{beside('five', FIVE)}:Meeting")
    assert [outcomes(env, seed) for seed in range(10)] == [outcomes(other, seed) for seed in range(10)]
    own = make("five:Meeting", common_reward=False)
    assert own.info.n_rewards == 2 and outcomes(own, 3)[2][-1][0].shape == (2,)


def test_a_seed_of_the_constructor_and_none_at_all(beside):
    without = re.sub(r"    def seed\(.*?\n\n", "", SOURCE, flags=re.DOTALL)
    env = make(f"{beside('built', without)}:Meeting")
    assert env.info.repeatable and outcomes(env, 5) == outcomes(env, 5) != outcomes(env, 6)
    unseeded = without.replace(", seed=None", "").replace("default_rng(seed)", "default_rng()")
    env = make(f"{beside('unseeded', unseeded)}:Meeting")
    assert not env.info.repeatable
    assert env.info.notes == ("env_args.env=unseeded:Meeting: its episodes cannot be repeated: it takes no seed",)


@pytest.mark.parametrize(
    "old, new, why",
    [
        ("def get_state", "def state_of", r"Meeting has no get_state\(\), as PyMARL's classes have"),
        ('"n_actions": 3,', "", r"get_env_info\(\) does not give n_actions; it gives n_agents, obs_shape"),
        ('"obs_shape": self.size', '"obs_shape": 7', r"get_obs\(\) has the shape \(2, 5\), and get_env_info\(\) says"),
        ("[1, int(agent > 0), 1]", "[0, 0, 0]", r"get_avail_actions\(\) leaves agent 0 no action"),
        ("return float(met), ", "return 'none', ", "the reward is 'none': it must be a number"),
        ("return float(met), met", "return met", r"step\(\) must return reward, terminated and info"),
        ("self._steps += 1", "exit(0)", r"step 1 of the episode of seed 101, actions .*: the task's code called sys"),
        ("class Meeting", "class Meting", "has no Meeting; did you mean Meting"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_told_in_one_line(beside, old, new, why):
    assert old in SOURCE
    with pytest.raises(UserError, match=why) as answer:
        make(f"{beside('wrong', SOURCE.replace(old, new))}:Meeting")
    assert str(answer.value).startswith("env_args.env=wrong:Meeting") and "\n" not in str(answer.value)


def test_a_whole_run_learns_and_tells_who_won(tmp_path):
    settings = {"env_args.kwargs.size": "3", "env_args.kwargs.episode_limit": "6"}
    folder = play("qmix", "pymarl", tmp_path, **settings)
    assert folder.parent.parent.name == "Meeting-episode_limit6-size3"
    assert "test_battle_won_mean" in read(folder, "metrics.json") and csv_rows(folder)[0]["won"] in ("0", "1")
