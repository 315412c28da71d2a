"""Tasks that people write in one file, with the habits that people have: each works, or is told in one line."""

import json
import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from packages import needs
from test_gymma import ARGS
from test_resume import SAVES, same_run, stop_after
from tiny_runs import csv_rows, play, read, settings_of, words

import doctor
import main
import study
from envs import example_batch, make_env, task_name
from settings import resolve
from utils.errors import UserError

pytestmark = needs("gymma")

HEAD = """
import numpy as np
from gymnasium import Env, spaces
"""
GRID = Path(__file__).with_name("line_task.py").read_text()


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Write files into a directory of its own, from which everything is started; return a function that does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(name, text):
        Path(f"{name}.py").write_text(text)
        return name

    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def make(key, **more):
    return make_env("gymma", {"key": key, **ARGS, **more})


def refused(key, **more):
    with pytest.raises(UserError) as answer:
        make(key, **more)
    assert "\n" not in str(answer.value)
    return answer.value


@pytest.mark.parametrize("key", ["line", "line:Line", "line:parallel_env"])
def test_a_file_beside_the_run_is_a_task(beside, key):
    beside("line", GRID)
    env = make(key)
    env.reset(0)
    assert (env.info.n_agents, env.info.n_actions, env.info.obs_size, env.info.state_size) == (2, 3, 2, 3)
    assert env.info.has_winner and set(env.info.listed) == {"distance", "success"}


GYM = (
    HEAD
    + """
import gymnasium

class Two(Env):
    action_space = spaces.Tuple([spaces.Discrete(2)] * 2)
    observation_space = spaces.Tuple([spaces.Box(0, 1, (1,))] * 2)

    def reset(self, seed=None, options=None):
        return (np.zeros(1), np.zeros(1)), {}

    def step(self, actions):
        return (np.ones(1), np.ones(1)), float(sum(actions)), False, False, {}

gymnasium.register("Two-v0", entry_point=Two)
"""
)


@pytest.mark.parametrize("key", ["two_here:Two-v0", "two_here:Two"])
def test_so_is_one_that_registers_with_gymnasium_or_has_a_class(beside, key):
    beside("two_here", GYM)
    env = make(key, time_limit=3)
    env.reset(0)
    assert [env.step(np.array([1, 1]))[:3] for _ in range(3)] == [(2.0, False, False)] * 2 + [(2.0, False, True)]


def test_masks_offer_only_what_is_legal(beside):
    env = make(beside("line", GRID))
    for seed in range(5):
        rng, over = np.random.default_rng(seed), False
        env.reset(seed)
        while not over:
            left, right = env.get_obs()[0]
            available = env.get_avail_actions()
            assert available.tolist() == [[at > 0, True, at < 4] for at in (left, right)]
            over = any(env.step(np.array([rng.choice(np.flatnonzero(row)) for row in available]))[1:3])
    assert make("line", mask_in_obs=True).info.obs_size == 5


IN_OBS = 'return {a: {"observation": here, "action_mask": self.masks[a]} for a in self.agents}'
SPACE = GRID[GRID.index("return spaces.Dict") : GRID.index("    def action_space")]
TO_INFOS = GRID.replace(IN_OBS, "return dict.fromkeys(self.agents, here)").replace(
    SPACE, "return spaces.Box(0, self.size, (2,), np.float32)\n\n"
)
AT_RESET = TO_INFOS.replace("{a: {} for a in self.agents}", '{a: {"action_mask": self.masks[a]} for a in self.agents}')
METHOD = "    def {name}(self):\n        return {told}\n\n    def state(self)"


