"""What an episode batch stores, byte by byte, and what it derives from it."""

import numpy as np
import pytest
import torch as th

from components import EXPERIENCES
from components.episode_batch import EpisodeBatch, episode_scheme, lay_out
from envs import env_path
from runners import REGISTRY as RUNNERS
from runners.base_runner import Limits
from utils.timing import PhaseClock

N, A = 2, 6
GROUPS = {"agents": N}
LBF = {"key": "Foraging-2s-8x8-2p-2f-coop-v2", "valid_actions_only": False, "common_reward": True, "episode_limit": 50}


def scheme_of(dtype=th.float32, n_actions=A, **more):
    return episode_scheme(obs_size=3, state_size=5, n_actions=n_actions, obs_dtype=dtype, state_dtype=dtype, **more)


def empty_batch(B=4, T=7, **scheme):
    return EpisodeBatch(scheme_of(**scheme), GROUPS, B, T)


def random_like(rng, array):
    """Every bit pattern that a field can hold and that compares equal to itself."""
    if array.dtype == np.bool_:
        return rng.random(array.shape) < 0.5
    if array.dtype == np.float32:
        return rng.normal(size=array.shape).astype(np.float32)
    limits = np.iinfo(array.dtype)
    return rng.integers(limits.min, limits.max, array.shape, array.dtype, endpoint=True)


def fill(batch, seed=0):
    rng = np.random.default_rng(seed)
    data = {name: random_like(rng, batch.array(name)) for name in batch.fields}
    batch.update(data)
    return data


def with_lengths(*lengths, T=7):
    """Episodes of so many actions, all of them action 3, their rows marked."""
    batch = empty_batch(B=len(lengths), T=T)
    for episode, length in enumerate(lengths):
        batch.update({"filled": True}, bs=episode, ts=slice(length + 1))
        batch.update({"actions": 3}, bs=episode, ts=slice(length))
    return batch


def test_a_step_of_lbf_takes_44_bytes_and_neither_one_hots_nor_the_state_are_stored():
    runner = RUNNERS["vector"](env_path("lbf"), LBF, 1, PhaseClock(), Limits(0, 60, 0))
    batch = EpisodeBatch(runner.scheme, runner.groups, 3, runner.max_seq_length)
    runner.close()
    sizes = {name: field.n_bytes for name, field in batch.fields.items()}
    assert sizes == {
        "state": 24,  # 2 agents x 12 numbers, one byte each
        "obs": 24,
        "avail_actions": 12,
        "actions": 2,
        "reward": 4,
        "terminated": 1,
        "filled": 1,
    }
    assert batch.storage.dtype == th.uint8
    assert batch.storage.nbytes == 3 * 51 * 44
    assert batch.raw("obs").dtype == batch.raw("state").dtype == th.int8


def test_flags_are_stored_as_bytes_and_actions_in_the_smallest_integer():
    batch = empty_batch()
    for flag in ("avail_actions", "terminated", "filled"):
        assert batch.raw(flag).dtype == th.bool
    assert batch.raw("actions").dtype == th.uint8
    assert empty_batch(n_actions=256).raw("actions").dtype == th.uint8
    assert empty_batch(n_actions=257).raw("actions").dtype == th.int16
    assert empty_batch(n_actions=2**15).raw("actions").dtype == th.int16
    assert empty_batch(n_actions=2**15 + 1).raw("actions").dtype == th.int32


def test_a_record_is_padded_so_that_every_field_of_every_row_is_aligned():
    batch = empty_batch(dtype=th.int8)
    needed = sum(field.n_bytes for field in batch.fields.values())
    assert needed == 5 + 3 * N + A * N + N + 4 + 1 + 1 and needed % 4 != 0
    assert batch.record == needed + 4 - needed % 4
    for field in batch.fields.values():
        assert field.offset % field.dtype.itemsize == 0


@pytest.mark.parametrize("dtype", [th.float32, th.int8, th.int16])
@pytest.mark.parametrize("n_actions", [A, 300])
def test_every_field_gives_back_what_was_written(dtype, n_actions):
    batch = empty_batch(dtype=dtype, n_actions=n_actions)
    data = fill(batch)
    assert set(data) == {"state", "obs", "avail_actions", "actions", "reward", "terminated", "filled"}
    for name, written in data.items():
        assert batch.array(name).tobytes() == written.tobytes()
        assert batch.raw(name).dtype == batch.fields[name].dtype


def test_quantities_come_as_networks_want_them():
    batch = empty_batch(dtype=th.int8)
    data = fill(batch)
    wanted = {"obs": th.float32, "state": th.float32, "reward": th.float32, "actions": th.int64}
    wanted |= {"avail_actions": th.bool, "terminated": th.bool, "filled": th.bool}
    for name, dtype in wanted.items():
        assert batch[name].dtype == dtype
        assert np.array_equal(batch[name].numpy(), data[name])
    assert batch["obs"].shape == (4, 7, N, 3) and batch["state"].shape == (4, 7, 5)
    assert batch["actions"].shape == (4, 7, N, 1) and batch["reward"].shape == (4, 7, 1)


