"""The one room in which a typed word becomes a checked value, and this is its door: import from here alone.

`command_line` takes words apart, `yaml_file` reads the files under src/config, `schema` says what a value may be,
`config` lays the files and the words over each other, `args` freezes the result, `run_folder` reads it from an archive.
"""

from settings.args import Args, MissingSettingError, extended, to_args
from settings.command_line import CommandLine, parse_command_line, usage
from settings.config import ALGS, ENVS, PROTOCOLS, config_names, declared_settings, resolve
from settings.run_folder import (
    CHANGEABLE,
    LATEST,
    archived_settings,
    find_run,
    read_info,
    read_json,
    resumed_settings,
)
from settings.schema import Interval, Setting, Value, read_declaration, shown
from settings.yaml_file import TRICKS, Entry, file_label, read_entries, read_mapping

__all__ = [
    "ALGS",
    "CHANGEABLE",
    "ENVS",
    "LATEST",
    "PROTOCOLS",
    "TRICKS",
    "Args",
    "CommandLine",
    "Entry",
    "Interval",
    "MissingSettingError",
    "Setting",
    "Value",
    "archived_settings",
    "config_names",
    "declared_settings",
    "extended",
    "file_label",
    "find_run",
    "parse_command_line",
    "read_declaration",
    "read_entries",
    "read_info",
    "read_json",
    "read_mapping",
    "resolve",
    "resumed_settings",
    "shown",
    "to_args",
    "usage",
]  # fmt: skip
