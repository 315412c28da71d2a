"""What README and docs/ say holds: links lead somewhere, commands are accepted, studies are read, defaults named."""

import ast
import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_runs import DREAMS, play, read

import main
from settings import ALGS, config_names, declared_settings, parse_command_line, resolve, to_args
from settings.former_names import CONFIGS as FORMER_CONFIGS
from settings.former_names import SETTINGS as FORMER_SETTINGS
from study_runs import asked
from training.assembly import check

ROOT = Path(main.__file__).parents[1]
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]}
CONFIGS = main.CONFIG_DIR
STAND_INS = {"ALG": "qmix", "TASK": "Foraging-8x8-2p-3f-v3", "SEED": "1"}
FORMER = FORMER_SETTINGS | {f"--env-config={name}": "" for name in FORMER_CONFIGS}
NEEDS = {
    "smax": "jaxmarl", "mamujoco": "gymnasium_robotics", "gymma": "rware", "smaclite": None, "flatland": "flatland",
    "sc2": None, "sc2v2": None,
}  # fmt: skip


def commands():
    """Every `python …` line of a page's blocks and tables, with the page it stands on: (page, words)."""
    found = {}
    for page, text in PAGES.items():
        lines = re.findall(r"^    (python .*)$", text, re.M) + re.findall(r"`(python [^`]*)`", text)
        for line in lines:
            found.setdefault(tuple(shlex.split(line, comments=True)[1:]), page)
    return [(page, list(words)) for words, page in found.items() if words and words[0].endswith(".py")]


COMMANDS = commands()
TRAINS = [
    words for page, words in COMMANDS
    if words[0] == "src/main.py" and words[1].startswith("--config")
    and page not in ("docs/plugin.md", "docs/your-own-task.md")  # the latter's are run by tests/test_own_task.py
    and not {word.partition("=")[0] for word in words} & FORMER.keys()  # another framework's command, to compare with
]  # fmt: skip
assert len(TRAINS) > 12
FORMS = [words for words in TRAINS if any("<" in word or "…" in word for word in words)]  # not commands


def given(words):
    """Return a command line's words with what stands for something else replaced."""
    told = [word for word in words[1:] if word != "SETTINGS"]
    return [re.sub(r"\b(ALG|TASK|SEED)\b", lambda m: STAND_INS[m[0]], word) for word in told]


