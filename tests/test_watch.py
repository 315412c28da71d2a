"""The page that shows runs as they train: it follows, shows what is broken, and lets nobody read anything else."""

import http.client
import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_archives import TASK, archive, series, study, write
from processes import WAIT, running, wait_until
from tiny_runs import files

import watch
from comparison.archives import read_run
from mmsa_pymarl.cli import main as mmsa

pytest.importorskip("starlette", reason="no starlette: pip install -r requirements-watch.txt")
pytest.importorskip("uvicorn", reason="no uvicorn: pip install -r requirements-watch.txt")
pytest.importorskip("plotly", reason="no plotly: pip install -r requirements-watch.txt")
pytest.importorskip("httpx2", reason="no httpx2: pip install -r requirements-dev.txt")
from starlette.testclient import TestClient

import watching.runs
from watching.curves import POINTS, curve_of, thinned
from watching.runs import Runs, id_of
from watching.server import make_app

SECRET = "nobody is to read this"
FILM = b"\x00\x00\x00\x18ftypmp42 a film"


def client(root):
    """Return the page's answers for a folder as it is now, and what follows it."""
    runs = Runs(root)
    runs.refresh()
    return TestClient(make_app(runs), base_url="http://127.0.0.1:8420"), runs


def look_again(runs):
    runs._scanned = -float("inf")
    runs.refresh()


def row_of(client, folder):
    return next(run for run in client.get("/api/runs").json()["runs"] if run["folder"] == str(folder))


@pytest.fixture
def root(tmp_path):
    return study(tmp_path / "results", algs=("mmsa", "qmix"), seeds=2)


def test_all_runs_are_shown_with_their_curves(root):
    page, _ = client(root)
    told = page.get("/api/runs").json()
    assert told["complete"] and told["metric"] == "test_return_mean"
    assert {"episode", "test_return_mean"} == set(told["metrics"])
    assert [(run["method"], run["seed"], run["status"]) for run in told["runs"]] == [
        (alg, seed, "completed") for alg in ("mmsa", "qmix") for seed in ("1", "2")
    ]  # fmt: skip
    (plot,) = told["plots"]
    archived = json.loads((root / "sacred" / TASK / "mmsa" / "2" / "metrics.json").read_text())["test_return_mean"]
    assert (plot["curves"][1]["x"], plot["curves"][1]["y"]) == (archived["steps"], archived["values"])
    assert page.get("/api/runs?metric=episode").json()["metric"] == "episode"
    assert page.get("/api/runs?metric=none of it").json()["metric"] == "test_return_mean"
    assert "watch.js" in page.get("/").text and "Plotly" in page.get("/watch.js").text


def test_one_run_is_shown_with_time_log_world_model_film_and_pictures(root):
    folder = root / "sacred" / TASK / "mmsa" / "1"
    names = ("test_return_mean", "time_env", "time_learn", "wm_latent_error_model_1", "wm_latent_error_model_10",
             "wm_latent_error_model_2", "loss_td")  # fmt: skip
    write(folder, "metrics.json", {name: series([1, 2], [0.1, 0.2], [1, 2]) for name in names})
    (folder / "cout.txt").write_text("\n".join(f"line {i} <b>" for i in range(20_000)))
    for t in (9, 10):
        (folder / "recordings" / f"t_{t}").mkdir(parents=True)
        (folder / "recordings" / f"t_{t}" / "episodes.mp4").write_bytes(FILM + bytes([t]))
    (folder / "world_model" / "t_7").mkdir(parents=True)
    (folder / "world_model" / "t_7" / "errors.png").write_bytes(b"a picture")
    (folder / "world_model" / "t_7" / "index.html").write_text("a page")
    page, runs = client(root)
    key = id_of(runs.root, folder)
    told = page.get(f"/api/runs/{key}").json()
    assert [line["name"] for line in told["time"]] == ["env", "learn"]
    (world,) = told["world"]
    assert world["title"] == "wm_latent_error_model"
    assert [line["name"].rpartition("_")[2] for line in world["curves"]] == ["1", "2", "10"]
    assert told["log"][-1] == "line 19999 <b>" and len(told["log"]) == 30
    assert told["film"]["t"] == 10 and page.get(f"/film/{key}/10.mp4").content == FILM + b"\x0a"
    assert told["pictures"] == {"t": 7, "names": ["errors.png"]}
    assert page.get(f"/picture/{key}/7/errors.png").content == b"a picture"
    for nothing in (f"/film/{key}/9.mp4", f"/film/{key}/11.mp4", f"/picture/{key}/7/index.html",
                    f"/picture/{key}/7/other.png", "/api/runs/0", "/film/0/10.mp4", f"/picture/{key}/0/errors.png"):
        assert page.get(nothing).status_code == 404, nothing


