"""What all pages share in the browser: the version of the runs that was last seen, and the selected runs."""

LIVE = "live"
"""Its data is the catalog's version: an Input on it fires when something is new."""

SELECTION = "selection"
"""Its data is a list of run ids, kept for the browser tab."""
