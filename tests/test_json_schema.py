"""The JSON Schema of the settings and their parser give one verdict, and `mmsa settings` lists what is declared."""

import json
import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import main
from mmsa_pymarl.settings_command import main as list_settings
from mmsa_pymarl.settings_command import schema_text
from settings import ALGS, ENVS, config_names, listed_settings, read_declaration, setting_schema, settings_schema
from utils.errors import UserError

jsonschema = pytest.importorskip("jsonschema")
NAMES = config_names(main.CONFIG_DIR, ALGS), config_names(main.CONFIG_DIR, ENVS)
LOWS, HIGHS = st.sampled_from(["-inf", "-3", "-0.5", "0", "1"]), st.sampled_from(["-0.5", "0", "1", "2.5", "7", "inf"])
WORDS = st.sampled_from(["null", "None", "a", "auto", "", " ", "a b", "{}", "\x07", "é", "true"])
NUMBERS = st.one_of(
    st.integers(-9, 9), st.integers(-(2**54), 2**54), st.sampled_from([2**53, 2**53 - 1, -(2**53)]),
    st.sampled_from([0.5, -0.5, 2.5, 2.0, 1e300, 1e-300]), st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
VALUES = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.lists(st.integers(0, 2), max_size=2))


@st.composite
def declarations(draw):
    kind = draw(st.sampled_from(["int", "float", "bool", "str", "{a, auto, 1}"]))
    if kind in ("int", "float"):
        kind += f" {draw(st.sampled_from('[('))}{draw(LOWS)}, {draw(HIGHS)}{draw(st.sampled_from('])'))}"
    null = draw(st.sampled_from(["", " or null"])) + draw(st.sampled_from(["", " or auto"]))
    try:
        return read_declaration("x", f"{kind}{null}: something", "f.yaml", 1)
    except UserError:
        return None  # no interval


def parser_takes(setting, value):
    try:
        setting.parse(value)
    except UserError:
        return False
    return True


def as_on_a_command_line(setting, value):
    return isinstance(value, str) and setting.kind not in ("str", "choice") and value != setting.other


@settings(max_examples=200, deadline=None)
@given(declarations(), VALUES)
def test_schema_and_parser_agree(setting, value):
    if setting is None or as_on_a_command_line(setting, value) or isinstance(value, list):
        return
    valid = jsonschema.Draft202012Validator(setting_schema(setting)).is_valid(value)
    assert valid == parser_takes(setting, value), (setting.allowed, value)


def test_every_declared_value_is_valid_and_every_schema_is_one():
    for config in NAMES[0]:
        declared, values = listed_settings(config, "lbf", main.CONFIG_DIR)
        schema = settings_schema(declared, values, config)
        nested = {"env_args": {}}
        for key, value in values.items():
            group, _, last = key.rpartition(".")
            (nested[group] if group else nested)[last] = value
        assert jsonschema.Draft202012Validator(schema).is_valid(nested), config
        assert not jsonschema.Draft202012Validator(schema).is_valid({"learning_rate": 0.1})
    for env in NAMES[1]:
        schema = settings_schema(*listed_settings(None, env, main.CONFIG_DIR), env)
    jsonschema.Draft202012Validator.check_schema(schema)


def test_arguments_are_texts_that_hold_an_object():
    setting = read_declaration("x", "arguments: for somebody's constructor", "f.yaml", 1)
    check = jsonschema.Draft202012Validator(setting_schema(setting)).is_valid
    for value in ('{"a": 1}', "{}", "", "x", 1, None, True, string.ascii_letters):
        assert check(value) == parser_takes(setting, value), value


def test_settings_are_listed_with_value_range_meaning_and_place(capsys):
    assert list_settings(["--config=mmsa", "--env-config=lbf"]) == 0
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("lr = ")]
    assert "# a float in (0, 1]: step size of Adam (" in line and "default.yaml:" in line
    assert "\nenv_args.key = " in said and "\nrollout_horizon = " in said
    assert list_settings([]) == 0 and "\nenv_args.key" not in capsys.readouterr().out
    assert list_settings(["--config=mmsa", "--json-schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["lr"]["default"] > 0
    assert list_settings(["--config=msa"]) == 2 and "did you mean mmsa" in capsys.readouterr().err


FILES = [main.CONFIG_DIR / "default.yaml", *sorted(main.CONFIG_DIR.glob("*/*.yaml"))]
FILES_SCHEMA = main.CONFIG_DIR / "settings.schema.json"


def test_the_schema_that_files_name_is_as_they_declare():
    made = schema_text("settings")
    assert FILES_SCHEMA.read_text() == made + "\n", f"mmsa settings --files-schema > {FILES_SCHEMA}"


def test_the_page_of_settings_is_as_they_are_declared(capsys):
    page = main.CONFIG_DIR.parents[1] / "docs" / "settings.md"
    assert list_settings(["--page"]) == 0
    assert page.read_text() == capsys.readouterr().out, f"mmsa settings --page > {page}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_editor_finds_a_schema_that_takes_the_file_and_no_typo(path):
    first = path.read_text().partition("\n")[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == FILES_SCHEMA
    check = jsonschema.Draft202012Validator(json.loads(FILES_SCHEMA.read_text())).is_valid
    held = yaml.safe_load(path.read_text())
    held = {key: float(value) if str(value).startswith("1e") else value for key, value in held.items()}
    assert check(held) and not check(held | {"learning_rate": 0.1}) and not check(held | {"lr": -1})
    assert check({"threads": "auto"}) and not check({"threads": "many"})
