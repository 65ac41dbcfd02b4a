import hashlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hub_server import HubServer, blob_name
from huggingface_hub import constants, hf_hub_download
from waiting import LIMIT

import warmnet
from warmnet.data.imagenet import imagenet_classes
from warmnet.data.preprocessing import Preprocessing
from warmnet.errors import MissingExtra
from warmnet.weights import WeightsError, hub
from warmnet.weights.checkpoints import CHECKPOINTS
from warmnet.weights.hub import check_named_hash, download

ORDER = OWN, SAFETENSORS, BIN, KERAS = "weights.safetensors", "model.safetensors", "pytorch_model.bin", "model.weights.h5"
CONFIG = "config.json"
REPO = "timm/tf_efficientnet_b0.ns_jft_in1k"
OLD, NEW = (bytes([byte]) * 20_000 for byte in (1, 2))
ABOUT = {"architecture": "tf_efficientnet_b0"}
FILES = {SAFETENSORS: OLD, CONFIG: json.dumps(ABOUT).encode()}


@pytest.fixture
def server():
    server = HubServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def cache(server, tmp_path, monkeypatch):
    """The client's settings, where it looks them up: at `server`, with a cache of its own."""
    settings = {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_TOKEN_PATH": str(tmp_path / "token"),
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    return tmp_path / "cache"


@pytest.fixture
def tries():
    """The connections that were tried: one at most, for what is to be soon there."""
    TRIES.clear()
    return TRIES


TRIES: list[str] = []
WATCH = "sys.addaudithook(lambda event, _: event == 'socket.connect' and TRIES.append(event))"
exec(WATCH)


def run(code, **environment):
    """What a fresh Python prints, and its `tries`."""
    code = f"import sys; from warmnet.weights.hub import download; TRIES = []; {WATCH}\n{code}\nprint(*TRIES)"
    environment = {"HF_HUB_DISABLE_TELEMETRY": "1", **os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, tries = done.stdout.splitlines()
    return lines, tries.split()


@pytest.mark.parametrize("first, requests", [(0, 5), (1, 5), (2, 6), (3, 7)])
def test_a_repository_gives_its_weights_in_the_order_of_preference_and_its_config(server, first, requests):
    server.commit(REPO, {**{name: name.encode() for name in ORDER[first:]}, CONFIG: FILES[CONFIG], "README.md": b""})
    path, config = download(REPO)
    assert (path.name, path.read_bytes(), config) == (ORDER[first], ORDER[first].encode(), ABOUT)
    assert len(server.requests) == requests


def test_what_is_cached_costs_one_request_and_no_download(server):
    server.commit(REPO, FILES)
    first = download(REPO)
    server.requests.clear()
    assert download(REPO) == first
    assert server.requests == [f"HEAD /{REPO}/resolve/main/{OWN}"]


def test_a_cached_commit_costs_no_request(server):
    commit = server.commit(REPO, FILES)
    first = download(f"{REPO}@{commit}")
    server.requests.clear()
    assert download(REPO, commit) == download(f"{REPO}@{commit}") == download(f"{REPO}@{commit}", commit) == first
    assert not server.requests


@pytest.mark.parametrize("revision", ["branch", "v1.0", "refs/pr/1", "commit"])
def test_a_pinned_revision_is_the_one_that_comes(server, revision):
    commit = server.commit(REPO, FILES, "branch", "v1.0", "refs/pr/1")
    server.commit(REPO, {OWN: NEW})
    revision = commit if revision == "commit" else revision
    assert download(f"{REPO}@{revision}")[0].read_bytes() == OLD
    assert download(REPO, revision)[1] == ABOUT
    assert download(REPO)[0].read_bytes() == NEW


def test_a_revision_that_moved_is_downloaded_again(server):
    commit = server.commit(REPO, FILES)
    download(REPO)
    server.commit(REPO, {OWN: NEW, CONFIG: b"{}"})
    path, config = download(REPO)
    assert (path.name, path.read_bytes(), config) == (OWN, NEW, {})
    server.close()
    assert download(REPO) == (path, config), "the newer one without the Hub, too"
    assert download(REPO, commit)[0].read_bytes() == OLD


def test_a_branch_is_cached_even_if_its_commit_was_before(server):
    commit = server.commit(REPO, FILES)
    first = download(REPO, commit)
    assert download(REPO) == first
    server.close()
    assert download(REPO) == first


@pytest.mark.parametrize("files", [FILES, {OWN: OLD}, {KERAS: OLD}], ids=["config", "own without config", "keras"])
def test_what_is_cached_comes_at_once_without_the_hub(server, tries, files):
    server.commit(REPO, files)
    first = download(REPO)
    server.close()
    tries.clear()
    assert download(REPO) == first
    assert tries == ["socket.connect"]


@pytest.mark.parametrize("fault", ["silence", 200, 429, 500, 503])
def test_what_is_cached_comes_soon_if_the_hub_is_ill(server, tries, monkeypatch, fault):
    assert hub.ANSWER_TIMEOUT < 5
    monkeypatch.setattr(hub, "ANSWER_TIMEOUT", 0.3)
    server.commit(REPO, FILES)
    first = download(REPO)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 10 * LIMIT)
    server.faults, server.requests = [fault] * 9, []
    tries.clear()
    assert download(REPO) == first
    assert len(server.requests) == len(tries) == 1
    assert fault != "silence" or server.left.get(timeout=LIMIT) == "client"


@pytest.mark.parametrize("gone", ["commits", "revisions"])
def test_what_is_cached_stays_usable_when_the_hub_has_it_no_more(server, gone):
    server.commit(REPO, FILES)
    first = download(REPO)
    getattr(server, gone).clear()
    assert download(REPO) == first


def test_a_cache_laid_out_by_hand_is_read_offline_with_nothing_listening(tmp_path, free_port):
    commit, folder = "0123456789" * 4, tmp_path / "by hand" / f"models--{REPO.replace('/', '--')}"
    for name, body in FILES.items():
        blob, link = folder / "blobs" / blob_name(name, body), folder / "snapshots" / commit / name
        for path in blob, link, folder / "refs" / "main":
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(body)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (folder / "refs" / "main").write_text(commit)
    environment = {"HF_HUB_CACHE": str(folder.parent), "HF_ENDPOINT": f"http://127.0.0.1:{free_port}"}
    for offline in "1", "0":
        (line,), tries = run(f"print(download({REPO!r}))", HF_HUB_OFFLINE=offline, **environment)
        assert line == repr((folder / "snapshots" / commit / SAFETENSORS, ABOUT))
        assert tries == ["socket.connect"] * (offline == "0")


def test_a_download_follows_the_environment_and_is_quiet_without_a_terminal(server, cache):
    server.commit(REPO, FILES)
    environment = {"HF_HUB_CACHE": str(cache / "other"), "HF_ENDPOINT": server.url, "HF_HOME": str(cache / "home")}
    code = f"import sys; assert 'huggingface_hub' not in sys.modules; print(download({REPO!r})[0])"
    (line,), _ = run(code, **environment)
    assert Path(line).read_bytes() == OLD and Path(line).is_relative_to(cache / "other")


def test_a_repository_without_config_gives_an_empty_one_and_is_not_asked_again(server):
    commit = server.commit(REPO, {SAFETENSORS: OLD})
    assert download(REPO)[1] == {}
    server.requests.clear()
    assert download(REPO, commit)[1] == {}
    assert not server.requests


def test_a_config_that_was_never_asked_for_is_not_taken_for_none(server):
    commit = server.commit(REPO, FILES)
    hf_hub_download(REPO, SAFETENSORS)
    hf_hub_download(REPO, SAFETENSORS, revision=commit)
    server.faults = [500, 500]
    for revision in "main", commit:
        with pytest.raises(WeightsError, match="not cached"):
            download(REPO, revision)
    assert download(REPO, commit)[1] == ABOUT


@pytest.mark.parametrize(
    "source, revision, message",
    [
        (
            "nobody/nothing",
            None,
            r"http://127.0.0.1:\d+ has no repository nobody/nothing, or it is private.*hf auth login.*HF_TOKEN",
        ),
        ("owner/gated", None, r"owner/gated is gated. Ask for access at http://127.0.0.1:\d+/owner/gated.*HF_TOKEN"),
        (f"{REPO}@v2", None, r"has no revision 'v2'. Choose .*/commits"),
        (REPO, "f" * 40, "has no revision 'ffff"),
        ("owner/empty", None, f"owner/empty at main has no weights.*{OWN}, {SAFETENSORS}, {BIN}, {KERAS}"),
        ("owner/list", None, "config.json holds a list"),
        ("owner/damaged", None, "config.json is not JSON.*download it again"),
        ("b0", None, "'b0' is not a repository.*owner/name@revision"),
        ("a/b/c", None, "'a/b/c' is not a repository"),
        ("owner/name@", None, "'owner/name@' is not a repository"),
        ("owner/na--me", None, "'owner/na--me' cannot be a repository"),
        ("owner/name@v1", "v2", "names the revision 'v1', and revision is 'v2'"),
    ],
)
def test_what_the_hub_does_not_have_is_an_error_that_says_what_to_do(server, source, revision, message):
    server.commit(REPO, FILES)
    server.commit("owner/gated", FILES)
    server.gated.add("owner/gated")
    server.commit("owner/empty", {CONFIG: b"{}", "tf_model.h5": b""})
    server.commit("owner/list", {OWN: OLD, CONFIG: b"[]"})
    server.commit("owner/damaged", {OWN: OLD, CONFIG: b"{"})
    with pytest.raises(WeightsError, match=message):
        download(source, revision)


@pytest.mark.parametrize("revision", ["main", "f" * 40])
def test_what_is_neither_cached_nor_reachable_is_an_error_soon(server, cache, tries, monkeypatch, revision):
    server.close()
    tries.clear()
    with pytest.raises(
        WeightsError, match=f"{REPO} at {revision} is not cached in {cache}.*{server.url}: .*refused.*HF_ENDPOINT"
    ):
        download(REPO, revision)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=f"not cached in {cache}, and HF_HUB_OFFLINE is set"):
        download(REPO, revision)
    assert tries == ["socket.connect"]


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"huggingface_hub.*warmnet\[hub\]"):
        download(REPO)


