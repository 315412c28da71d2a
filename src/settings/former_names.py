"""Words of PyMARL, PyMARL2 and EPyMARL that are others here, or for which there is nothing.

A table, not guesses by spelling: `hidden_dim` looks like `rnn_hidden_dim`, but `use_cuda` like nothing that we have.
"""

from collections.abc import Collection

from utils.naming import typed

_LABEL = "to keep runs apart, give each its own local_results_path"
_PER = "not here: rewarded_share draws a share of a batch from episodes that brought a reward"
_CHECKPOINTS = "not here: checkpoints stay in the archive, see save_model_interval"
_ADAM = "not here: the optimiser is Adam, with lr and optim_eps"
_SC2_LOOK = "not here: games run without a window; save_replay=True with evaluate=True keeps the game's own replays"
_REPLAYS = "save_replay=True with evaluate=True writes replays into the run's folder"
_SCRIPTED = "not here: scripted agents are not for learning; env_args.difficulty sets the built-in AI"
_COMA = "not here: COMA's critic has one form"

SETTINGS = {
    # how to run
    "use_cuda": "it is device here: device=cpu, or device=auto for a GPU where there is one",
    "buffer_cpu_only": "it is buffer_device here: cpu, or learner to keep replay where the networks are",
    "thread_num": "it is threads here",
    "enable_parallel_computing": "it is threads here: threads=2 shares each update between two processes",
    "runner_log_interval": "it is log_interval here",
    "action_selector": "the controller (mac) chooses: ε-greedy for values, draws for policies",
    "agent_output_type": "the controller (mac) says so: basic_mac and sale_mac have values, policy_mac has policies",
    "mask_before_softmax": "not here: what is unavailable is always left out",
    "test_greedy": "evaluation is greedy but for evaluation_epsilon (values) or evaluation_draws=True (policies)",
    "debug": "not here",
    # names, results, checkpoints
    "name": f"the algorithm's name comes with --config; {_LABEL}",
    "label": _LABEL,
    "repeat_id": f"seeds tell repetitions apart: seed=2; {_LABEL}",
    "hypergroup": _LABEL,
    "unique_token": "every run gets the next number in its task's folder below local_results_path",
    "run": _LABEL,
    "save_path": "it is local_results_path here; checkpoints lie in the run's folder, see save_model_interval",
    "load_step": "name the step's folder: checkpoint_path=<the run's folder>/checkpoints/t_<steps>",
    "render": f"{typed('record')} <the run's folder> makes a film of greedy episodes",
    "wandb_save_model": _CHECKPOINTS,
    "wandb_save_model_interval": _CHECKPOINTS,
    "project": "it is wandb_project here, with use_wandb=True",
    "entity": "it is wandb_team here, with use_wandb=True",
    "group": "it is wandb_group here, with use_wandb=True",
    # networks
    "hidden_dim": "it is rnn_hidden_dim here",
    "hypernet_layers": "hypernetworks have two layers here; hypernet_embed is their width",
    "use_layer_norm": "layer_norm=True is near to it, with values, normalise_features=True with policies",
    "use_orthogonal": "it is orthogonal_start here, with policies alone",
    "gain": "not here: with orthogonal_start=True, policies have the usual ones",
    # learning
    "optimizer": _ADAM,
    "optim_alpha": _ADAM,
    "num_mini_batch": "it is minibatches here, with policies",
    "ppo_epoch": "it is epochs here, with policies",
    "q_lambda": "it is td_lambda here; td_lambda=0 is the one-step target",
    "q_nstep": "it is td_lambda here, and gae_lambda=0.95 with policies: a mean over all numbers of steps",
    "eps_clip": "it is ppo_clip here, with --config=mappo and ippo",
    "use_critic_rnn": "critic=rnn says so here, with policies",
    "critic_type": "critic_reads=state says so here, or critic_reads=own, with policies",
    "add_value_last_step": "it is truncation here: bootstrap, or end",
    "target_update_interval_or_tau": "it is target_update_interval here, in episodes, or below 1 target_update_tau",
    "tau": "it is target_update_tau here, the share of their way that targets move after every update",
    "common_reward": "it is env_args.common_reward here, where agents have rewards of their own",
    "reward_scalarisation": "it is env_args.reward_scalarisation here, with --env-config=gymma",
    "standardise_returns": "it is value_norm here, with policies; standardise_rewards is for every method",
    "obs_individual_obs": "not here: the state is what the environment gives",
    "use_per": _PER,
    "is_prioritized_buffer": _PER,
    "per_alpha": _PER,
    "per_beta": _PER,
    "return_priority": _PER,
    "per_weight": _PER,
    "burn_in_period": "not here: whole episodes are learnt from",
    "critic_baseline_fn": _COMA,
    "critic_q_fn": _COMA,
    "critic_train_mode": _COMA,
    "critic_train_reps": _COMA,
    "reg": "not here: there is no MADDPG",
    "qtran_arch": "not here: QTRAN's joint value has one form",
    "opt_loss": "it is opt_coef here, with --config=qtran",
    "nopt_min_loss": "it is nopt_coef here, with --config=qtran",
    "network_size": "not here: QTRAN's nets have one depth; mixing_embed_dim is their width",
    "n_head": "it is qplex_heads here, with --config=qplex",
    # environments
    "env_args.seed": "it is seed here, for everything that is random in a run",
    "env_args.pretrained_wrapper": "not here: no agent of a task comes trained",
    "env_args.replay_dir": _REPLAYS,
    "env_args.replay_prefix": _REPLAYS,
    "env_args.continuing_episode": "not here: a battle that reaches its limit of steps is truncated",
    "env_args.heuristic_ai": _SCRIPTED,
    "env_args.heuristic_rest": _SCRIPTED,
    "env_args.debug": "not here",
    "env_args.window_size_x": _SC2_LOOK,
    "env_args.window_size_y": _SC2_LOOK,
    "env_args.capability_config": "it is env_args.map_name here: protoss_5_vs_5, say",
}

