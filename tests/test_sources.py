"""Which files a part of a program uses: those that it imports, directly and through others."""

from utils.sources import digests


def test_files_are_found_through_imports_and_registries_are_no_way(tmp_path):
    texts = {
        "start.py": "import json\nfrom room import thing\nfrom registry import TABLE\n",
        "room/__init__.py": "",
        "room/thing.py": "def late():\n    import other.deep as d\n",
        "other/__init__.py": "",
        "other/deep.py": "from chosen import x\n",
        "registry/__init__.py": "from registry.one import One\n",
        "registry/one.py": "import hidden\n",
        "hidden.py": "",
        "chosen.py": "import start\n",
        "unused.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = digests(tmp_path, ["start", "json"], ["registry"])
    assert set(found) == {
        "start.py", "room/__init__.py", "room/thing.py", "other/__init__.py", "other/deep.py", "chosen.py",
    }  # fmt: skip
    assert "registry/one.py" in digests(tmp_path, ["start", "registry.one"], ["registry"])
    (tmp_path / "chosen.py").write_text("import start  # changed\n")
    again = digests(tmp_path, ["start"], ["registry"])
    assert [name for name in found if found[name] != again[name]] == ["chosen.py"]