def test_a_download_that_was_cut_off_is_an_error_and_whole_the_next_time(server, cache):
    server.commit(REPO, {**FILES, OWN: NEW})
    server.faults = [None, None, "half", 503]
    with pytest.raises(WeightsError, match=f"{REPO} at main.*try again"):
        download(REPO)
    assert [request.split()[0] for request in server.requests] == ["HEAD", "HEAD", "GET", "GET"]
    assert not [*cache.rglob("blobs/*")]
    assert download(REPO)[0].read_bytes() == NEW


def test_a_download_goes_on_where_a_connection_broke(server):
    server.commit(REPO, {OWN: bytes(range(200)) * 100})
    server.faults = [None, None, "half"]
    assert download(REPO)[0].read_bytes() == bytes(range(200)) * 100


@pytest.mark.parametrize("online", [True, False])
def test_a_file_in_the_cache_that_was_tampered_with_is_refused_until_it_is_downloaded_again(server, monkeypatch, online):
    commit = server.commit(REPO, FILES)
    blob = download(REPO)[0].resolve()
    blob.write_bytes(OLD[:-1] + b"!")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", not online)
    expected, found = (hashlib.sha256(data).hexdigest() for data in (OLD, OLD[:-1] + b"!"))
    for revision in "main", commit:
        with pytest.raises(WeightsError, match=f"{expected}, but it is {found}. Delete {blob} and download it again"):
            download(REPO, revision)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    blob.unlink()
    assert download(REPO)[0].read_bytes() == OLD


