"""Without a network a Hub id fails at once; behind a proxy nothing is decided for the user."""

import socket

import datasets
import huggingface_hub.constants as constants
import pytest

from training import hub


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)

    def unreachable(*_: object, **__: object) -> socket.socket:
        raise OSError("no route")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_an_unreachable_hub_means_offline(online):
    hub.prepare("gpt2")
    assert constants.HF_HUB_OFFLINE
    assert datasets.config.HF_HUB_OFFLINE


def test_a_local_path_asks_nobody(online, tmp_path):
    hub.prepare(str(tmp_path))
    assert not constants.HF_HUB_OFFLINE


def test_behind_a_proxy_the_hubs_own_client_decides(online, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    hub.prepare("gpt2")
    assert not constants.HF_HUB_OFFLINE