# What environments call the same thing: whichever of these the chosen one has is what was meant.
SAME_IN_ENVIRONMENTS = (
    ("env_args.key", "env_args.map_name", "env_args.scenario"),
    ("env_args.time_limit", "env_args.episode_limit", "env_args.max_steps"),
)

CONFIGS = {
    "ppo": "take ippo, or mappo",
    "rmappo": "take mappo",
    "centralv": "take maa2c",
    "qmix_beta": "take qmix with --env-config=sc2",
    "vdn_beta": "take vdn with --env-config=sc2",
    "iql_beta": "take iql with --env-config=sc2",
    "sc2_beta": "take sc2",
    "sc2_gen_protoss": "take sc2v2 with env_args.map_name=protoss_5_vs_5",
    "sc2_gen_terran": "take sc2v2 with env_args.map_name=terran_5_vs_5",
    "sc2_gen_zerg": "take sc2v2 with env_args.map_name=zerg_5_vs_5",
    "one_step_matrix_game": "take matrix_game",
    "mpe": "take gymma with env_args.key=pz-mpe-simple-spread-v3",
    "particle": "take gymma with env_args.key=pz-mpe-simple-spread-v3",
    "rware": "take gymma with env_args.key=rware:rware-tiny-2ag-v2",
}


def former_setting(key: str, declared: Collection[str]) -> str | None:
    """Return what stands here for another framework's setting, given those that this pair of configs declares."""
    for same in SAME_IN_ENVIRONMENTS:
        here = [other for other in same if other in declared]
        if here and (key in same or f"env_args.{key}" in same):
            return f"it is {here[0]} with this environment"
    return SETTINGS.get(key)


def former_config(name: str) -> str | None:
    """Return what to take here in place of another framework's config."""
    shared = name.removesuffix("_ns")
    return CONFIGS.get(name.lower()) if shared == name else f"take {shared} with share_parameters=False"
