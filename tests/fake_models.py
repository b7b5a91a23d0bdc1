"""A process in the place of training.generate, for tests: it misbehaves as its first argument says."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def answer(request: dict, **other: object) -> None:
    size = len(request["answers"])
    content = {"tokens": [["a"]] * size, "rewards": [[0.5]] * size, "totals": [0.5] * size, "pid": os.getpid()}
    print(json.dumps({"id": request["id"], **content, **other}), flush=True)


def main(manner: str, journal: str) -> None:
    """Every request goes to the journal with this process's number."""
    if manner == "deaf":
        time.sleep(600)
    if manner == "idle":
        sys.exit(0)
    for line in sys.stdin:
        request = json.loads(line)
        with Path(journal).open("a") as file:
            file.write(json.dumps({"pid": os.getpid(), **request}) + "\n")
        if request["do"] != "cancel":
            behave(manner, request)


def behave(manner: str, request: dict) -> None:
    said = request["prompt"]
    if said == "die":
        print("MemoryError: it was too much.", file=sys.stderr, flush=True)
        sys.exit(3)
    elif said == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif said == "hang":
        time.sleep(600)
    elif said == "mute":
        os.close(1)
        time.sleep(600)
    elif said == "slow":
        print(json.dumps({"id": -1}), flush=True)  # it lives
        time.sleep(1.0)
        answer(request)
        print(json.dumps({"id": -1}), flush=True)
    elif said == "flood":
        sys.stderr.write("x" * 5_000_000 + "\n" + "line\n" * 200_000)
        answer(request)
    elif said == "rubbish":
        print("Loading weights: 100%\n[]\n{}\n{", flush=True)
        print(json.dumps({"id": {"not": "hashable"}}), flush=True)
        answer(request)
    elif said == "once" or manner == "once":
        answer(request)
        sys.exit(0)
    elif said == "refuse":
        print(json.dumps({"id": request["id"], "error": "There is a reason."}), flush=True)
    elif said == "nonsense":
        answer(request, rewards="many")
    else:
        answer(request)


if __name__ == "__main__":
    main(*sys.argv[1:])
