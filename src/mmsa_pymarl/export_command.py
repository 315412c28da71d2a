"""`mmsa export PATH [--out FILE]`: the greedy agents of a checkpoint as an ONNX file, checked against them."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from utils.arguments import Parser
from utils.exits import exit_code


def _parse(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog="mmsa export", description="The greedy agents of a checkpoint as ONNX, memory in and out.")
    parser.add_argument("path", metavar="PATH", help="a run's folder (its last checkpoint is taken) or a checkpoint")
    parser.add_argument("--out", type=Path, default=Path("agents.onnx"), metavar="FILE",
                        help="what to write (default: agents.onnx)")  # fmt: skip
    return parser.parse_args(argv)


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    from deployment.agents import load_agents  # brings Torch, which takes seconds
    from deployment.onnx_export import export

    worst = export(load_agents(args.path), args.out)
    print(f"{args.out}: answers as the agents do, to {worst:.1g}")


def main(argv: Sequence[str]) -> int:
    """Export, and return the exit code."""
    return exit_code(lambda: _work(argv), "no file was written")
