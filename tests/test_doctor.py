"""The doctor: what it says of this machine, and of machines on which one thing or another is broken."""

import ast
import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from packages import needs
from processes import WAIT, group, running, wait_until

import doctor
from checkup import machine, suites
from checkup.children import Child, Ended
from checkup.finding import FAILS, NOTE, WORKS
from checkup.try_suite import try_suite
from envs import ENVS
from settings import ENVS as ENV_CONFIGS
from settings import config_names, resolve

DOCTOR = Path(doctor.__file__)
SRC = DOCTOR.parent
CONFIG_DIR = SRC / "config"


def asked(*words, python=()):
    return subprocess.run([sys.executable, *python, DOCTOR, *words], capture_output=True, text=True, timeout=8 * WAIT)


def child(code, folder):
    return Child([sys.executable, "-c", code], folder)


def test_what_works_is_said_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = asked("lbf", "matrix_game")
    assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ok  Python: 3.") and "ok  requirements.txt: installed" in lines
    assert any(line.startswith("ok  torch: 2.") for line in lines)
    assert any(line.startswith("ok  lbf: 2 agents, 6 actions, a state of 24; pictures of ") for line in lines)
    assert any(line.startswith("ok  matrix_game: 2 agents, 3 actions, ") for line in lines)
    assert not any("smax" in line for line in lines), "only what was asked for is tried"
    assert not list(tmp_path.iterdir())


def test_every_suite_has_a_config_of_its_name_to_be_tried_with():
    assert set(ENVS) <= set(config_names(CONFIG_DIR, ENV_CONFIGS))
    assert all(resolve("qmix", name, {}, CONFIG_DIR)["env"] == name for name in ENVS)


@pytest.mark.parametrize(("name", "says"), [
    pytest.param("mpe", "3 agents, 5 numbers as action, a state of 54", marks=needs("gymma")),
    pytest.param("vmas", "3 agents, 9 actions, a state of 48", marks=needs("vmas")),
])  # fmt: skip
def test_tasks_that_need_packages_of_their_own_are_tried_too(name, says):
    env, *words = suites.TASKS[name]
    told = []
    try_suite(env, words, lambda *pair: told.append(pair))
    assert told[0] == ("plays", says) and told[1][0] in ("draws", "cannot be drawn")