@pytest.mark.parametrize(
    "source",
    [
        AT_RESET.replace('"success": met}', '"success": met, "action_mask": self.masks[a]}'),
        TO_INFOS.replace("    def state(self)", METHOD.format(name="action_masks", told="self.masks")),
        TO_INFOS.replace(
            "    def state(self)", METHOD.format(name="get_avail_actions", told="list(self.masks.values())")
        ),
    ],
    ids=["infos", "action_masks()", "get_avail_actions()"],
)
def test_masks_in_infos_and_by_methods_are_the_same(beside, source):
    beside("line", GRID)
    one, other = make("line"), make(beside("line_two", source))
    for env in (one, other):
        env.reset(3)
    rng, over = np.random.default_rng(0), False
    while not over:
        np.testing.assert_array_equal(one.get_avail_actions(), other.get_avail_actions())
        np.testing.assert_array_equal(one.get_obs(), other.get_obs())
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in one.get_avail_actions()])
        told = one.step(actions)
        assert told == other.step(actions)
        over = any(told[1:3])


def test_masks_of_gymnasiums_tuples_come_by_agent_in_its_info(beside):
    masks = "[np.array([1, 0]), np.array([0, 1])]"
    of_all = GYM.replace("np.zeros(1)), {}", f"np.zeros(1)), {{'action_mask': {masks}}}")
    of_all = of_all.replace("False, False, {}", f"False, False, {{'action_mask': {masks}}}")
    of_each = of_all.replace(f"{{'action_mask': {masks}}}", f"[{{'action_mask': mask}} for mask in {masks}]")
    for name, source in (("all_here", of_all), ("each_here", of_each)):
        env = make(beside(name, source) + ":Two")
        env.reset(0)
        for _ in range(2):
            assert env.get_avail_actions().tolist() == [[True, False], [False, True]]
            assert env.step(np.array([0, 1]))[0] == 1.0


UNFIT = {
    "np.array([at > 0, 1, at < last], np.int8)": [
        ("np.zeros(3, np.int8)", "agent left: its mask allows no action, at step 0 of the episode of seed 101"),
        ("np.ones(2, np.int8)", "agent left: a mask has a flag for each of 3 choices; this one is .*at step 0"),
    ],
    '"observation": here,': [
        ('"observation": here[:1],', r"the observation of agent left does not fit its space Box.*its shape is \(1,\)"),
        ('"observation": "x",', "the observation of agent left does not fit its space Box.*at step 0"),
        ("", "the observation of agent left does not fit its space Box.*at step 0"),
    ],
    "return np.array([self.at": [("return np.ones(self.at['left'] + 1) #", r"state\(\) has \d numbers, and had \d be")],
}


@pytest.mark.parametrize("change, why", [((old, new), why) for old, each in UNFIT.items() for new, why in each])
def test_what_does_not_fit_is_told_with_agent_step_and_seed(beside, change, why):
    assert change[0] in GRID
    assert re.search(why, str(refused(beside("line", GRID.replace(*change)))))


def test_a_state_that_fails_when_all_is_over_is_told_and_can_be_done_without(beside):
    """As the package's own does where walkers that fell are removed."""
    fails = GRID.replace("        return np.array([self.at", "        self.agents[0]\n        return np.array([self.at")
    assert fails != GRID
    why = str(refused(beside("line", fails)))
    assert "state() (env_args.state=concat does without it), in step" in why and "IndexError" in why
    assert make("line", state="concat").info.state_size == 4


def test_arguments_reach_the_constructor_and_the_archive_s_name(beside):
    beside("line", GRID)
    updates = {
        "env_args.key": "line", "env_args.kwargs.size": "7", "env_args.kwargs.goal": "north east",
        "env_args.kwargs.layout.rows": "[[1, 2], [3, 4]]",
    }  # fmt: skip
    env_args = resolve("qmix", "gymma", updates, main.CONFIG_DIR)["env_args"]
    env = make_env("gymma", env_args)
    env.reset(0)
    line = env._game.env
    assert (line.size, line.goal, line.layout) == (7, "north east", {"rows": [[1, 2], [3, 4]]})
    assert task_name("gymma", env_args).startswith("line-goalnorth-east-layout-rows-1-2-3-4-size7-")
    plain = resolve("qmix", "gymma", {"env_args.key": "line", "env_args.kwargs.size": "7"}, main.CONFIG_DIR)["env_args"]
    assert task_name("gymma", plain) == "line-size7"


