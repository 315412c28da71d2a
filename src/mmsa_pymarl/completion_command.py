"""`mmsa completion bash|zsh`: a script that completes commands, configs and settings in a shell.

The script asks `mmsa completion words …` for what is declared; the options of commands stand in it, since asking for
these would load Torch at every key.
"""

import io
import re
import shlex
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial

from mmsa_pymarl.completion import candidates
from study import SUBCOMMANDS
from utils.arguments import Parser
from utils.exits import exit_code

_BASH = r"""
_mmsa() {
  local line="${COMP_LINE:0:COMP_POINT}" now kept options word
  local -a typed
  read -ra typed <<< "$line"
  [[ $line == *[[:space:]] ]] && typed+=("")
  now="${typed[-1]}"
  kept=""
  [[ $now == *=* ]] && kept="${now%=*}="
  COMPREPLY=()
  case "${typed[1]-} ${typed[2]-}" in
@OPTIONS@
  esac
  if [[ $now == -* ]]; then
    while read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$options" -- "$now")
  fi
  while IFS= read -r word; do
    COMPREPLY+=("${word#"$kept"}")
  done < <(mmsa completion words -- "${typed[@]:1}" 2> /dev/null)
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _mmsa mmsa
"""
_ZSH = r"""
#compdef mmsa
_mmsa() {
  local now="${words[CURRENT]}" options
  local -a found open closed
  case "${words[2]} ${words[3]}" in
@OPTIONS@
  esac
  found=("${(@f)$(mmsa completion words -- "${(@)words[2,CURRENT]}" 2> /dev/null)}")
  [[ $now == -* ]] && found+=(${=options})
  open=(${(M)found:#*=})
  closed=(${found:#*=})
  (( $#open )) && compadd -S '' -- $open
  (( $#closed )) && compadd -- $closed
  if (( $#open + $#closed == 0 )); then
    compset -P '*='
    _files
  fi
}
compdef _mmsa mmsa
"""
_FLAGS = {"--config", "--env-config"}  # these are completed with the names of configs
SHELLS = {"bash": _BASH, "zsh": _ZSH}


def script(shell: str, commands: Mapping[str, Callable[[Sequence[str]], int]]) -> str:
    """Return the script for a shell; `commands` are by their words, as they are called."""
    return SHELLS[shell].strip().replace("@OPTIONS@", "\n".join(_options(commands)))


def _options(commands: Mapping[str, Callable[[Sequence[str]], int]]) -> Iterator[str]:
    """Yield a line of shell for each command: its options, as its help names them."""
    for name, run in commands.items():
        for words in [*([name, word] for word in SUBCOMMANDS if name == "study"), [name]]:
            said = io.StringIO()
            with redirect_stdout(said), redirect_stderr(io.StringIO()), suppress(SystemExit):
                run([*words[1:], "--help"])
            options = sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", said.getvalue())) - _FLAGS)
            pattern = f"'{name} '*" if len(words) == 1 else shlex.quote(" ".join(words))
            yield f"    {pattern}) options={shlex.quote(' '.join(options))} ;;"


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog="mmsa completion", description="Print a script that completes commands, configs and settings: "
                    "put `source <(mmsa completion bash)` into ~/.bashrc, or the like with zsh into ~/.zshrc, behind "
                    "compinit.")  # fmt: skip
    parser.add_argument("shell", choices=[*SHELLS, "words"], metavar="SHELL",
                        help="bash or zsh; words is for the script itself")
    parser.add_argument("typed", nargs="*", metavar="WORD", help="behind words: what is typed until now")
    return parser.parse_args(argv)


def _work(argv: Sequence[str]) -> None:
    from mmsa_pymarl.cli import COMMANDS, run

    args = _parse(argv)
    if args.shell == "words":
        for word in candidates(args.typed or [""], COMMANDS):
            print(word)
    else:
        print(script(args.shell, {name: partial(run, name) for name in COMMANDS}))


def main(argv: Sequence[str]) -> int:
    """Print, and return the exit code."""
    return exit_code(lambda: _work(argv), "")
