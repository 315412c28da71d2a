"""Protocols: named overlays between the algorithm's file and the command line, whose figures are the field's."""

from importlib.metadata import version

import pytest
from packages import needs
from tiny_runs import play, read, settings_of

import main
from envs import versions
from settings import PROTOCOLS, config_names, resolve
from utils.errors import UserError

COLUMNS = ("test_nepisode", "test_interval", "t_max", "report_metric", "report_statistic")
RETURN, WON = "test_return_mean", "test_battle_won_mean"
FIGURES = {
    ("lbf", "lbf"): (100, 50_000, 2_050_000, RETURN, "mean_interval"),
    ("smac", "smax"): (32, 10_000, 2_050_000, WON, "mean_interval"),
    ("smacv2", "smax"): (32, 10_000, 5_000_000, WON, "median_quartiles"),
    ("mamujoco", "mamujoco"): (32, 25_000, 7_000_000, RETURN, "mean_interval"),
    ("low_data", "smax"): (32, 10_000, 100_000, WON, "mean_interval"),
    ("low_data", "lbf"): (32, 10_000, 100_000, RETURN, "mean_interval"),
    ("low_data", "gymma"): (32, 10_000, 100_000, RETURN, "mean_interval"),
    ("low_data", "sc2"): (32, 10_000, 100_000, WON, "mean_interval"),
    ("low_data", "mamujoco"): (32, 25_000, 1_000_000, RETURN, "mean_interval"),
}


def test_every_protocol_is_known_by_its_figures():
    assert {name for name, _ in FIGURES} == set(config_names(main.CONFIG_DIR, PROTOCOLS))


@pytest.mark.parametrize(("names", "figures"), FIGURES.items(), ids=["-".join(names) for names in FIGURES])
@pytest.mark.parametrize("alg", ["mmsa_paper", "qmix"])
def test_a_protocol_sets_cadence_budget_and_statistic(names, figures, alg):
    protocol, env = names
    settings = resolve(alg, env, {"protocol": protocol}, main.CONFIG_DIR)
    assert tuple(settings[column] for column in COLUMNS) == figures
    assert settings["absolute_factor"] == 10 and settings["protocol"] == protocol
    plain = resolve(alg, env, {}, main.CONFIG_DIR)
    set_here = {key for key in settings if settings[key] != plain[key]}
    assert set_here <= {*COLUMNS, "absolute_factor", "protocol"}


def test_the_command_line_wins_over_a_protocol():
    settings = resolve("qmix", "lbf", {"t_max": "77", "protocol": "lbf"}, main.CONFIG_DIR)
    assert (settings["t_max"], settings["test_nepisode"]) == (77, 100)


def test_a_protocol_wins_over_algorithm_and_environment(tmp_path):
    for name, text in {
        "default": "protocol: null  # str or null: overlay\nt_max: 1  # int [1, 9]: steps\n",
        "algs/a": "t_max: 2\n", "envs/e": "env: e  # str: name\nt_max: 3\n",
        "protocols/p": "t_max: 4\n", "protocols/p.e": "t_max: 5\n", "protocols/bad": "env: e\n",
        "protocols/unknown": "tmax: 4\n", "envs/f": "env: f  # str: name\n",
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert resolve("a", "e", {}, tmp_path)["t_max"] == 2
    assert resolve("a", "f", {"protocol": "p"}, tmp_path)["t_max"] == 4
    assert resolve("a", "e", {"protocol": "p"}, tmp_path)["t_max"] == 5
    for name, says in {"p.e": "did you mean p", "bad": "not for a protocol", "unknown": "declared nowhere"}.items():
        with pytest.raises(UserError, match=says):
            resolve("a", "e", {"protocol": name}, tmp_path)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["protocol=lbff"], "did you mean lbf"),
        (["protocol=smac"], "report_metric"),
        (["protocol=lbf", "save_model=false"], "save_model"),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused_in_one_line(settings, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.main(["--config=qmix", "--env-config=lbf", "with", *settings]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err and not out
    assert not list(tmp_path.iterdir())


def test_help_names_the_protocols(capsys):
    with pytest.raises(SystemExit):
        main.main(["--help"])
    assert "low_data, mamujoco" in capsys.readouterr().out


def test_the_archive_names_the_protocol_and_the_environments_packages(tmp_path):
    folder = play("vdn", "lbf", tmp_path, **settings_of("lbf", protocol="lbf", absolute_factor="0", t_max="40"))
    assert read(folder, "config.json")["protocol"] == "lbf"
    assert read(folder, "info.json")["environment"] == {"lbforaging": "2.0.0"}
    assert main.main([f"resume={folder}", "with", "t_max=80"]) == 0
    (again,) = read(folder, "info.json")["resumed"]
    assert again["environment"] == {"lbforaging": "2.0.0"} and again["t_env"] >= 40


@pytest.mark.parametrize(
    ("env", "env_args", "packages"),
    [
        ("matrix_game", {}, ()),
        ("lbf", {}, ("lbforaging",)),
        pytest.param("mamujoco", {}, ("gymnasium-robotics", "mujoco"), marks=needs("mamujoco")),
        pytest.param("smax", {}, ("jax", "jaxmarl"), marks=needs("smax")),
        pytest.param("gymma", {"key": "rware:rware-tiny-2ag-v2"}, ("gymnasium", "rware"), marks=needs("gymma")),
        pytest.param("gymma", {"key": "pz-mpe-simple-spread-v3"}, ("mpe2",), marks=needs("gymma")),
    ],
)
def test_the_packages_that_decide_what_a_task_is_are_known_with_their_versions(env, env_args, packages):
    assert versions(env, env_args) == {package: version(package) for package in packages}
