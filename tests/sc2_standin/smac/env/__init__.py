import numpy as np
from battles import Battle

from smac.env.starcraft2.maps.smac_maps import SIZES


class StarCraft2Env(Battle):
    def __init__(self, map_name, **rules):
        super().__init__(map_name=map_name, sizes=SIZES[map_name], **rules)

    def _seen_by(self, agent):
        seen = super()._seen_by(agent)
        if self._sees_time:  # after a place for it that stays empty
            seen = np.append(seen, [0, self._steps / self.episode_limit])
        return seen

    def get_env_info(self):
        info = super().get_env_info()
        return info | {"obs_shape": info["obs_shape"] + self._sees_time}
