"""The dashboard's answers without a browser: python -m dashboard.report SOURCE... [--format text|json|md|html]"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from dashboard.analysis.numbers import visible
from dashboard.sources.imported import Corrections, SourceError

FORMATS = ("text", "json", "md", "html")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m dashboard.report",
        description="Says which run is best, how sure that is, and why: of our own runs/, or of logs you already have.",
        epilog="Exit code: 0 if runs were found, whatever is said of them; 2 if nothing could be read.",
    )
    command.add_argument(
        "sources",
        nargs="+",
        type=_path,
        metavar="SOURCE",
        help="a runs/ folder, W&B export (CSV) or offline run, TensorBoard events or scalars, trainer_state.json, "
        "any table of runs, a folder or .zip of these",
    )
    command.add_argument("--format", choices=FORMATS, default="text", help="default: text, for a terminal")
    command.add_argument("--sort", metavar="METRIC", help="order by this metric, such as eval/rewards/accuracies")
    command.add_argument(
        "--at",
        default="best",
        type=_at,
        metavar="best|last|common|STEP",
        help="which evaluation of a run counts: its best (default), its last, that at the last step common to all",
    )
    command.add_argument("--beta", type=_beta, help="the beta of the common-beta loss, from per-pair scores")
    command.add_argument("--out", type=_path, help="write the report to this file")
    command.add_argument(
        "--config-column", action="append", default=[], metavar="NAME", help="this column is configuration"
    )
    command.add_argument("--metric-column", action="append", default=[], metavar="NAME", help="this column is a metric")
    command.add_argument(
        "--map", action="append", default=[], type=_renamed, metavar="A=B", help="the source's metric A is W&B's B"
    )
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = parser().parse_args(arguments)
    told = Corrections(frozenset(options.config_column), frozenset(options.metric_column), dict(options.map))
    from dashboard.reports import build

    try:
        made = build.build(options.sources, told, options.sort, options.at, options.beta)
    except SourceError as problem:
        print(f"report: {visible(str(problem))}", file=sys.stderr)
        return 2
    text = build.render(made, options.format, terminal=options.out is None and sys.stdout.isatty())
    if options.out is None:
        return _print(text)
    out = visible(str(options.out))
    try:
        options.out.write_text(text, encoding="utf-8", errors="replace")
    except (OSError, ValueError) as error:
        print(f"report: {out} cannot be written: {getattr(error, 'strerror', error)}", file=sys.stderr)
        return 2
    print(f"report: written to {out}", file=sys.stderr)
    return 0


def _print(text: str) -> int:
    """Writes to the terminal or the pipe; a pipe that is closed early (`| head`) is no fault."""
    try:
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", errors="replace"))
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
    return 0


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("a file's or folder's name is empty; the current folder is '.'")
    return Path(text)


def _beta(text: str) -> float:
    from dashboard.analysis.common_scale import LEAST, MOST

    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not LEAST <= value <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no beta: a number from {LEAST:g} to {MOST:g}, such as 0.1")
    return value


def _at(text: str) -> str | int:
    if text in ("best", "last", "common"):
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither best, last, common nor a step")
    return int(text)


def _renamed(text: str) -> tuple[str, str]:
    source, found, target = text.partition("=")
    if not (source and found and target):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form A=B, such as EvalLoss=eval/loss")
    return source, target


if __name__ == "__main__":
    sys.exit(main())
