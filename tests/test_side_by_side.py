"""An update shared by processes: the losses and gradients of the batch undivided, and what happens when one fails."""

import os
import signal
import socket
import struct

import numpy as np
import pytest
import torch as th
from fixtures_mmsa import drifted, make_batch, make_learner, padded, with_garbage
from tiny_runs import settings_of

import main
from components.episode_rows import EpisodeRows, totals_of
from learners.not_finite import NotFiniteError
from learners.q_learner import QLearner
from learners.side_by_side import MOST, SideBySide, _limit_sending, can_divide
from settings import resolve
from training.assembly import build
from training.loop import learn, play_round
from utils.errors import RunFailedError

MEANS = {"wm_sample": False, "rollout_sample": False}
LEARNERS = {
    "iql": ("iql", {}),
    "qmix": ("qmix", {}),
    "mmsa": ("mmsa", MEANS),
    "mmsa_paper": ("mmsa_paper", MEANS),
    "predicting": ("mmsa", MEANS | {"rec_target": "next"}),
    "imagined histories": ("mmsa", MEANS | {"imagined_history_coef": 1, "imagined_history_steps": 10}),
    "the agents' SALE loss, on observations": ("mmsa", MEANS | {"sale_input": "obs", "agent_sale_loss": True}),
    "qplex": ("qplex", {}),
    "weighted": ("cw_qmix", {"central_mixing_dim": 12}),
    "qtran": ("qtran", {}),
    "maser": ("maser", {}),
    "no world model": ("mmsa", {"use_world_model": False}),
}


@pytest.fixture
def divided():
    """Yield a function that lets processes share a learner's updates; they are ended afterwards."""
    made, threads_before = [], th.get_num_threads()

    def divide(learner, threads=2, **more):
        made.append(SideBySide(learner, threads, **more))
        learner.backward = made[-1]
        return made[-1]

    yield divide
    for side_by_side in made:
        side_by_side.close()
    th.set_num_threads(threads_before)


def some_episodes():
    return padded(with_garbage(make_batch()), rows=1)


def gradients(learner, backward):
    """Return losses, metrics and gradients."""
    learner.optimiser.zero_grad(set_to_none=True)
    losses, metrics = backward()
    return losses, metrics, {index: p.grad for index, p in enumerate(learner.parameters) if p.grad is not None}


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        th.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_parts", [2, 3, 50])
@pytest.mark.parametrize("kind", LEARNERS)
def test_losses_and_gradients_of_parts_add_up(kind, n_parts):
    name, settings = LEARNERS[kind]
    learner, batch = drifted(make_learner(name, **settings)), some_episodes()

    def in_parts():
        losses, metrics = zip(*(learner.backward(part, totals_of(batch)) for part in batch.parts(n_parts)), strict=True)
        assert len(losses) == min(n_parts, batch.batch_size)
        return tuple({name: sum(share[name] for share in shares) for name in shares[0]} for shares in (losses, metrics))

    assert_same(gradients(learner, lambda: learner.backward(batch)), gradients(learner, in_parts))


def test_every_episode_is_in_one_part_and_parts_are_of_about_one_length():
    batch = some_episodes()
    parts = batch.parts(2)
    rows = [part["filled"].sum(dim=(1, 2)).tolist() for part in parts]
    assert rows == [[7, 5, 2], [7, 3]]
    dealt = th.cat([part.storage for part in parts])
    assert sorted(dealt.flatten(1).tolist()) == sorted(batch.storage.flatten(1).tolist())


def test_weights_are_those_of_a_mean_over_the_whole_batch():
    batch = make_batch([(6, "terminated"), (4, "truncated"), (6, "truncated")])  # 19 rows, not a round number
    rows, totals = EpisodeRows(batch), totals_of(batch)
    filled_up = EpisodeRows(batch, few_sizes=True, totals=totals)
    assert len(filled_up.mask) > len(rows.mask)
    for after in range(3):
        assert filled_up.weights(after).sum().item() == pytest.approx(1)
        assert totals[after] == rows.mask[sum(rows.sizes[:after]) :].sum()
        th.testing.assert_close(EpisodeRows(batch, totals=totals).weights(after), rows.weights(after))
        shares = [EpisodeRows(part, totals=totals).weights(after).sum() for part in batch.parts(3)]
        assert sum(shares).item() == pytest.approx(1)


@pytest.mark.parametrize("wm_interval", [1, 2])
def test_processes_follow_every_update_and_move_of_the_targets(wm_interval, divided):
    settings = {"target_update_interval": 2, "wm_interval": wm_interval, **MEANS}
    together, alone = (drifted(make_learner("mmsa", **settings)) for _ in range(2))
    divided(together)
    for update in range(5):
        batch = make_batch(seed=update)
        assert_same(*(gradients(each, lambda of=each, b=batch: of.backward(b)) for each in (together, alone)))
        for learner in (together, alone):
            learner.train(batch, update, update)
    th.testing.assert_close(together.state_tensors(), alone.state_tensors(), rtol=1e-3, atol=1e-4)


def test_every_process_draws_for_itself_and_a_seed_repeats_it(divided):
    learner = drifted(make_learner("mmsa"))
    divided(learner)
    episode = make_batch([(6, "terminated")] * 2)
    episode.storage[1] = episode.storage[0]  # both processes get the same

    def loss(seed):
        th.manual_seed(seed)
        return gradients(learner, lambda: learner.backward(episode))[0]["loss_rec"].item()

    assert loss(1) == loss(1) != loss(2)
    th.manual_seed(1)
    th.randint(2**62, (1,))  # the other's seed
    own = learner.__class__.backward(learner, episode[:1], totals_of(episode))[0]["loss_rec"].item()
    assert loss(1) != pytest.approx(2 * own, rel=1e-6)