@pytest.mark.parametrize(
    "value", ["5", "0.5", "true", "null", "[1, 'a', {\"b\": 2}]", '"5"', "a b", "/tmp/x.yaml", "NaN"]
)
def test_an_archived_argument_is_read_back_as_it_was(value):
    args = resolve("qmix", "gymma", {"env_args.kwargs.N": value}, main.CONFIG_DIR)["env_args"]["kwargs"]
    again = resolve("qmix", "gymma", {"env_args.kwargs": args}, main.CONFIG_DIR)["env_args"]["kwargs"]
    assert args == again and list(json.loads(args)) == ["N"]


def test_arguments_that_the_constructor_does_not_take_are_told(beside):
    beside("line", GRID)
    for key in ("line:Line", "line"):  # the latter's function passes all on
        why = str(refused(key, kwargs='{"sizes": 3}'))
        assert "env_args.kwargs.sizes: Line takes no sizes; did you mean size" in why
    beside("needs", GRID.replace("size=5, goal", "size, goal"))
    assert "Line needs size: give env_args.kwargs.size=..." in str(refused("needs:Line"))


EXITS = "    def close(self):\n        exit(0)\n\n    def state("
RAISING = {
    "import": (GRID + "\nraise RuntimeError('no\\nlicence')\n", r"import line: RuntimeError: no licence \(line.py:"),
    "import exits": (GRID + "\nimport sys\nsys.exit(0)\n", r"import line: the task's code called sys.exit\(0\)"),
    "making": (GRID.replace("self.size, self.goal", "{}['x']; self.size, self.goal"), "making the .*: KeyError: 'x'"),
    "reset": (GRID.replace("rng = np", "raise KeyboardInterrupt; rng = np"), r"reset\(101\): KeyboardInterrupt"),
    "step": (
        GRID.replace("met = ", "1 / 0; met = "),
        "in step 1 of the episode of seed 101, actions .*ZeroDivisionErr",
    ),
    "close": (GRID.replace("    def state(", EXITS), r"close\(\): the task's code called sys.exit\(0\)"),
    "submodule": (
        "import pettingzoo.none\n" + GRID,
        "line needs pettingzoo.none, which the installed version of petti",
    ),
    "package": ("import nowhere_here\n" + GRID, "line needs the Python package nowhere_here, which is not installed"),
}


@pytest.mark.parametrize("place", RAISING)
def test_a_fault_at_the_door_is_one_line_and_its_traceback(beside, place, capsys):
    source, why = RAISING[place]
    beside("line", source)
    error = refused("line")
    assert re.search(why, str(error)), str(error)
    settings = settings_of("gymma", **{"env_args.key": "line"})
    sys.modules.pop("line", None)
    assert main.main(words("qmix", "gymma", settings)) == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("error: env_args.key=line") and "/src/envs/" not in err
    assert ("Traceback" in err) == (place not in ("submodule", "package")) and not Path("results").exists()


def test_ctrl_c_is_the_users_even_in_a_tasks_code(beside):
    beside("line", GRID.replace("rng = np", "import signal; signal.raise_signal(signal.SIGINT); rng = np"))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it would be ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            make("line")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_file_that_another_module_hides_is_told(beside):
    assert "is hidden by another module of this name" in str(refused(beside("study", GRID)))
    assert "there is neither a file nothing_here.py in" in str(refused("nothing_here:Env-v0"))
    beside("line", GRID)
    assert str(refused("lines")).endswith("nor a Python package lines; did you mean line?")
    assert "there is no module line.part; line is a single file: name it alone" in str(refused("line.part"))


