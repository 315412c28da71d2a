"""MMSA's update as a plain implementation would run it: every network called once per time step.

It is what the update is compared with on a GPU. The losses are the learner's own, to rounding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch as th
from torch import Tensor


def per_step(function: Callable[..., Any], n_rows: int) -> Callable[..., Any]:
    """Return a function that calls another for `n_rows` rows at a time and puts the results together."""

    def called(*args: Any, **kwargs: Any) -> Any:
        pieces = [_split(arg, n_rows) for arg in args]
        n_steps = next(len(piece) for piece in pieces if piece is not None)
        results = [
            function(*(arg if piece is None else piece[t] for arg, piece in zip(args, pieces, strict=True)), **kwargs)
            for t in range(n_steps)
        ]
        return _joined(results)

    return called


def _split(arg: Any, n_rows: int) -> Sequence[Any] | None:
    if isinstance(arg, Tensor):
        return arg.split(n_rows)
    if isinstance(arg, dict):  # of tensors with the same rows
        parts = zip(*(tensor.split(n_rows) for tensor in arg.values()), strict=True)
        return [dict(zip(arg, part, strict=True)) for part in parts]
    return None


def _joined(results: Sequence[Any]) -> Any:
    if isinstance(results[0], Tensor):
        return th.cat(results)
    if isinstance(results[0], tuple):
        kind = type(results[0])
        parts = [_joined(part) for part in zip(*results, strict=True)]
        return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
    if isinstance(results[0], dict):
        return {name: _joined([result[name] for result in results]) for name in results[0]}
    raise TypeError(type(results[0]))


def _encode_per_step(encode: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def called(inputs: Tensor, sizes: Sequence[int]) -> Tensor:
        outputs, hidden = [], None
        for x in inputs.split(list(sizes)):
            hidden = encode(x, [len(x)], hidden)
            outputs.append(hidden)
        return th.cat(outputs)

    return called


def make_step_by_step(learner: Any, B: int) -> None:
    """Make a learner call its agents, its world model and its mixers for one time step of B episodes at a time."""
    for agent in (learner.agent, learner.target_agent):
        agent.encode = _encode_per_step(agent.encode)
        agent.q_from_hidden, agent.score = per_step(agent.q_from_hidden, B), per_step(agent.score, B)
    for mixer in (learner.mixer, learner.target_mixer):
        mixer.forward = per_step(mixer.forward, B)
    model = getattr(learner, "world_model", None)
    if model is not None:
        for name in ("posterior", "decode_hidden", "decode_embeddings", "prior", "step"):
            setattr(model, name, per_step(getattr(model, name), B))
        for module in (model.sale, model.sale.f, model.sale.g, model.phi):
            module.forward = per_step(module.forward, B)
