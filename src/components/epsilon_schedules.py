"""How the share of random actions falls over training."""


class DecayThenFlatSchedule:
    """ε falls linearly from `start` to `finish` over `time_length` environment steps, then stays."""

    def __init__(self, start: float, finish: float, time_length: int) -> None:
        self.start, self.finish, self.time_length = start, finish, time_length

    def eval(self, t_env: int) -> float:
        """Return ε after `t_env` environment steps."""
        if t_env >= self.time_length:
            return self.finish
        return self.start + (self.finish - self.start) * t_env / self.time_length
