"""What a page shows where there are no runs: why, and the ways to get some."""

from dash import html

from dashboard.components import layout as parts
from dashboard.components.imports import drawer as import_drawer
from dashboard.sources.catalog import Snapshot


def no_runs(snapshot: Snapshot, promise: str) -> html.Div:
    """`promise` says what the page will show once there are runs."""
    if snapshot.problem:
        return parts.empty("The runs folder cannot be read", [snapshot.problem], className="empty no-runs")
    return parts.empty(
        "No runs yet",
        [
            promise,
            import_drawer.opener("Import logs"),
            ["Or train one run: ", parts.command("python -m training.run")],
            ["Or the demo, six small runs: ", parts.command("make demo")],
        ],
        className="empty no-runs",
    )
