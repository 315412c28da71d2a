"""The one room in which a typed word becomes a checked value, and this is its door: import from here alone.

`command_line` takes words apart, `yaml_file` reads the files under src/config, `schema` says what a value may be,
`config` lays the files and the words over each other, `args` freezes the result, `run_folder` reads it from an archive,
`declarations` says which settings may change in a run's life, `for_hosts` what an archive says to scripts of others.
"""

from settings.args import Args, MissingSettingError, extended, to_args
from settings.command_line import RUN_VERBS, CommandLine, parse_command_line, usage
from settings.config import ALGS, ENVS, PROTOCOLS, config_names, declared_settings, listed_settings, resolve
from settings.declarations import all_declared, declared_alone, earlier_values, effects, flat, identity, resume_options
from settings.for_hosts import FOR_HOSTS, archived
from settings.json_schema import DIALECT, any_declared, files_schema, setting_schema, settings_schema
from settings.outside import add_file, add_learner, outside_learners
from settings.run_folder import (
    LATEST,
    archived_settings,
    find_run,
    read_info,
    read_json,
    refuse_absent,
    resumed_settings,
    settings_from,
)
from settings.schema import Effect, Interval, Setting, Value, as_text, read_declaration, shown
from settings.yaml_file import TRICKS, Entry, file_label, read_entries, read_mapping

__all__ = [
    "ALGS", "DIALECT", "ENVS", "FOR_HOSTS", "LATEST", "PROTOCOLS", "RUN_VERBS", "TRICKS", "Args", "CommandLine",
    "Effect", "Entry", "Interval", "MissingSettingError", "Setting", "Value", "add_file", "add_learner",
    "all_declared", "any_declared", "archived", "archived_settings", "as_text", "config_names", "declared_alone",
    "declared_settings", "earlier_values", "effects", "extended", "file_label", "files_schema", "find_run", "flat",
    "identity", "listed_settings", "outside_learners", "parse_command_line", "read_declaration", "read_entries",
    "read_info", "read_json", "read_mapping", "refuse_absent", "resolve", "resume_options", "resumed_settings",
    "setting_schema", "settings_from", "settings_schema", "shown", "to_args", "usage",
]  # fmt: skip
