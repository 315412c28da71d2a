"""QMIX, VDN and IQL as EPyMARL learns them, beside its own learner: the same weights, batch and updates in both.

    python benchmarks/parity.py --against ~/epymarl

Ours is `--config=qmix_epymarl` and its kin (docs/parity.md), theirs the checkout's `q_learner`, in a process of the
Python given. Both take the same updates on one random batch of episodes of several lengths, some ended by the task,
some by a time limit. What is printed is how far losses and weights are apart at the end, relative to their size.
With rewards standardised they are further apart: EPyMARL divides a batch's variance by one less.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from answers import command
from common import SHAPES, Shape, make_batch, make_learner

from utils.errors import UserError

SHAPE: Shape = SHAPES["lbf"]
EPISODES = 16
AGENTS = {"fc1": "encoder.fc1", "rnn": "encoder.layer.0", "fc2": "fc2"}  # their names of layers, and ours
MIXERS = {
    "hyper_w_1.0": "hyper_w_1.0", "hyper_w_1.2": "hyper_w_1.2", "hyper_w_final.0": "hyper_w_2.0",
    "hyper_w_final.2": "hyper_w_2.2", "hyper_b_1": "hyper_b_1", "V.0": "value.0", "V.2": "value.2",
}  # fmt: skip
GRU = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def names(learner: Any) -> dict[str, str]:
    """Return the parameters' names in EPyMARL, and in our learner."""
    agents = {name: ours for name, ours in AGENTS.items() if name != "rnn" or not learner.args.use_rnn}
    pairs = {f"agent.{a}.{x}": f"agent.{b}.{x}" for a, b in agents.items() for x in ("weight", "bias")}
    if learner.args.use_rnn:
        pairs |= {f"agent.rnn.{x}": f"agent.encoder.rnn.{x}_l0" for x in GRU}
    if learner.args.mixer == "qmix":
        pairs |= {f"mixer.{a}.{x}": f"mixer.mixing.{b}.{x}" for a, b in MIXERS.items() for x in ("weight", "bias")}
    return pairs


def weights_of(learner: Any) -> dict[str, np.ndarray]:
    """Return a learner's parameters by EPyMARL's names."""
    found = {name: tensor.detach().numpy().copy() for part, module in learner.trained.items()
             for name, tensor in module.named_parameters(prefix=part)}  # fmt: skip
    return {theirs: found[ours] for theirs, ours in names(learner).items()}


def compare(method: str, standardise: bool, args: argparse.Namespace) -> tuple[float, float]:
    """Take the updates in both, and return the largest relative distance of a loss, and of a parameter's tensor."""
    learner = make_learner(f"{method}_epymarl", SHAPE, "cpu", standardise_rewards=standardise)
    lengths = np.random.default_rng(1).integers(5, SHAPE.T + 1, EPISODES)
    batch = make_batch(SHAPE, EPISODES, lengths)
    ended = np.zeros((EPISODES, SHAPE.T + 1, 1), bool)
    ended[np.arange(EPISODES), lengths - 1] = True
    batch.array("terminated")[::2] = ended[::2]  # the others by a time limit, which EPyMARL calls an end too

    start = weights_of(learner)
    losses = []
    for _ in range(args.updates):
        learner.note_batch(batch)
        losses.append(learner.take_update(batch)["loss_td"].item())
        learner.updates += 1

    shown = ("obs", "state", "actions", "avail_actions", "reward", "filled")
    rows = {f"batch.{name}": np.asarray(batch.array(name)) for name in shown} | {"batch.terminated": ended}
    said = {name: getattr(learner.args, name) for name in ("gamma", "lr", "grad_norm_clip", "rnn_hidden_dim",
            "mixing_embed_dim", "hypernet_embed", "use_rnn", "mixer")}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(given, **rows, **{f"weight.{name}": array for name, array in start.items()},
                 **{f"args.{name}": np.array(value) for name, value in said.items()},
                 standardise=standardise, updates=args.updates)  # fmt: skip
        words = [args.python, Path(__file__).parent / "there" / "epymarl.py", args.against, given, found]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
        if done.returncode != 0:
            raise UserError(f"EPyMARL's learner failed in {args.against}: {done.stderr.strip().splitlines()[-1]}")
        theirs = dict(np.load(found))
    apart = np.abs(theirs.pop("losses") - losses) / np.abs(losses)
    after = weights_of(learner)
    moved = [np.abs(theirs[name] - after[name]).max() / np.abs(after[name]).max() for name in after]
    return float(apart.max()), float(max(moved))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="an EPyMARL checkout")
    parser.add_argument("--python", default=sys.executable, help="the Python that EPyMARL runs with")
    parser.add_argument("--updates", type=int, default=20)
    args = parser.parse_args()
    if not (args.against / "src" / "learners" / "q_learner.py").is_file():
        raise UserError(f"--against {args.against}: no EPyMARL checkout there (src/learners/q_learner.py is missing)")
    print(f"{args.updates} updates on {EPISODES} episodes; relative distances")
    for method in ("qmix", "vdn", "iql"):
        for standardise in (False, True):
            loss, weight = compare(method, standardise, args)
            rewards = "standardised rewards" if standardise else "rewards as they are"
            print(f"{method:5} {rewards:22} loss {loss:.1e}, weights {weight:.1e}")


if __name__ == "__main__":
    command(main)
