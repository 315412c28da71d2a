"""The rules of the settings: which layer wins, how text is read by kind, what is refused and how."""

import copy
import pickle
import re
import textwrap
from pathlib import Path

import pytest

from settings import ALGS, ENVS, config_names, declared_settings, extended, resolve, to_args
from utils.errors import UserError

REAL = Path(__file__).parents[1] / "src" / "config"
TREE = {
    "default.yaml": """\
        # prose above
        gamma: 0.99        # float [0, 1]: discount per environment step
        lr: 5e-4           # float (0, 1]: learning rate
                           # prose below
        t_max: 2_000_000   # int [1, inf): environment steps
        horizon: null      # int [0, 9] or null: steps ahead
        clip: inf          # float (0, inf]: largest norm of the gradient
        offset: 0.0        # float (-inf, inf): added to rewards
        label: "a # b"     # str: text with a hash
        path: null         # str or null: folder
        runner: vector     # {episode, parallel, vector}: who steps
        norm: none         # {none, layer} or null: normaliser
        cuda: no_           # {no_, yes_}: device
        evaluate: false    # bool: only evaluate
        """,
    "algs/qmix.yaml": "lr: 0.001   # tuned, see docs: prose\nmixer: qmix  # {qmix, vdn}: who mixes\n",
    "algs/mmsa.yaml": "gamma: 0.9\nwm_horizon: 3  # int [0, inf): imagined steps\n",
    "algs/mmsa_paper.yaml": "base: mmsa\nwm_horizon: 1\n",
    "envs/lbf.yaml": """\
        env: lbf     # str: registry name
        t_max: 50
        env_args:
          key: 8x8   # str: task
          sight: 2   # int [1, inf): cells
        """,
    "envs/matrix_game.yaml": "env: matrix_game  # str: name\nenv_args:\n  size: 3  # int [1, 9]: actions\n",
}


def write(folder, **changed):
    files = TREE | {name.replace("__", "/") + ".yaml": text for name, text in changed.items()}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "config")


def one_line(error) -> str:
    message = str(error.value)
    assert message.isprintable() and message
    return message


def refused(tree, config="qmix", env_config="lbf", **updates) -> str:
    with pytest.raises(UserError) as error:
        resolve(config, env_config, updates, tree)
    return one_line(error)


def test_later_layers_win_in_the_order_default_environment_algorithm_command_line(tree):
    assert declared_settings("qmix", "lbf", tree)["t_max"].meaning == "environment steps"
    assert resolve("qmix", "matrix_game", {}, tree)["t_max"] == 2_000_000
    assert resolve("qmix", "lbf", {}, tree)["t_max"] == 50
    write(tree, algs__qmix="t_max: 60\n")
    assert resolve("qmix", "lbf", {}, tree)["t_max"] == 60
    assert resolve("qmix", "lbf", {"t_max": "70"}, tree)["t_max"] == 70


def test_base_file_lies_below_the_algorithm_that_names_it(tree):
    resolved = resolve("mmsa_paper", "lbf", {}, tree)
    assert (resolved["gamma"], resolved["wm_horizon"], resolved["name"]) == (0.9, 1, "mmsa_paper")
    assert "base" not in resolved


def test_groups_are_nested_and_the_names_of_algorithm_and_environment_are_there(tree):
    resolved = resolve("qmix", "lbf", {"env_args.sight": "3"}, tree)
    assert resolved["env_args"] == {"key": "8x8", "sight": 3}
    assert (resolved["name"], resolved["env"], resolved["lr"]) == ("qmix", "lbf", 0.001)
    write(tree, envs__bare="env: bare  # str: registry name\n")
    assert resolve("qmix", "bare", {}, tree)["env_args"] == {}


