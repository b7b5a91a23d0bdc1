"""What a locally run web app needs so that other web pages cannot use it."""

import socket
from functools import cache
from typing import Any

from dash import Dash
from flask import Response, abort, request

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_WILDCARDS = ("0.0.0.0", "::", "")
_LARGEST_REQUEST = 34 * 2**20
"""Bytes: an upload arrives as base64 in JSON, 4/3 of the file."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    return host in ("localhost", "::1") or host.startswith("127.")


def trusted_hosts(host: str) -> list[str]:
    """The Host headers that are answered: without this list any web page could read the runs by DNS rebinding."""
    if is_loopback(host):
        return list(dict.fromkeys([*LOOPBACK, host]))
    if host not in _WILDCARDS:
        return [*LOOPBACK, host]
    own = socket.gethostname()
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(own, None)}
    except OSError:
        addresses = set()
    return [*LOOPBACK, own, socket.getfqdn(), *sorted(addresses)]


def policy(script_hashes: list[str]) -> str:
    """The Content-Security-Policy: this server only, no inline script but Dash's own, by hash."""
    scripts = " ".join(["'self'", *(f"'{digest}'" for digest in script_hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; object-src 'none'"
    )


def harden(app: Dash, host: str) -> None:
    """Trusted hosts, same-site posts only, size limit and headers for every answer of `app`."""
    server: Any = app.server
    server.config.update(TRUSTED_HOSTS=trusted_hosts(host), MAX_CONTENT_LENGTH=_LARGEST_REQUEST)

    @cache
    def header() -> str:
        return policy([digest.strip("'") for digest in app.csp_hashes()])

    def same_site() -> None:
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if request.method == "POST" and site not in ("same-origin", "none"):
            abort(403)

    def headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = header()
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    server.before_request(same_site)
    server.after_request(headers)
