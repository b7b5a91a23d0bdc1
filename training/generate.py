"""Holds models and computes with them for the dashboard: python -m training.generate [--memory GB] [--idle SECONDS]."""

import argparse
import os
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from training.generating.protocol import Answers, lines
from training.generating.serving import Handler, Server

DONE, STOPPED = 0, 130
GIGABYTE = 10**9
_SHARE = 2  # of the free memory, models take one part in so many
_FIRST_TO_GO = "500"  # of 1,000: where memory runs out, Linux ends this process before a training run or the dashboard


def main(argv: Sequence[str]) -> int:
    """Requests come as JSON lines on stdin, answers go out as JSON lines on stdout, all else is on stderr.

    Ends with its input, once everything is answered, or when for --idle seconds nothing was asked.
    """
    arguments = _parser().parse_args(argv)
    answers = Answers(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    server = Server(answers)
    threading.Thread(target=server.listen, args=(lines(0),), daemon=True).start()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    try:
        server.work(handlers(arguments.memory), arguments.idle)
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:
        return DONE
    return DONE


def handlers(gigabytes: float | None = None) -> Mapping[str, Handler]:
    """What can be asked for, with models in so much memory. Takes seconds: it imports the libraries, offline."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # what is shown must not depend on a network, nor tell it anything
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore")
    import torch

    from training.generating.models import Models
    from training.generating.rewards import TokenRewards
    from training.run import quiet_libraries
    from training.sweeps.room import free_memory

    quiet_libraries()
    has_gpu = torch.cuda.is_available()
    free = torch.cuda.mem_get_info()[0] if has_gpu else free_memory()
    budget = free // _SHARE if gigabytes is None else int(gigabytes * GIGABYTE)
    return {"token_rewards": TokenRewards(Models(budget, "cuda" if has_gpu else "cpu"))}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.generate", description=__doc__)
    parser.add_argument(
        "--memory", type=_positive, metavar="GB", help="for the weights of all models (default: half of what is free)"
    )
    parser.add_argument("--idle", type=_positive, metavar="SECONDS", help="end when so long nothing was asked")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
