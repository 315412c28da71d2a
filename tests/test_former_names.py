"""Words of PyMARL and EPyMARL: each is answered in one line with a word that is there."""

import re
from pathlib import Path

import pytest

from settings import ALGS, ENVS, config_names, declared_settings, resolve
from settings.former_names import CONFIGS, SAME_IN_ENVIRONMENTS, SETTINGS
from utils.errors import UserError

CONFIG_DIR = Path(__file__).parents[1] / "src" / "config"
PAIRS = [(alg, "lbf") for alg in config_names(CONFIG_DIR, ALGS)]
PAIRS += [("qmix", env) for env in config_names(CONFIG_DIR, ENVS)]
DECLARED = {key for alg, env in PAIRS for key in declared_settings(alg, env, CONFIG_DIR)}


def answer(env_config, config="qmix", **updates):
    with pytest.raises(UserError) as error:
        resolve(config, env_config, updates, CONFIG_DIR)
    message = str(error.value)
    assert message.isprintable() and len(message) < 300
    return message


@pytest.mark.parametrize("word", SETTINGS)
def test_a_former_word_is_answered_with_words_that_are_there(word):
    assert word not in DECLARED
    told = answer("sc2", **{word: "1"})
    assert SETTINGS[word] in told and "did you mean" not in told
    named = re.findall(r"\bit is ([a-z_.]+)|(?<!-)\b([a-z_.]+)=", SETTINGS[word])
    assert {a or b for a, b in named} <= DECLARED


def test_nothing_is_said_to_be_missing_that_has_a_config():
    missing = {name.lower() for reason in SETTINGS.values() for name in re.findall(r"\bthere is no (\w+)", reason)}
    assert "maddpg" in missing and not missing & set(config_names(CONFIG_DIR, ALGS))


@pytest.mark.parametrize("env_config", config_names(CONFIG_DIR, ENVS))
def test_the_task_and_the_limit_of_steps_are_called_what_the_environment_calls_them(env_config):
    declared = declared_settings("qmix", env_config, CONFIG_DIR)
    for same in SAME_IN_ENVIRONMENTS:
        here = [key for key in same if key in declared]
        for word in {*same, *(key.removeprefix("env_args.") for key in same)} - declared.keys():
            told = answer(env_config, **{word: "1"})
            assert (f": it is {here[0]} with" in told) if here else ("unknown setting" in told)


@pytest.mark.parametrize("name", [*CONFIGS, "qmix_ns"])
def test_a_former_config_is_answered_with_one_that_is_there(name):
    configs = {ALGS: config_names(CONFIG_DIR, ALGS), ENVS: config_names(CONFIG_DIR, ENVS)}
    told = [answer("lbf", config=name), answer(name)]
    for message in told:
        taken = re.search(r": take (\w+)", message)[1]
        assert taken in configs[ALGS] + configs[ENVS]
