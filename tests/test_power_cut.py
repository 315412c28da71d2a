"""A power cut at any moment: what was on the disk by then is a run that goes on, and has all that was ever saved.

What is played back are a real run's own writes, cut off after each. Two disks are thought of: one that loses all that
nobody has waited for (`fsync`), where a file has the bytes and a folder the names that it had when it was last waited
for; and one that keeps names at once, and of bytes that nobody waited for one half.
"""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from test_resume import same_run
from tiny_runs import play, read, settings_of, words

import main
from training.checkpoint import last_checkpoint

SETTINGS = {"t_max": "200", "save_model_interval": "60", "buffer_size": "24", "keep_checkpoints": "2"}


class Disk:
    """Writes down what is on the disk below a folder, by inode, whenever something was waited for, and keeps images.

    An image is a state after a power cut: path -> bytes. Open files keep inodes from being used again.
    """

    def __init__(self, top, monkeypatch):
        self.top, self.names, self.bytes, self.open, self.images = Path(top), {}, {}, [], []
        fsync = os.fsync

        def waits(descriptor):
            fsync(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if path.is_relative_to(self.top):
                self._note(path)

        monkeypatch.setattr(os, "fsync", waits)
        for name in ("replace", "unlink", "rmdir", "truncate"):
            monkeypatch.setattr(os, name, self._then_look(getattr(os, name)))

    def _note(self, path):
        self.open.append(os.open(path, os.O_RDONLY))
        if path.is_dir():
            self.names[path.stat().st_ino] = {entry.name: entry.stat().st_ino for entry in path.iterdir()}
        else:
            self.bytes[path.stat().st_ino] = path.read_bytes()
        self.look()

    def _then_look(self, operation):
        def does(*args, **kwargs):
            operation(*args, **kwargs)
            self.look()

        return does

    def look(self):
        """Keep what there would be now, after a cut of which the disk knows nothing but what was waited for."""
        if self.top.is_dir():
            forgetful = dict(self._below(self.top.stat().st_ino, Path()))
            hasty = {path.relative_to(self.top): self._half(path) for path in self.top.rglob("*") if path.is_file()}
            self.images += [image for image in (forgetful, hasty) if image and image not in self.images[-4:]]

    def _half(self, path):
        now, waited_for = path.read_bytes(), self.bytes.get(path.stat().st_ino, b"")
        return now if now == waited_for else now[: (len(waited_for) + len(now)) // 2]

    def _below(self, folder, place):
        for name, inode in self.names.get(folder, {}).items():
            if inode in self.names:
                yield from self._below(inode, place / name)
            else:
                yield place / name, self.bytes.get(inode, b"")

    def close(self):
        for descriptor in self.open:
            os.close(descriptor)


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """A run's images after a cut at every moment, without those that are alike, and the run."""
    results = tmp_path_factory.mktemp("cut")
    top = results / "sacred" / "Foraging-5x5-2p-1f-v3" / "vdn" / "1"
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(top, patch)
        whole = play("vdn", "lbf", results, **SETTINGS)
    disk.close()
    images = {}
    for image in disk.images:
        if Path("config.json") in image:
            alike = {str(path): hashlib.sha256(data).digest() for path, data in sorted(image.items())
                     if path.name not in ("run.json", "metrics.json", "info.json", "cout.txt")}  # fmt: skip
            images.setdefault(str(alike), image)
    return whole, list(images.values())


def laid(image, folder):
    for path, data in image.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_every_moment_leaves_a_run_that_goes_on_from_the_last_whole_checkpoint(every, trace, tmp_path, monkeypatch):
    images = trace[1][::-every][::-1]
    assert len(images) > 20 / every
    monkeypatch.setattr("training.loop.play_round", _enough)
    reached, ended = 0, set()
    for number, image in enumerate(images):
        folder = laid(image, tmp_path / str(number))
        there = last_checkpoint(folder)
        steps = 0 if there is None else int(there.name[2:])
        assert steps >= reached, "a checkpoint was lost"
        reached = steps
        code = _code([f"resume={folder}"])
        ended.add(code)
        assert code in ("enough", 0), (number, sorted(map(str, image)))
        if code == "enough":
            assert read(folder, "info.json")["resumed"][-1]["t_env"] == steps
        shutil.rmtree(folder)
    assert reached >= 200 and ended >= {"enough"}


class _EnoughError(Exception):
    pass


def _enough(run):
    raise _EnoughError


def _code(argv):
    try:
        return main.main(argv)
    except _EnoughError:
        return "enough"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_what_goes_on_after_a_power_cut_is_the_run_that_had_none(share, trace, tmp_path):
    whole, images = trace
    folder = laid(images[int(share * len(images))], tmp_path / "1")
    assert main.main([f"resume={folder}"]) == 0
    same_run(whole, folder)


def test_the_trace_is_of_a_run_that_a_cut_can_hurt(trace, tmp_path, monkeypatch):
    """Without waiting for the list of episodes, some moment leaves a checkpoint that lacks its rows."""
    monkeypatch.chdir(tmp_path)
    top = tmp_path / "results" / "sacred" / "Foraging-5x5-2p-1f-v3" / "vdn" / "1"
    flush = __import__("training.resuming").resuming.flush
    monkeypatch.setattr("training.resuming.flush", lambda path: None if path.suffix == ".csv" else flush(path))
    disk = Disk(top, monkeypatch)
    assert main.main(words("vdn", "lbf", settings_of("lbf", **SETTINGS | {"t_max": "80"}))) == 0
    disk.close()
    assert any(
        not image.get(Path("eval_episodes.csv")) and any("checkpoints/t_" in str(path) for path in image)
        for image in disk.images
    )
