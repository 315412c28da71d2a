"""What `scripts/install_plugin.py` does to the files of a checkout, and what it refuses."""

import ast
import json
import os
import signal
import stat
import sys
import threading
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import install_plugin
import pytest
import yaml
from plugin_hosts import REGISTRIES, miniature
from tiny_runs import files

from plugin.changes import STAGING
from plugin.hosts import HOSTS, with_line, without_line
from plugin.method import REPOSITORY, SOURCE, method_files
from plugin.plans import MANIFEST, SETTINGS, plan_install
from plugin.settings import SHARED, host_settings
from settings import resolve

NAMES = ("pymarl2", "epymarl")
MODULE = "src/mmsa/modules/sale.py"
ENDINGS = {
    "a newline": lambda text: text,
    "none": lambda text: text.rstrip(b"\n"),
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "CRLF but the last": lambda text: text.replace(b"\n", b"\r\n").rstrip(b"\r\n"),
    "blanks": lambda text: text + b"\n  \n    ",
    "a comment": lambda text: text + b"# the end",
}


@pytest.fixture(params=NAMES)
def host(request, tmp_path):
    return miniature(request.param, tmp_path / request.param)


@pytest.fixture
def pymarl2(tmp_path):
    return miniature("pymarl2", tmp_path / "host")


def install(root, *options):
    return install_plugin.main([str(root), *options])


def everything(root):
    """Every file and folder: bytes and modes."""
    return files(root), {path: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}


def refused(root, says, capsys, *options):
    before = everything(root)
    capsys.readouterr()
    assert install(root, *options) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err and not out
    assert everything(root) == before


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_what_is_installed_is_taken_out_to_the_byte(host, ending):
    for registry in REGISTRIES:
        (host / registry).write_bytes(ending((host / registry).read_bytes()))
    (host / REGISTRIES[0]).chmod(0o640)
    before = everything(host)
    assert install(host) == 0
    for registry in REGISTRIES:
        text = (host / registry).read_bytes()
        assert b'import_module("mmsa.' in text.splitlines()[-1] and text.count(b"mmsa.") == 1
        assert (b"\r\n" in text) == (text.count(b"\n") == text.count(b"\r\n"))
        assert text.endswith(b"\n") == before[0][Path(registry)].endswith(b"\n")
        compile(text, registry, "exec")
    assert everything(host)[1][host / REGISTRIES[0]] == 0o640
    (host / "src/mmsa/modules/__pycache__").mkdir()
    (host / "src/mmsa/modules/__pycache__/sale.cpython-311.pyc").write_bytes(b"left by Python")
    assert install(host, "--uninstall") == 0
    assert everything(host) == before


def test_a_second_run_changes_nothing(host, capsys):
    assert install(host) == 0
    before = everything(host)
    times = {path: path.stat().st_mtime_ns for path in host.rglob("*")}
    capsys.readouterr()
    assert install(host) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert everything(host) == before and times == {path: path.stat().st_mtime_ns for path in host.rglob("*")}


@pytest.mark.parametrize("options", [[], ["--uninstall"]])
def test_a_dry_run_says_what_the_run_says_and_writes_nothing(host, options, capsys):
    if options:
        install(host)
        capsys.readouterr()
    before = everything(host)
    assert install(host, "--dry-run", *options) == 0
    said = capsys.readouterr().out
    assert everything(host) == before
    assert install(host, *options) == 0
    plan = said.removesuffix("dry run: nothing was written\n")
    assert plan != said and capsys.readouterr().out.startswith(plan)
    assert MODULE in plan and SETTINGS in plan and all(registry in plan for registry in REGISTRIES)


def test_it_says_which_host_it_found_and_how_to_train_there(host, capsys):
    install(host)
    out = capsys.readouterr().out
    (found,) = [h for h in HOSTS if out.startswith(f"{h.name} in ")]
    assert found.name.lower() == host.name and found.example in out
    assert f"\n    {found.example}\n" in (REPOSITORY / "docs" / "plugin.md").read_text()


def test_what_the_user_wrote_below_our_line_stays(host):
    (host / REGISTRIES[0]).write_bytes((host / REGISTRIES[0]).read_bytes().rstrip(b"\n"))
    before = (host / REGISTRIES[0]).read_bytes()
    install(host)
    added = b'\nREGISTRY["mine"] = object\n'
    (host / REGISTRIES[0]).write_bytes((host / REGISTRIES[0]).read_bytes() + added)
    assert install(host, "--uninstall") == 0
    assert (host / REGISTRIES[0]).read_bytes() == before + added


@pytest.mark.parametrize("text", [b"", b"a", b"a\n", b"a\r\n", b"a\r\nb", b"\n\n", b"a\n\n", b"a\n ", b"x # our line"])
def test_a_line_comes_and_goes(text):
    assert without_line(with_line(text, b"our line"), b"our line") == text
    assert without_line(text, b"our line") == text


