"""The real smac and smacv2 against a server that speaks StarCraft II's protocol, where both can be had.

SMAC_DIR and SMACV2_DIR name checkouts of the packages, where they are not installed; FAKE_SC2_DIR the server, if it is
not in `shared/fake_sc2` beside the repository. Each test runs in a process of its own: the suites do not go together.
"""

import os
import re
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from packages import needs
from tiny_runs import TINY, read

TESTS = Path(__file__).parent
SRC = TESTS.parent / "src"
SERVER = Path(os.environ.get("FAKE_SC2_DIR", TESTS.parents[1] / "shared" / "fake_sc2"))
PLACES = {"sc2": ("smac", os.environ.get("SMAC_DIR")), "sc2v2": ("smacv2", os.environ.get("SMACV2_DIR"))}
LAUNCHER = """#!/bin/sh
unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION
PYTHONPATH="{paths}" exec "{python}" -c "
import sys
from envs.sc2_protocol import load_protocol
load_protocol()
import fake_sc2
fake_sc2.main(sys.argv[1:])" "$@"
"""
# What the adapters leave to the packages, or set themselves.
NOT_SETTINGS = {
    "continuing_episode", "debug", "heuristic_ai", "heuristic_rest", "replay_dir", "replay_prefix", "seed",
    "window_size_x", "window_size_y",
}  # fmt: skip
NOT_SETTINGS_OF_V2 = {
    "capability_config", "fully_observable", "kill_unit_step_mul", "obs_instead_of_state", "obs_starcraft",
}  # fmt: skip


def real(name):
    package, place = PLACES[name]
    if not (SERVER / "make_install.py").exists():
        return pytest.mark.skip(reason=f"no server of StarCraft II's protocol in {SERVER}: set FAKE_SC2_DIR")
    if PathFinder.find_spec(package, [place] if place else None) is None:
        return pytest.mark.skip(reason=f"{package} is not installed; a checkout's place: {package.upper()}_DIR")
    return needs(name)


def each(*names):
    return [pytest.param(name, marks=real(name)) for name in names]


@pytest.fixture(scope="module")
def game(tmp_path_factory):
    """An installation whose game is the server, itself on the fast protobuf route."""
    folder = tmp_path_factory.mktemp("real") / "Star Craft II"
    subprocess.run([sys.executable, SERVER / "make_install.py", folder], check=True, capture_output=True)
    (program,) = folder.glob("Versions/*/SC2_x64")
    program.write_text(LAUNCHER.format(paths=f"{SRC}:{SERVER}", python=sys.executable))
    return folder


@pytest.fixture
def python(game, tmp_path):
    """Run Python with the real packages and the server, and return what it said."""

    def run(*words, **variables):
        paths = [SRC, TESTS, *(place for _, place in PLACES.values() if place)]
        variables |= {"REAL_SC2": "1", "SC2PATH": str(game), "OMP_NUM_THREADS": "1", "OUT": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *map(str, words)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))} | variables,
            cwd=TESTS.parent, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert not left_over(game), "a game is left"
        return done.stdout

    return run


def left_over(game):
    """Whether a process of this installation still runs."""
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return str(game) in lines


@pytest.mark.slow
@pytest.mark.parametrize("name", each("sc2", "sc2v2"))
def test_the_contract_holds(name, python):
    said = python("-m", "pytest", "tests/test_envs.py", "-vk", f"[{name}-", "-p", "no:cacheprovider")
    assert re.search(r"\d\d passed", said)


WHOLE_EPISODES = """
import sys
import numpy as np
from pathlib import Path
from envs import make_env
from settings import resolve
name, map_name, *changes = sys.argv[1:]
updates = {"env_args.map_name": map_name} | dict(change.split("=") for change in changes)
env = make_env(name, resolve("qmix", name, updates, Path("src/config"))["env_args"])
rng = np.random.default_rng(0)
for seed in range(2):
    env.reset(seed)
    over = False
    while not over:
        info = env.info
        assert env.get_obs().shape == (info.n_agents, info.obs_size) and env.get_obs().dtype == np.float32
        assert env.get_state().shape == (info.state_size,) and np.isfinite(env.get_state()).all()
        available = env.get_avail_actions()
        reward, *ends, info = env.step((available * rng.random(available.shape)).argmax(axis=1))
        over = any(ends)
    assert info.keys() == {"battle_won", "dead_allies", "dead_enemies"}
assert len(env.action_names()) == env.info.n_actions
env.close()
"""


