"""The command line's form, and that no wrong one ends in anything but one clear line."""

import string

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from test_config import write

from settings import CommandLine, parse_command_line, resolve
from utils.errors import UserError

BOTH = ["--config=mmsa", "--env-config=lbf"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write(tmp_path_factory.mktemp("command_line") / "config")


def refused(argv, tree) -> str:
    with pytest.raises(UserError) as error:
        parse_command_line(argv, tree)
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.mark.parametrize(
    "argv",
    [
        ["--config=mmsa", "--env-config=lbf"],
        ["--config", "mmsa", "--env-config", "lbf"],
        ["--env-config=lbf", "--config", "mmsa", "with"],
    ],
)
def test_both_spellings_of_the_two_names_are_understood_in_any_order(tree, argv):
    assert parse_command_line(argv, tree) == CommandLine("mmsa", "lbf", {})


def test_a_run_to_resume_takes_the_place_of_both_names(tree):
    assert parse_command_line(["resume=a b/1"], tree) == CommandLine("", "", {}, "resume", "a b/1")
    for verb in ("resume", "evaluate", "continue"):
        command = parse_command_line([f"{verb}=latest", "with", "t_max=5"], tree)
        assert command == CommandLine("", "", {"t_max": "5"}, verb, "latest")


def test_assignments_after_with_are_split_at_the_first_equals_sign_and_keep_their_text(tree):
    command = parse_command_line([*BOTH, "with", "env_args.key=a=b", "seed=3", "label=", "path=x y"], tree)
    assert command.updates == {"env_args.key": "a=b", "seed": "3", "label": "", "path": "x y"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([*BOTH, "seed=3"], ["'seed=3'", "with key=value", "python src/main.py"]),
        (["seed=3", *BOTH, "with"], ["'seed=3'", "with key=value"]),
        ([*BOTH, "wiht", "seed=3"], ["'wiht'", "with key=value"]),
        ([*BOTH, "with", "seed"], ["'seed'", "with seed=3"]),
        ([*BOTH, "with", "seed", "=", "3"], ["'seed'"]),
        ([*BOTH, "with", "=3"], ["'=3'"]),
        ([*BOTH, "with", ""], ["''"]),
        ([*BOTH, "with", "with"], ["'with'"]),
        ([*BOTH, "with", "seed=3", "seed=4"], ["seed is given twice: 3 and 4"]),
        (["resume="], ["resume= needs a run's folder"]),
        (["evalute=latest"], ["'evalute=latest'", "main.py evaluate=RUN_FOLDER"]),
        (["continue="], ["continue= needs a run's folder", "CHECKPOINT"]),
        (["resume=x", "--config=qmix"], ["leave out --config"]),
        (["resume=x", "resume=y"], ["'resume=y'"]),
        ([*BOTH, "resume=x"], ["'resume=x'"]),
        ([*BOTH, "--config=qmix"], ["--config is given twice: mmsa and qmix"]),
        (["--env-config=lbf"], ["--config is missing", "mmsa, mmsa_paper, qmix"]),
        (["--config=mmsa"], ["--env-config is missing", "lbf, matrix_game"]),
        ([], ["--config is missing"]),
        (["--config=", "--env-config=lbf"], ["--config needs a name", "mmsa, mmsa_paper, qmix"]),
        (["--config", "--env-config=lbf"], ["--config needs a name"]),
        (["--config=mmsa", "--env-config", "with", "seed=3"], ["--env-config needs a name"]),
        (["--config=mmsa", "--env-config"], ["--env-config needs a name"]),
        ([*BOTH, "--confg=qmix"], ["unknown flag '--confg'", "--config"]),
        ([*BOTH, "with", "--seed=3"], ["unknown flag '--seed'", "with key=value"]),
        ([*BOTH, "-x\n"], ["unknown flag"]),
    ],
)
def test_a_wrong_form_is_answered_with_what_is_wrong_and_the_right_form(tree, argv, words):
    message = refused(argv, tree)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["--config", "--help"], ["seed=3", "-h"]])
def test_help_shows_form_configs_and_two_commands_that_are_accepted_and_ends_with_success(tree, argv, capsys):
    with pytest.raises(SystemExit) as end:
        parse_command_line(argv, tree)
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "mmsa, mmsa_paper, qmix" in text and "lbf, matrix_game" in text and "with key=value" in text
    examples = text[text.index("examples:") :].splitlines()[1:]
    assert len(examples) == 2
    for line in examples:
        assert parse_command_line(line.split()[2:], tree).env_config == "lbf"


def test_missing_folder_of_configs_is_named(tmp_path):
    assert "none found in" in refused([], tmp_path / "nowhere")


KEYS = [
    "gamma",
    "gama",
    "t_max",
    "env_args.key",
    "env_args.kay",
    "env_args",
    "key",
    "env",
    "name",
    "wm_horizon",
    "lr",
    "horizon",
    "runner",
    "label",
    "evaluate",
    "gamma.x",
    ".",
    "env_args.",
    "",
]
VALUES = ["1", "0.5", "nan", "inf", "-inf", "1e999", "null", "None", "true", "vector", "", "a=b", "9" * 400]
NAMES = ["mmsa", "mmsa_paper", "qmix", "lbf", "matrix_game", "lbff", "../algs/qmix", ".", "", "a\0", "*"]
names = st.sampled_from(NAMES)
noise = st.text(st.characters() | st.sampled_from(string.punctuation), max_size=6)
bare = st.sampled_from(["--config", "--env-config", "--confg", "-", "with"])
flags = st.builds(lambda flag, name: f"{flag}={name}", bare, names)
assignments = st.builds(
    lambda key, sign, value: key + sign + value,
    st.sampled_from(KEYS) | noise,
    st.sampled_from(["=", "==", "", " = "]),
    st.sampled_from(VALUES) | noise,
)
wild = st.lists(st.one_of(bare, flags, names, assignments, noise), max_size=7)
near = st.lists(assignments, max_size=3).map(lambda words: [*BOTH, "with", *words])


@settings(max_examples=500, deadline=None)
@given(argv=wild | near)
@example(argv=[*BOTH, "with", "label=\udc80"])
@example(argv=[*BOTH, "with", "t_max=" + "9" * 5000])
def test_any_command_line_gives_settings_or_one_clear_line(tree, argv):
    assume(not {"-h", "--help"} & set(argv))
    try:
        command = parse_command_line(argv, tree)
        resolved = resolve(command.config, command.env_config, command.updates, tree)
    except UserError as error:
        assert str(error) and str(error).isprintable()
    else:
        assert resolved["name"] == command.config and resolved["env"] in ("lbf", "matrix_game")
