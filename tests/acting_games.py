"""`ActingEnv` under the keys of matrix games, with bounds that hold: any kind of action space in whole runs."""

from counting_env import ActingEnv

PATH = "acting_games:ActingGame"  # tests: monkeypatch.setitem(ENVS, "matrix_game", PATH)
KINDS = {"one_step": "discrete", "two_step": "continuous", "climbing": "multidiscrete"}


class ActingGame(ActingEnv):
    def __init__(self, key):
        super().__init__(KINDS[key], common_reward=True, episode_limit=4)

    def step(self, actions):
        if self.space.kind == "continuous":
            actions = actions.clip(self.space.low, self.space.high)
        return super().step(actions)

    @classmethod
    def task_name(cls, env_args):
        return KINDS[env_args["key"]]
