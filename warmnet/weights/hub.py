"""Weights from the Hugging Face Hub, through its own client and cache; and files checked against the hash in their name."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ..data.files import parse_json
from ..errors import extra
from .errors import WeightsError

WEIGHTS = "weights.safetensors", "model.safetensors", "pytorch_model.bin", "model.weights.h5"  # warmnet's own first
CONFIG = "config.json"
ANSWER_TIMEOUT = 4  # seconds for the Hub to say whether there is anything newer than what is cached

COMMIT = re.compile(r"[0-9a-f]{40}")
NAMED_HASH = re.compile(r".+-([0-9a-f]{8,64})\.(?:pth|pt|safetensors|bin)|([0-9a-f]{64})")


class _Files(NamedTuple):
    weights: Path  # .../snapshots/<commit>/<name>
    config: Path | None


def download(source: str, revision: str | None = None) -> tuple[Path, dict[str, Any]]:
    """The weights file of a Hugging Face Hub repository, in the Hub's cache, and its config.json ({} if it has none).

    Asks the Hub once whether the revision has moved, and takes what is cached when there is no answer. A commit hash that
    is cached is not asked for. HF_ENDPOINT, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_TOKEN have their usual meaning.

    - `source`: 'owner/name' or 'owner/name@revision'.
    - `revision`: a branch, tag or commit hash. Default: 'main'.

    Errors: WeightsError when there is no such repository, revision or weights file, when it is gated, when it is neither
    reachable nor cached, and when the file is not what its sha256 says; MissingExtra without huggingface_hub.
    """
    with extra("hub"):
        import huggingface_hub  # noqa: F401
    repo, revision = _parse(source, revision)
    with _explain_errors(repo, revision):
        files = _find_cached(repo, revision)
        if files is None or not COMMIT.fullmatch(revision):
            files = _fetch(repo, revision, files)
    check_named_hash(files.weights)
    return files.weights, _read_json(files.config) if files.config else {}


def check_named_hash(path: Path) -> None:
    """Nothing, if the file's sha256 is the one that its name gives or it gives none; else a WeightsError.

    Names that give one: `name-<8 or more of its hex digits>.pth` (or .pt, .safetensors, .bin), as torch.hub reads them, and
    all 64 digits, as the Hub's cache names large files, which `path` may link to.
    """
    names = path.name, os.path.basename(os.readlink(path) if path.is_symlink() else path)
    match = next(filter(None, map(NAMED_HASH.fullmatch, names)), None)  # one link deep: the next name may be another hash
    if match is None:
        return
    expected = match[1] or match[2]
    found = sha256_of(path)[: len(expected)]
    if found != expected:
        rename = ", or rename it if those digits are no hash" if match[1] else ""
        raise WeightsError(
            f"{path} is damaged: its name says that its sha256 begins with {expected}, but it is {found}. "
            f"Delete {path.resolve()} and download it again{rename}."
        )


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex digits."""
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()


def is_cached(repo: str) -> bool:
    """Whether the cache has the weights of a repository; the Hub is not asked. False without huggingface_hub."""
    return find_spec("huggingface_hub") is not None and _find_cached(repo, "main") is not None


def _parse(source: str, revision: str | None) -> tuple[str, str]:
    """The repository and the revision that are asked for."""
    repo, at, named = source.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo) or bool(at) != bool(named):
        raise WeightsError(f"{source!r} is not a repository of the Hugging Face Hub. Write owner/name or owner/name@revision.")
    if at and revision not in (None, named):
        raise WeightsError(f"{source!r} names the revision {named!r}, and revision is {revision!r}. Give one of them.")
    return repo, revision or named or "main"


def _find_cached(repo: str, revision: str) -> _Files | None:
    """What the cache holds of a revision, if that is all there is to know: weights, and a config or that there is none."""
    from huggingface_hub import try_to_load_from_cache

    found = {name: try_to_load_from_cache(repo, name, revision=revision) for name in (*WEIGHTS, CONFIG)}
    paths = {name: Path(path) for name, path in found.items() if isinstance(path, str)}
    weights = next((paths[name] for name in WEIGHTS if name in paths), None)
    return _Files(weights, paths.get(CONFIG)) if weights and found[CONFIG] is not None else None


def _fetch(repo: str, revision: str, cached: _Files | None) -> _Files:
    """What the Hub has of a revision now, or what is cached if that is the same or the Hub does not answer."""
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    url = hf_hub_url(repo, WEIGHTS[0], revision=revision)
    names: tuple[str, ...] = WEIGHTS
    try:  # hf_hub_download would try a Hub that is down for minutes
        commit = get_hf_file_metadata(url, timeout=ANSWER_TIMEOUT if cached else constants.HF_HUB_ETAG_TIMEOUT).commit_hash
    except errors.RemoteEntryNotFoundError as error:
        commit = error.response.headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT)
        names = WEIGHTS[1:]
    except (OSError, errors.HTTPError):
        if cached:
            return cached
        raise
    if cached and commit in (None, cached.weights.parent.name):
        return cached
    for name in names:
        try:
            weights = Path(hf_hub_download(repo, name, revision=revision))
        except errors.RemoteEntryNotFoundError:
            continue
        break
    else:
        raise WeightsError(f"{repo} at {revision} has no weights that warmnet reads: none of {', '.join(WEIGHTS)}.")
    try:  # of the weights' commit, which `revision` may have left meanwhile
        return _Files(weights, Path(hf_hub_download(repo, CONFIG, revision=weights.parent.name)))
    except errors.RemoteEntryNotFoundError:
        return _Files(weights, None)


@contextmanager
def _explain_errors(repo: str, revision: str) -> Iterator[None]:
    """The client's errors as WeightsErrors that say what to do."""
    from huggingface_hub import constants, errors

    hub, cache = constants.ENDPOINT, constants.HF_HUB_CACHE
    log_in = "log in (hf auth login) or set HF_TOKEN"
    try:
        yield
    except errors.GatedRepoError as error:
        raise WeightsError(f"{repo} is gated. Ask for access at {hub}/{repo}, then {log_in}.") from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(f"{hub} has no repository {repo}, or it is private. Check its name, or {log_in}.") from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(
            f"{repo} has no revision {revision!r}. Choose a branch, a tag or a commit hash of those at {hub}/{repo}/commits."
        ) from error
    except errors.HFValidationError as error:
        raise WeightsError(f"{repo!r} cannot be a repository of the Hugging Face Hub: {error}") from error
    except errors.OfflineModeIsEnabled as error:
        raise WeightsError(
            f"{repo} at {revision} is not cached in {cache}, and HF_HUB_OFFLINE is set. Download it once with HF_HUB_OFFLINE=0."
        ) from error
    except (OSError, errors.HTTPError) as error:
        raise WeightsError(
            f"{repo} at {revision} is not cached in {cache} and did not come from {hub}: {_reason(error)}. "
            "Check the connection and HF_ENDPOINT, and try again."
        ) from error


def _reason(error: BaseException) -> str:
    """What lies at the bottom of an error, in a line."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds."""
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON: {error}. Delete {path.resolve()} and download it again.") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not an object. Use another revision of the repository.")
    return content