@pytest.mark.parametrize("runner", ["vector", "parallel"])
def test_a_fault_in_flight_is_kept_and_can_be_repeated(beside, runner, capsys):
    late = GRID.replace(
        "rng = np", "self.seed = seed; rng = np"
    ).replace("met = ", "1 / (0 if self.seed % 11 == 0 and self.seed > 102 else 1); met = ")  # fmt: skip
    beside("line", late)
    more = {"env_args.key": "line", "env_args.time_limit": "10", "runner": runner, "max_losses_in_a_row": "1"}
    assert main.main(words("qmix", "gymma", settings_of("gymma", **more))) == 1
    err = capsys.readouterr().err
    said = err.splitlines()[-1]
    assert (
        "lost 2 times in a row" in said and "ZeroDivisionError" in said and "in step 1 of the episode of seed" in said
    )
    assert "line.py" in err and "to play this very episode again: python src/doctor.py --repeat" in err
    (folder,) = [path.parent for path in Path("results").glob("sacred/*/*/*/config.json")]
    fault = read(folder, "fault.json")
    assert fault["seed"] % 11 == 0 and len(fault["actions"]) == 1 and "Traceback" in fault["notes"][0]


@pytest.mark.parametrize("updates", ["2", "8"])  # a round fails with these agents, an evaluation with those
def test_a_run_that_a_fault_ends_has_a_checkpoint_and_goes_on_with_the_mended_file(beside, updates, capsys):
    late = GRID.replace("met = ", "1 / (len(STEPS) < 200); STEPS.append(0); met = ") + "\nSTEPS = []\n"
    beside("line", late)
    more = {"env_args.key": "line", "env_args.time_limit": "10", "save_model_interval": "10000"}
    more["updates_per_run"] = updates
    assert main.main(words("qmix", "gymma", settings_of("gymma", **more))) == 1
    (folder,) = [path.parent for path in Path("results").glob("sacred/*/*/*/config.json")]
    assert (folder / "fault.json").exists()
    steps = [int(path.name.removeprefix("t_")) for path in (folder / "checkpoints").iterdir()]
    assert max(steps) > 50
    beside("line", GRID)
    del sys.modules["line"]
    capsys.readouterr()
    assert main.main([f"resume={folder}"]) == 0 and read(folder, "run.json")["status"] == "COMPLETED"


@pytest.mark.parametrize("runner", ["vector", "parallel"])
@pytest.mark.parametrize(
    "raised, told",
    [("exit(0)", "the task's code called sys.exit(0) (line"), ("raise KeyboardInterrupt", "KeyboardInterrupt (line")],
)
def test_what_means_to_end_the_program_ends_an_episode_alone(beside, runner, raised, told, capsys):
    late = "if self.seed > 103: " + raised + "\n        met = "
    beside("line", GRID.replace("rng = np", "self.seed = seed; rng = np").replace("met = ", late))
    more = {"env_args.key": "line", "env_args.time_limit": "10", "runner": runner, "max_losses_in_a_row": "1"}
    assert main.main(words("qmix", "gymma", settings_of("gymma", **more))) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: the episode of seed ") and "lost 2 times in a row" in said and told in said


def test_infos_reach_the_log_and_the_lists(beside, tmp_path):
    beside("line", GRID)
    more = {"env_args.key": "line", "env_args.time_limit": "10", "env_args.info_sums": "distance"}
    folder = play("iql", "gymma", tmp_path / "runs", **more)
    row, figures = csv_rows(folder)[-1], read(folder, "metrics.json")
    assert {"distance", "distance_sum", "success", "won"} <= set(row)
    assert float(row["won"]) == float(row["success"]) and float(row["distance_sum"]) >= float(row["distance"])
    assert {"test_battle_won_mean", "test_distance_mean", "distance_sum_mean"} <= set(figures)


def test_a_number_to_add_up_that_infos_never_show_is_told(beside):
    beside("line", GRID)
    assert make("line", info_sums="distance").info.notes == ()
    note = "env_args.info_sums: infos have shown no distanc; they have distance, success"
    assert make("line", info_sums="success,distanc").info.notes == (note,)


LONG = ("size=5", "size=10**6")  # of five cells, starts that no seed decides repeat by chance once in 25 times
SLOW = GRID.replace("self.size, self.goal", "import time; time.sleep(0.11); self.size, self.goal")


