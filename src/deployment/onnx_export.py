"""A checkpoint's greedy agents as an ONNX file: one step of all agents, what they remember going in and out.

    obs (N, O) float32, avail (N, W) bool, last (N, V) float32, memory (N, M) float32
        -> actions, next_last (N, V), next_memory (N, M)

`last` and `memory` are zeros at an episode's first step, and then what the step before gave as `next_last` and
`next_memory`. Letters: N agents, O observation size, W the width of availability, V of an action as networks read it.
"""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from torch import Tensor, nn

from controllers.agent_inputs import shown
from controllers.dream_mac import DreamMAC
from controllers.policy_mac import PolicyMAC
from deployment.agents import Agents
from modules.worlds.actions import encode_actions
from modules.worlds.contract import who_is_absent
from utils.errors import UserError
from utils.files import write_whole
from utils.naming import to_install

INPUTS, OUTPUTS = ("obs", "avail", "last", "memory"), ("actions", "next_last", "next_memory")
OPSET = 18
TOLERANCE = 1e-5


class Step(nn.Module):
    """One greedy step of all agents of a controller, as a function of what they see and remember."""

    def __init__(self, agents: Agents) -> None:
        super().__init__()
        self.mac, self.space = agents.mac, agents.info.action_space
        self.networks = agents.mac.agent
        self.n_agents, self.n_actions, self.noop = agents.info.n_agents, agents.info.n_actions, agents.info.noop

    def forward(self, obs: Tensor, avail: Tensor, last: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the actions, and what the next step is given; shapes as above."""
        choose = self._dream if isinstance(self.mac, DreamMAC) else self._history
        actions, memory = choose(obs, avail, last, memory)
        encode = encode_actions(actions, self.space, self.n_actions) if isinstance(self.mac, DreamMAC) else None
        return self._as_taken(actions), shown(actions, self.n_actions, self.space) if encode is None else encode, memory

    def _history(self, obs: Tensor, avail: Tensor, last: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Choose as values or policies do, (N, P), from a GRU's state."""
        parts = [obs]
        if self.mac.obs_last_action:
            parts.append(last)
        if self.mac.obs_agent_id:
            parts.append(th.eye(self.n_agents))
        hidden = self.networks.encode(th.cat(parts, dim=-1).unsqueeze(0), [1], memory.unsqueeze(0))
        if isinstance(self.mac, PolicyMAC):
            return self.networks.density(hidden, avail.unsqueeze(0)).mode().squeeze(0), hidden.squeeze(0)
        q = self.networks.q_from_hidden(hidden, obs.unsqueeze(0)).squeeze(0)
        return q.masked_fill(~avail, -th.inf).argmax(dim=-1, keepdim=True), hidden.squeeze(0)

    def _dream(self, obs: Tensor, avail: Tensor, last: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Choose as an actor does on its world model's features, which are what is remembered."""
        if self.mac.args.absent_agents == "absorbing":
            obs = obs * ~who_is_absent(avail, self.space.kind != "continuous", self.noop).unsqueeze(-1)
        features = self.mac.world.act(obs.unsqueeze(0), memory.unsqueeze(0), last.unsqueeze(0), None)
        return self.mac.actor(features, avail.unsqueeze(0)).mode().squeeze(0), features.squeeze(0)

    def _as_taken(self, actions: Tensor) -> Tensor:
        """Return actions as `Agents.act` does: (N,) for discrete ones, and numbers within their bounds."""
        if self.space.kind == "discrete":
            return actions.squeeze(-1)
        if self.space.kind == "continuous":
            low, high = (th.as_tensor(bound) for bound in (self.space.low, self.space.high))
            return actions.maximum(low).minimum(high)
        return actions


def first_inputs(agents: Agents) -> dict[str, np.ndarray]:
    """Return the inputs of an episode's first step, but for an observation of zeros and everything available."""
    info, memory = agents.info, agents.mac.init_hidden(1)[0]
    return {
        "obs": np.zeros((info.n_agents, info.obs_size), dtype=np.float32),
        "avail": np.ones((info.n_agents, info.n_actions), dtype=bool),
        "last": np.zeros((info.n_agents, info.n_actions), dtype=np.float32),
        "memory": memory.numpy(),
    }


def export(agents: Agents, out: Path) -> float:
    """Write the agents to an ONNX file, play it beside them, and return the largest difference of a number.

    Raises `UserError` for agents that cannot act alone, where a package is missing, or where the file would not answer
    as the agents do; nothing is written then.
    """
    if isinstance(agents.mac, DreamMAC) and not agents.mac.world.decentralised:
        raise UserError(
            f"{agents.algorithm} is not exported: what one of its agents knows hangs on the observations of all, "
            "through attention, so that no file holds an agent that acts alone; load_agents plays it in Python"
        )
    try:
        import onnx
        import onnxruntime
    except ModuleNotFoundError as missing:
        raise UserError(f"export needs {missing.name}: run `{to_install('requirements-export.txt')}`") from missing
    model = _traced(agents)
    for key, text in _said(agents).items():
        model.metadata_props.add(key=key, value=text)
    data = model.SerializeToString()
    worst = _differs(agents, onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]))
    if not worst <= TOLERANCE:
        raise UserError(f"the file's numbers would differ from the agents' by {worst:g}, more than {TOLERANCE:g}")
    onnx.checker.check_model(model)
    try:
        write_whole(out, lambda path: path.write_bytes(data))
    except OSError as why:
        raise UserError(f"--out {out}: cannot write there ({why.strerror})") from why
    return worst


def _said(agents: Agents) -> dict[str, str]:
    info = agents.info
    sizes = json.dumps(getattr(info.action_space, "sizes", ()))
    return {"algorithm": agents.algorithm, "task": agents.task, "action_space": info.action_space.kind, "sizes": sizes}


def _traced(agents: Agents) -> Any:
    """Return the model of a step; what Torch's exporter says to its developers goes nowhere."""
    step = Step(agents).eval()
    example = tuple(th.from_numpy(first_inputs(agents)[name].copy()) for name in INPUTS)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), th.no_grad():
            warnings.simplefilter("ignore")
            program = th.onnx.export(
                step, example, input_names=list(INPUTS), output_names=list(OUTPUTS), opset_version=OPSET, dynamo=True,
                verbose=False,
            )  # fmt: skip
    except ModuleNotFoundError as missing:
        raise UserError(f"export needs {missing.name}: run `{to_install('requirements-export.txt')}`") from missing
    finally:
        quiet.setLevel(level)
    assert program is not None, "with dynamo=True there is one"
    return program.model_proto


def _differs(agents: Agents, session: Any, steps: int = 12) -> float:
    """Return how far a file's answers are from the agents', over some steps of made-up observations."""
    rng, given, worst = np.random.default_rng(0), first_inputs(agents), 0.0
    step = Step(agents).eval()
    for _ in range(steps):
        given["obs"] = rng.standard_normal(given["obs"].shape).astype(np.float32)
        with th.no_grad():
            ours = [x.numpy() for x in step(*(th.from_numpy(given[name].copy()) for name in INPUTS))]
        theirs = session.run(list(OUTPUTS), {each.name: given[each.name] for each in session.get_inputs()})
        worst = max(worst, *(float(np.abs(a.astype(float) - b).max()) for a, b in zip(ours, theirs, strict=True)))
        given["last"], given["memory"] = ours[1], ours[2]
    return worst
