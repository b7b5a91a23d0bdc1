"""The Hugging Face Hub, for people who may have no network."""

import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import datasets
import huggingface_hub.constants as hub

PATIENCE = 5.0  # seconds


def prepare(name: str) -> None:
    """Goes offline at once if `name` is a Hub id and the Hub cannot be reached.

    What was downloaded before still works then, and what was not fails in seconds, not after a minute of retries.
    """
    if Path(name).expanduser().exists() or hub.HF_HUB_OFFLINE:
        return
    address = urlsplit(hub.ENDPOINT)
    if address.scheme in urllib.request.getproxies():
        return
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=PATIENCE).close()
    except OSError:
        hub.HF_HUB_OFFLINE = True
        datasets.config.HF_HUB_OFFLINE = True