def test_a_runs_settings_are_shown_with_what_they_mean(root):
    folder = archive(root, "mmsa", 3, 1)
    config = json.loads((folder / "config.json").read_text())
    config |= {"lr": 0.5, "seed": None, "double_q": True, "odd": "<b>" * 100, "env_args": {"key": TASK}}
    (folder / "config.json").write_text(json.dumps(config))
    page, runs = client(root)
    told = {each["name"]: each for each in page.get(f"/api/runs/{id_of(runs.root, folder)}").json()["settings"]}
    assert told["lr"] == {"name": "lr", "value": "0.5", "meaning": "step size of Adam"}
    assert told["double_q"]["value"] == "true"  # as it is typed
    assert told["seed"]["value"] == "null" and told["env_args.key"]["value"] == TASK
    assert told["odd"] == {"name": "odd", "value": ("<b>" * 100)[:200], "meaning": ""}


def test_the_page_follows_and_an_answer_that_is_known_is_not_sent_again(root):
    page, runs = client(root)
    first = page.get("/api/runs")
    tag = {"if-none-match": first.headers["etag"]}
    assert page.get("/api/runs", headers=tag).status_code == 304
    folder = root / "sacred" / TASK / "mmsa" / "1"
    write(folder, "metrics.json", {"test_return_mean": series([0, 7], [0.0, 0.75], [1, 2])})
    archive(root, "vdn", 1, 1, values=())
    look_again(runs)
    assert page.get("/api/runs", headers=tag).status_code == 200
    assert (row_of(page, folder)["t_env"], row_of(page, folder)["value"]) == (7, 0.75)
    assert len(page.get("/api/runs").json()["runs"]) == 5
    shutil.rmtree(folder)
    look_again(runs)
    assert len(page.get("/api/runs").json()["runs"]) == 4


def test_only_what_has_changed_is_read_and_a_heartbeat_reads_no_figures(root, monkeypatch):
    _, runs = client(root)
    read, loaded, real = [], [], watching.runs.load_json
    monkeypatch.setattr(watching.runs, "read_run", lambda folder, load: read.append(folder) or read_run(folder, load))
    monkeypatch.setattr(watching.runs, "load_json", lambda root, path: loaded.append(path.name) or real(root, path))
    before = runs.version
    runs.refresh()
    assert runs.version == before and not read and not loaded
    folder = runs.root / "sacred" / TASK / "qmix" / "2"
    status = json.loads((folder / "run.json").read_text())
    write(folder, "run.json", status | {"status": "INTERRUPTED", "heartbeat": "2026-01-01T12:30:00"})
    runs.refresh()
    assert runs.version == before + 1 and not read and sorted(loaded) == ["info.json", "run.json"]
    assert runs.seen[id_of(runs.root, folder)].archived.status["status"] == "INTERRUPTED"
    write(folder, "metrics.json", {"test_return_mean": series([0, 7], [0.0, 0.75], [1, 2])})
    runs.refresh()
    assert read == [folder]