SHA256 = hashlib.sha256(OLD).hexdigest()
OTHER = "0123456789abcdef" * 4


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors", ".bin"])
@pytest.mark.parametrize("digits", [8, 20, 64])
def test_the_hash_in_a_files_name_is_verified(tmp_path, ending, digits):
    right, wrong = (tmp_path / f"tf_b0-aa-{sha256[:digits]}{ending}" for sha256 in (SHA256, OTHER))
    right.write_bytes(OLD)
    check_named_hash(right)
    wrong.write_bytes(OLD)
    with pytest.raises(WeightsError, match=f"begins with {OTHER[:digits]}, but it is {SHA256[:digits]}. .*download it again"):
        check_named_hash(wrong)


@pytest.mark.parametrize(
    "name", ["weights.pth", f"b0-{OTHER[:7]}.pth", f"b0-{OTHER[:8]}.h5", f"{OTHER[:8]}.pth", "b0-notahash.pth"]
)
def test_a_name_without_a_hash_is_left_alone(tmp_path, name):
    (tmp_path / name).write_bytes(OLD)
    check_named_hash(tmp_path / name)


def test_a_link_is_verified_by_the_name_it_links_to_and_no_further(tmp_path):
    """The client may keep a blob in a store of another hash: blobs/<sha256> -> ../../blobs/<xet hash>."""
    (tmp_path / OTHER).write_bytes(OLD)
    for name, sha256 in ("right", SHA256), ("wrong", SHA256.replace("a", "b")):
        (tmp_path / sha256).symlink_to(OTHER)
        (tmp_path / name).symlink_to(sha256)
    check_named_hash(tmp_path / "right")
    for damaged in "wrong", OTHER:
        with pytest.raises(WeightsError, match=SHA256):
            check_named_hash(tmp_path / damaged)
    shutil.rmtree(tmp_path)


