"""What the Hub is told, and what a user is told where it cannot be."""

import pytest
from fake_hub import FakeHub

from training.publishing import upload
from training.publishing.upload import HubError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "README.md").write_text("card")
    return tmp_path


def test_nothing_private_goes_to_a_public_repository(folder):
    hub = FakeHub(public=True)
    with pytest.raises(HubError, match="me/model exists and is public; make it private on its page first"):
        upload.upload(hub, folder, "me/model", True, "Publish", ())
    assert [told[0] for told in hub.told] == ["create"]
    upload.upload(hub, folder, "me/model", False, "Publish", ())
    assert hub.told[-1] == ("upload", "me/model", {"README.md": b"card"}, "Publish", [])


def test_weights_of_an_earlier_version_go(folder):
    hub = FakeHub()
    assert upload.upload(hub, folder, "me/model", False, "Publish", ("*.safetensors",)) == "https://hub/me/model"
    assert hub.told[0] == ("create", "me/model", None, True)
    assert hub.told[1][-1] == ["*.safetensors"]


@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError("no route"), ValueError("no\nroute")])
def test_what_fails_is_one_line(folder, error):
    class Broken(FakeHub):
        def upload_folder(self, **_):
            raise error

    with pytest.raises(HubError, match=r"^the Hub cannot be reached: no route; nothing was uploaded$"):
        upload.upload(Broken(), folder, "me/model", False, "Publish", ())


def test_a_token_that_the_hub_does_not_know_is_told_before_anything_else(monkeypatch):
    """The real error of the client, made from a real answer."""
    from httpx2 import Request, Response
    from huggingface_hub.errors import HfHubHTTPError

    class Refusing(FakeHub):
        def whoami(self):
            answer = Response(401, request=Request("GET", "https://hub/api/whoami-v2"))
            raise HfHubHTTPError("401: Invalid user token.\nRequest ID: 1", response=answer)

    monkeypatch.setattr(upload, "HfApi", lambda token: Refusing())
    monkeypatch.setattr(upload, "get_token", lambda: "hf_wrong")
    with pytest.raises(HubError, match=r"^the Hub refused: 401: Invalid user token. Request ID: 1$"):
        upload.log_in()


@pytest.mark.parametrize("repo", ["model", "a/b/c", "a..b/c", "", "me/mod el"])
def test_what_cannot_be_a_repository_is_refused(repo):
    with pytest.raises(HubError, match="--repo"):
        upload.check_repo(repo)


def test_a_repository_is_a_name_with_its_owner():
    upload.check_repo("me/my-model_1.0")
    upload.check_repo(None)
