"""docs/settings.md: every setting of the shipped files, out of its declaration."""

from collections.abc import Iterator
from pathlib import Path

from settings import ALGS, ENVS, read_declaration, read_entries

HEAD = """# Every setting

Out of the comments in `src/config`, by `mmsa settings --page > docs/settings.md`. Give one on the command line, after
`with`. A method's settings hold for the methods that have it for their `base`, too; `mmsa settings --config=mmsa
--env-config=lbf` lists those of a run, with their values.
"""
PARTS = {ALGS: "Methods", ENVS: "Environments"}


def settings_page(config_dir: Path) -> str:
    """Return the page as Markdown: a table for every file that declares something."""
    parts = [HEAD, "## All runs\n", *_table(config_dir / "default.yaml")]
    for part, title in PARTS.items():
        parts.append(f"\n## {title}\n")
        for path in sorted((config_dir / part).glob("*.yaml")):
            if rows := [*_table(path)]:
                parts += [f"\n### `{path.stem}`\n", *rows]
    return "\n".join(parts)


def _table(path: Path) -> Iterator[str]:
    """Yield a table's lines, none where a file declares nothing: it then gives values alone."""
    begun = False
    for entry in read_entries(path):
        setting = read_declaration(entry.key, entry.comment, entry.file, entry.line)
        if setting is None:
            continue
        if not begun:
            yield "| setting | default | accepted | meaning |\n|---|---|---|---|"
            begun = True
        cells = (f"`{entry.key}`", f"`{entry.text}`" if entry.text else "", setting.allowed, setting.meaning)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
