"""What replay takes when it is full, and what there is: told at the start, refused in one line, kept on disk."""

import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch as th
from processes import WAIT
from test_resume import SAVES, same_run, stop_after
from tiny_runs import DREAMS, MAIN, play, settings_of, words

import main
from components.disk_rows import DiskRows
from components.episode_batch import EpisodeBatch, episode_scheme, in_this_form, lay_out
from components.replay_buffer import ReplayBuffer
from components.segments import SegmentReplay
from runners.finite import check_finite
from settings import resolve
from training.assembly import build
from training.loop import play_round
from training.room import Kept
from utils import memory_there
from utils.errors import RunFailedError, UserError

SIZES = {"obs_size": 3, "state_size": 6, "n_actions": 5, "obs_dtype": th.int8, "state_dtype": th.int8}
GROUPS = {"agents": 2}


def groups_of(tmp_path, files, available=1000, path="0::/run/job"):
    """A system with so many kB of memory, and control groups with these files."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 9999 kB\nMemAvailable: {available} kB\n")
    (proc / "self" / "cgroup").write_text(f"1:cpu:/other\n{path}\n")
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    return proc, groups


@pytest.mark.parametrize(
    ("files", "path", "there"),
    [
        ({}, "0::/", 1_024_000),
        ({"run/job/memory.max": "max\n", "run/job/memory.current": "5"}, "0::/run/job", 1_024_000),
        ({"run/job/memory.max": "900", "run/job/memory.current": "500",
          "run/job/memory.stat": "anon 400\ninactive_file 100\n"}, "0::/run/job", 500),
        ({"run/memory.max": "700", "run/memory.current": "600", "run/memory.stat": "inactive_file 0"}, "0::/run/job",
         100),
        ({"memory/a/memory.limit_in_bytes": "800", "memory/a/memory.usage_in_bytes": "700",
          "memory/a/memory.stat": "total_inactive_file 50"}, "4:cpuset,memory:/a", 150),
    ],
)  # fmt: skip
def test_what_is_there_is_the_least_of_what_system_and_groups_leave(files, path, there, tmp_path):
    assert memory_there.memory_there(*groups_of(tmp_path, files, path=path)) == there


def test_without_a_system_that_tells_nothing_is_known(tmp_path):
    assert memory_there.memory_there(tmp_path, tmp_path) is None


def test_what_other_processes_have_promised_is_not_counted_on(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_there, "memory_there", lambda: 10**9)
    monkeypatch.setattr(memory_there, "SHARE", 0.5)
    place = tmp_path / "promises"
    program = (
        f"import sys; sys.path.insert(0, {str(MAIN.parent)!r})\n"
        "from pathlib import Path\nfrom utils import memory_there\nmemory_there.memory_there = lambda: 10**9\n"
        f"print(memory_there.promise(3 * 10**8, Path({str(place)!r})), flush=True)\ninput()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        room = memory_there.promise(10**8, place)
        assert 2.9e8 < room.promised <= 3e8 and room.there == 5 * 10**8 - room.promised
        assert (place / str(os.getpid())).exists()
        assert memory_there.promise(1, place) == room  # one's own is not in one's way
        other.communicate("\n", timeout=WAIT)
    assert memory_there.promise(6 * 10**8, place) == (5 * 10**8, 0)  # who is gone has none; too much is not promised
    memory_there.withdraw(place)
    assert [path.name for path in place.iterdir()] == ["lock"]


def argv_of(alg, **more):
    return words(alg, "lbf", settings_of("lbf", **more))


@pytest.fixture
def nobody_else(monkeypatch, tmp_path_factory):
    """No other run of this machine has promised its memory to anything."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("promises")))


