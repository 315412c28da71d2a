"""Twenty lines stay readable: methods by family, a few put forward, the table in the paper's layout."""

import pytest
from made_archives import TASK, archive

from comparison.archives import read_runs
from comparison.families import FAMILIES, FORWARD, MANY, family_of, forward, in_order
from comparison.group_charts import curves
from comparison.layout_table import layout_table
from comparison.page_drawing import GREY, draw
from comparison.pooling import Choice, pool
from comparison.print_drawing import draw as draw_on_paper

OTHER_TASK = "Foraging-6x6-2p-1f-v3"


def groups_of(root):
    return pool(read_runs([root]), Choice()).groups


@pytest.fixture
def many(tmp_path):
    """Ten lines of a seed, the last the best."""
    for place, name in enumerate("abcdefghij"):
        archive(tmp_path, name, 1, 1, values=(0.0, place / 10, place / 10), learner="q_learner")
    return groups_of(tmp_path)[0]


def test_a_line_s_family_is_told_by_its_settings_or_by_its_config(tmp_path):
    settings = {
        "qmix": {}, "mmsa": {}, "mmsa_no_wm": {}, "dreamer": {}, "mappo": {}, "coma": {}, "mine": {},
        "mine_too": {"learner": "my_learner", "use_world_model": True}, "and_mine": {"learner": "my_learner"},
    }  # fmt: skip
    for name, config in settings.items():
        archive(tmp_path, name, 1, 1, **config)
    (group,) = groups_of(tmp_path)
    assert {line.label: family_of(line) for line in group.lines} == {
        "qmix": "value", "mmsa": "model-based", "mmsa_no_wm": "value", "dreamer": "model-based", "mappo": "policy",
        "coma": "policy", "mine": "other", "mine_too": "model-based", "and_mine": "value",
    }  # fmt: skip
    families = [family_of(line) for line in in_order(group.lines)]
    assert families == sorted(families, key=FAMILIES.index)


def test_of_many_lines_the_best_stand_out_and_the_rest_are_grey(many, tmp_path):
    assert forward(many) == {"f", "g", "h", "i", "j"} and len(forward(many)) == FORWARD
    chart = curves(many, "x")
    assert [stroke.name for stroke in chart.panels[0].strokes if stroke.grey] == ["a", "b", "c", "d", "e"]
    assert "Of 10 lines those 5 stand out" in chart.caption
    assert draw(chart).count(GREY) >= 3 * 5
    figure = draw_on_paper(chart)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *(f"{name} (1 seed)" for name in "fghij"), "5 more",
    ]  # fmt: skip
    for name in "abcdefg":
        archive(tmp_path / "few", name, 1, 1)
    (few,) = groups_of(tmp_path / "few")
    assert len(few.lines) == MANY and not any(stroke.grey for stroke in curves(few, "x").panels[0].strokes)


def test_the_paper_s_layout(tmp_path):
    for seed, last in ((1, 0.5), (2, 0.7)):
        archive(tmp_path, "mmsa", seed, seed, values=(0.0, last))
        archive(tmp_path, "mmsa", seed, seed, values=(0.0, 0.2), task=OTHER_TASK)
        archive(tmp_path, "qmix", seed, seed, values=(0.0, 0.9), task=OTHER_TASK)
    for number in range(7):
        archive(tmp_path, f"a_{number}", 1, 1, values=(0.0, 0.1), learner="q_learner")
    table = layout_table(groups_of(tmp_path))
    cells = {(row["row"], row["algorithm"]): row["mean"] for _, row in table.data.iterrows()}
    assert cells[TASK, "mmsa"] == pytest.approx(0.6) and cells[OTHER_TASK, "qmix"] == pytest.approx(0.9)
    assert cells["lbf: mean of 2 tasks", "mmsa"] == pytest.approx(0.4)
    assert ("lbf: mean of 2 tasks", "qmix") not in cells  # which has no runs of the other task
    heads = [row[0] for row in table.shown.to_numpy() if row[0].startswith("Environments")]
    assert heads == ["Environments (model-based)", "Environments (value)", "Environments (value)"]
    assert rf"{TASK} & \textbf{{0.600}} $\pm$ 1.271 \\" in table.latex  # Student's t of one degree: 12.7 × 0.1
    assert rf"{OTHER_TASK} & 0.200 $\pm$ 0.000 \\" in table.latex and r"& \textbf{0.900} $\pm$ 0.000 \\" in table.latex
    assert r"\textbf{a\_0}" in table.latex and r"{lrrrrrr}" in table.latex and table.latex.count(r"\midrule") == 2
    assert rf"{TASK} & 0.100 & -- \\" in table.latex  # QMIX beside the last of the others


def test_written_as_csv_and_latex(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    names = layout_table(groups_of(tmp_path)).write(tmp_path)
    assert names == ["layout.csv", "layout.tex"]
    assert (tmp_path / "layout.tex").read_text().startswith(r"\begin{table}")
