"""The catalog that the running app shows."""

from typing import cast

from flask import current_app

from dashboard.sources.catalog import Catalog

KEY = "PREFSCOPE_CATALOG"


def catalog() -> Catalog:
    """The catalog of the app that answers the current request."""
    return cast(Catalog, current_app.config[KEY])
