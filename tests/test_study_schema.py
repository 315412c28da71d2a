"""The schemas of files of studies and searches: editors and the parser come to one verdict."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import main
from mmsa_pymarl.settings_command import main as list_settings
from mmsa_pymarl.settings_command import schema_text
from study_runs import asked
from study_runs.search_file import read_search
from utils.errors import UserError

jsonschema = pytest.importorskip("jsonschema")
STUDIES = Path(main.__file__).parents[1] / "studies"
KINDS = {"study": lambda path: asked.read(path, {}), "search": lambda path: read_search(path, main.CONFIG_DIR)}
NOT_GIVEN = "left out"
SETTINGS = [
    NOT_GIVEN, {}, {"lr": 0.1}, {"lr": -1}, {"lr": "fast"}, {"lrr": 0.1}, {"seed": 1}, {"threads": 1}, {"t_max": 400},
    {"t_max": 0}, {"local_results_path": "x"}, {"env_args": {"key": "climbing"}}, {"env_args.key": "climbing"},
    {"use_rnn": True}, {"use_rnn": 3}, {"device": "cpu"}, {"device": "cup"}, {"protocol": None}, {"name": "a"}, [],
    None, 3,
]  # fmt: skip
SEEDS = [NOT_GIVEN, [1], [1, 7], [], [-1], [2**32 - 1], [2**32], [1, 1], [1.5], ["a"], [True], [101], 1, None]
RUNNING = [NOT_GIVEN, {}, {"jobs": 2}, {"jobs": 0}, {"jbos": 2}, {"cpus_per_run": None}, {"pause": 0.5}, [1]]
FIELDS = {
    "study": {
        "algorithms": [["vdn"], ["vdn", {"config": "qmix", "lr": 0.1}], [{"config": "vdn", "lr": 7}], ["vdnn"], [],
                       [{"lr": 0.1}], [{"config": "vdnn"}], ["vdn", "vdn"], "vdn", [None], [["vdn"]], NOT_GIVEN],
        "tasks": [[{"env_config": "matrix_game"}], [{"env_config": "matrix_game", "env_args.key": "two_step"}], [],
                  [{"env_config": "matrx"}], ["matrix_game"], [{"env_args.key": "climbing"}], NOT_GIVEN],
        "seeds": SEEDS,
        "settings": SETTINGS,
        "variants": [NOT_GIVEN, {}, {"a": {"lr": 0.1}}, {"a b": {"lr": 0.1}}, {"a": {"lr": 2}}, {"a": 3}, {"": {}},
                     [3]],
        "running": RUNNING,
        "algoritms": [NOT_GIVEN, NOT_GIVEN, ["vdn"]],
    },
    "search": {
        "config": ["vdn", "vdnn", NOT_GIVEN, ["vdn"]],
        "env_config": ["matrix_game", "matrx", NOT_GIVEN],
        "space": [{"lr": [0.1, 0.2]}, {"lr": {"low": 0.1, "high": 0.2}}, {"lr": {"low": 0.1, "high": 0.2, "log": True}},
                  {"lr": [0.1]}, {"lr": [0.1, 0.1]}, {"lr": [0.1, 7]}, {"lr": {"low": 0.1}},
                  {"lr": {"low": -1, "high": 1}},
                  {"lr": {"low": 0.1, "high": 0.2, "step": 1}}, {"double_q": [True, False]}, {"double_q": [1, 2]},
                  {"double_q": {"low": 0, "high": 1}}, {"env_args.key": ["climbing", "two_step"]}, {"lrr": [0.1, 0.2]},
                  {"t_max": [100, 200]}, {"lr": 0.1}, {}, NOT_GIVEN],
        "seeds": SEEDS,
        "t_max": [900, 0, "long", NOT_GIVEN],
        "settings": [given for given in SETTINGS if not isinstance(given, dict) or "lr" not in given],
        "first": [NOT_GIVEN, [{}], [{}, {}], [], [{"lr": 7}], [{"lrr": 1}], [{"env_args.key": "climbing"}], {}],
        "metric": [NOT_GIVEN, "return_mean"],
        "aim": [NOT_GIVEN, "end", "area", "area_per_minute", "are"],
        "minutes": [NOT_GIVEN, NOT_GIVEN, 2, 0.5, 0, "long"],
        "last": [NOT_GIVEN, 3, 0, 1001],
        "rungs": [NOT_GIVEN, 2, 0, 11],
        "reduction": [NOT_GIVEN, 2, 1, 11],
        "running": RUNNING,
        "sedes": [NOT_GIVEN, NOT_GIVEN, [1]],
    },
}  # fmt: skip
BUILT_ON = {
    "study": {"algorithms": ["vdn"], "tasks": [{"env_config": "matrix_game"}], "seeds": [1]},
    "search": {"config": "vdn", "env_config": "matrix_game", "space": {"lr": [0.1, 0.2]}, "seeds": [1], "t_max": 900},
}


def schema(kind):
    return jsonschema.Draft202012Validator(json.loads(schema_text(kind)))


SCHEMAS = {kind: schema(kind) for kind in KINDS}


def parser_takes(kind, tree, folder):
    path = folder / "given.yaml"
    path.write_text(yaml.safe_dump(tree))
    try:
        KINDS[kind](path)
    except UserError:
        return False
    return True


def agree(kind, changes, folder):
    tree = {key: value for key, value in (BUILT_ON[kind] | changes).items() if value is not NOT_GIVEN}
    assert SCHEMAS[kind].is_valid(tree) == parser_takes(kind, tree, folder), tree


@pytest.mark.parametrize(
    ("kind", "field", "number"),
    [
        (kind, field, number)
        for kind, fields in FIELDS.items()
        for field in fields
        for number in range(len(fields[field]))
    ],
)
def test_schema_and_parser_agree_on_every_field(kind, field, number, tmp_path):
    agree(kind, {field: FIELDS[kind][field][number]}, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_schema_and_parser_agree_on_files(kind, tmp_path):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.fixed_dictionaries({}, optional={key: st.sampled_from(given) for key, given in FIELDS[kind].items()}))
    def check(changes):
        agree(kind, changes, tmp_path)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_that_files_name_is_as_they_are_read(kind, capsys):
    path = main.CONFIG_DIR / f"{kind}.schema.json"
    assert list_settings([f"--{kind}-schema"]) == 0
    assert path.read_text() == capsys.readouterr().out, f"mmsa settings --{kind}-schema > {path}"
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))


@pytest.mark.parametrize("path", sorted(STUDIES.rglob("*.yaml")), ids=lambda path: str(path.relative_to(STUDIES)))
def test_an_editor_finds_the_schema_and_takes_the_file(path):
    kind = "search" if path.parent.name == "searches" else "study"
    named = path.read_text().partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == main.CONFIG_DIR / f"{kind}.schema.json"
    tree = yaml.safe_load(path.read_text())
    assert not [error.message for error in SCHEMAS[kind].iter_errors(tree)]
    assert not SCHEMAS[kind].is_valid(tree | {"sedes": [1]})
