import random

import numpy as np
from battles import Battle

import smacv2.env.starcraft2.maps.smac_maps  # noqa: F401  which pysc2 finds by its classes

LIMIT = 8


class StarCraft2Env(Battle):
    def __init__(self, capability_config, **rules):
        sizes = capability_config["n_units"], capability_config["n_enemies"], LIMIT
        super().__init__(sizes=sizes, **rules)

    @property
    def n_seen(self):
        return self.n_enemies + self.n_agents


class Units:
    def __init__(self, config):
        self.config, self.rng = config, np.random.default_rng()

    def generate(self):
        team = self.rng.choice(len(self.config["unit_types"]), self.config["n_units"], p=self.config["weights"])
        team = team.tolist()
        random.shuffle(team)
        return team


class Teams:
    """A distribution that holds another, as surrounded_and_reflect does."""

    def __init__(self, config):
        self.inner = Units(config)

    def generate(self):
        return self.inner.generate()


class StarCraftCapabilityEnvWrapper:
    def __init__(self, **kwargs):
        config = kwargs["capability_config"]
        for part in config.values():
            if isinstance(part, dict):
                part |= {"n_units": config["n_units"], "n_enemies": config["n_enemies"]}
        self.env_key_to_distribution_map = {"team_gen": Teams(config["team_gen"])}
        self.env = StarCraft2Env(**kwargs)

    def __getattr__(self, name):
        return getattr(self.env, name)

    def reset(self):
        return self.env.reset(self.env_key_to_distribution_map["team_gen"].generate())