def test_several_numbers_and_rewards_of_their_own_are_stored_as_they_are():
    batch = empty_batch(n_actions=4, action_size=4, continuous=True, n_rewards=N)
    data = fill(batch)
    assert batch["actions"].dtype == th.float32 and np.array_equal(batch["actions"].numpy(), data["actions"])
    assert batch["actions"].shape == (4, 7, N, 4) and batch["reward"].shape == (4, 7, N)
    assert np.array_equal(batch["reward"].numpy(), data["reward"])
    choices = empty_batch(n_actions=5 + 3, action_size=2)
    assert choices.raw("actions").dtype == th.uint8 and choices["actions"].dtype == th.int64
    assert choices["actions"].shape == (4, 7, N, 2) and choices["avail_actions"].shape == (4, 7, N, 8)


def test_slices_take_episodes_and_steps_and_copy_nothing():
    batch = empty_batch()
    data = fill(batch)
    for part, rows in ((batch[1:3], np.s_[1:3]), (batch[:, 2:5], np.s_[:, 2:5]), (batch[1:, :2], np.s_[1:, :2])):
        assert (part.batch_size, part.max_seq_length) == data["obs"][rows].shape[:2]
        for name, written in data.items():
            assert np.array_equal(part.array(name), written[rows])
    batch[1:3, 2:5].update({"reward": 77.0})
    assert (batch["reward"] == 77).nonzero()[:, :2].tolist() == [[b, t] for b in (1, 2) for t in (2, 3, 4)]


def test_update_writes_the_named_rows_alone():
    batch = empty_batch()
    before = fill(batch)
    batch.update({"actions": [[[1], [2]], [[3], [4]]], "reward": 5.0}, bs=[3, 0], ts=2)
    assert batch.array("actions")[[3, 0], 2, :, 0].tolist() == [[1, 2], [3, 4]]
    assert batch.array("reward")[[0, 3], 2].tolist() == [[5.0], [5.0]]
    for name, written in before.items():
        untouched = np.ones((4, 7), dtype=bool)
        untouched[[0, 3], 2] = name not in ("actions", "reward")
        assert np.array_equal(batch.array(name)[untouched], written[untouched])


def test_update_takes_arrays_of_rows_and_marks_none():
    batch = empty_batch()
    batch.update({"state": np.arange(5)}, bs=np.array([2, 1]), ts=slice(3))
    assert batch.array("state")[1:3, :3].sum(axis=(0, 1)).tolist() == [0, 6, 12, 18, 24]
    assert batch.array("state").sum() == 60
    assert not batch.array("filled").any()


def test_the_longest_episode_decides_how_many_rows_are_filled():
    assert with_lengths(2, 5, 3).max_t_filled() == 6
    assert with_lengths(6, 1).max_t_filled() == 7
    assert empty_batch().max_t_filled() == 0


def test_one_hot_actions_are_zero_where_no_action_was_taken():
    batch = with_lengths(2, 6, T=7)
    onehot = batch["actions_onehot"]
    assert onehot.shape == (2, 7, N, A) and onehot.dtype == th.float32
    expected = np.zeros((2, 7, N, A), dtype=np.float32)
    expected[0, :2, :, 3] = 1
    expected[1, :6, :, 3] = 1
    assert np.array_equal(onehot.numpy(), expected)


def test_one_hot_actions_name_the_action():
    batch = with_lengths(6)
    actions = np.random.default_rng(0).integers(A, size=(6, N, 1))
    batch.update({"actions": actions}, bs=0, ts=slice(6))
    assert np.array_equal(batch["actions_onehot"][0, :6].argmax(-1).numpy(), actions[..., 0])


def test_moving_a_slice_makes_a_whole_copy():
    batch = empty_batch()
    data = fill(batch)
    moved = batch[1:3, :4].to("cpu")
    assert moved.storage.is_contiguous() and moved.device == th.device("cpu")
    batch.storage.zero_()
    for name in ("obs", "actions"):
        assert np.array_equal(moved.array(name), data[name][1:3, :4])


def test_a_clone_has_memory_of_its_own_and_takes_over_other_episodes():
    batch, other = empty_batch(), empty_batch()
    written = fill(batch)
    fill(other, seed=1)
    copy = batch.clone()
    batch.copy_unless(th.tensor(True), other)
    assert th.equal(copy.storage, batch.storage)
    batch.copy_unless(th.tensor(False), other)
    for name, value in written.items():
        np.testing.assert_array_equal(copy.array(name), value)
        np.testing.assert_array_equal(batch.array(name), other.array(name))
    assert not th.equal(copy.storage, other.storage)


RECORD = lay_out(scheme_of(), GROUPS)[1]
EPISODE = th.zeros(4, RECORD, dtype=th.uint8)
OTHERS = {
    "wider": EPISODE.repeat(1, 2), "floats": EPISODE.float(), "flat": EPISODE[0], "no action": EPISODE[:1],
    "too long": EPISODE.repeat(3, 1),
}  # fmt: skip


@pytest.mark.parametrize("experience", EXPERIENCES)
@pytest.mark.parametrize("other", OTHERS)
def test_no_experience_takes_up_an_episode_of_another_form(experience, other):
    kept = EXPERIENCES[experience](scheme_of(), GROUPS, 10, 7, seed=0)
    rng_state = kept.rng_state()
    with pytest.raises(ValueError, match="another form"):
        kept.restore(2, [EPISODE, OTHERS[other]], rng_state)
    with pytest.raises(ValueError, match=r"2 .*of 1"):
        kept.restore(1, [EPISODE, EPISODE], rng_state)
    kept.restore(2, [EPISODE, EPISODE], rng_state)
    assert kept.inserted == 2 and len(kept.since(0)) == 2
