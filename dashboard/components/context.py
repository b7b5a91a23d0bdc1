"""The catalog that the running app shows, and the study of its runs."""

from typing import cast

from flask import current_app

from dashboard.analysis.study import Study
from dashboard.components.evidence import Studies
from dashboard.sources.catalog import Catalog, Snapshot

KEY, STUDIES = "PREFSCOPE_CATALOG", "PREFSCOPE_STUDIES"


def catalog() -> Catalog:
    """The catalog of the app that answers the current request."""
    return cast(Catalog, current_app.config[KEY])


def study(snapshot: Snapshot) -> Study:
    """What the analysis knows of the runs of a snapshot."""
    return cast(Studies, current_app.config[STUDIES]).of(snapshot, catalog())
