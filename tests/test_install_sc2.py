"""install_sc2.sh against a server of this machine's own, with a game and maps that are not the real ones."""

import hashlib
import os
import pty
import re
import shutil
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "install_sc2.sh"
TOOLS = ("bash", "curl", "unzip", "sha1sum", "sha256sum")
PROGRAM = "Versions/Base75689/SC2_x64"
MAPS = {"3m": b"three marines", "32x32_flat": b"flat\0" * 100}

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"install_sc2.sh needs {', '.join(TOOLS)}; not all are here"
)


class Server(ThreadingHTTPServer):
    """Serves bytes by path, from the byte that is asked for; breaks off after `limit` of them where that is set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.limit = {}, [], None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        first = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        self.server.asked.append((self.path, first))
        data = self.server.files.get(self.path)
        if data is None or first >= len(data):
            self.send_error(404 if data is None else 416)
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        self.wfile.write(data[first:][: self.server.limit])

    def log_message(self, *_):
        pass


def git_name(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def server(tmp_path):
    server = Server()
    archive = tmp_path / "game.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(f"StarCraftII/{PROGRAM}", "#!/bin/sh\n")
        file.writestr("StarCraftII/SC2Data/data.000", b"x" * 50_000)
        file.writestr("StarCraftII/.build.info", "4.10")
        file.writestr("StarCraftII/Maps/Melee/Simple64.SC2Map", "a map of the game's own")
    server.files = {"/SC2.zip": archive.read_bytes()} | {f"/{name}.SC2Map": data for name, data in MAPS.items()}
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def install(server, tmp_path):
    """Run the script as it is, but for the list of maps."""
    listed = "".join(f"{git_name(data)} {name}\n" for name, data in MAPS.items())
    script = tmp_path / "install_sc2.sh"
    text, count = re.subn(r'MAPS="\n[^"]+"', f'MAPS="\n{listed}"', SCRIPT.read_text())
    assert count == 1
    script.write_text(text)

    def run(*words, place=tmp_path / "Star Craft", says="", code=0, stdin=subprocess.DEVNULL, **variables):
        sha256 = hashlib.sha256(server.files["/SC2.zip"]).hexdigest()
        variables = {"SC2_URL": f"{server.url}/SC2.zip", "SC2_SHA256": sha256, "SC2_MAPS_URL": server.url} | variables
        done = subprocess.run(
            ["bash", script, *words], env=os.environ | {"SC2PATH": str(place)} | variables,
            text=True, capture_output=True, **({"input": stdin} if isinstance(stdin, str) else {"stdin": stdin}),
        )  # fmt: skip
        assert done.returncode == code and says in done.stdout + done.stderr, done.stdout + done.stderr
        return place

    return run


def installed(place):
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_game_and_maps_are_set_up_in_a_folder_with_a_space_and_nothing_else_is_left(install):
    place = install("--i-agree", says="export SC2PATH=")
    assert os.access(place / PROGRAM, os.X_OK)
    assert installed(place) == {
        PROGRAM: b"#!/bin/sh\n",
        "SC2Data/data.000": b"x" * 50_000,
        ".build.info": b"4.10",
        "Maps/Melee/Simple64.SC2Map": b"a map of the game's own",
    } | {f"Maps/SMAC_Maps/{name}.SC2Map": data for name, data in MAPS.items()}


def test_a_second_run_downloads_nothing_and_a_third_mends_what_is_missing(install, server):
    place = install("--i-agree")
    before, server.asked = installed(place), []
    install(says="maps: 0 new")
    assert installed(place) == before and not server.asked
    (place / "Maps" / "SMAC_Maps" / "3m.SC2Map").unlink()
    install(says="maps: 1 new")
    assert installed(place) == before and server.asked == [("/3m.SC2Map", 0)]


def test_an_interrupted_download_goes_on_where_it_stopped(install, server):
    server.limit = 20_000
    place = install("--i-agree", code=1, says="run this again to go on")
    part = place / "download" / "SC2.zip.part"
    had = part.stat().st_size
    assert had >= 20_000 and not (place / "Versions").exists()
    server.limit, server.asked = None, []
    install("--i-agree")
    assert server.asked[0] == ("/SC2.zip", had) and (place / PROGRAM).exists() and not part.exists()


@pytest.mark.parametrize("kept", [b"", b"too long" * 20_000])
def test_a_part_that_is_whole_or_too_long_is_no_hindrance(install, server, tmp_path, kept):
    part = tmp_path / "Star Craft" / "download" / "SC2.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(kept or server.files["/SC2.zip"])
    place = install("--i-agree")
    assert (place / PROGRAM).exists()
    assert [first for path, first in server.asked if path == "/SC2.zip"] == ([len(kept), 0] if kept else [])


def test_a_game_that_was_unpacked_by_half_is_unpacked_again(install, tmp_path):
    half = tmp_path / "Star Craft"
    for name in ("unpacked/StarCraftII/SC2Data/data.000", "SC2Data/data.000"):
        (half / name).parent.mkdir(parents=True)
        (half / name).write_text("half")
    place = install("--i-agree")
    assert (place / "SC2Data" / "data.000").read_bytes() == b"x" * 50_000 and not (place / "unpacked").exists()


def test_another_file_than_blizzard_s_is_not_installed(install):
    place = install("--i-agree", code=1, says="SC2_SHA256=", SC2_SHA256="0" * 64)
    assert not (place / "Versions").exists() and not list(place.glob("download/*.part"))


def test_a_damaged_map_is_not_installed(install, server):
    server.files["/3m.SC2Map"] = b"<html>not found"
    place = install("--i-agree", code=1, says="the map 3m came damaged")
    assert not list(place.glob("Maps/SMAC_Maps/3m*"))


def test_a_map_of_one_s_own_by_the_same_name_is_kept(install, tmp_path):
    own = tmp_path / "Star Craft" / "Maps" / "SMAC_Maps" / "3m.SC2Map"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    install("--i-agree", says="kept as")
    assert own.read_bytes() == MAPS["3m"] and own.with_name("3m.SC2Map.other").read_text() == "mine"


def test_another_version_of_the_game_is_left_alone(install, tmp_path):
    (tmp_path / "Star Craft" / "Versions" / "Base69232").mkdir(parents=True)
    install("--i-agree", code=2, says="holds another version of the game (Base69232)")


def test_without_agreement_nothing_is_downloaded(install, server, tmp_path):
    install(code=2, says="AI_AND_MACHINE_LEARNING_LICENSE.html")
    install(code=2, says="if you agree: bash install_sc2.sh --i-agree", stdin="yes\n")
    assert not server.asked and not installed(tmp_path / "Star Craft")


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("no", 2), ("y", 2)])
def test_at_a_terminal_the_licence_is_asked_for(install, server, answer, code):
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    install(code=code, says="do you agree to it?", stdin=theirs)
    assert bool(server.asked) == (answer == "yes")


def test_a_word_that_is_not_known_is_refused_with_the_form(install, tmp_path):
    install("--agree", code=2, says="unknown word --agree; the form is:")
    install("--help", says="interrupted download")
    assert not (tmp_path / "Star Craft").exists()


def test_the_maps_are_those_of_both_suites():
    listed = re.findall(r"^[0-9a-f]{40} (\S+)$", SCRIPT.read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed)) == 24 and {"3s5z", "MMM2", "32x32_flat"} <= set(listed)
