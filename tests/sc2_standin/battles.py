"""A stand-in for what smac and smacv2 have in common, with real pysc2 and a process that stands for the game.

It shares with the packages what `envs.starcraft2` deals with: when a game is started, what becomes of a lost one, names
and shapes. Its battles are made up. STANDIN_FAULT says what goes wrong, in every game anew: crash@N, error@N, rude@N or
hang@N at the N-th request, or unborn: no unit ever appears.
"""

import os
import random
import time
from types import SimpleNamespace

import numpy as np
import websocket
from absl import flags
from pysc2 import maps, run_configs
from pysc2.lib import protocol

FLAGS = flags.FLAGS
FLAGS(["main.py"])
LOST = (protocol.ProtocolError, protocol.ConnectionError)


class Battle:
    """Allies and enemies with some health each; whoever is attacked loses one, and allies are hit at random."""

    def __init__(self, *, map_name, sizes, game_version, seed, obs_timestep_number, replay_dir="", **rules):
        self.map_name, self.game_version, self.replay_dir, self.rules = map_name, game_version, replay_dir, rules
        self.n_agents, self.n_enemies, self.episode_limit = sizes
        self._seed, self._sees_time = seed, obs_timestep_number
        self.n_actions_no_attack = 6
        self.n_actions = 6 + self.n_enemies
        self.timeouts = self._episode_count = self.force_restarts = 0
        self._sc2_proc = self._run_config = None

    def _launch(self):
        self._run_config = run_configs.get(version=self.game_version)
        self._sc2_proc = self._run_config.start(want_rgb=False, connect=False)
        self._run_config.map_data(maps.get(self.map_name).path)
        self._requests, self._rng = 0, random.Random(self._seed)

    def _ask(self):
        self._requests += 1
        fault, _, at = os.environ.get("STANDIN_FAULT", "").partition("@")
        if at and self._requests >= int(at):
            if fault == "error":
                raise protocol.ProtocolError("Error in RPC response")
            if fault == "rude":
                raise websocket.WebSocketBadStatusException("Handshake status %s", 500)
            if fault == "hang":
                time.sleep(FLAGS.sc2_timeout)
                raise protocol.ConnectionError("Websocket timed out.")
            self._sc2_proc._proc.kill()
            self._sc2_proc._proc.wait()
        if not self._sc2_proc.running:
            raise protocol.ConnectionError("Connection already closed. SC2 probably crashed.")

    def reset(self, team=()):
        self._steps, self.team = 0, team
        if self._episode_count == 0:
            assert self._sc2_proc is None, "the game is started twice, and the enemies count twice"
            self._launch()
        else:
            try:
                self._ask()
            except LOST:
                self.full_restart()
        try:
            self._ask()
            while os.environ.get("STANDIN_FAULT") == "unborn":
                time.sleep(0.05)
                self._ask()
        except LOST:
            self.full_restart()
        self.agents = [SimpleNamespace(health=self._rng.randint(2, 4)) for _ in range(self.n_agents)]
        self.enemies = [SimpleNamespace(health=self._rng.randint(1, 4)) for _ in range(self.n_enemies)]
        return self.get_obs(), self.get_state()

    def full_restart(self):
        self._sc2_proc.close()
        self._launch()
        self.force_restarts += 1

    def step(self, actions):
        for agent, action in enumerate(actions):
            assert type(action) is int and self.get_avail_actions()[agent][action] == 1
        try:
            self._ask()
        except LOST:
            self.full_restart()
            return 0, True, {}
        self._steps += 1
        reward = 0
        for action in actions:
            target = action - self.n_actions_no_attack
            if target >= 0 and self.enemies[target].health > 0:
                self.enemies[target].health -= 1
                reward += 1
        for unit in self.agents:
            unit.health = max(0, unit.health - (self._rng.random() < 0.15))
        dead_allies, dead_enemies = (sum(u.health == 0 for u in side) for side in (self.agents, self.enemies))
        info = {"battle_won": False, "dead_allies": dead_allies, "dead_enemies": dead_enemies}
        over = dead_allies == self.n_agents or dead_enemies == self.n_enemies
        if over:
            info["battle_won"] = dead_allies < self.n_agents
        elif self._steps >= self.episode_limit:
            over, self.timeouts = True, self.timeouts + 1
        self._episode_count += over
        return reward, over, info

    def _seen_by(self, agent):
        own = self.agents[agent].health
        seen = [own, agent, *self.team, *(u.health for u in self.enemies)] if own else [0] * (2 + self.n_seen)
        return np.array(seen, dtype=np.float64)

    @property
    def n_seen(self):
        return self.n_enemies

    def get_obs_move_feats_size(self):
        return 2 + self.n_seen - self.n_enemies

    def get_obs_enemy_feats_size(self):
        return self.n_enemies, 1

    def get_obs_ally_feats_size(self):
        return self.n_agents - 1, 0

    def get_obs(self):
        return [self._seen_by(agent) for agent in range(self.n_agents)]

    def get_state(self):
        return np.array([u.health for u in (*self.agents, *self.enemies)], dtype=np.float32)

    def get_avail_actions(self):
        living = [[0, 1, 1, 1, 1, 1, *(int(u.health > 0) for u in self.enemies)] for _ in self.agents]
        dead = [1] + [0] * (self.n_actions - 1)
        return [row if unit.health else dead for row, unit in zip(living, self.agents, strict=True)]

    def get_env_info(self):
        return {
            "n_agents": self.n_agents, "n_actions": self.n_actions, "episode_limit": self.episode_limit,
            "obs_shape": 2 + self.n_seen, "state_shape": self.n_agents + self.n_enemies,
        }  # fmt: skip

    def get_stats(self):
        raise ZeroDivisionError("no battle yet")

    def save_replay(self):
        self._ask()
        self._run_config.save_replay(b"a replay", replay_dir=self.replay_dir, prefix=self.map_name)

    def close(self):
        if self._sc2_proc:
            self._sc2_proc.close()