BROKEN = ("", "{", "[]", "null", '"text"', "[" * 5000, "\xff\xfe", '{"test_return_mean": {"steps": [1]}}',
          '{"test_return_mean": {"steps": [1], "values": [1e999], "timestamps": [null]}}', '{"name": 3}',
          '{"status": "RUNNING"}',
          '{"name": "", "seed": {}, "t_max": true, "report_metric": [], "env_args": 3}', "9" * 5000)  # fmt: skip


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_or_half_written_archive_is_shown_as_such_and_stops_nothing(content, root):
    folders = {}
    for place, name in enumerate(("config.json", "metrics.json", "run.json", "info.json")):
        folders[name] = archive(root, "vdn", place, place)
        (folders[name] / name).write_text(content, encoding="latin-1")
    page, runs = client(root)
    told = page.get("/api/runs").json()
    assert len(told["runs"]) == 8 and len(told["plots"][0]["curves"]) >= 4
    for name, folder in folders.items():
        one = page.get(f"/api/runs/{id_of(runs.root, folder)}")
        assert one.status_code == 200, name
    problems = [row_of(page, folder)["problem"] for folder in folders.values()]
    assert all(problems[:2]) or "RUNNING" in content or "1e999" in content, problems
    assert all(problems[:1]), problems


def test_a_run_that_has_just_begun_has_no_figures_yet(root):
    folder = archive(root, "vdn", 1, 1, values=(), status={"status": "RUNNING", "heartbeat": "2999-01-01T00:00:00"})
    (folder / "metrics.json").unlink()
    young = root / "sacred" / TASK / "vdn" / "2"
    young.mkdir()
    shutil.copy(folder / "config.json", young)
    page, _ = client(root)
    assert (row_of(page, folder)["status"], row_of(page, folder)["problem"]) == ("still running", "no figures yet")
    assert row_of(page, young)["status"] == "begun"
    (root / "none").mkdir()
    assert client(root / "none")[0].get("/api/runs").json()["runs"] == []


def test_links_and_pipes_lead_nowhere(root, tmp_path):
    (tmp_path / "secret.json").write_text(json.dumps({"test_return_mean": {"why": SECRET}}))
    outside = archive(tmp_path / "elsewhere", "vdn", 1, 1)
    write(outside, "metrics.json", {SECRET: series([1], [1.0], [1])})
    (outside / "t_1").mkdir()
    for place in (outside / "t_1" / "episodes.mp4", outside / "a.png"):
        place.write_text(SECRET)
    folder = archive(root, "vdn", 7, 7)
    for name in ("metrics.json", "info.json"):
        (folder / name).unlink()
    (folder / "metrics.json").symlink_to(outside / "metrics.json")
    os.mkfifo(folder / "info.json")
    (folder / "cout.txt").symlink_to(tmp_path / "secret.json")
    (folder / "recordings").symlink_to(outside)
    (folder / "world_model").mkdir()
    (folder / "world_model" / "t_5").symlink_to(outside)
    other = archive(root, "vdn", 8, 8)
    (other / "recordings" / "t_3").mkdir(parents=True)
    (other / "recordings" / "t_3" / "episodes.mp4").symlink_to(tmp_path / "secret.json")
    (other / "world_model" / "t_3").mkdir(parents=True)
    (other / "world_model" / "t_3" / "a.png").symlink_to(tmp_path / "secret.json")
    (root / "sacred" / TASK / "linked").symlink_to(outside.parent)
    page, runs = client(root)
    told = page.get("/api/runs")
    assert SECRET not in told.text and len(told.json()["runs"]) == 6
    assert "metrics.json cannot be read (OSError)" in row_of(page, folder)["problem"]
    assert "info.json cannot be read (OutsideError)" in row_of(page, folder)["problem"]
    for run in (folder, other):
        key = id_of(runs.root, run)
        one = page.get(f"/api/runs/{key}")
        assert SECRET not in one.text and not any(one.json()[part] for part in ("film", "pictures", "log"))
        for address in ("film/{}/3.mp4", "film/{}/1.mp4", "picture/{}/3/a.png", "picture/{}/5/a.png"):
            assert page.get(f"/{address.format(key)}").status_code == 404


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The real server's port, and its folder, beside which there is a secret."""
    place = tmp_path_factory.mktemp("served")
    root = study(place / "results", algs=("mmsa", "qmix"), seeds=2)
    (place / "secret.txt").write_text(SECRET)
    with running("-u", watch.__file__, root, "--port", 0) as process:
        port = int(process.stdout.readline().split(":")[2].partition("/")[0])
        wait_until(lambda: json.loads(raw(port, "/api/runs")[1])["complete"])
        yield port, root