def test_one_environment_plays_all_episodes_where_making_one_is_slow_and_reset_is_honest(beside):
    env = make(beside("slow", SLOW))
    assert "one environment plays them all" in env.info.notes[0]
    env.reset(0)
    first = env._game.env
    env.reset(1)
    assert env._game.env is first
    forgetful = SLOW.replace("rng = np.random.default_rng(seed)", "rng = np.random.default_rng(None)")
    forgetful = forgetful.replace(*LONG)
    again = make(beside("forgetful", forgetful))
    assert "a new environment is made for each episode" in again.info.notes[0]
    again.reset(0)
    first = again._game.env
    again.reset(1)
    assert again._game.env is not first
    always = make("slow", remake="always")
    always.reset(0)
    first = always._game.env
    always.reset(1)
    assert always._game.env is not first


@pytest.mark.parametrize("remake", ["never", "always"])
def test_a_run_that_died_goes_on_bit_for_bit(beside, tmp_path, remake):
    beside("line", GRID)
    more = {
        "env_args.key": "line",
        "env_args.time_limit": "10",
        "env_args.remake": remake,
        "buffer_size": "512",
        **SAVES,
    }
    whole = play("vdn", "gymma", tmp_path / "whole", **more)
    died = tmp_path / "died" / "1"
    shutil.copytree(whole, died)
    stop_after(died, 1)
    assert main.main([f"resume={died}"]) == 0
    same_run(whole, died)


