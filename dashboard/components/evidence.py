"""What the pages judge runs by: the catalog's runs with their per-pair scores, read again only where a run changed."""

import threading

from dashboard.analysis.study import Evidence, Study
from dashboard.sources.catalog import Catalog, Snapshot
from dashboard.studies import run_scores
from training.record.schema import Run


class Studies:
    """The study of a catalog's runs. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Run, Evidence]] = {}

    def of(self, snapshot: Snapshot, catalog: Catalog) -> Study:
        """All runs of the snapshot; a run whose files have not changed is the same object as before."""
        with self._lock:
            self._known = {
                key: known if (known := self._known.get(key)) and known[0] is run else (run, _evidence(run, catalog))
                for key, run in snapshot.runs.items()
            }
            return {key: evidence for key, (_, evidence) in self._known.items()}


def _evidence(run: Run, catalog: Catalog) -> Evidence:
    """Our own runs by their scores, which say more than their curves; uploaded ones by their curves."""
    directory = catalog.local.root / run.id
    if run.source == "runs" and directory.is_dir():
        return Evidence(run, scores=run_scores(directory, run) if run.status != "running" else {})
    return Evidence(run, catalog.history(run.id))
