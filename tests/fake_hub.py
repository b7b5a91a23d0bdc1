"""A Hub that only remembers what it is told: shared by the tests of publish and upload."""

from pathlib import Path
from types import SimpleNamespace


class FakeHub:
    """What the Hub is told; a private repository is made public by somebody else if `public`."""

    endpoint = "https://hub"

    def __init__(self, token=None, public=False) -> None:
        self.token, self.public, self.told = token, public, []

    def whoami(self):
        return {"name": "me"}

    def create_repo(self, repo, private, exist_ok):
        self.told.append(("create", repo, private, exist_ok))

    def model_info(self, repo):
        return SimpleNamespace(private=not self.public)

    def upload_folder(self, repo_id, folder_path, commit_message, delete_patterns):
        files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}
        self.told.append(("upload", repo_id, files, commit_message, delete_patterns))