def test_a_network_from_the_hub_is_what_its_config_says(server, tmp_path):
    model = warmnet.WarmEfficientNet("b0", 2, seed=0).eval()
    warmnet.convert(model, tmp_path / "x.safetensors", to="timm")
    weights, half = (tmp_path / "x.safetensors").read_bytes(), [0.5, 0.5, 0.5]
    scale = {"crop_pct": 0.9, "interpolation": "bilinear", "mean": half, "std": half, "crop_mode": "squash"}
    scale |= {"input_size": [3, 96, 96], "test_input_size": [3, 128, 128]}
    config = {"architecture": "tf_efficientnet_b0", "label_names": ["cat", "dog"], "pretrained_cfg": scale}
    commit = server.commit(REPO, {SAFETENSORS: weights, CONFIG: json.dumps(config).encode()})
    x = torch.randn(1, 3, 64, 64)
    for source, given in (REPO, {}), (f"{REPO}@{commit}", {}), (REPO, {"revision": commit}):
        loaded = warmnet.WarmEfficientNet.from_pretrained(source, **given)
        assert torch.equal(loaded(x), model(x)) and loaded.classes == ("cat", "dog")
        assert loaded.preprocessing == Preprocessing(128, 0.9, "bilinear", (0.5,) * 3, (0.5,) * 3, "squash")
    server.faults += [503] * 9
    assert torch.equal(warmnet.WarmEfficientNet.from_pretrained(REPO)(x), model(x)), "from the cache"


@pytest.mark.parametrize(
    "config",
    [
        {"architecture": 3, "label_names": 5},
        {"label_names": {"0": "cat", "1": "dog"}},
        {"pretrained_cfg": {"input_size": [3, 128, 128], "crop_pct": 1.1, "interpolation": "no", "mean": [1], "std": [1]}},
        {"pretrained_cfg": "none"},
    ],
)
def test_a_config_that_makes_no_sense_is_told_and_not_followed(server, tmp_path, config):
    model = warmnet.WarmEfficientNet("b0", 2, seed=0).eval()
    warmnet.convert(model, tmp_path / "x.safetensors", to="lukemelas")
    server.commit(REPO, {SAFETENSORS: (tmp_path / "x.safetensors").read_bytes(), CONFIG: json.dumps(config).encode()})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loaded = warmnet.WarmEfficientNet.from_pretrained(REPO)
    assert loaded.classes == () and loaded.preprocessing == Preprocessing(224)
    is_said = any("the preprocessing in its config cannot be used" in str(warning.message) for warning in told)
    assert is_said == isinstance(config.get("pretrained_cfg"), dict)


def test_a_run_folder_that_is_not_there_is_said_first(server):
    with pytest.raises(WeightsError, match="^There is no runs/digits-2 here. On the Hugging Face Hub:"):
        warmnet.WarmEfficientNet.from_pretrained("runs/digits-2")


def test_a_name_is_a_repository_its_preprocessing_and_imagenets_classes(server, tmp_path):
    model = warmnet.WarmEfficientNet("b0", seed=0).eval()
    warmnet.convert(model, tmp_path / "x.safetensors", to="timm")
    server.commit(REPO, {SAFETENSORS: (tmp_path / "x.safetensors").read_bytes(), CONFIG: json.dumps(ABOUT).encode()})
    assert not warmnet.pretrained()[0].is_at_hand
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = warmnet.WarmEfficientNet.from_pretrained("b0")
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(loaded(x), model(x))
    assert loaded.preprocessing == CHECKPOINTS["b0"].preprocessing and loaded.classes == imagenet_classes()
    assert warmnet.pretrained()[0].is_at_hand
    server.requests.clear()
    assert warmnet.WarmEfficientNet.from_pretrained(REPO).classes == imagenet_classes(), "by its id, too"


def test_a_name_whose_repository_is_not_cached_nor_reachable_says_the_command_that_gets_it(server, monkeypatch):
    server.close()
    with pytest.raises(WeightsError, match=f"'b0' are not at hand; this gets them: hf download {REPO}\n.*did not come from"):
        warmnet.WarmEfficientNet.from_pretrained("b0")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"'b0' are on the Hugging Face Hub: .*pip install 'warmnet\[hub\]'"):
        warmnet.WarmEfficientNet.from_pretrained("b0")
