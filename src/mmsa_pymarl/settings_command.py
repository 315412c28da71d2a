"""`mmsa settings [--config NAME] [--env-config NAME] [--json-schema]`: every setting, out of its declaration."""

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence

from mmsa_pymarl.settings_page import settings_page
from settings import Setting, Value, all_declared, as_text, files_schema, listed_settings, settings_schema, shown
from utils.arguments import Parser
from utils.exits import exit_code
from utils.naming import SRC

CONFIG_DIR = SRC / "config"


def lines(declared: Mapping[str, Setting], values: Mapping[str, Value]) -> Iterator[str]:
    """Yield a line for each setting: name, value, what it accepts, meaning, and where it is declared."""
    for key, setting in declared.items():
        text = shown(as_text(values[key]))
        yield f"{key} = {text}  # {setting.allowed}: {setting.meaning} ({setting.file}:{setting.line})"


def schema_text(kind: str) -> str:
    """Return what src/config/KIND.schema.json has to hold: `settings`, `study` or `search`."""
    if kind == "settings":
        schema = files_schema(all_declared(CONFIG_DIR), "Settings files of MMSA for PyMARL")
    else:
        from study_runs.file_schemas import search_schema, study_schema

        schema = {"study": study_schema, "search": search_schema}[kind](CONFIG_DIR)
    return json.dumps(schema, indent=1, ensure_ascii=False)


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog="mmsa settings", description="Settings: name, value, what is accepted, meaning, place.")
    parser.add_argument("--config", metavar="NAME", help="those of a method, too, and its values")
    parser.add_argument("--env-config", metavar="NAME", help="those of an environment, too, and its values")
    parser.add_argument("--json-schema", action="store_true", help="as JSON Schema, for editors and other tools")
    parser.add_argument("--files-schema", action="store_true", help="JSON Schema of the settings files themselves; "
                        "src/config/settings.schema.json, which they name, is made with it")  # fmt: skip
    for kind in ("study", "search"):
        parser.add_argument(f"--{kind}-schema", action="store_true", help=f"JSON Schema of a {kind}'s file; "
                            f"src/config/{kind}.schema.json is made with it")  # fmt: skip
    parser.add_argument("--page", action="store_true", help="all of them as Markdown; docs/settings.md is made with it")
    return parser.parse_args(argv)


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    for kind, asked in (("settings", args.files_schema), ("study", args.study_schema), ("search", args.search_schema)):
        if asked:
            print(schema_text(kind))
            return
    if args.page:
        print(settings_page(CONFIG_DIR))
        return
    declared, values = listed_settings(args.config, args.env_config, CONFIG_DIR)
    if args.json_schema:
        named = [name for name in (args.config, args.env_config) if name is not None]
        schema = settings_schema(declared, values, " ".join(["Settings", *named]))
        print(json.dumps(schema, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines(declared, values)))


def main(argv: Sequence[str]) -> int:
    """Print, and return the exit code."""
    return exit_code(lambda: _work(argv), "")
