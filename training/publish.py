"""Makes a run's model public, with its card: python -m training.publish RUN --repo user/name | --dry_run FOLDER."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.record import reader, schema
from training.record.schema import RecordError

if TYPE_CHECKING:
    from training.publishing.card import Contents
    from training.publishing.loading import Files

ROOT = Path(__file__).resolve().parent.parent
DONE, FAILED, MISUSED, STOPPED = 0, 1, 2, 130
CARD = "README.md"

# What a published folder may hold of a checkpoint: weights that cannot carry code, and what is needed to use them.
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "adapter_config.json")
PUBLISHED = (
    *WEIGHTS,
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "*.model", "chat_template.jinja"),
)
PATHS = ("base_model_name_or_path", "_name_or_path", "name_or_path")
OF_THIS_MACHINE = ("is_local", "local_files_only")


class PublishError(Exception):
    """A run that cannot be published as asked; the message says why, and what to do."""


def main(argv: list[str]) -> int:
    """Exit status: 0 done, 130 stopped by Ctrl-C, 1 no Hub, or refused by it, 2 could not start."""
    arguments = _parser().parse_args(argv)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    warnings.filterwarnings("ignore")
    try:
        return _publish(arguments)
    except (PublishError, RecordError) as error:
        return _fail(str(error), MISUSED)
    except OSError as error:
        return _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", MISUSED)
    except KeyboardInterrupt:
        return _fail("stopped", STOPPED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.publish", description=__doc__)
    parser.add_argument("run", help="name of a run in --runs, or its folder")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of all runs (default: runs)")
    parser.add_argument("--repo", help="the Hub repository to publish to, user/name")
    parser.add_argument("--private", action="store_true", help="only you see the repository")
    parser.add_argument(
        "--dry_run", "--dry-run", type=Path, metavar="FOLDER", help="make the files here, upload nothing"
    )
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help="which one (default: best)")
    return parser


def _publish(arguments: argparse.Namespace) -> int:
    # Seconds of imports: a Ctrl-C meanwhile must not show a traceback.
    from training.publishing.upload import HubError, check_repo, log_in, upload

    repo, here = arguments.repo, arguments.dry_run
    if repo is None and here is None:
        raise PublishError("say where to: --repo user/name uploads, --dry_run FOLDER makes the same files here")
    if here is not None and here.exists() and (not here.is_dir() or any(here.iterdir())):
        raise PublishError(f"--dry_run {here} exists and is not empty; name another folder")
    directory = reader.find_run(arguments.run, arguments.runs)
    checkpoint = find_checkpoint(directory, arguments.checkpoint)
    try:
        check_repo(repo)
        api = None if here else log_in()
        with _staging(here) as folder:
            make_folder(directory, checkpoint, folder, repo)
            if api is None:
                folder.replace(here)
            else:
                message = f"Publish {directory.name}, {checkpoint.name}"
                here = upload(api, folder, repo, arguments.private, message, replacing=WEIGHTS)
    except HubError as error:
        return _fail(str(error), FAILED)
    print(f"{here}: {directory.name}, {checkpoint.name}{'' if api else '; nothing was uploaded'}")
    return DONE


@contextmanager
def _staging(here: Path | None) -> Iterator[Path]:
    """A folder to make things in, on the same disk as `here`; what is left of it goes."""
    if here is not None:
        here.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=here and here.parent, prefix=".publish-") as made:
        yield Path(made) / "model"


def find_checkpoint(directory: Path, which: str) -> Path:
    """checkpoints/best, or the newest whole checkpoint-N. Raises PublishError if the run has none."""
    from training import checkpoints

    run, folder = reader.read_run(directory), directory / schema.CHECKPOINTS
    newest = checkpoints.newest(folder)
    if which == "last":
        if newest is None:
            raise PublishError(f"{directory.name} has no whole checkpoint in {folder}")
        return newest
    best = folder / "best"
    if run.best_step is None or not list(best.glob("*.safetensors")):
        advice = f"; --checkpoint last publishes {newest.name}" if newest else ""
        raise PublishError(f"{directory.name} ({run.status}) has no {schema.CHECKPOINTS}/best{advice}")
    return best


def make_folder(directory: Path, checkpoint: Path, folder: Path, repo: str | None) -> None:
    """Fills `folder` with the model of `checkpoint`, its card and the picture of its curves."""
    from training.publishing.card import CURVES, card
    from training.publishing.chart import draw_curves
    from training.publishing.public import public

    before = reader.read_run(directory).best_step
    folder.mkdir()
    for path in sorted({path for pattern in PUBLISHED for path in checkpoint.glob(pattern)}):
        shutil.copyfile(path, folder / path.name)
    contents = gather(directory, checkpoint, repo)
    for name in ("config.json", "adapter_config.json", "tokenizer_config.json"):
        _without_machine(folder / name, public(contents.base_model))
    if contents.evidence.run.best_step != before:
        raise PublishError(f"{directory.name} saved a better checkpoint meanwhile; say it again")
    (folder / CURVES).write_bytes(draw_curves(contents.evidence))
    (folder / CARD).write_text(card(contents), encoding="utf-8")


def _without_machine(path: Path, base_model: str) -> None:
    """Takes out of a configuration where a model lay on the machine that trained it."""
    content = _json(path)
    named = {key: base_model for key in PATHS if key in content}
    kept = {key: value for key, value in content.items() if key not in OF_THIS_MACHINE}
    if content:
        path.write_text(json.dumps({**kept, **named}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def gather(directory: Path, checkpoint: Path, repo: str | None) -> "Contents":
    """Reads from the record all that the card says of `checkpoint`."""
    from training.publishing.card import Contents
    from training.publishing.evaluation import read_evaluation
    from training.publishing.findings import Evidence
    from training.record.history import read_history

    run = reader.read_run(directory)
    best = checkpoint.name == "best"
    step = (run.best_step or 0) if best else int(checkpoint.name.rsplit("-", 1)[1])
    evaluation = read_evaluation(directory, run, step)
    evidence = Evidence(run, step, best, read_history(directory), evaluation, reader.read_notices(directory))
    samples = [row for row in reader.read_samples(directory) if row.get("step") == step]
    return Contents(evidence, _files(checkpoint), samples, repo)


def _files(checkpoint: Path) -> "Files":
    from training.publishing.loading import Files

    about, adapter = (_json(checkpoint / name) for name in ("config.json", "adapter_config.json"))
    return Files(
        adapter=bool(adapter),
        encoder_decoder=bool(about.get("is_encoder_decoder")) or adapter.get("task_type") == "SEQ_2_SEQ_LM",
        chat_template=(checkpoint / "chat_template.jinja").exists()
        or bool(_json(checkpoint / "tokenizer_config.json").get("chat_template")),
    )


def _json(path: Path) -> dict[str, Any]:
    """The object in `path`, empty if there is no such file."""
    try:
        return dict(json.loads(path.read_bytes())) if path.exists() else {}
    except (ValueError, TypeError) as error:
        raise PublishError(f"{path} is broken ({error}); publish another checkpoint") from error


def _fail(message: str, status: int) -> int:
    print(f"training.publish: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