def test_values_from_files_have_the_declared_type(tree):
    resolved = resolve("mmsa", "lbf", {}, tree)
    expected = {"lr": 5e-4, "horizon": None, "label": "a # b", "path": None, "norm": "none", "cuda": "no_"}
    assert {key: resolved[key] for key in expected} == expected and resolved["evaluate"] is False
    assert resolved["clip"] == float("inf") and type(resolved["offset"]) is float


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("lr", "1e-3", 1e-3),
        ("lr", ".5", 0.5),
        ("lr", "1", 1.0),
        ("gamma", "0", 0.0),
        ("offset", "-1_0.5", -10.5),
        ("t_max", "2e6", 2_000_000),
        ("t_max", "2_000_000", 2_000_000),
        ("t_max", "3.0", 3),
        ("t_max", "+7", 7),
        ("clip", "inf", float("inf")),
        ("clip", ".inf", float("inf")),
        ("evaluate", "true", True),
        ("evaluate", "FALSE", False),
        ("evaluate", "True", True),
        ("path", "null", None),
        ("path", "None", None),
        ("path", "a=b", "a=b"),
        ("path", "none", "none"),
        ("label", "x y", "x y"),
        ("label", "3", "3"),
        ("norm", "none", "none"),
        ("norm", "null", None),
        ("runner", "episode", "episode"),
        ("horizon", "None", None),
        ("horizon", " 4 ", 4),
    ],
)
def test_text_is_read_by_the_declared_kind(tree, key, text, value):
    read = resolve("qmix", "lbf", {key: text}, tree)[key]
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("gamma", "1.5"),
        ("gamma", "-0.1"),
        ("gamma", "nan"),
        ("gamma", "x"),
        ("gamma", "null"),
        ("gamma", "0x1"),
        ("lr", "0"),
        ("lr", "1e-999"),
        ("t_max", "0"),
        ("t_max", "1.5"),
        ("t_max", "inf"),
        ("t_max", "true"),
        ("t_max", "9" * 5000),
        ("t_max", "1e999999999"),
        ("t_max", "٣"),
        ("t_max", "1__0"),
        ("horizon", "10"),
        ("offset", "inf"),
        ("offset", "-inf"),
        ("offset", "nan"),
        ("offset", "1e999"),
        ("clip", "1e999"),
        ("clip", "nan"),
        ("evaluate", "0"),
        ("evaluate", "1"),
        ("evaluate", "yes"),
        ("evaluate", "null"),
        ("runner", "Episode"),
        ("runner", "null"),
        ("label", "null"),
        ("label", ""),
        ("label", " "),
        ("path", ""),
        ("label", "a\0b"),
        ("label", "a\nb"),
        ("label", "a\u2028b"),
        ("label", "\udc80"),
        ("t_max", "1\n2"),
    ],
)
def test_refused_values_are_named_in_one_line_with_the_place_of_the_declaration(tree, key, text):
    message = refused(tree, **{key: text})
    assert message.startswith(f"{key}=") and re.search(r"must be .* \(config/default\.yaml:\d+\)$", message)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("gamma", "1.5", "gamma=1.5: must be a float in [0, 1] (config/default.yaml:2)"),
        ("horizon", "x", "horizon=x: must be an int in [0, 9] or null (config/default.yaml:6)"),
        ("runner", "x", "runner=x: must be one of episode, parallel, vector (config/default.yaml:11)"),
        ("evaluate", "", "evaluate=: empty value, must be true or false (config/default.yaml:14)"),
        ("horizon", "4.5", "horizon=4.5: must be an int in [0, 9] or null (config/default.yaml:6)"),
        ("lr", "1e-60", "lr=1e-60: 0 in 32 bits, must be a float in (0, 1] (config/default.yaml:3)"),
        ("offset", "-1e39", "offset=-1e39: -inf in 32 bits, must be a float in (-inf, inf) (config/default.yaml:8)"),
        ("t_max", "1e30", "t_max=1e30: beyond 2**53, must be an int in [1, inf) (config/default.yaml:5)"),
        ("env_args.sight", "0", "env_args.sight=0: must be an int in [1, inf) (config/envs/lbf.yaml:5)"),
    ],
)
def test_message_says_value_allowed_values_and_place(tree, key, text, message):
    assert refused(tree, **{key: text}) == message


@pytest.mark.parametrize("raw", [3, 0.25, True, None, "vector", float("inf"), [1], b"x"])
@pytest.mark.parametrize("key", ["gamma", "t_max", "horizon", "evaluate", "path", "runner", "clip"])
def test_python_values_are_read_back_unchanged_or_refused(tree, key, raw):
    setting = declared_settings("qmix", "lbf", tree)[key]
    try:
        read = setting.parse(raw)
    except UserError as error:
        assert key in str(error)
    else:
        assert read == raw


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("gama", "did you mean gamma?"),
        ("GAMMA", "did you mean gamma?"),
        ("env_args.kay", "did you mean env_args.key"),
        ("key", "it is env_args.key with this environment"),
        ("envargs.key", "did you mean env_args.key?"),
        ("gamma.x", "did you mean gamma?"),
        ("zzzz", "did you mean "),
        ("a\nb", "did you mean "),
        ("wm_horizon", "only known with --config=mmsa or --config=mmsa_paper"),
        ("env_args.size", "only known with --env-config=matrix_game"),
    ],
)
def test_unknown_setting_is_answered_with_the_nearest_or_with_who_has_it(tree, key, hint):
    message = refused(tree, **{key: "1"})
    assert message.startswith("unknown setting '") and "--config=qmix --env-config=lbf" in message
    assert hint in message


