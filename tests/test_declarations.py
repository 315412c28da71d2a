"""What a setting declares beside its values: whether it changes figures, and what archives older than it mean."""

import json
import re

import pytest
from made_archives import archive
from tiny_runs import play, read

import main
from comparison.archives import read_runs
from comparison.pooling import Choice, pool
from settings import Effect, archived_settings, effects, flat, identity, resolve, resumed_settings
from settings.schema import read_declaration
from settings.yaml_file import read_entries
from study_runs.diff import differences
from utils.errors import UserError

CONFIG_DIR = main.CONFIG_DIR


def tagged(comment):
    return read_declaration("a", comment, "file", 1)


def test_tags_behind_the_meaning_are_read_and_do_not_belong_to_it():
    plain = tagged("int [1, inf) or null: how many [or so]: x")
    meaning = "how many [or so]: x"
    assert (plain.effect, plain.free, plain.before, plain.meaning) == (Effect.CHANGES, False, None, meaning)
    both = tagged("float [0, 1]: a share [no figures] [since 0.2: before 0.5]")
    assert (both.effect, both.free, both.before, both.meaning) == (Effect.NOTHING, True, "0.5", "a share")
    assert tagged("bool: x [rounding]").effect is Effect.ROUNDING and tagged("bool: x [rounding]").free
    assert tagged("bool: x [reading]").effect is Effect.NOTHING and not tagged("bool: x [reading]").free
    assert tagged("float [0, 1]: x [since 0.2: as lr]").before_as == "lr"


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("int [0, 1]: x [no figure]", "unknown tag [no figure]"),
        ("int [0, 1]: x [since: before 1]", "unknown tag"),
        ("int [0, 1]: x [since 0.2: before 7]", "must be an int in [0, 1]"),
        ("bool: x [since 0.2: before null]", "must be true or false"),
    ],
)
def test_a_tag_that_is_mistyped_or_impossible_is_refused(comment, says):
    with pytest.raises(UserError, match=re.escape(says)):
        tagged(comment)


def test_every_file_that_declares_a_setting_says_the_same_of_its_effect():
    known = effects(CONFIG_DIR)
    files = [CONFIG_DIR / "default.yaml", *CONFIG_DIR.glob("algs/*.yaml"), *CONFIG_DIR.glob("envs/*.yaml")]
    for entry in (entry for path in files for entry in read_entries(path)):
        setting = read_declaration(entry.key, entry.comment, entry.file, entry.line)
        assert setting is None or setting.effect is known[setting.key], setting


def test_what_a_run_is_does_not_depend_on_settings_without_effect():
    one = resolve("vdn", "lbf", {}, CONFIG_DIR)
    free = {"t_max": "7", "keep_checkpoints": "2", "env_timeout": "9", "threads": "3", "device": "cpu"}
    assert identity(one, CONFIG_DIR) == identity(resolve("vdn", "lbf", free, CONFIG_DIR), CONFIG_DIR)
    for other in ({"lr": "0.5"}, {"absolute_factor": "2"}, {"env_args.episode_limit": "7"}, {"seed": "3"}):
        assert identity(one, CONFIG_DIR) != identity(resolve("vdn", "lbf", other, CONFIG_DIR), CONFIG_DIR)


def older(folder, *missing, **changed):
    """Take settings out of an archive, as if it had been made before there were any."""
    config = read(folder, "config.json")
    for key in missing:
        del config[key]
    (folder / "config.json").write_text(json.dumps(config | changed))


@pytest.fixture(scope="module")
def young(tmp_path_factory):
    return play("mmsa", results=tmp_path_factory.mktemp("young"))


@pytest.fixture
def old(young, tmp_path):
    (folder := tmp_path / "old" / "1").mkdir(parents=True)
    for name in ("config", "run", "metrics", "info"):
        (folder / f"{name}.json").write_bytes((young / f"{name}.json").read_bytes())
    return folder


def test_an_old_archive_means_what_it_meant_when_it_was_made(old):
    older(old, "kl_normal_coef", "rec_hidden_coef", "keep_checkpoints", rec_coef=0.25)
    for read_settings in (archived_settings, resumed_settings):
        settings = read_settings(old, {}, main.CONFIG_DIR)
        assert (settings["kl_normal_coef"], settings["rec_hidden_coef"]) == (1.0, 0.25)  # today's: 0.01 and 10
        assert settings["keep_checkpoints"] is None  # today's, for it changes no figure


def test_a_setting_of_which_nobody_says_what_it_was_keeps_a_run_from_going_on(old, capsys):
    older(old, "gamma", "lr")
    before = (old / "config.json").read_bytes()
    assert main.main([f"resume={old}"]) == 2
    err = capsys.readouterr().err
    assert "before there was lr, gamma" in err or "before there was gamma, lr" in err
    assert "gamma=0.99" in err and "lr=0.002" in err and err.count("\n") == 1
    assert (old / "config.json").read_bytes() == before
    settings = resumed_settings(old, {"lr": "0.004", "gamma": "0.9"}, main.CONFIG_DIR)
    assert (settings["lr"], settings["gamma"]) == (0.004, 0.9)
    assert archived_settings(old, {}, main.CONFIG_DIR)["lr"] == 0.002  # to look at it, today's default will do


def test_diff_and_report_read_old_archives_alike(young, old):
    older(old, "kl_normal_coef", "sale_skip")
    found = {difference.what: difference.other for difference in differences(young, old)}
    assert (found["kl_normal_coef"], found["sale_skip"]) == ("1.0", "False")
    assert "lr" not in found
    (run,) = read_runs([old])
    assert (run.config["kl_normal_coef"], run.config["sale_skip"]) == (1.0, False)


def test_settings_that_change_no_figure_do_not_split_a_line_of_seeds(tmp_path):
    for seed in range(1, 6):
        other = {"keep_checkpoints": 3, "env_timeout": 60.0, "max_env_restarts": 9} if seed == 3 else {}
        archive(tmp_path, "qmix", seed, seed, env_config="sc2",
                env_args={"key": "x", "game_timeout": 60 + 60 * (seed == 3)}, **other)  # fmt: skip
    (group,) = pool(read_runs([tmp_path]), Choice()).groups
    (line,) = group.lines
    assert len(line.members) == 5
    assert flat({"a": {"b": 1}, "c": 2}) == {"a.b": 1, "c": 2}
