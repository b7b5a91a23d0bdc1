"""Puts a folder on the Hub, or says in one line why that cannot be."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from httpx2 import HTTPError
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OIDCError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from training import hub

Answer = TypeVar("Answer")


class HubError(Exception):
    """The Hub could not be reached, or refused; the message says which, and what to do."""


def check_repo(repo: str | None) -> None:
    """Raises HubError unless `repo` is None or a repository's name with its owner."""
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise HubError(f"--repo {repo} cannot be a repository: {' '.join(str(error).split())}") from error
    if repo is not None and "/" not in repo:
        raise HubError(f"--repo {repo} names no owner; say --repo user/{repo}")


def log_in() -> HfApi:
    """The Hub, with a token that it knows. Raises HubError if there is no token or no network."""
    token = _asked(get_token)
    if not token:
        raise HubError("no Hugging Face token: say `hf auth login`, or set HF_TOKEN; --dry_run FOLDER needs none")
    hub.prepare("huggingface_hub")
    api = HfApi(token=token)
    _asked(api.whoami)
    return api


def upload(api: HfApi, folder: Path, repo: str, private: bool, message: str, replacing: Sequence[str]) -> str:
    """Uploads `folder` as one commit, and returns the address; what else is there and matches `replacing` goes.

    Raises HubError, also if the repository is there and public although `private` was asked for.
    """
    _asked(lambda: api.create_repo(repo, private=private or None, exist_ok=True))
    if private and not _asked(lambda: api.model_info(repo)).private:
        raise HubError(f"{repo} exists and is public; make it private on its page first, or leave --private out")
    _asked(
        lambda: api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message, delete_patterns=list(replacing)
        )
    )
    return f"{api.endpoint}/{repo}"


def _asked(question: Callable[[], Answer]) -> Answer:
    """The Hub's answer. Raises HubError, in one line, if there is none."""
    try:
        return question()
    except HfHubHTTPError as error:
        raise HubError(f"the Hub refused: {' '.join(str(error).split())}") from error
    except OfflineModeIsEnabled as error:
        raise HubError(
            "the Hub cannot be reached (no network, or HF_HUB_OFFLINE is set); nothing was uploaded"
        ) from error
    except (HTTPError, OSError, RuntimeError, ValueError, OIDCError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HubError(f"the Hub cannot be reached: {reason}; nothing was uploaded") from error
