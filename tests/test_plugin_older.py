"""What goes into hosts runs on Python 3.8 and Torch 1.12, and so do the scripts that put it there."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch as th
from plugin_hosts import REPOSITORY, miniature
from tiny_runs import files
from torch import nn

from plugin.hosts import HOSTS
from plugin.method import method_files
from plugin.mmsa import older
from plugin.older import GENERIC, dotted, made_older

OLDEST = (3, 8)
SCRIPTS = [
    *(REPOSITORY / "scripts" / name for name in ("install_plugin.py", "mend_host.py")),
    *(REPOSITORY / "plugin").glob("*.py"),
    *(REPOSITORY / "src/utils" / name for name in ("__init__.py", "arguments.py", "errors.py", "exits.py")),
]
SOURCES = {
    **{f"mmsa/{name}": text.decode() for name, text in method_files().items() if name.endswith(".py")},
    **{str(path.relative_to(REPOSITORY)): path.read_text() for path in SCRIPTS},
}
YOUNG_METHODS = {"removeprefix", "removesuffix", "is_relative_to", "bit_count", "unparse", "pairwise", "add_note"}
YOUNG_NAMES = {
    "Never", "NotRequired", "ParamSpec", "Self", "StrEnum", "TypeAlias", "TypeIs", "UTC", "batched", "cache", "chdir",
    "override", "pairwise",
}  # fmt: skip
YOUNG_KEYWORDS = {"strict": "zip", "correction": ""}  # by what is called, "" for anything
OLD_TORCH = {"torch", "torch.nn", "torch.autograd.function"}
PYTHONS = [
    path
    for version in ("3.8", "3.9", "3.10")
    for path in sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))[:1]
]


class WithoutAnnotations(ast.NodeTransformer):
    """Takes annotations away: they are not evaluated there."""

    def visit_arg(self, node):
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node):
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def too_young(text):
    """Yield what a file holds that Python 3.8 or Torch 1.12 lack, as line and text; a SyntaxError for what is no 3.8.

    It knows what has been met, and what is likely; a type checker it is not.
    """
    for node in ast.walk(WithoutAnnotations().visit(ast.parse(text, feature_version=OLDEST))):
        if _is_too_young(node):
            yield getattr(node, "lineno", 0), ast.unparse(node)


def _is_too_young(node):
    if isinstance(node, ast.BinOp | ast.AugAssign):
        return isinstance(node.op, ast.BitOr)  # of mappings or types; of tensors write th.logical_or
    if isinstance(node, ast.Subscript):
        starred = any(isinstance(part, ast.Starred) for part in getattr(node.slice, "elts", ()))
        return starred or dotted(node.value) in GENERIC
    if isinstance(node, ast.Attribute):
        return node.attr in YOUNG_METHODS
    if isinstance(node, ast.Call):
        return any(YOUNG_KEYWORDS.get(word.arg) in ("", dotted(node.func)) for word in node.keywords)
    if isinstance(node, ast.ImportFrom):
        return any(alias.name in YOUNG_NAMES for alias in node.names) or _is_young_torch(node.module)
    return isinstance(node, ast.Import) and any(_is_young_torch(alias.name) for alias in node.names)


def _is_young_torch(module):
    return module.split(".")[0] == "torch" and module not in OLD_TORCH


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_younger_than_what_hosts_have(name):
    text = SOURCES[name]
    assert list(too_young(text)) == []
    if name != "mmsa/__init__.py" and not name.startswith("scripts"):
        uses = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert "from __future__ import annotations" in text or not uses & GENERIC


@pytest.mark.parametrize(
    "text",
    [
        "match x:\n  case 1: pass",
        "with (open(a) as b, open(c) as d): pass",
        "try: pass\nexcept* ValueError: pass",
        "def f[T](x): pass",
    ],
)
def test_what_python_3_8_cannot_parse_is_seen(text):
    with pytest.raises(SyntaxError):
        list(too_young(text))


@pytest.mark.parametrize(
    "text",
    [
        "a | b", "a |= b", "Pairs = dict[str, int]", "x: int = list[int]()", "name.removeprefix('a')",
        "zip(a, b, strict=True)", "x.std(correction=0)", "from typing import Self", "from functools import cache",
        "from torch.func import vmap", "import torch.func", "x[*a]", "from torch.nn.attention import flex_attention",
    ],
)  # fmt: skip
def test_what_is_too_young_for_hosts_is_seen(text):
    assert list(too_young(text))


def test_what_hosts_have_is_not_called_too_young():
    text = "def f(a: dict[str, int] | None, *, b: int | None = None) -> list[int] | None:\n    c: set[int] = {*a}"
    assert not list(too_young(f"{text}\nolder.zip(a, b, strict=True)\nfrom torch import nn\nb = (a and b) << 2"))


def test_a_file_becomes_older_and_stays_the_same_otherwise():
    ours = '''"""Of names: π."""

import torch as th
from modules.sale import SALE

Pairs = dict[str, th.Tensor]


def f(π, x: Pairs | None) -> Pairs:
    """π zip(a, b, strict=True)."""
    y = "π", list(zip(x, π, strict=True)), zip(x, π)
    return th.optim.Adam(π, lr=1)
'''
    theirs = '''"""Of names: π."""

from __future__ import annotations

from mmsa import older

import torch as th
from mmsa.rooms.sale import SALE

Pairs = 'dict[str, th.Tensor]'


def f(π, x: Pairs | None) -> Pairs:
    """π zip(a, b, strict=True)."""
    y = "π", list(older.zip(x, π, strict=True)), zip(x, π)
    return older.Adam(π, lr=1)
'''
    assert made_older(ours, {"modules.sale": "rooms.sale"}) == theirs
    assert made_older("x = 1\n", {}) == "\nfrom __future__ import annotations\nx = 1\n"
    future = '"""A."""\n\nfrom __future__ import annotations\n\nzip(a, b, strict=True)\n'
    assert made_older(future, {}).index("__future__") < made_older(future, {}).index("from mmsa import older")


def test_the_strict_zip_is_python_s():
    assert list(older.strict_zip("ab", [1, 2], strict=True)) == list(zip("ab", [1, 2], strict=True))
    assert list(older.strict_zip("abc", [1, 2], strict=False)) == [("a", 1), ("b", 2)]
    for columns in (("ab", [1]), ("a", [1, 2]), ((), [1])):
        with pytest.raises(ValueError, match="shorter"):
            list(older.strict_zip(*columns, strict=True))


@pytest.mark.parametrize("most", [0.5, 1e6])
def test_norms_are_clipped_as_torch_does(most):
    th.manual_seed(0)
    one, other = ([nn.Parameter(th.ones(3)), nn.Parameter(th.ones(2, 2)), nn.Parameter(th.ones(1))] for _ in range(2))
    for a, b in zip(one[:2], other[:2], strict=True):
        a.grad = th.randn_like(a)
        b.grad = a.grad.clone()
    grads = [p.grad for p in one[:2]]
    norm = older.total_norm(grads)
    th.testing.assert_close(norm, nn.utils.get_total_norm(grads))
    assert older.total_norm([]) == 0
    older.clip_with_norm_(one, most, norm)
    nn.utils.clip_grads_with_norm_(other, most, norm)
    for a, b in zip(one[:2], other[:2], strict=True):
        th.testing.assert_close(a.grad, b.grad)
    assert one[2].grad is None


def test_adam_is_fused_where_it_can_be(monkeypatch):
    parameters, real = [nn.Parameter(th.ones(1))], th.optim.Adam
    assert older.Adam(parameters, fused=True, lr=0.5, eps=1e-5, capturable=False).defaults["fused"]
    for error in (TypeError, RuntimeError):  # Torch 1.12 knows no such word; 2.1 knows it on GPUs alone

        def adam(given, error=error, **options):
            if "fused" in options:
                raise error
            return real(given, **options)

        monkeypatch.setattr(th.optim, "Adam", adam)
        made = older.Adam(parameters, fused=True, lr=0.5, eps=1e-5, capturable=False)
        assert made.defaults["lr"] == 0.5 and made.defaults["eps"] == 1e-5 and not made.defaults["fused"]


@pytest.mark.skipif(not PYTHONS, reason="no older Python under ~/.pyenv/versions")
@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parts[-3])
def test_older_pythons_install_what_we_do(python, tmp_path):
    installed = {}
    for name in ("old", "new"):
        root = installed[name] = miniature("pymarl2", tmp_path / name)
        command = [python if name == "old" else sys.executable, REPOSITORY / "scripts/install_plugin.py", root]
        run = subprocess.run([*map(str, command)], capture_output=True, text=True)
        assert run.returncode == 0 and not run.stderr, run.stderr
        assert HOSTS[0].example in run.stdout
    assert files(installed["old"]) == files(installed["new"])
    names = [str(path) for path in (installed["old"] / "src").rglob("*.py")]
    subprocess.run([str(python), "-m", "py_compile", *names], check=True)
