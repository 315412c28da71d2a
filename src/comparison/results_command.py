"""`python src/study.py export-results FOLDER ... --out results.csv`: archived figures in tidy form, CSV or Parquet."""

import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path

from comparison.frames import load_runs
from utils.errors import UserError
from utils.files import write_whole
from utils.naming import to_install

FORMS = (".csv", ".parquet")


def configure(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or any above runs")
    parser.add_argument("--metric", action="append", metavar="NAME", help="this figure alone; may be given again")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME",
                        help="a setting to be a column more; may be given again")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("results.csv"), metavar="FILE",
                        help="what to write, .csv or .parquet (default: results.csv)")  # fmt: skip


def work(args: Namespace) -> None:
    """Write the file and print where it is."""
    form = args.out.suffix
    if form not in FORMS:
        raise UserError(f"--out {args.out}: its name ends with {' or '.join(FORMS)}")
    with warnings.catch_warnings(record=True) as left_out:
        warnings.simplefilter("always")
        frame = load_runs(*args.folders, metrics=args.metric, settings=args.setting)

    def write(path: Path) -> None:
        if form == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)

    try:
        write_whole(args.out, write)
    except ImportError as missing:
        way = to_install("requirements-parquet.txt")
        raise UserError(f"--out {args.out}: Parquet needs pyarrow: run `{way}`, or take .csv") from missing
    except OSError as why:
        raise UserError(f"--out {args.out}: cannot write there ({why.strerror})") from why
    for each in left_out:
        print(f"note: {each.message}")
    print(f"{args.out}: {len(frame)} rows")