@pytest.mark.parametrize(
    ("map_name", "changes"),
    [
        ("3m", ()),
        ("MMM2", ("env_args.obs_timestep_number=true", "env_args.obs_instead_of_state=true")),
        (
            "2s3z",
            ("env_args.obs_pathing_grid=true", "env_args.obs_terrain_height=true", "env_args.obs_last_action=true"),
        ),
    ],
)
@pytest.mark.parametrize("name", each("sc2"))
def test_views_of_smac_have_the_announced_shapes(name, map_name, changes, python):
    python("-c", WHOLE_EPISODES, name, map_name, *changes)


@pytest.mark.parametrize(
    ("map_name", "changes"),
    [
        ("zerg_5_vs_5", ()),
        ("protoss_10_vs_10", ("env_args.obs_timestep_number=true", "env_args.state_timestep_number=true")),
        ("terran_10_vs_11", ("env_args.conic_fov=true",)),
        ("terran_6_vs_5", ()),
    ],
)
@pytest.mark.parametrize("name", each("sc2v2"))
def test_views_of_smacv2_have_the_announced_shapes(name, map_name, changes, python):
    python("-c", WHOLE_EPISODES, name, map_name, *changes)


WON = """
import sys
from pathlib import Path
from envs import make_env
from settings import resolve
env = make_env("sc2", resolve("qmix", "sc2", {"env_args.map_name": "3m"}, Path("src/config"))["env_args"])
env.reset(5)  # smac would count what the enemies are worth a second time, and scale all rewards down for good
for seed in range(2):
    env.reset(seed)
    ends, total = (False, False), 0
    while not any(ends):
        targets = env.get_avail_actions()[:, 6:]
        reward, *ends, info = env.step((targets.argmax(axis=1) + 6) * targets.any(axis=1) + 4 * ~targets.any(axis=1))
        total += reward
    print(*ends, info["battle_won"], info["dead_enemies"], round(total, 3))
env.close()
"""


@pytest.mark.parametrize("name", each("sc2"))
def test_a_won_battle_is_one_and_is_worth_what_smac_says(name, python):
    said = python("-c", WON, FAKE_SC2_ENEMY_DAMAGE="0.01")
    assert said == "True False 1.0 3.0 20.0\n" * 2


RULES = """
import sys
from inspect import signature
from pathlib import Path
from envs.starcraft2 import import_suite
from settings import resolve
name, package = sys.argv[1:]
import_suite(package)
env_args = resolve("qmix", name, {}, Path("src/config"))["env_args"]
print(*sorted(set(signature(sys.modules[package + ".env"].StarCraft2Env.__init__).parameters) ^ set(env_args)))
"""


@pytest.mark.parametrize("name", each("sc2", "sc2v2"))
def test_every_rule_of_the_package_is_a_setting_or_left_out_on_purpose(name, python):
    differ = set(python("-c", RULES, name, PLACES[name][0]).split())
    assert differ == {"self", "game_timeout"} | NOT_SETTINGS | (NOT_SETTINGS_OF_V2 if name == "sc2v2" else set())


TEAMS = """
import sys
from pathlib import Path
from envs import make_env
from settings import resolve
args = resolve("qmix", "sc2v2", {"env_args.map_name": "zerg_10_vs_11"}, Path("src/config"))["env_args"]
env = make_env("sc2v2", args)
for seed in map(int, sys.argv[1:]):
    env.reset(seed)
    units = [*env._package_env().agents.values(), *env._package_env().enemies.values()]
    print(seed, sorted((unit.unit_type, round(unit.pos.x, 3), round(unit.pos.y, 3)) for unit in units))
env.close()
"""


@pytest.mark.parametrize("name", each("sc2v2"))
def test_teams_and_positions_follow_from_the_episode_s_seed(name, python):
    one, two = (sorted(python("-c", TEAMS, *seeds).splitlines()) for seeds in ("123", "312"))
    assert one == two and len({line.partition(" ")[2] for line in one}) == 3


