"""Settings that a method does not read: they do nothing, and who gives one is told."""

import pytest
from test_resume import same_run
from tiny_runs import DREAMS, play

import main
from learners import REGISTRY
from settings import declared_settings, resolve

METHODS = {"ippo": {}, "coma": {}, "dreamer": DREAMS}


def other_values(alg):
    """Another value for every setting that the method says it ignores."""
    settings = declared_settings(alg, "lbf", main.CONFIG_DIR)
    values = resolve(alg, "lbf", METHODS[alg], main.CONFIG_DIR)
    learner = REGISTRY[values["learner"]]
    found = {}
    for name in sorted(learner.IGNORES):
        if settings[name].kind == "bool":
            found[name] = not values[name]
        else:
            found[name] = 0.5 if values[name] is None or settings[name].kind == "float" else values[name] + 3
    return {name: str(value) for name, value in found.items()}


@pytest.mark.parametrize("alg", METHODS)
def test_what_a_method_ignores_changes_nothing_and_is_told(alg, tmp_path):
    others = other_values(alg)
    assert len(others) > 10
    one = play(alg, "lbf", results=tmp_path / "one", **METHODS[alg])
    two = play(alg, "lbf", results=tmp_path / "two", **METHODS[alg] | others)
    same_run(one, two)
    (line,) = [line for line in (two / "cout.txt").read_text().splitlines() if "nothing reads" in line]
    assert line.startswith(f"note: with --config={alg} nothing reads ")
    assert all(name in line for name in others)
    assert "there is " in line if alg == "dreamer" else "there is" not in line


def test_what_is_read_is_not_told(tmp_path):
    folder = play("qmix", results=tmp_path, updates_per_run="1", rewarded_share="0.5", t_max="60")
    assert "nothing reads" not in (folder / "cout.txt").read_text()