@pytest.mark.usefixtures("nobody_else")
@pytest.mark.parametrize(
    ("alg", "settings", "says"),
    [
        ("qmix", {"buffer_size": "1000", "t_max": "20000"}, "MB when its 1000 episodes are full"),
        ("dmawm", DREAMS | {"buffer_size": "9000", "t_max": "20000"}, "MB when its 9000 steps are full"),
    ],
)
def test_replay_that_will_not_fit_is_refused_with_the_size_that_would(
    alg, settings, says, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory_there, "memory_there", lambda: 200_000)
    assert main.main(argv_of(alg, **settings)) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1 and "or buffer_device=disk" in err, err
    assert not list(tmp_path.iterdir())
    advised = err.partition("take buffer_size=")[2].split()[0]
    settings = settings | {"t_max": "20000", "buffer_size": advised, "seed": "1"}
    build(resolve(alg, "lbf", settings_of("lbf", **settings), main.CONFIG_DIR)).close()
    more = settings | {"buffer_size": str(int(advised) + 20)}
    with pytest.raises(UserError, match="can be counted on; take buffer_size="):
        build(resolve(alg, "lbf", settings_of("lbf", **more), main.CONFIG_DIR))


@pytest.mark.usefixtures("nobody_else")
def test_a_short_run_fills_no_replay(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_there, "memory_there", lambda: 200_000)
    settings = settings_of("lbf", buffer_size="1000000", t_max="1000")
    run = build(resolve("qmix", "lbf", settings, main.CONFIG_DIR))
    (note,) = [note for note in run.notes if "replay takes" in note]
    assert "of memory can be counted on" in note
    run.close()


def test_a_disk_that_is_too_small_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 100_000))
    assert main.main(argv_of("qmix", buffer_size="1000", t_max="20000", buffer_device="disk")) == 2
    assert "or buffer_path=<a larger disk>" in capsys.readouterr().err


@pytest.mark.parametrize(("alg", "settings"), [("qmix", {}), ("dmawm", DREAMS | {"buffer_size": "1000"})])
def test_a_run_with_replay_on_disk_is_the_run_with_it_in_memory(alg, settings, tmp_path):
    whole = play(alg, "lbf", tmp_path / "memory", t_max="200", **SAVES, **settings)
    disk = play(alg, "lbf", tmp_path / "disk", t_max="200", buffer_device="disk", **SAVES, **settings)
    same_run(whole, disk)
    assert not [path for path in (tmp_path / "disk").rglob(".*")]
    stop_after(disk, 1)
    assert main.main([f"resume={disk}"]) == 0
    same_run(whole, disk)