def raw(port, address, method="GET", host=None, body=None):
    """Ask for an address as it stands, `..` and all; return status, body and headers."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    asking.putrequest(method, address, skip_host=True, skip_accept_encoding=True)
    asking.putheader("Host", f"127.0.0.1:{port}" if host is None else host)
    asking.putheader("Content-Length", str(len(body or "")))
    asking.endheaders(body.encode() if body else None)
    answer = asking.getresponse()
    text = answer.read().decode("utf-8", "replace")
    asking.close()
    return answer.status, text, dict(answer.getheaders())


def tricks(root):
    name = "secret.txt"
    ways = ["..", "%2e%2e", "%2E.", "..%2f..", "..%252f..", "%c0%ae%c0%ae", "....//....", "..;", "..\\..", "..%5c.."]
    for way in ways:
        for before in ("", "/film", "/picture/0/0", "/api/runs", "/api"):
            yield f"{before}/{way}/{name}"
            yield f"{before}/{way}/{way}/{name}"
    secret = root.parent / name
    key = id_of(root, root / "sacred" / TASK / "mmsa" / "1")
    for path in (secret, f"//{secret}", f"file://{secret}", f"%2f{str(secret)[1:].replace('/', '%2f')}", f"{secret}%00",
                 f"%00{secret}", f"{secret}%00.png"):  # fmt: skip
        yield f"/{path}".replace("//", "/", 1) if str(path).startswith("/") else f"/{path}"
        yield f"/film/{key}/{path}"
        yield f"/picture/{key}/0/{path}"
        yield f"/api/runs/{path}"
    yield f"/picture/{key}/0/%2e%2e%2f%2e%2e%2fconfig.json"
    yield f"/film/{key}/../../config.json"
    yield f"/film/{key}/-1.mp4"
    yield "/config.json"
    yield "/sacred"
    yield "/watch.html"
    yield "/server.py"


def test_no_address_reads_another_file(served):
    port, root = served
    before = files(root.parent)
    asked = list(tricks(root))
    assert len(asked) > 100
    for address in asked:
        status, text, _ = raw(port, address)
        assert status in (400, 404) and SECRET not in text, address
    for query in ("../../secret.txt", f"{root.parent}/secret.txt", "%00", "x" * 5000):
        status, text, _ = raw(port, f"/api/runs?metric={query}")
        assert status == 200 and SECRET not in text, query
    assert files(root.parent) == before


def test_only_this_machines_names_are_answered_and_no_other_page_may_read(served):
    port, _ = served
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost"):
        assert raw(port, "/api/runs", host=host)[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example",
                 "evil@127.0.0.1", "0.0.0.0", "", "[::1]"):  # fmt: skip
        status, text, _ = raw(port, "/api/runs", host=host)
        assert status == 400 and TASK not in text, host
    _, _, headers = raw(port, "/")
    assert "default-src 'none'" in headers["content-security-policy"] and "unsafe-inline" not in (
        headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
    )
    assert headers["cross-origin-resource-policy"] == "same-origin" and headers["x-content-type-options"] == "nosniff"
    assert not any(name.lower().startswith("access-control") for name in headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_are_refused_and_nothing_is_changed(served, method):
    port, root = served
    before = files(root)
    for address in ("/", "/api/runs", "/sacred/config.json"):
        assert raw(port, address, method, body="x" if method == "POST" else None)[0] in (400, 405)
    assert files(root) == before


def test_nobody_elses_address_leads_here(served):
    port, _ = served
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), timeout=2).close()


def test_a_port_in_use_is_one_line(served, capsys):
    port, root = served
    assert mmsa(["watch", str(root), "--port", str(port)]) == 2
    out, err = capsys.readouterr()
    assert err == f"error: --port {port}: Address already in use; give another, or 0 for any that is free\n" and not out


@pytest.mark.parametrize(("words", "says"), [
    (["nowhere"], "nowhere: no folder here"), (["--port", "70000"], "no whole number from 0 to 65535"),
    (["--prot", "8"], "--prot"),
])  # fmt: skip
def test_a_mistake_is_one_line(words, says, capsys):
    assert watch.main(words) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_without_its_packages_one_line_says_what_installs_them(root, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "watching.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert watch.main([str(root)]) == 2
    assert capsys.readouterr().err == "error: watch needs uvicorn: run `pip install -r requirements-watch.txt`\n"


def test_ctrl_c_ends_at_once(root):
    with running("-u", watch.__file__, root, "--port", 0) as process:
        port = int(process.stdout.readline().split(":")[2].partition("/")[0])
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        asking.request("GET", "/")
        asking.getresponse().read()  # and stays connected, as a browser does
        start = time.monotonic()
        process.send_signal(2)
        _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130 and time.monotonic() - start < 5
    assert err == "interrupted: the page is gone, and the runs are as they were\n"


@given(st.lists(st.floats(width=32) | st.just(float("nan")), min_size=13, max_size=60), st.sampled_from([6, 8, 12]))
def test_a_thinned_curve_keeps_ends_and_peaks(values, most):
    values = np.array(values)
    kept = thinned(values, most)
    assert len(kept) <= most and (np.diff(kept) > 0).all() and kept[0] == 0 and kept[-1] == len(values) - 1
    known = values[~np.isnan(values)]
    if len(known):
        assert values[kept][~np.isnan(values[kept])].min() == known.min()
        assert values[kept][~np.isnan(values[kept])].max() == known.max()


def test_a_short_curve_is_as_it_is_and_what_is_no_number_is_a_gap():
    curve = curve_of({"steps": [0, 5], "values": [float("nan"), 2]})
    assert curve == ([0, 5], [None, 2.0])


def test_twenty_runs_of_two_million_steps_are_a_small_answer(tmp_path):
    steps, rng = np.linspace(0, 2_000_000, 2000).astype(int).tolist(), np.random.default_rng(0)
    for alg in ("mmsa", "qmix"):
        for seed in range(10):
            folder = archive(tmp_path, alg, seed, seed, t_max=2_050_000, values=(0.0,))
            write(folder, "metrics.json", {"test_return_mean": series(steps, rng.random(2000).tolist(), range(2000))})
    page, runs = client(tmp_path)
    first = page.get("/api/runs")
    assert all(len(curve["x"]) <= POINTS for curve in first.json()["plots"][0]["curves"])
    assert len(first.content) < 500_000
    start = time.monotonic()
    for _ in range(5):
        runs.refresh()
        page.get("/api/runs", headers={"if-none-match": first.headers["etag"]})
    assert (time.monotonic() - start) / 5 < 1, "seconds, where some 0.05 are usual"


def test_reading_takes_a_share_of_the_time(tmp_path, monkeypatch):
    runs, waited = Runs(tmp_path), []
    monkeypatch.setattr(runs, "refresh", lambda: time.sleep(0.3))
    monkeypatch.setattr(runs._done, "wait", lambda pause: waited.append(pause) or len(waited) > 2)
    runs._follow()
    assert waited[0] == 0 and all(pause >= 1.2 for pause in waited[1:])


def test_the_packages_script_is_what_the_page_asks_for(root):
    page, _ = client(root)
    address = page.get("/").text.partition('<script src="')[2].partition('"')[0]
    assert page.get(address).headers["cache-control"].endswith("immutable") and "://" not in address
    assert "http" not in Path(watching.runs.__file__).with_name("watch.html").read_text()
