"""EPyMARL's part of `benchmarks/parity.py`: its learner on the weights and the batch of a file, in its own process.

    python benchmarks/there/epymarl.py CHECKOUT GIVEN FOUND

It imports nothing of this project, whose modules have the names of EPyMARL's.
"""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch as th

CHECKOUT, GIVEN, FOUND = sys.argv[1:]
sys.path.insert(0, f"{CHECKOUT}/src")

from controllers.basic_controller import BasicMAC  # noqa: E402

from learners.q_learner import QLearner  # noqa: E402


class Batch(dict[str, th.Tensor]):
    """What the learner asks of a batch of episodes."""

    device = "cpu"

    @property
    def batch_size(self) -> int:
        """The episodes."""
        return self["obs"].shape[0]

    @property
    def max_seq_length(self) -> int:
        """The rows."""
        return self["obs"].shape[1]


def under(given: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """Return what a file has under a part's name."""
    return {name.removeprefix(f"{part}."): array for name, array in given.items() if name.startswith(f"{part}.")}


def make_learner(given: dict[str, np.ndarray], batch: Batch, logged: dict[str, list[float]]) -> Any:
    """Return EPyMARL's learner as the file's settings have it."""
    ours = {name: value.item() for name, value in under(given, "args").items()}
    n_actions = batch["avail_actions"].shape[-1]
    args = SimpleNamespace(
        n_agents=batch["obs"].shape[2], n_actions=n_actions, state_shape=batch["state"].shape[-1],
        agent="rnn", hidden_dim=ours["rnn_hidden_dim"], use_rnn=ours["use_rnn"], obs_last_action=False,
        obs_agent_id=True, agent_output_type="q", action_selector="epsilon_greedy", epsilon_start=1.0,
        epsilon_finish=0.05, epsilon_anneal_time=50000, mixer=None if ours["mixer"] == "none" else ours["mixer"],
        mixing_embed_dim=ours["mixing_embed_dim"], hypernet_layers=2, hypernet_embed=ours["hypernet_embed"],
        common_reward=True, standardise_rewards=bool(given["standardise"]), standardise_returns=False, double_q=True,
        gamma=ours["gamma"], lr=ours["lr"], grad_norm_clip=ours["grad_norm_clip"], target_update_interval_or_tau=10**9,
        use_cuda=False, learner_log_interval=-1,
    )  # fmt: skip
    scheme = {"obs": {"vshape": batch["obs"].shape[-1]}, "actions_onehot": {"vshape": (n_actions,)}}
    logger = SimpleNamespace(log_stat=lambda name, value, _: logged.setdefault(name, []).append(value))
    return QLearner(BasicMAC(scheme, None, args), scheme, logger, args)


def main() -> None:
    """Load weights into networks and targets, take the updates, and write the losses and the weights after them."""
    given = dict(np.load(GIVEN))
    batch = Batch({name: th.tensor(array) for name, array in under(given, "batch").items()})
    for name, dtype in {"obs": th.float32, "state": th.float32, "actions": th.int64, "avail_actions": th.int64,
                        "filled": th.int64, "terminated": th.uint8}.items():  # fmt: skip
        batch[name] = batch[name].to(dtype)
    logged: dict[str, list[float]] = {}
    learner = make_learner(given, batch, logged)
    weights = under(given, "weight")
    parts = {"agent": [learner.mac.agent, learner.target_mac.agent]}
    if learner.mixer is not None:  # VDN's has no weights
        parts["mixer"] = [learner.mixer, learner.target_mixer]
    for part, modules in parts.items():
        for module in modules:
            module.load_state_dict({name: th.tensor(array) for name, array in under(weights, part).items()})
    for update in range(int(given["updates"])):
        learner.train(batch, update, update)
    after = {f"{part}.{name}": tensor.numpy() for part, modules in parts.items()
             for name, tensor in modules[0].state_dict().items()}  # fmt: skip
    np.savez(FOUND, losses=np.array(logged["loss"]), **after)


if __name__ == "__main__":
    main()
