"""What a locally run web app needs so that other web pages cannot use it."""

import re
import socket
from functools import cache
from ipaddress import ip_address
from typing import Any

from dash import Dash
from flask import Response, abort, request, send_file

from dashboard.figures import theme

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_PLOTLY_PATH = "/_dash-component-suites/plotly/package_data/plotly.min"
_WILDCARDS = ("0.0.0.0", "::", "")
_LARGEST_REQUEST = 8 * 2**20
"""Bytes of a callback's request; files have a route and a limit of their own."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    return host in ("localhost", "::1") or host.startswith("127.")


@cache
def trusted_hosts(host: str) -> tuple[str, ...]:
    """The names that are answered: without this list any web page could read the runs by DNS rebinding."""
    own = [socket.gethostname(), socket.getfqdn()] if host in _WILDCARDS else [f"[{host}]" if ":" in host else host]
    return tuple(dict.fromkeys(name.lower() for name in [*LOOPBACK, *own]))


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def trusts(host: str, header: str) -> bool:
    """Whether a server bound to `host` answers the Host `header` (a name or address, with or without a port).

    Bound to a wildcard it answers by any address, such as those of a container's host: rebinding needs a name.
    Flask's TRUSTED_HOSTS can express neither that nor an IPv6 address.
    """
    name = re.sub(r":\d+$", "", header).lower()
    return name in trusted_hosts(host) or (host in _WILDCARDS and _is_address(name))


def policy(script_hashes: list[str]) -> str:
    """The Content-Security-Policy: this server only, no inline script but Dash's own, by hash."""
    scripts = " ".join(["'self'", *(f"'{digest}'" for digest in script_hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; object-src 'none'"
    )


def harden(app: Dash, host: str) -> None:
    """Trusted hosts, same-site posts only, size limit and headers for every answer of `app`."""
    server: Any = app.server
    server.config.update(MAX_CONTENT_LENGTH=_LARGEST_REQUEST)

    @cache
    def header() -> str:
        return policy([digest.strip("'") for digest in app.csp_hashes()])

    def known_host() -> None:
        if not trusts(host, request.host):
            abort(400)

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

    def smaller_plotly() -> Response | None:
        """plotly.js with what our charts need, a third of the whole: it is fetched and parsed the sooner."""
        return send_file(theme.PLOTLYJS, max_age=31_536_000) if request.path.startswith(_PLOTLY_PATH) else None

    server.before_request(known_host)
    server.before_request(smaller_plotly)
    server.before_request(same_site)
    server.after_request(headers)
