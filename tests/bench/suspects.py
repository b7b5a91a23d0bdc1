"""How many of the suspected wrong labels are flips: python -m tests.bench.suspects RUNS [--keep FILE]

RUNS is a folder of runs on data that has a column `flipped`, as the built-in data has (`make demo`). Every set of one
to six of its runs, at their best checkpoints, names suspects; of the sets of each size it prints precision and recall,
mean and least. --keep writes the margins as 16-bit floats, for tests/test_suspects_demo.py.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from dashboard.analysis import label_noise, pair_matrix
from dashboard.sources import reading
from dashboard.sources.imported import Corrections
from dashboard.studies import study_of
from training.record import schema


def load(root: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Margins in nats (pairs, runs), which labels are flipped (pairs,), and the runs' names."""
    found = pair_matrix.matrix(study_of(reading.read([root], Corrections())), "best")
    if found is None:
        raise SystemExit(f"{root} has no runs with scores of single pairs")
    table = pq.read_table(root / schema.SHARED / str(found.digest) / schema.PAIRS, columns=["pair_id", "flipped"])
    flips = dict(zip(table["pair_id"].to_pylist(), table["flipped"].to_pylist(), strict=True))
    return found.h, np.array([flips[pair] for pair in found.pairs]), found.runs


def judged(h: np.ndarray, flipped: np.ndarray, size: int) -> np.ndarray:
    """For each set of `size` runs: pairs named, precision, recall; shape (sets, 3)."""
    rows = []
    for columns in combinations(range(h.shape[1]), size):
        named = label_noise.suspects(h[:, columns]).rows
        hits = int(flipped[named].sum())
        rows.append((len(named), hits / len(named) if len(named) else np.nan, hits / max(1, flipped.sum())))
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.suspects")
    parser.add_argument("runs", type=Path)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    h, flipped, names = load(args.runs)
    print(f"{len(names)} runs, {len(h)} pairs, {flipped.sum()} flipped ({flipped.mean():.1%})")
    share = label_noise.suspects(h).share
    print(f"estimated share of wrong labels: {'unknown' if share is None else f'{share:.1%}'}")
    for size in range(1, min(6, h.shape[1]) + 1):
        named, precision, recall = judged(h, flipped, size).T
        if np.isnan(precision).all():
            print(f"{size} runs: none named")
            continue
        print(
            f"{size} runs: {named.min():.0f}-{named.max():.0f} named, precision {np.nanmean(precision):.2f} "
            f"(least {np.nanmin(precision):.2f}), recall {recall.mean():.2f} (least {recall.min():.2f})"
        )
    if args.keep:
        np.savez_compressed(args.keep, h=h.astype(np.float16))


if __name__ == "__main__":
    main()
