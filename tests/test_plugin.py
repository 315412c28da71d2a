"""MMSA as a guest in miniatures of its hosts: it trains there, and learns what it learns here."""

import json
import math

import install_plugin
import numpy as np
import pytest
import torch as th
from fixtures_mmsa import N
from plugin_hosts import assert_the_same, miniature, python, train_here, train_there
from tiny_runs import files

TINY = ("--config=mmsa", "--env-config=tiny", "with", "epsilon_anneal_time=100", "target_update_interval=8")
VARIANTS = (
    {},
    {"sale_input": "obs", "agent_sale_loss": True},
    {"obs_last_action": False, "double_q": False, "td_lambda": 0.0},
    {"obs_agent_id": False, "use_world_model": False, "mixer": "qmix"},
    {"rollout_mode": "decoded", "history_from": "embeddings", "history_target": "next", "wm_sale_grad": True},
    {"imagined_history_coef": 1.0, "imagined_history_steps": 2, "rollout_hidden": "online", "wm_per_agent": True},
    {"wm_prior": "change"},
)
MISTAKES = {
    "sale_rnn": {"agent": "rnn"},
    "use_per=False": {"use_per": True},
    "mixer=rollout_qmix": {"mixer": "vdn"},
    "gamma=7: must be a float in [0, 1] (src/config/algs/mmsa.yaml:": {"gamma": 7},
    "sale_input=banana: must be one of hidden, obs": {"sale_input": "banana"},
    "hidden_dim=0: must be an int in [1, inf)": {"rnn_hidden_dim": 0},
}


@pytest.fixture(params=["pymarl2", "epymarl"])
def host(request, tmp_path):
    return guest_in(request.param, tmp_path)


def guest_in(name, folder):
    root = miniature(name, folder / name)
    assert install_plugin.main([str(root)]) == 0
    return root


def train(root, *settings):
    return json.loads(python(root, "src/main.py", *TINY, *settings).splitlines()[0])


def counters(folder):
    with np.load(folder / "mmsa.npz", allow_pickle=False) as saved:
        return {name[len("numbers.") :]: int(saved[name]) for name in saved.files if name.startswith("numbers.")}


def test_it_trains_in_a_host_goes_on_from_its_models_and_leaves_no_trace(host, tmp_path):
    saved = ("save_model=True", f"local_results_path={tmp_path}")
    stats = train(host, *saved, "t_max=160")
    losses = {name: series for name, series in stats.items() if name.startswith("loss_")}
    assert losses.keys() == {"loss_td", "loss_kl", "loss_rec", "loss_sale"}
    assert all(len(series) >= 8 and all(map(math.isfinite, series)) for series in losses.values())
    assert losses["loss_rec"][-1] < losses["loss_rec"][0]
    assert stats["epsilon"] == [pytest.approx(0.05)]
    first = counters(tmp_path)
    assert first["updates"] == len(losses["loss_td"]) and first["last_target_update_episode"] >= 24

    train(host, *saved, "t_max=50", f"checkpoint_path={tmp_path}")
    numbers = counters(tmp_path)
    assert first["updates"] < numbers["updates"] < 2 * first["updates"]
    assert 0 < numbers["last_target_update_episode"] < first["last_target_update_episode"]  # counted anew

    assert install_plugin.main([str(host), "--uninstall"]) == 0
    left = {path: text for path, text in files(host).items() if "__pycache__" not in path.parts}
    assert left == files(miniature(host.name, tmp_path / "fresh"))


def test_the_same_episodes_and_weights_give_the_same_losses_and_mistakes_are_said(host, tmp_path):
    here = [train_here(variant) for variant in VARIANTS]
    cases = [case for case, _ in here]
    mistaken = [cases[0] | {"settings": cases[0]["settings"] | mistake} for mistake in MISTAKES.values()]
    found = train_there(host, tmp_path, cases + mistaken)
    for (_, result), there in zip(here, found, strict=False):
        assert_the_same(there, result)
    for says, result in zip(MISTAKES, found[len(cases) :], strict=True):
        assert says in result["error"]


def test_epymarl_s_reward_for_each_agent_is_learnt_from(tmp_path):
    alone = {"mixer": "none", "use_world_model": False}
    given = (  # to the agents, and what is learnt from it
        ("sum", {}, lambda r: th.cat([r, *[th.zeros_like(r)] * (N - 1)], dim=-1)),
        ("mean", {}, lambda r: r.expand(*r.shape[:-1], N)),
        ("sum", alone, lambda r: r.expand(*r.shape[:-1], N)),  # without a mixer each agent learns from its own
    )
    here = [train_here(settings) for _, settings, _ in given]
    cases = [
        case
        | {"settings": case["settings"] | {"common_reward": False, "reward_scalarisation": how}}
        | {"episodes": case["episodes"] | {"reward": shared(case["episodes"]["reward"]).clone()}}
        for (how, _, shared), (case, _) in zip(given, here, strict=True)
    ]
    found = train_there(guest_in("epymarl", tmp_path), tmp_path, cases)
    for (_, result), there in zip(here, found, strict=True):
        assert_the_same(there, result)