def test_policies_have_nothing_to_keep_on_disk(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(argv_of("mappo", buffer_device="disk")) == 2
    assert "buffer_device=disk is for replay" in capsys.readouterr().err


def mapped(folder):
    return [line for line in open("/proc/self/maps") if str(folder) in line]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_rows_on_disk_are_as_given_and_their_room_is_free_once_they_are_gone(tmp_path):
    disk, given = DiskRows(tmp_path, chunk=1000), [th.randint(256, (n, 30), dtype=th.uint8) for n in (3, 9, 20, 70)]
    kept = [disk.keep(rows) for rows in given]
    assert all(th.equal(x, y) for x, y in zip(kept, given, strict=True))
    assert all(rows.data_ptr() % 64 == 0 for rows in kept) and not list(tmp_path.iterdir())
    assert len(mapped(tmp_path)) == 3  # two in the first
    del kept[:2]
    assert len(mapped(tmp_path)) == 2


@pytest.mark.parametrize("kind", [ReplayBuffer, SegmentReplay])
def test_a_full_disk_leaves_replay_as_it_was(kind, tmp_path, monkeypatch):
    scheme = episode_scheme(**SIZES)
    replay = kind(scheme, GROUPS, 50, 9, 0, disk=DiskRows(tmp_path, chunk=600))
    batch = EpisodeBatch(scheme, GROUPS, 2, 9)
    batch.update({"filled": True, "reward": 1.0})
    replay.insert_episode_batch(batch)
    n_bytes, calls = replay.n_bytes, iter([None])

    def no_room(*_):
        if next(calls, "none left") is not None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    monkeypatch.setattr(th, "from_file", lambda *_, size, **__: th.zeros(size, dtype=th.uint8))
    with pytest.raises(OSError, match="No space"):
        replay.insert_episode_batch(batch)
    assert (replay.inserted, replay.n_bytes) == (2, n_bytes)


def test_a_state_that_is_its_observations_takes_no_room():
    twice, once = episode_scheme(**SIZES), episode_scheme(**SIZES, state_of_obs=True)
    assert lay_out(twice, GROUPS)[1] - lay_out(once, GROUPS)[1] in (6, 8)  # up to padding
    batch = EpisodeBatch(once, GROUPS, 2, 4)
    batch.update({"obs": np.arange(6).reshape(2, 3)}, ts=1)
    assert batch["state"][:, 1].tolist() == [[0, 1, 2, 3, 4, 5]] * 2 and not batch["state"][:, 2].any()


def test_episodes_of_archives_that_have_it_twice_are_read():
    twice, once = (EpisodeBatch(episode_scheme(**SIZES, state_of_obs=o), GROUPS, 1, 4) for o in (False, True))
    rng = np.random.default_rng(0)
    for name in ("obs", "avail_actions", "actions", "reward", "terminated", "filled"):
        value = rng.integers(0, 2, twice.array(name).shape)
        twice.update({name: value})
        once.update({name: value})
    twice.update({"state": twice.array("obs").reshape(1, 4, 6)})
    again = ReplayBuffer(once.scheme, GROUPS, 1, 4, 0)
    again.restore(1, iter(twice.storage), np.random.default_rng(0).bit_generator.state)
    assert th.equal(again.episodes[0], once.storage[0])
    with pytest.raises(ValueError, match="another form"):
        in_this_form(once.storage[0], twice.scheme, GROUPS)


def test_half_precision_keeps_what_it_can_and_agents_act_on_that(tmp_path):
    key = {"env_args.key": "pz-mpe-simple-spread-v3", "env_args.time_limit": "5"}
    runs = [
        build(resolve("qmix", "gymma", settings_of("gymma", **key, buffer_dtype=dtype), main.CONFIG_DIR))
        for dtype in ("as_played", "float16")
    ]
    full, half = (run.experience for run in runs)
    for run in runs:
        play_round(run)
        run.close()
    assert half.n_bytes < 0.6 * full.n_bytes
    (x, y) = (EpisodeBatch(e.scheme, e.groups, 1, 6, e.episodes[0][None]) for e in (full, half))
    assert y["obs"].dtype == th.float32 and th.equal(y["obs"], x["obs"].half().float())
    assert th.equal(y["reward"], x["reward"])  # nothing else is rounded


def test_a_number_beyond_half_precision_is_told():
    scheme = episode_scheme(**SIZES | {"obs_dtype": th.float32}, float_dtype=th.float16)
    batch = EpisodeBatch(scheme, GROUPS, 1, 3)
    with np.errstate(over="ignore"):
        batch.update({"obs": np.full((2, 3), 1e6, dtype=np.float32)}, ts=0)
    with pytest.raises(RunFailedError, match="take buffer_dtype=as_played"):
        check_finite(batch, ("obs",), slice(None), 0, [1])


def test_steps_that_are_waited_for_are_counted_as_the_shortest_episodes(monkeypatch):
    monkeypatch.setattr(memory_there, "memory_there", lambda: 10**9)
    kept = []
    for steps in ("0", "100000"):
        run = build(resolve("mappo", "lbf", settings_of("lbf", batch_steps=steps), main.CONFIG_DIR))
        kept.append(Kept("fresh", run.experience, run.args, run.runner))
    assert kept[1].full >= 2 * 100_000 * kept[1].record > kept[0].full


def test_replay_waits_for_no_steps():
    with pytest.raises(UserError, match="batch_steps=7 is for policies: replay gives batch_size episodes"):
        build(resolve("qmix", "lbf", settings_of("lbf", batch_steps="7"), main.CONFIG_DIR))