def test_a_newer_version_replaces_what_nobody_edited(pymarl2, monkeypatch, capsys):
    older = method_files() | {"modules/sale.py": b"# as it was\n", "modules/gone.py": b"# no longer needed\n"}
    before = everything(pymarl2)
    monkeypatch.setattr("plugin.plans.method_files", lambda: older)
    install(pymarl2)
    monkeypatch.undo()
    (pymarl2 / SETTINGS).write_text("edited, and in no need of an update")
    capsys.readouterr()
    assert install(pymarl2) == 0
    plan = capsys.readouterr().out
    assert "newer   src/mmsa/modules/sale.py" in plan and "gone    src/mmsa/modules/gone.py" in plan
    assert (pymarl2 / MODULE).read_bytes() == method_files()["modules/sale.py"]
    assert not (pymarl2 / "src/mmsa/modules/gone.py").exists()
    assert (pymarl2 / SETTINGS).read_text().startswith("edited") and SETTINGS not in plan
    (pymarl2 / SETTINGS).unlink()
    assert install(pymarl2, "--uninstall") == 0
    assert everything(pymarl2) == before


def test_edited_files_are_never_lost(pymarl2, monkeypatch, capsys):
    install(pymarl2)
    (pymarl2 / MODULE).write_text("# mine\n")
    refused(pymarl2, MODULE, capsys, "--uninstall")
    refused(pymarl2, MODULE, capsys, "--uninstall", "--dry-run")
    assert install(pymarl2) == 0  # the same version: it has nothing to bring
    assert (pymarl2 / MODULE).read_text() == "# mine\n"
    newer = method_files() | {"modules/sale.py": b"# newer\n"}
    monkeypatch.setattr("plugin.plans.method_files", lambda: newer)
    refused(pymarl2, MODULE, capsys)


def test_files_of_others_are_never_overwritten(pymarl2, capsys):
    (pymarl2 / SETTINGS).write_text("somebody's own")
    refused(pymarl2, f"{SETTINGS}: exists and is not this plugin's", capsys)
    refused(pymarl2, f"{SETTINGS}: exists and is not this plugin's", capsys, "--dry-run")
    (pymarl2 / SETTINGS).unlink()
    (pymarl2 / "src/mmsa").mkdir()
    (pymarl2 / "src/mmsa/mine.py").write_text("")
    refused(pymarl2, "src/mmsa", capsys)


def test_a_file_beside_ours_stays(pymarl2, capsys):
    install(pymarl2)
    (pymarl2 / "src/mmsa/modules/mine.py").write_text("")
    assert install(pymarl2, "--uninstall") == 0
    assert "left alone" in capsys.readouterr().out
    assert [path.name for path in (pymarl2 / "src/mmsa").rglob("*.py")] == ["mine.py"]


def test_an_entry_of_the_same_name_is_refused(host, capsys):
    with (host / REGISTRIES[1]).open("a") as file:
        file.write('\nREGISTRY["sale_mac"] = object\n')
    refused(host, "sale_mac", capsys)


def test_an_edited_line_of_ours_is_pointed_out(pymarl2, capsys):
    install(pymarl2)
    registry = pymarl2 / REGISTRIES[2]
    registry.write_text(registry.read_text().replace("# MMSA", "# my MMSA"))
    refused(pymarl2, f"{REGISTRIES[2]}:", capsys, "--uninstall")


def test_no_checkout_an_unknown_one_and_ourselves_are_refused(host, tmp_path, capsys):
    refused(tmp_path, "no registry", capsys)
    refused(tmp_path / "nowhere", "no registry", capsys)
    refused(host / "src", "no registry", capsys)
    assert install(REPOSITORY) == 2
    assert "neither PyMARL2 nor EPyMARL" in capsys.readouterr().err
    for registry, text, says in (
        (REGISTRIES[1], 'REGISTRY = {"basic_mac": object}', "neither PyMARL2 nor EPyMARL"),
        (REGISTRIES[2], "NAMES = {}", "holds no REGISTRY"),
        (REGISTRIES[0], "REGISTRY = {", "cannot be read as Python"),
    ):
        before = (host / registry).read_bytes()
        (host / registry).write_text(text)
        refused(host, says, capsys)
        (host / registry).write_bytes(before)
    (host / REGISTRIES[2]).unlink()
    refused(host, f"no registry {REGISTRIES[2]}", capsys)


def test_a_mistyped_command_is_one_line(pymarl2, capsys):
    refused(pymarl2, "--uninstal", capsys, "--uninstal=1")
    refused(pymarl2, "not installed", capsys, "--uninstall")
    assert install_plugin.main([]) == 2


@pytest.mark.parametrize("text", ["{", "[]", '{"src/run.py": "0"}', '{"src/mmsa/../run.py": "0"}'])
def test_a_list_of_files_that_is_not_ours_is_refused(pymarl2, text, capsys):
    install(pymarl2)
    (pymarl2 / MANIFEST).write_text(text)
    refused(pymarl2, MANIFEST, capsys, "--uninstall")
    refused(pymarl2, MANIFEST, capsys)


class Killed(BaseException):
    """Ends the program where it stands, as SIGKILL does: nothing is undone."""


def failing(at, function, error):
    """Return a function whose call number `at` raises an error; those after it work again."""
    calls = count()

    def called(*args, **options):
        if next(calls) == at:
            raise error
        return function(*args, **options)

    return called