CHANGE_PLACES = """
import sys
import numpy as np
from pathlib import Path
from envs import make_env
from settings import resolve
name, map_name = sys.argv[1:]
env = make_env(name, resolve("qmix", name, {"env_args.map_name": map_name}, Path("src/config"))["env_args"])
env.reset(3)
game = env._package_env()
for team, x in ((game.agents, 14.0), (game.enemies, 18.0)):  # all in sight of agent 0, no two alike, some in reach
    for number, unit in team.items():
        unit.pos.x, unit.pos.y, unit.health = x + 0.35 * number, 16 + 0.4 * number, unit.health - 3 * number
def looked():
    env._look()
    return env.get_obs()[0].copy(), env.get_avail_actions()[0].copy()
seen, options = looked()
enemies = np.roll(np.arange(len(game.enemies)), 1)
allies = np.arange(len(game.agents))
allies[1:3] = 2, 1
game.enemies = {k: game.enemies[int(i)] for k, i in enumerate(enemies)}
game.agents = {k: game.agents[int(i)] for k, i in enumerate(allies)}
seen_then, options_then = looked()
orders = {"enemy": enemies, "ally": allies[1:] - 1}
for kind in env.info.entities.kinds:
    each = np.array(kind.features)
    assert len(np.unique(seen[each], axis=0)) == len(each) > 1 and (seen[each] != 0).any(axis=1).all(), kind.name
    np.testing.assert_array_equal(seen_then[each], seen[each[orders[kind.name]]])
attacks = np.array(env.info.entities.kinds[0].actions)
assert options[attacks].any()
np.testing.assert_array_equal(options_then[attacks], options[attacks[enemies]])
own = list(env.info.entities.own)
np.testing.assert_array_equal(seen_then[own], seen[own])
print(*(kind.name for kind in env.info.entities.kinds), len(attacks))
env.close()
"""


@pytest.mark.parametrize(
    ("name", "map_name", "said"),
    [
        pytest.param("sc2", "2s3z", "enemy ally 5\n", marks=real("sc2")),
        pytest.param("sc2v2", "protoss_5_vs_5", "enemy ally 5\n", marks=real("sc2v2")),
        pytest.param("sc2v2", "terran_10_vs_11", "enemy ally 11\n", marks=real("sc2v2")),
    ],
)
def test_units_that_change_places_change_their_numbers_and_actions(name, map_name, said, python):
    assert python("-c", CHANGE_PLACES, name, map_name) == said


SAME = """
import sys
import numpy as np
from pathlib import Path
from envs import make_env
from settings import resolve
args = resolve("qmix", "sc2", {"env_args.map_name": "2s3z"}, Path("src/config"))["env_args"]
from google.protobuf.internal import api_implementation
print(api_implementation.Type(), file=sys.stderr)
env, rng = make_env("sc2", args), np.random.default_rng(0)
for seed in range(3):
    env.reset(7)
    over = False
    while not over:
        available = env.get_avail_actions()
        reward, *ends, info = env.step((available * rng.random(available.shape)).argmax(axis=1))
        over = any(ends)
        print(reward, env.get_obs().tobytes().hex()[:64], env.get_state().sum(), info)
env.close()
"""


@pytest.mark.parametrize("name", each("sc2"))
def test_the_fast_protobuf_reads_what_the_slow_one_reads(name, python):
    fast, slow = python("-c", SAME), python("-c", SAME, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python")
    assert fast == slow and fast.count("\n") > 20


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["crash@1000", "error@1000", "hang@1000"])
@pytest.mark.parametrize("name", each("sc2", "sc2v2"))
def test_training_goes_on_through_lost_games(name, fault, python, tmp_path):
    task = {"sc2": "3m", "sc2v2": "zerg_5_vs_5"}[name]
    changes = TINY | {"env_args.map_name": task, "env_args.game_timeout": "10", "batch_size_run": "2", "t_max": "400"}
    changes |= {"local_results_path": str(tmp_path), "test_interval": "300", "test_nepisode": "2"}
    python(
        "src/main.py", "--config=mmsa", f"--env-config={name}", "with",
        *(f"{key}={value}" for key, value in changes.items()), FAKE_SC2_FAULT=fault,
    )  # fmt: skip
    (folder,) = tmp_path.glob("sacred/*/*/1")
    figures = read(folder, "metrics.json")
    assert figures["games_restarted"]["values"][-1] >= 1 and figures["episodes_lost"]["values"][-1] >= 1
    assert "test_battle_won_mean" in figures and "loss_td" in figures