@pytest.mark.parametrize("words", TRAINS, ids=" ".join)
def test_a_command_that_trains_is_accepted(words, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    if words in FORMS:
        pytest.skip("a form, not a command")
    command = parse_command_line(given(words), CONFIGS)
    settings = resolve(command.config, command.env_config, command.updates, CONFIGS)
    if NEEDS.get(command.env_config, "numpy") is not None:
        check(to_args(settings | {"evaluate": False, "save_replay": False, "checkpoint_transfer": False}))


@pytest.mark.slow
@pytest.mark.parametrize("words", TRAINS, ids=" ".join)
def test_a_command_that_trains_does_so(words, tmp_path, monkeypatch):
    """A hundredth of its length, 2,000 steps at most."""
    if words in FORMS or ("use_wandb=True" in words and "wandb_mode=offline" not in words):
        pytest.skip("a form, not a command, or one that needs an account")
    command = parse_command_line(given(words), CONFIGS)
    needed = NEEDS.get(command.env_config, "numpy")
    if needed is None or find_spec(needed) is None:
        pytest.skip("its packages, or its game, are not here")
    monkeypatch.chdir(tmp_path)
    t_max = resolve(command.config, command.env_config, command.updates, CONFIGS)["t_max"]
    shorter = {"t_max": str(min(max(t_max // 100, 100), 2000)), "test_nepisode": "2", "test_interval": "10000000"}
    words = [f"{key}={text}" for key, text in (command.updates | shorter).items()]
    assert main.main([f"--config={command.config}", f"--env-config={command.env_config}", "with", *words]) == 0


@pytest.mark.parametrize("page, words", COMMANDS, ids=[" ".join(words) for _, words in COMMANDS])
def test_a_command_names_files_and_options_that_are_there(page, words):
    program = ROOT / words[0]
    if not program.is_file():
        assert words[0].endswith("mine.py") or page == "docs/your-own-task.md", f"{page}: {words[0]}"
        return
    code = program.read_text() + "".join(path.read_text() for path in ROOT.glob("src/study_runs/*_command.py"))
    code += "".join(path.read_text() for path in ROOT.glob("src/comparison/*_command.py"))
    for option in (word.partition("=")[0] for word in words[1:] if word.startswith("--")):
        assert f'"{option}"' in code or option in ("--config", "--env-config", "--help"), f"{page}: {option}"
    for study in (word for word in words if word.startswith("studies/") and not word.endswith("mine.yaml")):
        assert (ROOT / study).is_file(), f"{page}: {study}"


STUDIES = [
    (page, block) for page, text in PAGES.items() for block in re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    if "algorithms:" in block
]  # fmt: skip


@pytest.mark.parametrize("page, block", STUDIES, ids=[page for page, _ in STUDIES])
def test_a_study_on_a_page_is_accepted_as_it_stands(page, block, tmp_path):
    path = tmp_path / "shown.yaml"
    path.write_text(block)
    assert asked.read(path, {}).runs


def anchors(text):
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.replace("`", "")).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s:]*(?:#[^)\s]*)?)\)", PAGES[page]):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{page}: {target}"


MADE = re.compile(r"Made at commit `([0-9a-f]{7,})`: `--config=(\w+)([^`]*)`\. Today's default ([^\n]*)\.\n")


def test_a_table_of_another_default_says_what_todays_is():
    found = [(page, match) for page, text in PAGES.items() for match in MADE.finditer(text)]
    assert len(found) == sum(text.count("Made at commit `") for text in PAGES.values()) >= 8
    for page, (_, config, then, today) in ((page, match.groups()) for page, match in found):
        declared = declared_settings(config, "lbf", CONFIGS)
        values = resolve(config, "lbf", {}, CONFIGS)
        texts = dict(word.split("=") for word in then.split())
        differing = {key for key, text in texts.items() if declared[key].parse(text) != values[key]}
        said = dict(word.split("=") for word in re.findall(r"[^\s`]+=[^\s`]+", today))
        assert said.keys() == differing, f"{page}: today {sorted(differing)} differ"
        assert all(declared[key].parse(text) == values[key] for key, text in said.items()), f"{page}: {today}"
        assert today.startswith("differs: `" if differing else "is the same"), f"{page}: {today}"


NUMBER = re.compile(r"\|[ *]*[\d,.−+-]+[ *]*(?=\|)|(?:\d[\d.,]* ){2}|\d \(\d")
NOT_MEASURED = ("exit code", "what it means", "| setting |", "estimated", "| family |")  # in the first line of a table


def tables_of_measurements():
    """Each table with many numbers, and what stands between it and the heading or table before it."""
    found = []
    for page, text in PAGES.items():
        parts = re.split(r"(^#.*\n|(?:^\|.*\n)+)", text, flags=re.M)
        for before, part in zip(parts[::2], parts[1::2], strict=False):
            if part.startswith("|") and len(NUMBER.findall(part)) > 6:
                if not any(words in part.partition("\n")[0] for words in NOT_MEASURED):
                    found.append((page, part, before))
    return found


TABLES = tables_of_measurements()
assert len(TABLES) > 20


@pytest.mark.parametrize("page, table, before", TABLES, ids=[f"{page}: {table[:60]}" for page, table, _ in TABLES])
def test_a_table_of_measurements_names_its_commit_and_settings(page, table, before):
    assert re.search(r"`[0-9a-f]{7,12}`", before + table), "no commit"
    settings = r"`[^`\n]*(?:--config|\w=|benchmarks/)[^`\n]*`|^    .*python "
    assert re.search(settings, before + table, re.M), "no settings"


def test_tables_of_predictions_have_naive_rows():
    tables = [
        table for text in PAGES.values() for table in re.findall(r"(?:^\|.*\n)+", text, re.M)
        if re.match(r"\| (predictor|greedy in)", table)
    ]  # fmt: skip
    assert len(tables) >= 2 and all("\n| naive: " in table for table in tables)


def test_every_method_stands_in_the_readme():
    assert {name for name in config_names(CONFIGS, ALGS) if f"`{name}`" not in PAGES["README.md"]} == set()


def test_every_method_has_a_command_on_its_page():
    names = config_names(CONFIGS, ALGS)
    methods = {name for name in names if not any(name.startswith(f"{other}_") for other in names)}
    page = PAGES["docs/methods.md"]
    assert {name for name in methods if f"    python src/main.py --config={name} " not in page} == set()
    own = "".join(text for name, text in PAGES.items() if name.startswith("docs/methods/") or name == "docs/mmsa.md")
    assert {name for name in methods if f"`{name}`" not in own and f"--config={name} " not in own} == set()


def explained():
    """Patterns of the figures that pages explain where they say what is logged; `…` and `<name>` are for anything."""
    sections = [part for text in PAGES.values() for part in re.split(r"^## ", text, flags=re.M)]
    told = "".join(part for part in sections if "logged" in part.partition("\n")[0])
    names = set(re.findall(r"`([^`]+)`", told))
    return [re.compile(re.sub(r"<[^>]*>|…", ".+", re.escape(name))) for name in names]


@pytest.mark.parametrize("alg", [
    "mmsa", "mappo", "coma", "dmawm", "mabl", "dmawm_as", "cw_qmix", "qtran", "cia", "maser", "smmae",
])  # fmt: skip
def test_every_logged_figure_is_explained(alg, tmp_path):
    dreams = DREAMS if alg.startswith(("dmawm", "mabl")) else {}
    folder = play(alg, "lbf", tmp_path, absolute_factor="1", t_max="120", **dreams)
    known = explained()
    names = {re.sub(r"_\d+$", "_j", name) for name in read(folder, "metrics.json")}
    assert any(name.startswith("loss_") for name in names), "it never learnt"
    assert sorted(name for name in names if not any(pattern.fullmatch(name) for pattern in known)) == []


@pytest.mark.parametrize("name", ["battle_won_mean", "dead_allies_mean", "x_position_mean", "env_restarts"])
def test_figures_of_environments_are_explained_too(name):
    assert any(pattern.fullmatch(name) for pattern in explained())


WORDS = re.findall(r"^### (.*)$", PAGES["docs/words.md"], re.M)


@pytest.mark.parametrize("word", ["TD7", "VAE-1", "KLB", "tuning seeds", "rows of a batch", "sacred archive", "greedy"])
def test_words_are_explained(word):
    assert any(word.lower() in head.lower() for head in WORDS)


@pytest.mark.parametrize("page", ["docs/performance.md", "docs/world-model.md"])
def test_a_page_answers_first_and_leaves_its_measurements_to_an_appendix(page):
    assert len(PAGES[page].split()) < 650 and "](measurements/" in PAGES[page]


def messages():
    """Every text of the sources but docstrings as a list of its letters, with None where a value is put in."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        apart = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in (each for each in nodes if id(each) not in apart):
            if isinstance(node, ast.JoinedStr):
                texts = [part.value if isinstance(part, ast.Constant) else [None] for part in node.values]
                found.append([letter for text in texts for letter in text])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(list(node.value))
    return found


def swallowed(quote, message):
    """Return how many letters of a quote are values put into a message, or infinity if the rest is not part of it."""
    ends = [0.0] * (len(message) + 1)  # of nothing quoted, from each place on
    for letter in reversed(quote):
        here = [float("inf")] * (len(message) + 1)
        for j in reversed(range(len(message))):
            if message[j] is None:
                here[j] = min(1 + ends[j], 1 + ends[j + 1], here[j + 1])
            elif message[j] == letter:
                here[j] = ends[j + 1]
        ends = here
    return min(ends)


def test_every_message_on_the_page_of_errors_is_one_of_ours():
    rows = re.findall(r"^\| (.*?) \|", PAGES["docs/troubleshooting.md"], re.M)
    quotes = {part.strip(" ;:") for row in rows for quote in re.findall(r"`([^`]+)`", row) for part in quote.split("…")}
    known = [(set(re.findall(r"\w+", "".join(x or " " for x in text))), text) for text in messages()]
    unknown = []
    for quote in quotes - {""}:
        words = set(re.findall(r"\w{3,}", quote))
        near = [text for its, text in known if 2 * len(words & its) >= len(words)]
        if not any(3 * swallowed(quote, text) <= 2 * len(quote) for text in near):
            unknown.append(quote)
    assert unknown == []


def first_in_prose(text, word):
    """Return the first line of prose in which a word stands, code and tables left out, or None."""
    for line in re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).split("\n"):
        plain = re.sub(r"`[^`]*`", "", line)
        if not line.startswith(("    ", "|", "#", "![")) and re.search(rf"\b{re.escape(word)}(?![\w-])", plain, re.I):
            return line
    return None


@pytest.mark.parametrize("page", ["README.md", "docs/mmsa.md", "docs/studies.md", "docs/measurements/world-model.md"])
@pytest.mark.parametrize("word", ["TD7", "VAE-1", "KL balancing", "tuning seeds", "sacred archive", "greedy"])
def test_a_word_is_linked_where_it_first_stands(page, word):
    line = first_in_prose(PAGES[page], word)
    assert line is None or re.search(rf"\[{word}\]\([./a-z]*words\.md#", line, re.I), f"{page}: {line}"


@pytest.mark.parametrize(("torch", "from_index"), [("cpu", True), ("cuda", False)])
def test_make_takes_the_torch_that_is_asked_for(torch, from_index, tmp_path):
    command = ["make", "-n", "demo", f"TORCH={torch}", f"VENV={tmp_path / 'v'}"]
    plan = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ("--index-url https://download.pytorch.org/whl/cpu" in plan) == from_index
    assert "-r requirements.txt" in plan and "src/main.py --config=mmsa" in plan


def test_make_refuses_another_torch_in_one_line(tmp_path):
    command = ["make", "demo", "TORCH=gpu", f"VENV={tmp_path / 'v'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "error: TORCH=gpu: it is cpu, or cuda" in done.stderr
    assert not (tmp_path / "v").exists()