@pytest.mark.parametrize("at", [0, 1, 12, 25])
@pytest.mark.parametrize(
    ("options", "name", "function"),
    [([], "plugin.changes.os.replace", os.replace), (["--uninstall"], "pathlib.Path.unlink", Path.unlink)],
    ids=["install", "uninstall"],
)
def test_a_write_that_fails_leaves_everything_as_it_was(pymarl2, options, name, function, at, monkeypatch, capsys):
    if options:
        install(pymarl2)
    monkeypatch.setattr(name, failing(at, function, OSError(28, "No space left on device", "somewhere")))
    refused(pymarl2, "No space left", capsys, *options)
    monkeypatch.undo()
    assert install(pymarl2, *options) == 0


@pytest.mark.parametrize("at", [0, 1, 20, 27, 28, 29])
@pytest.mark.parametrize("next_command", [[], ["--uninstall"]], ids=["install", "uninstall"])
def test_killed_between_two_files_the_host_still_runs_and_the_next_run_mends_it(
    tmp_path, at, next_command, monkeypatch
):
    root, whole = (miniature("pymarl2", tmp_path / name) for name in ("killed", "whole"))
    before = everything(root)
    assert install(whole) == 0
    monkeypatch.setattr("plugin.changes.os.replace", failing(at, os.replace, Killed))
    monkeypatch.setattr("plugin.changes.shutil.rmtree", lambda folder, ignore_errors: None)
    with pytest.raises(Killed):
        install(root)
    monkeypatch.undo()
    assert (root / "src" / STAGING).exists()
    if any(b"mmsa" in (root / registry).read_bytes() for registry in REGISTRIES):
        assert all((root / "src/mmsa" / name).exists() for name in method_files())
    nothing_there = next_command and at == 0
    assert install(root, *next_command) == (2 if nothing_there else 0)
    if not nothing_there:
        assert files(root) == (before[0] if next_command else files(whole))


@pytest.mark.parametrize("next_command", [[], ["--uninstall"]], ids=["install", "uninstall"])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_killed_while_a_newer_version_comes_the_next_run_mends_it(tmp_path, at, next_command, monkeypatch):
    root, whole = (miniature("pymarl2", tmp_path / name) for name in ("killed", "whole"))
    before, newer = files(root), method_files()
    older = newer | {"modules/sale.py": b"# as it was\n", "modules/world_model.py": b"# as it was\n"}
    monkeypatch.setattr("plugin.plans.method_files", lambda: older)
    install(root)
    monkeypatch.setattr("plugin.plans.method_files", lambda: newer)
    install(whole)
    with monkeypatch.context() as patch:
        patch.setattr("plugin.changes.os.replace", failing(at, os.replace, Killed))
        with pytest.raises(Killed):
            install(root)
    assert install(root, *next_command) == 0
    assert files(root) == (before if next_command else files(whole))


def test_ctrl_c_while_writing_waits_until_all_is_written(pymarl2, monkeypatch, capsys):
    def interrupted_after(*args):
        os.replace(*args)
        # To the one thread that the installer has; other tests leave threads behind, which would take it.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    monkeypatch.setattr("plugin.changes.os", SimpleNamespace(replace=interrupted_after))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
    try:
        assert install(pymarl2) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "half done" in capsys.readouterr().err
    monkeypatch.undo()
    assert install(pymarl2) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_the_method_s_files_import_only_what_both_hosts_have():
    sources = {name: text for name, text in method_files().items() if name.endswith(".py")}
    for name, text in sources.items():
        for module in imported(text):
            top, *rest = module.split(".")
            if top == "mmsa":
                places = {f"{'/'.join(rest)}.py", f"{'/'.join(rest)}/__init__.py"}
                assert not rest or places & sources.keys(), (name, module)
            elif name != "adapter.py" or module not in ("components.action_selectors", "modules.agents"):
                assert top in {"numpy", "torch"} | sys.stdlib_module_names, (name, module)


def imported(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("host", HOSTS, ids=str)
def test_the_settings_are_ours(host):
    ours = resolve("mmsa", "matrix_game", {}, SOURCE / "config")
    theirs = yaml.safe_load(host_settings(host))
    names = {host.renamed.get(key, key): key for key in ours}
    shared = {key: value for key, value in theirs.items() if key in names and key not in ("runner", "batch_size_run")}
    assert len(shared) > 40 and {host.renamed.get(key, key) for key in SHARED} <= shared.keys()
    for key, value in shared.items():
        assert value == ours[names[key]] and type(value) in (type(ours[names[key]]), int), key
    per_episode = ours["batch_size"] * ours["updates_per_run"] / ours["batch_size_run"]
    assert theirs["batch_size"] / theirs["batch_size_run"] == per_episode


def test_the_list_of_files_names_each_of_them(host):
    install(host)
    listed = json.loads((host / MANIFEST).read_text())
    assert set(listed) == {f"src/mmsa/{name}" for name in (*method_files(), "declared.json")} | {SETTINGS}
    assert plan_install(host, HOSTS[NAMES.index(host.name)]) == []