def test_a_group_and_the_names_of_configs_cannot_be_assigned(tree):
    assert "is a group; assign to one of its settings: env_args.key, " in refused(tree, env_args="3")
    assert "--env-config" in refused(tree, env="matrix_game")
    assert "--config" in refused(tree, name="x") and "--config" in refused(tree, base="mmsa")


def test_an_algorithms_file_for_one_environment_lies_above_its_own_and_below_what_is_built_on_it(tree):
    write(tree, **{"algs__mmsa.lbf": "gamma: 0.8\nt_max: 70\nwm_horizon: 2\n"})
    assert {"gamma": 0.8, "t_max": 70, "wm_horizon": 2}.items() <= resolve("mmsa", "lbf", {}, tree).items()
    assert resolve("mmsa", "matrix_game", {}, tree)["gamma"] == 0.9
    built = resolve("mmsa_paper", "lbf", {}, tree)
    assert (built["gamma"], built["t_max"], built["wm_horizon"]) == (0.8, 70, 1)
    assert config_names(tree, ALGS) == ["mmsa", "mmsa_paper", "qmix"]
    with pytest.raises(UserError, match="did you mean mmsa"):
        resolve("mmsa.lbf", "lbf", {}, tree)


@pytest.mark.parametrize("name", ["mmsaa", "", ".", "..", "../algs/mmsa", "mmsa.yaml", "\n", "\0"])
def test_unknown_config_name_lists_the_known_and_never_leaves_the_folder(tree, name):
    message = refused(tree, config=name)
    assert message.startswith("--config: unknown name") and "known: mmsa, mmsa_paper, qmix" in message
    assert "--env-config: unknown name" in refused(tree, env_config=name)


def test_args_are_frozen_and_survive_pickling_and_copying(tree):
    resolved = resolve("qmix", "lbf", {}, tree)
    args = to_args(resolved)
    resolved["env_args"]["key"] = "changed"
    assert args.gamma == 0.99 and args.env_args == {"key": "8x8", "sight": 2}
    with pytest.raises(AttributeError, match="frozen"):
        args.gamma = 1
    with pytest.raises(AttributeError, match="frozen"):
        args.new = 1
    with pytest.raises(AttributeError, match="frozen"):
        del args.gamma
    for twin in (pickle.loads(pickle.dumps(args)), copy.deepcopy(args)):
        assert twin == args and type(twin) is type(args)


def test_learnt_sizes_are_added_to_a_new_object_and_never_replace_a_setting(tree):
    args = to_args(resolve("qmix", "lbf", {}, tree))
    assert extended(args, n_agents=2).n_agents == 2 and not hasattr(args, "n_agents")
    with pytest.raises(ValueError, match="already a setting: gamma"):
        extended(args, gamma=1, n_agents=2)


PAIRS = [(alg, env) for alg in config_names(REAL, ALGS) for env in config_names(REAL, ENVS)]


@pytest.mark.parametrize(("config", "env_config"), PAIRS)
def test_every_shipped_pair_declares_each_setting_once_with_meaning_and_default_in_range(config, env_config):
    declared, resolved = declared_settings(config, env_config, REAL), resolve(config, env_config, {}, REAL)
    leaves = {key: value for key, value in flat(resolved).items() if key not in ("name", "env_config")}
    assert (resolved["name"], resolved["env_config"]) == (config, env_config)
    assert leaves.keys() == declared.keys() and resolved["env"] and isinstance(resolved["env_args"], dict)
    for key, value in leaves.items():
        assert declared[key].meaning and declared[key].parse(value) == value
    places = [(setting.file, setting.line) for setting in declared.values()]
    assert len(set(places)) == len(places)


def flat(tree, prefix=""):
    leaves = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return leaves
