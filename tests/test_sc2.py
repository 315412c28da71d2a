"""StarCraft II through `envs.sc2` and `envs.sc2v2`, with real pysc2, and a stand-in for the suites and the game."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from packages import needs
from processes import children, running, wait_until
from sc2_here import BUILD, STANDIN, sc2_here
from tiny_runs import csv_rows, play, read, settings_of, words

import envs
import main
from envs import make_env, task_name
from envs.multiagentenv import EpisodeLostError
from settings import resolve
from utils.errors import UserError

pytestmark = needs("sc2")
SRC = Path(envs.__file__).parents[1]
TASKS = {"sc2": "3m", "sc2v2": "zerg_5_vs_5"}
both = pytest.mark.parametrize("name", list(TASKS))


def settings(name, **changes):
    return (
        resolve("qmix", name, {}, SRC / "config")["env_args"] | {"map_name": TASKS[name], "game_timeout": 1} | changes
    )


@pytest.fixture(autouse=True)
def installed(monkeypatch, tmp_path):
    sc2_here(monkeypatch, tmp_path)
    return Path(os.environ["SC2PATH"])


@pytest.fixture
def make():
    made = []

    def making(name, **changes):
        made.append(make_env(name, settings(name, **changes)))
        return made[-1]

    yield making
    for env in made:
        env.close()


def step(env):
    return env.step(env.get_avail_actions().argmax(axis=1))


def finish(env):
    while not any((outcome := step(env))[1:3]):
        pass
    return outcome


def games():
    """Ids of the processes that stand for the game."""
    return {pid for pid in children() if re.search(rb"SC2_x64|sleep", Path(f"/proc/{pid}/cmdline").read_bytes())}


@both
def test_one_game_plays_one_battle_after_the_other_and_starts_with_the_first(name, make):
    before = games()
    env = make(name)
    assert games() == before
    env.reset(1)
    (game,) = games() - before
    for seed in range(3):
        finish(env)
        env.reset(seed)
        assert games() - before == {game}
    assert env.get_stats() == {"games_restarted": 0.0}


@both
def test_a_reset_before_the_first_battle_has_ended_takes_another_game(name, make):
    before = games()
    env = make(name)
    env.reset(1)
    first = games() - before
    env.reset(2)
    second = games() - before
    assert len(second) == 1 and second != first
    finish(env)
    env.reset(3)
    step(env)
    env.reset(4)
    assert games() - before == second, "a later battle may be left in the same game"
    assert env.get_stats() == {"games_restarted": 0.0}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("crash@4", "Connection already closed"),
        ("error@4", "Error in RPC response"),
        ("hang@4", "Websocket timed out"),
        ("rude@4", "Handshake status"),
    ],
)
@both
def test_a_lost_game_is_ended_its_episode_lost_and_the_next_one_played_in_another(
    name, fault, says, make, monkeypatch, tmp_path
):
    before = games()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    env = make(name)
    monkeypatch.setenv("STANDIN_FAULT", fault)
    env.reset(1)
    with pytest.raises(EpisodeLostError, match=says) as lost:
        finish(env)
    assert "\n" not in str(lost.value)
    assert games() == before and not list(tmp_path.glob("sc-*"))
    assert env.get_stats() == {"games_restarted": 1.0}
    monkeypatch.delenv("STANDIN_FAULT")
    env.reset(1)
    assert len(games() - before) == 1
    finish(env)


@both
def test_a_game_lost_between_two_battles_loses_the_second(name, make, monkeypatch):
    env = make(name)
    env.reset(1)
    finish(env)
    (game,) = games()
    os.kill(game, signal.SIGKILL)
    wait_until(lambda: not games())
    with pytest.raises(EpisodeLostError):
        env.reset(2)
    env.reset(2)
    finish(env)


def test_a_game_whose_units_never_appear_is_ended(make, monkeypatch):
    env = make("sc2")
    monkeypatch.setenv("STANDIN_FAULT", "unborn")
    with pytest.raises(EpisodeLostError, match=r"no battle began within 2 s \(game_timeout=1\)"):
        env.reset(1)
    assert not games()


def test_a_game_that_cannot_be_started_loses_the_episode_and_says_why(make, installed):
    env = make("sc2")
    (installed / "Versions" / f"Base{BUILD}" / "SC2_x64").write_text("no program")
    with pytest.raises(EpisodeLostError, match=r"Failed to launch.*SC2_x64"):
        env.reset(1)


@pytest.mark.parametrize(("name", "time"), [("sc2", True), ("sc2", False), ("sc2v2", True)])
def test_observations_are_as_long_as_announced_where_agents_see_the_time(name, time, make):
    env = make(name, obs_timestep_number=time)
    env.reset(1)
    step(env)
    assert env.get_obs().shape == (env.info.n_agents, env.info.obs_size)
    assert (env.get_obs()[0, -1] == np.float32(1 / env.info.episode_limit)) == (time and name == "sc2")


def test_a_battle_at_its_limit_is_truncated_and_one_decided_there_is_not(make):
    env, ends = make("sc2"), set()
    for seed in range(60):
        env.reset(seed)
        rng, steps, outcome = np.random.default_rng(seed), 0, (0, False, False)
        while not any(outcome[1:3]):
            available = env.get_avail_actions()
            outcome = env.step((available * rng.random(available.shape)).argmax(axis=1))
            steps += 1
        _, terminated, truncated, info = outcome
        decided = info["dead_allies"] == 3 or info["dead_enemies"] == 3
        assert (terminated, truncated) == (decided, not decided) and info["battle_won"] in (0, 1)
        ends.add((truncated, steps == env.info.episode_limit))
    assert {(True, True), (False, True), (False, False)} <= ends


def test_teams_follow_from_the_episode_s_seed_alone_and_the_processs_generator_is_left_alone(make):
    env, other = make("sc2v2", map_name="zerg_10_vs_11"), make("sc2v2", map_name="zerg_10_vs_11")
    state = random.getstate()

    def team(which, seed):
        which.reset(seed)
        return tuple(which._game.team)

    teams = [team(env, seed) for seed in range(6)]
    assert len(set(teams)) == 6 and random.getstate() == state
    random.seed(1)
    assert [team(other, seed) for seed in reversed(range(6))][::-1] == teams


def test_a_game_has_the_seed_of_its_first_episode(make):
    env = make("sc2")
    env.reset(2**32 - 1)
    assert env._game._seed == 2**32 - 1
    finish(env)
    env.reset(5)
    assert env._game._seed == 2**32 - 1


CHILD = """
import ctypes, json, os, sys
from envs import make_env
env = make_env(sys.argv[1], json.loads(sys.argv[2]))
env.reset(1)
print(env._package_env()._sc2_proc.pid, flush=True)
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
print(libc.getenv(b"LD_LIBRARY_PATH"), flush=True)
sys.stdin.read()
"""


def in_a_process(name):
    return running("-c", CHILD, name, json.dumps(settings(name)))


@both
def test_a_game_ends_with_the_process_that_started_it_even_when_that_is_killed(name, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{SRC}{os.pathsep}{STANDIN}")
    with in_a_process(name) as process:
        game = int(process.stdout.readline())
        os.kill(game, 0)
        process.kill()
        process.wait()
        wait_until(lambda: gone(game))


def gone(pid):
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


@pytest.mark.parametrize("path", [None, "/some/where"])
def test_the_library_path_of_the_game_is_not_left_to_processes_started_later(path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{SRC}{os.pathsep}{STANDIN}")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    if path:
        monkeypatch.setenv("LD_LIBRARY_PATH", path)
    with in_a_process("sc2") as process:
        process.stdout.readline()
        assert process.stdout.readline().strip() == repr(path.encode() if path else None)


@pytest.mark.parametrize("runner", ["vector", pytest.param("parallel", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("alg", "name"), [("qmix", "sc2"), ("mmsa", "sc2v2")])
def test_a_run_goes_on_through_lost_games_and_counts_them(alg, name, runner, tmp_path, monkeypatch):
    monkeypatch.setenv("STANDIN_FAULT", "crash@15")
    changes = {"env_args.map_name": TASKS[name], "t_max": "150", "log_interval": "75", "runner": runner}
    folder = play(alg, name, tmp_path, **changes)
    figures = read(folder, "metrics.json")
    for figure in ("episodes_lost", "games_restarted"):
        assert figures[figure]["values"][-1] >= 2
    assert {
        "battle_won_mean",
        "test_battle_won_mean",
        "test_dead_allies_mean",
        "test_dead_enemies_mean",
    } <= figures.keys()
    assert all(np.isfinite(figure["values"]).all() for figure in figures.values())
    won = [int(row["won"]) for row in csv_rows(folder)[-3:]]
    assert figures["test_battle_won_mean"]["values"][-1] == pytest.approx(np.mean(won))
    assert read(folder, "info.json")["environment"]["StarCraft II"] == f"4.10.0 (build {BUILD})"
    assert not games()


@pytest.mark.parametrize("runner", ["vector", pytest.param("parallel", marks=pytest.mark.slow)])
def test_an_evaluation_keeps_its_replays_one_for_each_game_that_played(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = play("qmix", "sc2", "a", **{"env_args.map_name": "3m", "runner": runner})
    changes = {"env_args.map_name": "3m", "runner": runner, "checkpoint_path": str(trained), "evaluate": "True"}
    folder = play("qmix", "sc2", "b", save_replay="True", **changes)
    replays = sorted(folder.glob("replays/*/*.SC2Replay"))
    assert [replay.parent.name for replay in replays] == ["0", "1", "2"], "three episodes were played, in four slots"
    assert all(replay.read_bytes() == b"a replay" for replay in replays)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"save_replay": "True"}, "save_replay=True goes with evaluate=True"),
        ({"env_args.map_name": "3s5zz"}, "unknown smac map '3s5zz': did you mean 3s5z"),
        ({"env_args.game_version": "4.6.2"}, "env_args.game_version=4.6.2: Unknown game version: 4.6.2"),
        ({"env_args.difficulty": "11"}, "env_args.difficulty=11: must be one of 1, 2"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(changes, says, tmp_path, capsys):
    argv = words(
        "qmix", "sc2", settings_of("sc2", local_results_path=str(tmp_path / "results"), runner="vector", **changes)
    )
    assert main.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and says in err and err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_replays_of_an_environment_without_any_are_refused_before_anything_is_written(tmp_path, capsys):
    changes = {"save_replay": "True", "evaluate": "True", "checkpoint_path": str(tmp_path)}
    assert main.main(words("qmix", "matrix_game", settings_of("matrix_game", **changes))) == 2
    assert "error: save_replay=True: matrix_game keeps no replays" in capsys.readouterr().err


@pytest.mark.parametrize(
    "task", ["3s5z", "zerg_5_vs_0", "zerg_5", "human_5_vs_5", "zerg_5_vs_5.yaml", "../zerg_5_vs_5", ""]
)
def test_a_task_without_a_capability_configuration_is_named_with_the_form(task):
    with pytest.raises(UserError, match=r"must be one of protoss, terran, zerg, then how many .*as protoss_5_vs_5"):
        task_name("sc2v2", settings("sc2v2", map_name=task))


def test_capabilities_are_a_copy_of_ones_own():
    from envs.sc2v2 import capabilities

    one, two = capabilities("zerg_10_vs_11")[1], capabilities("zerg_10_vs_11")[1]
    one["team_gen"]["n_units"] = 3
    assert "n_units" not in two["team_gen"] and (two["n_units"], two["n_enemies"]) == (10, 11)


def refuses(name="sc2", **changes):
    with pytest.raises(UserError) as mistake:
        make_env(name, settings(name, **changes))
    assert "\n" not in str(mistake.value)
    return str(mistake.value)


def test_a_missing_game_version_or_map_is_named_before_a_game_is_started(installed, monkeypatch, tmp_path):
    (installed / "Maps" / "SMAC_Maps" / "3m.SC2Map").unlink()
    assert "SMAC_Maps/3m.SC2Map is missing: bash install_sc2.sh" in refuses()
    (installed / "Maps" / "SMAC_Maps" / "32x32_flat.SC2Map").unlink()
    for package in ("smac", "smacv2"):
        monkeypatch.delitem(sys.modules, f"{package}.env", raising=False)
    assert "SMAC_Maps/32x32_flat.SC2Map is missing" in refuses("sc2v2")
    program = installed / "Versions" / f"Base{BUILD}" / "SC2_x64"
    program.chmod(0o644)
    assert f"{program} cannot be run" in refuses("sc2v2")
    program.unlink()
    assert f"{program} cannot be run" in refuses("sc2v2")


def test_no_game_is_named_with_the_place_that_was_looked_at(monkeypatch, tmp_path):
    monkeypatch.setenv("SC2PATH", str(tmp_path / "no where"))
    assert f"no {tmp_path}/no where/Versions (SC2PATH={tmp_path}/no where); bash install_sc2.sh" in refuses()
    (tmp_path / "no where" / "Versions").mkdir(parents=True)
    assert "StarCraft II cannot be used: No SC2 Versions found" in refuses()
    monkeypatch.delenv("SC2PATH")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"no {tmp_path}/StarCraftII/Versions (SC2PATH is not set)" in refuses()


def test_both_suites_in_one_process_are_refused(make):
    make("sc2")
    with pytest.raises(UserError, match="smacv2 and smac cannot be used in one process"):
        make_env("sc2v2", settings("sc2v2"))


def test_another_package_of_the_name_smac_is_recognised(monkeypatch, tmp_path):
    (tmp_path / "pypi" / "smac").mkdir(parents=True)
    (tmp_path / "pypi" / "smac" / "__init__.py").touch()
    for module in [module for module in sys.modules if module.partition(".")[0] == "smac"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path / "pypi")
    assert "another one of that name" in (said := refuses()) and "pip uninstall smac" in said


@pytest.mark.parametrize("package", ["smac", "s2clientprotocol"])
@pytest.mark.parametrize("ask", [make_env, task_name])
def test_a_missing_package_is_one_line_with_the_command(ask, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UserError, match=rf"Python package {package},.*`pip install -r requirements-sc2\.txt --no-deps`$"
    ):
        ask("sc2", settings("sc2"))


def test_neither_suite_is_imported_before_it_is_asked_for():
    code = "import sys, envs.sc2, envs.sc2v2; sys.exit(any(name.partition('.')[0] in ('pysc2', 's2clientprotocol') "
    code += "for name in sys.modules))"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=SRC).returncode == 0


def test_actions_are_called_by_what_they_do(make):
    names = make("sc2").action_names()
    assert names == ["no-op", "stop", "north", "south", "east", "west", "attack 0", "attack 1", "attack 2"]