def test_what_was_named_is_trusted_where_it_was_found_and_nowhere_else(beside, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    beside("line", GRID)
    folder = play("vdn", "gymma", tmp_path / "runs", **{"env_args.key": "line", "env_args.time_limit": "5"})
    assert main.main([f"resume={folder}", "with", "t_max=220"]) == 0
    stranger = tmp_path / "elsewhere"
    stranger.mkdir()
    (stranger / "line.py").write_text("raise SystemExit('ran')")
    monkeypatch.chdir(stranger)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    capsys.readouterr()
    for words_given in ([f"resume={folder}", "with", "t_max=240"], [f"evaluate={folder}"], [f"continue={folder}"]):
        assert main.main(words_given) == 2
        said = capsys.readouterr().err
        assert f"would import the package line ({stranger}/line.py), and so run its code" in said
    (stranger / "line.py").unlink()
    assert main.main([f"evaluate={folder}"]) == 2
    assert f"is in line, which is not found here: start from {tmp_path}, where you have" in capsys.readouterr().err
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    assert main.main([f"evaluate={folder}"]) == 2
    assert "is not found here: start from the folder that holds its file" in capsys.readouterr().err
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert main.main([f"resume={folder}", "with", "t_max=240"]) == 0


DOCS = Path(main.__file__).parents[1] / "docs"
PROGRAMS = {"src/main.py": main, "src/doctor.py": doctor, "src/study.py": study}


def commands(page):
    """The commands of a page, each as words."""
    return [line.split() for line in re.findall(r"^    python (src/.*)$", (DOCS / page).read_text(), re.MULTILINE)]


def timeless(text):
    """The lines of a text without the seconds and steps/s in them."""
    return [re.sub(r"[\d.e-]+ (s$|steps/s)", r"\1", line.strip()) for line in text.splitlines()]


def test_the_page_on_your_own_task_works_as_it_stands(beside, capsys):
    shown_by_page = timeless((DOCS / "your-own-task.md").read_text())
    small = ["batch_size=8", "batch_size_run=4", "test_interval=1000", "test_nepisode=4", "device=cpu"]
    for program, *given in commands("your-own-task.md"):
        given += small if given[0].startswith("--config") else []
        steps = 120 if "resume=latest" in given else 60
        code = PROGRAMS[program].main([re.sub(r"t_max=\d+", f"t_max={steps}", word) for word in given])
        out, err = capsys.readouterr()
        if given == ["--task", "meeting"]:
            assert all(line in shown_by_page for line in timeless(out)[:-2])  # methods come and go
        failing = "--repeat" in given
        assert code == (2 if failing else 0), (given, err)
        assert not failing or "fault.json cannot be read" in err  # nothing has failed
    assert Path("report/index.html").exists()
    folders = {path.parents[2].name for path in Path("results").glob("sacred/*/*/*/config.json")}
    assert folders == {"meeting", "meeting-size9", "Meeting-size7", "Ring-size6"}


def test_the_page_shows_the_example_of_a_batch_as_it_is():
    source = Path(example_batch.__file__).read_text().split('"""\n\n', 1)[1]
    assert source in (DOCS / "your-own-task.md").read_text()


def test_a_batch_of_ones_own_steps_all_episodes_in_one_call(beside, monkeypatch):
    calls = []
    step = example_batch.RingBatch.step
    monkeypatch.setattr(
        example_batch.RingBatch,
        "step",
        lambda self, slots, actions: calls.append(len(slots)) or step(self, slots, actions),
    )
    play("vdn", "own", "runs", t_max="60", batch_size_run="4")
    assert max(calls) == 4 and min(calls) >= 1
    beside("no_env", "class Ring:\n    pass\n")
    with pytest.raises(UserError, match="it is no MultiAgentEnv") as why:
        make_env("own", {"env": "no_env:Ring", "kwargs": "{}"})
    assert "\n" not in str(why.value)


def test_a_fault_is_repeated_alone(beside, tmp_path, capsys):
    beside("line", GRID.replace("met = ", "1 / 0; met = "))
    folder = tmp_path / "run"
    folder.mkdir()
    env_args = resolve("qmix", "gymma", {"env_args.key": "line"}, main.CONFIG_DIR)["env_args"]
    fault = {"env": "gymma", "env_args": env_args, "seed": 5, "actions": [[1, 1]]}
    (folder / "fault.json").write_text(json.dumps(fault))
    assert doctor.main(["--repeat", str(folder)]) == 2 and "--trust line" in capsys.readouterr().err
    assert doctor.main(["--trust", "line"]) == 0
    assert doctor.main(["--repeat", str(folder)]) == 2  # it fails in its trial already
    assert "ZeroDivisionError" in capsys.readouterr().err
    del sys.modules["line"]
    beside("line", GRID)
    assert doctor.main(["--repeat", str(folder)]) == 0
    assert "seed 5 was played for 1 steps, and nothing failed this time" in capsys.readouterr().out
    del sys.modules["line"]
    beside(
        "line", GRID.replace("rng = np", "self.seed = seed; rng = np").replace("met = ", "1 / (self.seed - 5); met = ")
    )
    assert doctor.main(["--repeat", str(folder)]) == 1
    err = capsys.readouterr().err
    assert "error: it happens again" in err and "in step 1 of the episode of seed 5" in err and "Traceback" in err


def test_what_the_doctor_says_of_a_task(beside, capsys):
    beside("line", GRID)
    assert doctor.main(["--task", "line:Line", "kwargs.size=4", "time_limit=9"]) == 0
    out = capsys.readouterr().out
    assert "2 agents, 3 actions, observations of 2, a state of 3, episodes of 9 steps or less" in out
    assert "methods that can learn it: " in out and "qmix" in out and "mappo" in out
    assert doctor.main(["--task", "line", "size"]) == 2 and "no assignment" in capsys.readouterr().err
    random = GRID.replace("default_rng(seed)", "default_rng(None)").replace(*LONG)
    assert doctor.main(["--task", beside("chance", random)]) == 0
    assert "its episodes cannot be repeated: reset(seed) does not decide all" in capsys.readouterr().out
    Path("line.py").unlink()
    assert doctor.main(["--new-task", "line.py"]) == 0 and doctor.main(["--new-task", "line.py"]) == 2


@pytest.mark.parametrize(
    "number, why",
    [("np.nan", "entry 1 is nan as float32, at step 0"), ("1e300", "entry 1 is inf as float32, at step 0")],
)
def test_numbers_that_are_none_are_told_at_the_door(beside, number, why):
    spoilt = GRID.replace('{a: {"observation": here,', f'{{a: {{"observation": np.array([0, {number}]),')
    spoilt = spoilt.replace("(2,), np.float32)", "(2,), np.float64)")
    assert f"the observation of agent left, {why}" in str(refused(beside("line", spoilt)))
