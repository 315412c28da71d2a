"""Whatever is asked for gives a whole run, or one line and exit code 2 with nothing written; never a traceback.

Settings are made from their own declarations: values within, at and beyond the ends of their range, and of other kinds.
Numbers that only ask for more time or memory than a test has are left out, see `MODEST`.
"""

import contextlib
import io
import os
import shutil
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tiny_runs import DREAMS, LBF, read, words

import main
from settings import declared_settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
few = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
)
SHORT = {
    "t_max": "8", "batch_size": "2", "batch_size_run": "2", "buffer_size": "4", "test_nepisode": "1", "device": "cpu",
    "rnn_hidden_dim": "4", "seed": "1", "save_model_interval": "4",
}  # fmt: skip
# Settings that ask for more work or memory the larger they are: fuzzed up to here, and far beyond what exists.
MODEST = {
    "t_max": 8, "test_nepisode": 2, "updates_per_run": 2, "batch_size_run": 3, "buffer_size": 50, "threads": 2,
    "rollout_horizon": 3,
}  # fmt: skip
ENDLESS = {"t_max", "test_nepisode", "updates_per_run", "threads", "batch_size_run", "rollout_horizon"}
SIZES = {"qmix": {}, "mmsa": {}, "mmsa_paper": {}, "iql": {}, "mappo": {}, "coma": {}, "dmawm": DREAMS, "mabl": DREAMS}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def holds(argv):
    """Check that a command line gives one of the two, and return which exit code; leave nothing to the next one."""
    try:
        return told(argv)
    finally:
        shutil.rmtree("results", ignore_errors=True)


def told(argv):
    out, err = io.StringIO(), io.StringIO()
    before = sorted(Path().rglob("*"))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main.main(argv)
        except SystemExit as helped:
            assert {"-h", "--help"} & set(argv) and helped.code == 0
            return 0
    said = err.getvalue()
    if code == 0:
        (folder,) = [path.parent for path in Path().glob("**/run.json")]
        assert read(folder, "run.json")["status"] == "COMPLETED"
        return 0
    assert code == 2, said
    assert said.startswith("error: ") and said.count("\n") == 1 and said[:-1].isprintable(), said
    assert [path for path in sorted(Path().rglob("*")) if path not in before and path.is_file()] == []
    return 2


def value_of(setting):
    """Text for a setting: mostly what it allows."""
    wild = st.sampled_from(
        ["", "null", "nan", "-1", "0", "1e400", "1e-60", "9" * 30, "0x1", "½", "True", "a b", "../x", "\x00"]
    )
    if setting.kind == "bool":
        fine = st.sampled_from(["True", "false"])
    elif setting.kind == "choice":
        fine = st.sampled_from(setting.choices)
    elif setting.kind == "str":
        fine = st.sampled_from(["none", "vdn", "qmix", "rnn", "sale_rnn", "basic_mac", "sale_mac", "vector", "episode"])
    else:
        most = MODEST.get(setting.key, 12)
        ends = [end for end in (setting.range.low, setting.range.high) if abs(end) <= most]
        small = st.floats(0, 2).map(repr) if setting.kind == "float" else st.integers(0, most).map(str)
        large = st.nothing() if setting.key in ENDLESS else st.sampled_from(["1e15", "4000000000000"])
        fine = st.one_of(small, st.sampled_from([f"{end:g}" for end in ends] or ["1"]), large)
    return st.one_of(fine, fine, wild)


FUZZED = {  # by pair of configs: what may be set, besides where results go and what other tests are for
    (alg, env): {
        key: setting
        for key, setting in declared_settings(alg, env, main.CONFIG_DIR).items()
        if key not in ("local_results_path", "checkpoint_path", "runner", "use_tensorboard", "env")
    }
    for alg in SIZES
    for env in ("matrix_game", "lbf")
}


@st.composite
def command_lines(draw):
    alg, env = draw(st.sampled_from(sorted(FUZZED)))
    known = FUZZED[alg, env]
    keys = draw(st.lists(st.sampled_from(sorted(known)), max_size=3, unique=True))
    chosen = {key: draw(value_of(known[key])) for key in keys}
    base = SHORT | (LBF if env == "lbf" else {}) | SIZES[alg]
    return words(alg, env, base | chosen)


@few
@given(argv=command_lines())
@example(argv=words("qmix", "matrix_game", SHORT))
@example(argv=words("qmix", "lbf", SHORT | LBF | {"initial_gain": "1e15", "initial_slope": "null"}))  # squares to inf
@example(argv=words("mmsa", "matrix_game", SHORT | {"optim_eps": "1e-60"}))  # 0 in 32 bits: a NaN at the first update
@example(argv=words("dmawm", "matrix_game", SHORT | DREAMS | {"mac": "basic_mac"}))  # a controller without a world
def test_settings_give_a_run_or_one_line(argv):
    holds(argv)


RUNS = {"--config=qmix", "--env-config=lbf"}  # these two alone ask for a run of the default length: hours


@few
@given(
    argv=st.lists(
        st.one_of(
            st.sampled_from([*sorted(RUNS), "with", "resume=latest", "resume=", "t_max=1"]),
            st.text(st.characters(codec="utf-8") | st.sampled_from(string.punctuation), max_size=8),
        ),
        max_size=6,
    ).filter(lambda argv: "t_max=1" in argv or not set(argv) >= RUNS)
)
def test_words_give_a_run_or_one_line(argv):
    holds(argv)


parts = st.one_of(
    st.sampled_from(["Foraging", "-2s", "-", "8x8", "3x3", "2p", "1p", "1f", "-coop", "-v2", "-v3", "lbforaging:"]),
    st.integers(-2, 200).map(str),
    st.text("xpfv-sco0123456789:./\u0664", max_size=4),
)
near = st.builds(
    lambda sight, w, h, p, f, coop, v: f"Foraging{sight}-{w}x{h}-{p}p-{f}f{coop}{v}",
    st.sampled_from(["", "-2s", "2s"]), *[st.integers(0, 9)] * 4, st.sampled_from(["", "-coop"]),
    st.sampled_from(["-v2", "-v3", "-v1", ""]),
)  # fmt: skip


@few
@given(key=near | st.lists(parts, max_size=7).map("".join))
def test_an_lbf_key_gives_a_run_or_one_line(key):
    holds(words("qmix", "lbf", SHORT | {"env_args.episode_limit": "3", "env_args.key": key}))


FILES = ["default.yaml", "algs/qmix.yaml", "algs/mmsa.yaml", "envs/matrix_game.yaml"]
tokens = st.sampled_from(
    ["!!python/object/apply:os.getcwd []", "&a", "*a", "[1]", "{a: b}", "|", "- x", ": ", "\t", "null", "é", "---", "#"]
)
edits = st.tuples(
    st.sampled_from(FILES), st.integers(0, 80), st.integers(0, 60), st.integers(0, 12), tokens | st.text(max_size=5)
)


@few
@given(changes=st.lists(edits, min_size=1, max_size=3), alg=st.sampled_from(["qmix", "mmsa"]))
def test_settings_files_give_a_run_or_one_line(changes, alg):
    config = Path("config")
    shutil.rmtree(config, ignore_errors=True)
    shutil.copytree(main.CONFIG_DIR, config)
    for file, line, column, cut, new in changes:
        lines = (config / file).read_text().split("\n")
        at = line % len(lines)
        lines[at] = lines[at][:column] + new + lines[at][column + cut :]
        (config / file).write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "CONFIG_DIR", config)
        holds(words(alg, "matrix_game", SHORT))