def test_more_processes_than_episodes_and_than_there_may_be(divided):
    learner = drifted(make_learner("qmix"))
    assert divided(learner, threads=9).n_parts == MOST
    assert learner.backward.threads == 2
    for episodes in ([(3, "terminated")], [(3, "terminated"), (2, "truncated")]):
        batch = make_batch(episodes)
        whole = gradients(learner, lambda of=batch: QLearner.backward(learner, of))
        assert_same(gradients(learner, lambda of=batch: learner.backward(of)), whole)


def test_a_process_that_dies_or_fails_ends_the_run_with_a_line(divided):
    learner = make_learner("qmix")
    side_by_side = divided(learner)
    learner.backward(make_batch())
    os.kill(side_by_side.workers[0].process.pid, signal.SIGKILL)
    with pytest.raises(RunFailedError, match=r"process 1 of those that share an update .* died \(SIGKILL\)"):
        for _ in range(2):  # the first may still find the pipe open
            learner.backward(make_batch())

    side_by_side, mac = divided(learner), learner.mac
    learner.mac = None
    side_by_side._start()
    learner.mac = mac  # here all is well
    with pytest.raises(RunFailedError, match=r"process 1 .* failed: AttributeError") as failure:
        learner.backward(make_batch())
    assert "Traceback" in failure.value.__notes__[0]


@pytest.mark.parametrize("episodes", [1, 3000])  # its pipe takes no more than a part of the second
def test_a_process_that_hangs_ends_the_run_with_a_line(episodes, divided):
    learner = make_learner("qmix")
    side_by_side = divided(learner)
    learner.backward(make_batch())
    (worker,) = side_by_side.workers
    with socket.socket(fileno=os.dup(worker.pipe.fileno())) as end:
        limit = end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.calcsize("ll"))
    assert struct.unpack("ll", limit) == (side_by_side.timeout, 0)
    side_by_side.timeout = worker.timeout = 0.5  # starting takes longer
    _limit_sending(worker.pipe, 0.5)
    os.kill(worker.process.pid, signal.SIGSTOP)
    batch = make_batch([(2, "terminated")] * 2 * episodes)
    with pytest.raises(RunFailedError, match=r"process 1 .* gave no answer for 0.5 s \(update_timeout\)"):
        learner.backward(batch)


def test_five_to_seven_threads_are_all_used(divided):
    for threads, parts in ((5, 5), (7, 7), (8, MOST)):
        side_by_side = divided(make_learner("qmix"), threads)
        assert (side_by_side.n_parts, side_by_side.n_parts * side_by_side.threads) == (parts, threads)


def test_processes_end_with_the_run_and_leave_ctrl_c_to_it(divided):
    learner = make_learner("qmix")
    side_by_side = divided(learner)
    learner.backward(make_batch())
    process = side_by_side.workers[0].process
    os.kill(process.pid, signal.SIGINT)
    learner.backward(make_batch())
    pid = process.pid
    os.kill(pid, signal.SIGSTOP)  # it hangs
    side_by_side.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_needs_the_whole_batch_is_not_divided():
    assert can_divide(make_learner("mmsa"), threads=2)
    assert not can_divide(make_learner("mmsa"), threads=1)
    assert not can_divide(make_learner("mmsa", sale_normaliser="batch"), threads=2)

    class Other(QLearner):
        def losses(self, rows):
            return super().losses(rows)

    learner = make_learner("qmix")
    learner.__class__ = Other  # whose losses may be anything
    assert not can_divide(learner, threads=2)


def test_a_gradient_that_one_process_alone_has_counts(divided, monkeypatch):
    learner = make_learner("qmix")
    side_by_side, bias, backward = divided(learner), learner.agent.fc2.bias, QLearner.backward
    place = [p is bias for p in learner.parameters].index(True)

    def not_the_bias(self, *args):
        figures = backward(self, *args)
        bias.grad = None
        return figures

    monkeypatch.setattr(QLearner, "backward", not_the_bias)  # here, and not in the other process
    _, _, found = gradients(learner, lambda: learner.backward(make_batch()))
    (other,) = side_by_side.workers
    assert th.equal(found[place], other.gradients[place]) and found[place] is not other.gradients[place]
    finish = other.finish
    monkeypatch.setattr(other, "finish", lambda deadline: (*finish(deadline)[:2], [False] * len(learner.parameters)))
    _, _, found = gradients(learner, lambda: learner.backward(make_batch()))
    assert place not in found and len(found) == len(learner.parameters) - 1


def test_numbers_that_are_not_finite_in_another_processs_share_stop_the_update(divided):
    learner = make_learner("qmix")
    divided(learner)
    batch = make_batch([(6, "terminated"), (5, "terminated")])
    batch.array("reward")[1, 0] = np.nan  # the shorter one is the other's
    with pytest.raises(NotFiniteError, match=r"batch.reward"):
        learner.train(batch, 1, 1)


def test_a_run_with_two_threads_shares_its_updates_and_ends_the_process():
    def built(threads):
        settings = settings_of("matrix_game", batch_size="4", batch_size_run="4", threads=threads)
        return build(resolve("qmix", "matrix_game", settings, main.CONFIG_DIR))

    assert built("1").side_by_side is None
    before, run = th.get_num_threads(), built("2")
    assert run.learner.backward is run.side_by_side and run.side_by_side.workers == []
    play_round(run)
    learn(run)
    (worker,) = run.side_by_side.workers
    pid = worker.process.pid
    run.close()
    th.set_num_threads(before)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
