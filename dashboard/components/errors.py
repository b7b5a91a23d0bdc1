"""What a user sees when something breaks: a short id; the traceback goes to the log."""

import logging
import secrets

import dash_bootstrap_components as dbc
from dash import set_props

TOAST = "error-toast"

_log = logging.getLogger("prefscope")


def toast() -> dbc.Toast:
    """The place where errors of callbacks appear."""
    return dbc.Toast(
        id=TOAST,
        header="Something went wrong",
        is_open=False,
        dismissable=True,
        duration=12_000,
        class_name="error-toast",
    )


def on_error(error: Exception) -> None:
    """Dash's `on_error`: the outputs stay as they are."""
    reference = secrets.token_hex(3)
    _log.error("callback failed, id %s", reference, exc_info=error)
    message = f"The page could not be updated. The details are in the server's log under id {reference}."
    set_props(TOAST, {"is_open": True, "children": message})
