"""The sizes and forms of a world model, as one value."""

from dataclasses import dataclass

from modules.worlds.pictures import Image


@dataclass(frozen=True)
class WorldSettings:
    """What the task fixes, then what src/config/algs/dreamer.yaml explains setting by setting.

    `action_size` is V, an action as networks read it; `n_avail` is W; `noop` the action of an absent agent alone, or
    None; `images` are the pictures in an observation, see `pictures.py`.
    """

    n_agents: int
    obs_size: int
    state_size: int
    n_avail: int
    action_size: int
    discrete: bool
    noop: int | None
    images: tuple[Image, ...]
    agent_id: bool
    hidden: int
    groups: int
    classes: int
    width: int
    layers: int
    decoder_width: int
    decoder_layers: int
    attention_layers: int
    attention_heads: int
    attention_hidden: int
    unimix: float
    kl_prior: float
    kl_posterior: float
    kl_over: str
    free_nats: float
    decoder_weight: float
    obs_loss: str
    reward_head: str
    bins: int
    bins_range: float
    own_action: str
    absent: str
    imagined_avail: str
    critic_reads: str
    interaction: bool
    single_global: bool
    global_reads: str
    prior_reads: str

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"latents of {self.classes} class say nothing: give them 2 or more")