def test_without_any_package_the_command_that_installs_them_is_all_that_is_said():
    done = asked(python=("-S", "-E"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no  requirements.txt: not installed: torch, numpy, sacred" in done.stdout
    assert "      pip install -r requirements.txt\n" in done.stdout


@pytest.mark.parametrize(
    "words, says",
    [(["lbff"], "unknown environment 'lbff': did you mean lbf?"), (["--limit", "soon"], "--limit"), (["-x"], "-x")],
)
def test_a_mistake_is_one_line(words, says):
    done = asked(*words)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("error: ") and says in done.stderr and done.stderr.count("\n") == 1


def test_an_older_python_can_read_it_and_is_told_so():
    for file in (DOCTOR, *(SRC / "checkup").glob("*.py")):
        ast.parse(file.read_text(), feature_version=(3, 8))
        assert "from __future__ import annotations" in file.read_text() or file.name == "__init__.py"
    old = machine.python((3, 10, 12))
    assert old.mark == FAILS and "3.10.12; 3.11 or later is needed" in old.text() and "python3.11 -m venv" in old.mend
    assert machine.python((3, 11, 0)).mark == machine.python((4, 0, 0)).mark == WORKS


def test_packages_are_those_of_the_file_in_the_versions_that_it_asks_for(tmp_path, monkeypatch):
    def said(text, needed=True):
        (tmp_path / "some.txt").write_text(text)
        return machine.packages(tmp_path, "some.txt --no-deps", needed)

    assert said("# numpy==0\n-r more.txt\n\nnumpy>=1  # ==3\nhypothesis\n").mark == WORKS
    missing = said("numpy>=1\nno-such-thing==1.0  # why\nother-thing @ https://here/it.zip\n")
    assert missing.mark == FAILS and missing.said == "not installed: no-such-thing, other-thing"
    assert missing.mend == "pip install -r some.txt --no-deps"
    assert said("no-such-thing\n", needed=False).mark == NOTE
    other = said("numpy==0.1\n")
    assert other.mark == NOTE and other.said.startswith("numpy ") and other.said.endswith(" asks for numpy==0.1")
    monkeypatch.setattr("checkup.packages.version", lambda name: "2.13.0+cpu")
    assert said("torch==2.13.0\n").mark == WORKS and said("torch==2.13\n").mark == NOTE


@pytest.mark.parametrize(
    "code, why",
    [
        ("import os; print('so far', flush=True); os.abort()", "crashed with SIGABRT"),
        ("import sys; print('so far'); sys.exit(3)", "ended with exit code 3"),
        ("print('so far'); raise OSError('no such library')", "OSError: no such library"),
        ("print('so far')", ""),
    ],
)
def test_how_a_process_ends_is_told_with_what_it_said(code, why, tmp_path):
    assert child(code, tmp_path).wait(WAIT) == Ended("so far\n", why)


def test_what_hangs_is_ended_with_all_that_it_started(tmp_path):
    sleeping = "import time; time.sleep(600)"
    code = f"import subprocess, sys, time; g = subprocess.Popen([sys.executable, '-c', {sleeping!r}]);"
    started, hanging = time.monotonic(), child(f"{code} print(g.pid, flush=True); time.sleep(600)", tmp_path)
    ended = hanging.wait(5)
    assert ended.why == "no answer within 5 s" and time.monotonic() - started < WAIT
    assert int(ended.out)
    wait_until(lambda: not group(hanging._process.pid))


def told(**words):
    return "".join(json.dumps([what.replace("_", " "), text]) + "\n" for what, text in words.items())


def test_what_came_of_a_suite():
    (draws,) = suites.suite("lbf", Ended(told(plays="2 agents", draws="1 x 1"), ""))
    assert draws == (WORKS, "lbf", "2 agents; pictures of 1 x 1", "")
    assert [f.mark for f in suites.suite("smax", Ended(told(plays="8 agents", draws_nothing=""), ""))] == [WORKS]
    (refused,) = suites.suite("smax", Ended(told(refused="needs jaxmarl: run `pip install it`"), ""))
    assert refused.mark == FAILS and refused.mend == "pip install it"
    (crashed,) = suites.suite("smax", Ended("", "crashed with SIGSEGV"))
    assert crashed == (FAILS, "smax", "crashed with SIGSEGV", "")
    plays, pictures = suites.suite("mamujoco", Ended(told(plays="6 agents"), "crashed with SIGSEGV"))
    assert (plays.mark, pictures.mark, pictures.mend) == (WORKS, NOTE, suites.OPENGL)
    plays, pictures = suites.suite("gymma", Ended(told(plays="2 agents", cannot_be_drawn="no mode"), ""))
    assert (plays.mark, pictures.mark, pictures.said, pictures.mend) == (WORKS, NOTE, "no mode", "")


@pytest.mark.parametrize(
    "package, suite, mend", [("jaxmarl", "smax", "pip install -r requirements-smax.txt"), ("lbforaging", "lbf", None)]
)
def test_a_suite_without_its_package_says_what_installs_it(package, suite, mend, tmp_path):
    code = f"import sys; sys.path.insert(0, {str(SRC)!r}); sys.modules[{package!r}] = None; sys.argv[1:] = [{suite!r}];"
    run = f"{code} from checkup import try_suite; try_suite.main()"
    (found,) = suites.suite(suite, child(run, tmp_path).wait(4 * WAIT))
    assert found.mark == FAILS and found.mend == (mend or "pip install -r requirements.txt")


def test_a_missing_torch_is_told_and_so_is_one_that_does_not_compute(tmp_path):
    base = SRC.parent / "requirements.txt"
    nothing_installed = Child([sys.executable, "-S", "-c", machine.TRY_TORCH], tmp_path)
    (missing,) = machine.torch(nothing_installed.wait(WAIT), base)
    assert missing.mark == FAILS and missing.mend == "pip install -r requirements.txt"
    crash = Ended("2.13.0 13.0 True\n", "RuntimeError: CUDA error")
    assert [found.mark for found in machine.torch(crash, base)] == [WORKS, FAILS]
    works = machine.torch(Ended("2.13.0 13.0 True\nNVIDIA H200 8.0\n", ""), base)
    assert works[1] == (WORKS, "CUDA", "13.0, NVIDIA H200", "")


def test_a_gpu_without_a_torch_for_it_is_worth_a_command(monkeypatch):
    base = SRC.parent / "requirements.txt"
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    _, cuda = machine.torch(Ended("2.13.0+cpu none False\n", ""), base)
    assert cuda.mark == NOTE and cuda.mend.startswith("pip install --force-reinstall torch==2.13.0 --index-url ")
    _, cuda = machine.torch(Ended("2.13.0 13.0 False\n", ""), base)
    assert cuda.mark == NOTE and "nvidia-smi" in cuda.said


def test_starcraft_is_looked_for_where_sc2path_says(tmp_path):
    said = lambda place: machine.starcraft({"SC2PATH": str(place)} if place else {})  # noqa: E731
    assert (said(None).mark, said(None).mend) == (NOTE, machine.INSTALL_SC2)
    assert said(tmp_path).mark == FAILS and "no Versions/Base*" in said(tmp_path).said
    (tmp_path / "Versions" / "Base75689").mkdir(parents=True)
    maps = tmp_path / "Maps" / "SMAC_Maps"
    maps.mkdir(parents=True)
    (maps / "3s5z.SC2Map").touch()
    assert said(tmp_path).mark == FAILS and said(tmp_path).said.endswith("Base75689; 1 maps, and not 32x32_flat.SC2Map")
    (maps / "32x32_flat.SC2Map").touch()
    assert said(tmp_path) == (WORKS, "SC2PATH", f"{tmp_path}: Base75689; 2 maps", "")


def test_the_exit_code_is_that_of_the_suite_asked_for(monkeypatch, tmp_path, capsys):
    broken = tmp_path / "crash.py"
    broken.write_text("import os; os.abort()")
    monkeypatch.setattr(suites, "TRY", broken)
    assert doctor.main(["lbf"]) == 1
    out, err = capsys.readouterr()
    assert "no  lbf: crashed with SIGABRT\n" in out
    assert err == "error: no training on lbf here, because of lbf: see the lines above\n"
    monkeypatch.setattr(machine, "packages", lambda *_, **__: machine.Finding(FAILS, "requirements.txt", "gone"))
    assert doctor.main(["matrix_game"]) == 1
    assert "because of requirements.txt, matrix_game:" in capsys.readouterr().err


def test_what_is_not_asked_for_may_fail(monkeypatch, capsys):
    real = suites.suite
    monkeypatch.setattr(suites, "suite", lambda name, e: real(name, e if name == "lbf" else Ended("", "crashed")))
    monkeypatch.setattr("envs.ENVS", {name: ENVS[name] for name in ("lbf", "matrix_game")})
    monkeypatch.setattr(suites, "TASKS", {})
    assert doctor.main([]) == 0
    assert "no  matrix_game: crashed\n" in capsys.readouterr().out


def test_what_a_suite_prints_is_not_taken_for_an_answer(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(SRC)!r}); sys.argv[1:] = ["matrix_game"]
import os
from checkup import try_suite
from envs.matrix_game import MatrixGameEnv
begin = MatrixGameEnv.reset
MatrixGameEnv.reset = lambda env, seed: (print("hello", flush=True), os.write(1, b"hello\\n"), begin(env, seed))
try_suite.main()
"""
    (found,) = suites.suite("matrix_game", child(code, tmp_path).wait(WAIT))
    assert found.mark == WORKS and "2 agents" in found.said


def begun_with(setting):
    """Processes in whose environment variables something stands."""
    found = set()
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and setting in (process / "environ").read_bytes():
                found.add(process.name)
    return found


def test_ctrl_c_is_one_line_and_ends_what_was_begun(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCTORS_TEST", str(tmp_path))
    with running(DOCTOR) as process:
        wait_until(lambda: len(begun_with(str(tmp_path).encode())) > 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130 and err == "interrupted: nothing was changed\n"
    assert not begun_with(str(tmp_path).encode())
