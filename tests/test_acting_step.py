"""Acting on memory that stays in its place (`acting_graph`): the same actions, whoever acts, how many, and later on.

Without a GPU a recording calls the networks again; tests/test_cuda.py has what only a GPU shows.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import GROUPS, SCHEME, A, N, make_args, shaken
from tiny_runs import settings_of

import main
from components.episode_batch import EpisodeBatch
from controllers import REGISTRY as CONTROLLERS
from controllers import acting_step
from controllers.acting_step import MOST, WARM_UP, ActingStep
from settings import resolve
from training import assembly
from training.loop import learn, play_round
from utils.gpu import alone

VALUES = ["qmix", "mmsa", "hpn_qmix", "smmae", "mmsa_hpn"]
T, EPISODES = WARM_UP + 9, 6


def macs(config="qmix", device="cpu", **settings):
    """A controller as it is, and one that records, with the same weights."""
    found = []
    for record in (False, True):
        args = make_args(config, acting_graph=record, **settings)
        th.manual_seed(0)
        found.append(CONTROLLERS[args.mac](SCHEME, GROUPS, args))
        shaken(found[-1].agent).to(device)
    return found


def episodes(seed=0):
    """Random episodes to be acted in, rows already there: observations, actions, and what may be done."""
    rng = np.random.default_rng(seed)
    batch = EpisodeBatch(SCHEME, GROUPS, EPISODES, T + 1)
    for name, values in (("obs", rng.normal), ("state", rng.normal)):
        batch.array(name)[:] = values(size=batch.array(name).shape)
    batch.array("actions")[:] = rng.integers(0, A, batch.array("actions").shape)
    batch.array("avail_actions")[:] = True
    return batch, rng


def acted(mac, alive=lambda t: range(EPISODES), epsilon=0.3):
    """Actions and hidden states of a round in which the episodes `alive(t)` are there at step t."""
    batch, rng = episodes()
    draws = rng.random((EPISODES, T, mac.uniforms, N))
    here, hidden, told = list(alive(0)), mac.init_hidden(len(alive(0))), []
    for t in range(T):
        stay = [row for row, slot in enumerate(here) if slot in alive(t)]
        here, hidden = [here[row] for row in stay], hidden[stay]
        actions, hidden = mac.select_actions(batch, t, hidden, epsilon, draws[here, t], here)
        told += [actions, hidden.cpu().numpy()]
    return told


def same(found, expected):
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def fewer(t):
    """One episode less at every other step, then the same two for long."""
    return range(max(EPISODES - t // 2, 2))


@pytest.mark.parametrize("config", VALUES)
@pytest.mark.parametrize("alive", [lambda t: range(EPISODES), fewer], ids=["all", "fewer"])
def test_actions_are_those_of_the_plain_path_to_the_last_digit(config, alive):
    plain, recording = macs(config)
    same(acted(recording, alive), acted(plain, alive))
    same(acted(recording, alive), acted(plain, alive))
    assert set(recording.acting_step.recorded) == {len(alive(t)) for t in range(T)}
    assert not plain.acting_step.recorded


def test_there_is_one_recording_for_each_number_of_episodes_after_its_warm_up():
    _, mac = macs()
    batch, _ = episodes()
    for _ in range(WARM_UP):
        mac.select_actions(batch, 0, mac.init_hidden(2), 0.0, None, [0, 1])
        assert not mac.acting_step.recorded
    mac.select_actions(batch, 0, mac.init_hidden(1), 0.0, None, [0])
    mac.select_actions(batch, 0, mac.init_hidden(2), 0.0, None, [0, 1])
    assert list(mac.acting_step.recorded) == [2] and mac.acting_step.recorded[2].q.shape == (2, N, A)


def test_weights_that_change_in_place_are_acted_on():
    plain, recording = macs()
    acted(recording), acted(plain)
    for mac in (plain, recording):
        th.manual_seed(3)
        shaken(mac.agent)
    before = acted(recording)
    same(before, acted(plain))
    recording.agent.load_state_dict(macs()[0].agent.state_dict())
    assert any(not np.array_equal(one, other) for one, other in zip(acted(recording), before, strict=True))
    same(acted(recording), acted(macs()[0]))


def test_a_copy_acts_with_its_own_weights():
    _, mac = macs()
    acted(mac)
    copy = deepcopy(mac)
    assert copy.acting_step.record and not copy.acting_step.recorded and mac.acting_step.recorded
    expected = acted(mac)
    shaken(copy.agent)
    acted(copy)
    same(acted(mac), expected)


def test_what_was_once_given_stays_as_it_was():
    _, mac = macs()
    batch, _ = episodes()
    with th.no_grad():
        given = [mac.step(batch, t, mac.init_hidden(EPISODES), slice(None)) for t in range(T)]
        kept = [(q.copy(), hidden.clone()) for q, hidden in given]
        mac.step(batch, 0, mac.init_hidden(EPISODES), slice(None))
    for (q, hidden), (q_then, hidden_then) in zip(given, kept, strict=True):
        assert np.array_equal(q, q_then) and th.equal(hidden, hidden_then)


def test_more_episodes_than_there_was_room_for_begin_anew():
    plain, recording = macs()
    few = lambda t: range(2)  # noqa: E731
    same(acted(recording, few), acted(plain, few))
    same(acted(recording), acted(plain))
    assert list(recording.acting_step.recorded) == [EPISODES]
    same(acted(recording, few), acted(plain, few))
    assert list(recording.acting_step.recorded) == [EPISODES, 2]


def test_no_more_than_so_many_are_recorded(monkeypatch):
    monkeypatch.setattr(acting_step, "MOST", 2)
    plain, recording = macs()
    for count in (5, 4, 3):
        alive = lambda t, count=count: range(count)  # noqa: E731
        same(acted(recording, alive), acted(plain, alive))
    assert list(recording.acting_step.recorded) == [5, 4] and MOST > 2


def test_what_agents_read_is_put_side_by_side():
    def forward(inputs, hidden):
        return 2 * inputs, hidden + inputs[..., :1]

    rng, step = np.random.default_rng(0), ActingStep(record=True)
    for _ in range(WARM_UP + 3):
        obs, rest = (rng.normal(size=(3, N, size)).astype(np.float32) for size in (5, 4))
        hidden = th.randn(3, N, 2)
        q, h = step(forward, [obs, rest], hidden)
        assert np.array_equal(q, 2 * np.concatenate([obs, rest], axis=-1))
        assert th.equal(h, hidden + th.from_numpy(obs[..., :1]))


@pytest.mark.parametrize("overlap", ["0", "1"])
def test_a_whole_run_is_that_of_the_plain_path(overlap):
    """Learning and acting copies included."""
    found = []
    for record in (False, True):
        settings = settings_of("lbf", overlap=overlap, batch_size="4")
        run = assembly.build(resolve("qmix", "lbf", settings, main.CONFIG_DIR))
        acting = run.mac if run.overlap is None else run.overlap.acting
        acting.acting_step.record = record
        for _ in range(8):
            play_round(run)
            if run.overlap is None:
                learn(run)
        assert bool(acting.acting_step.recorded) == record
        found.append((run.t_env, run.learner.updates, run.learner.state_tensors()))
        run.close()
    assert found[0][:2] == found[1][:2] and found[0][1] > 0
    assert all(th.equal(value, found[1][2][name]) for name, value in found[0][2].items())


def test_nobody_records_while_an_update_draws(monkeypatch):
    """The lock is held by who learns beside a round."""
    settings = settings_of("lbf", overlap="1")
    run, held = assembly.build(resolve("qmix", "lbf", settings, main.CONFIG_DIR)), []
    monkeypatch.setattr(run.learner, "learn", lambda *_: held.append(alone.locked()))
    play_round(run)
    play_round(run)
    run.close()
    assert held == [True] and not alone.locked()
