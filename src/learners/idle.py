"""Settings that every config has and that do nothing for some methods: who gives one there is told."""

from collections.abc import Iterable
from typing import Any

EPSILON = frozenset({"epsilon_start", "epsilon_finish", "epsilon_anneal_time"})
REPLAY = frozenset({"buffer_size", "rewarded_share", "updates_per_run"})
VALUES = frozenset({"double_q", "layer_norm", "weight_decay"})
TARGETS = frozenset({"target_update_interval", "target_update_tau"})
MIXERS = frozenset({
    "hypernet_embed", "initial_gain", "initial_slope", "initial_slope_above", "initial_value", "mixing_embed_dim",
})  # fmt: skip
# What stands in their place where a world model, an actor and a critic are trained apart.
INSTEAD = {
    "batch_size": "segments", "grad_norm_clip": "model_clip, actor_clip, critic_clip",
    "lr": "model_lr, actor_lr, critic_lr", "rnn_hidden_dim": "world_hidden", "updates_per_run": "train_interval",
}  # fmt: skip


def note(learner: Any, given: Iterable[str], config: str) -> list[str]:
    """Return a line that names the settings which were given and which a learner ignores, or none."""
    idle = sorted(learner.IGNORES & set(given))
    if not idle:
        return []
    instead = [f"{INSTEAD[name]} for {name}" for name in idle if learner.EXPERIENCE == "segments" and name in INSTEAD]
    there_is = f"; there is {'; '.join(instead)}" if instead else ""
    return [f"with --config={config} nothing reads {', '.join(idle)}{there_is}"]
