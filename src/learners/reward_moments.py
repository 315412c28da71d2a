"""Rewards less their running mean, over their running standard deviation (`standardise_rewards`, as in EPyMARL).

Every reward of training counts once, when it is experienced; or, as in EPyMARL, those of the batches that are learnt
from count as often as they are drawn, and padding as rewards of 0 (`standardise_from`). Evaluation never counts.
"""

import torch as th
from torch import Tensor

MIN_STD = 1e-4  # rewards that were all alike so far become 0, not noise


class RewardMoments:
    """Mean and spread of all rewards so far, each of a team's or of an agent's own; as tensors, changed in place."""

    def __init__(self, n_rewards: int, device: th.device | str) -> None:
        self.count = th.zeros((), dtype=th.float64, device=device)
        self.mean = th.zeros(n_rewards, dtype=th.float64, device=device)
        self.squares = th.zeros(n_rewards, dtype=th.float64, device=device)  # summed squared distances from the mean

    def add(self, rewards: Tensor) -> None:
        """Count rewards (M, n_rewards), by Chan, Golub and LeVeque's update of the sums for a whole sample."""
        if len(rewards) == 0:
            return
        new = rewards.to(self.mean)
        total, mean = self.count + len(new), new.mean(dim=0)
        away = mean - self.mean
        self.squares += (new - mean).square().sum(dim=0) + away.square() * self.count * len(new) / total
        self.mean += away * len(new) / total
        self.count.copy_(total)

    @property
    def std(self) -> Tensor:
        """The standard deviation (n_rewards,) so far, at least `MIN_STD`."""
        return (self.squares / self.count.clamp(min=1)).sqrt().clamp(min=MIN_STD)

    def standardised(self, rewards: Tensor) -> Tensor:
        """Return rewards (…, n_rewards) less the mean, over the standard deviation, in their own dtype."""
        return ((rewards - self.mean) / self.std).to(rewards.dtype)

    def state(self) -> dict[str, Tensor]:
        """Return everything by name."""
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave. Raises RuntimeError for another form."""
        for name, own in self.state().items():
            if name not in state or state[name].shape != own.shape:
                raise RuntimeError(f"{name} of the rewards so far is missing, or of another size")
            own.copy_(state[name])
