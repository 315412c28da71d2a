"""What a settings file may look like: every mistake in one is named with file and line."""

import pytest
from test_config import refused, tree, write

from settings import declared_settings

__all__ = ["tree"]  # the fixture


@pytest.mark.parametrize(
    ("file", "text", "line", "words"),
    [
        ("default", "a: 1\n", 1, "declared nowhere"),
        ("default", "a: 1  # prose\n", 1, "# float [0, 1]: meaning"),
        ("default", "a: 1  # int: no interval\n", 1, "declared nowhere"),
        ("default", "a: 1  # int [0, 1]:\n", 1, "declared nowhere"),
        ("default", "a: 1\n# int [0, 1]: comment below\n", 1, "declared nowhere"),
        ("default", "a: '1 # int [0, 1]: in the text'\n", 1, "declared nowhere"),
        ("default", "\na: 2  # int [0, 1]: x\n", 2, "must be an int in [0, 1]"),
        ("default", "a: 1  # int (1, 0]: x\n", 1, "is no interval"),
        ("default", "a: 1  # int [0.5, 2]: x\n", 1, "is no interval"),
        ("default", "a: 1  # int (1, 1]: x\n", 1, "is no interval"),
        ("default", "a: x  # {x, x}: x\n", 1, "different words"),
        ("default", "a: x  # {}: x\n", 1, "different words"),
        ("default", "a: 1  # int [0, 1]: x\na: 1\n", 2, "twice"),
        ("default", "a:  # int [0, 1]: x\n", 1, "no value"),
        ("default", "a: !!python/object/apply:os.system [x]\n", 1, "a tag"),
        ("default", "a: &x 1  # int [0, 1]: x\nb: *x\n", 1, "an anchor"),
        ("default", "b: 1  # int [0, 1]: x\na: {b: 1}  # int [0, 1]: x\n", 2, "braces"),
        ("default", "a:\n- 1\n", 2, "a list"),
        ("default", "a: [1]\n", 1, "a list"),
        ("default", "a: |\n  x\n  y\n", 1, "one line"),
        ("default", "a: x\n  y\n", 1, "one line"),
        ("default", "", 1, "lines"),
        ("default", "# only prose\n", 1, "lines"),
        ("default", "word\n", 1, "lines"),
        ("default", "a: 1\n\tb: 1\n", 2, "not valid YAML"),
        ("default", "a: 'x\n", 2, "not valid YAML"),
        ("default", "a: 1\n b: 2\n", 2, "not valid YAML"),
        ("default", "a: 1\n---\nb: 1\n", 2, "not valid YAML"),
        ("default", "a: 1\nb: \x07\n", 2, "not valid YAML"),
        ("default", "a.b: 1  # int [0, 1]: x\n", 1, "is no name"),
        ("default", "lambda: 1\n", 1, "is no name"),
        ("default", "name: x  # str: x\n", 1, "no setting"),
        ("envs/lbf", "env: lbf # str: x\nbase: x\n", 2, "no setting"),
        ("envs/lbf", "t_max: 3\n", None, "must set env"),
        ("envs/lbf", "env: lbf # str: x\ngamma: 1  # float [0, 1]: again\n", 2, "default.yaml:2 already"),
        ("envs/lbf", "env: lbf # str: x\ngamma:\n  a: 1  # int [0, 1]: x\n", 3, "default.yaml:2 already"),
        ("algs/qmix", "gamma: 2  # higher\n", 1, "gamma=2: must be a float in [0, 1] (config/default.yaml:2)"),
        ("algs/qmix", "gama: 1\n", 1, "did you mean gamma?"),
        ("algs/qmix", "env: lbf\n", 1, "--env-config"),
        ("algs/qmix", "base: qmix\n", 1, "circle"),
        ("algs/qmix", "base: mmsaa\n", 1, "did you mean mmsa"),
        ("algs/qmix", "base: ../default\n", 1, "unknown name"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_file_and_line(tree, file, text, line, words):
    message = refused(write(tree, **{file.replace("/", "__"): text}))
    place = f"config/{file}.yaml" + (f":{line}" if line else "")
    assert place in message and words in message


def test_missing_and_unreadable_files_are_named(tree):
    (tree / "default.yaml").write_bytes(b"a: \xff\n")
    assert "config/default.yaml: cannot be read: not UTF-8 at byte 3" in refused(tree)
    (tree / "default.yaml").unlink()
    assert "config/default.yaml: cannot be read: No such file" in refused(tree)


def test_line_ends_and_byte_order_mark_do_not_hide_comments(tree):
    write(tree, algs__qmix="a: 0\r\n")
    (tree / "default.yaml").write_bytes(b"\xef\xbb\xbfa: 1  # int [0, 1]: x\r\nt_max: 1  # int [1, 9]: y\r\n")
    declared = declared_settings("qmix", "matrix_game", tree)
    assert (declared["a"].meaning, declared["t_max"].meaning) == ("x", "y")
