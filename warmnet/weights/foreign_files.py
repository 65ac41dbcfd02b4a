"""Files that are no weights, or that only hold some, told by their first bytes: what each is, and what to do about it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from .errors import WeightsError
from .saving import FILE

CONVERT_FROM_TENSORFLOW = (
    "Load it with TensorFlow, and write Keras' own file: model.save_weights('model.weights.h5'). warmnet reads that"
)
EXPORTED = "Predict with it: warmnet.deployment.open_exported(path), or `warmnet predict`"
PICTURE = "a picture", "Name the weights first, and then the picture"
COMPRESSED = "a compressed file", "Unpack it, and name what was in it"
BY_FIRST_BYTES = {
    b"version https://git-lfs": (
        "a Git LFS pointer, which stands for a file that was not downloaded",
        "Get the file itself, with: git lfs pull",
    ),
    b"\x93NUMPY": ("an array of NumPy", "Pass its tensors by name: {name: torch.from_numpy(array), ...}"),
    b"\x89PNG": PICTURE,
    b"\xff\xd8\xff": PICTURE,
    b"\x1f\x8b": COMPRESSED,
    b"BZh": COMPRESSED,
    b"\xfd7zXZ": COMPRESSED,
    b"7z\xbc\xaf": COMPRESSED,
    b"\x28\xb5\x2f\xfd": COMPRESSED,
    b"GGUF": ("a file of llama.cpp", "Name the weights that it was made of"),
}
BY_SUFFIX = {
    ".onnx": ("an ONNX network", EXPORTED),
    ".xml": ("an OpenVINO network", EXPORTED),
    ".pb": ("a TensorFlow graph", CONVERT_FROM_TENSORFLOW),
    ".index": ("the index of a TensorFlow checkpoint", CONVERT_FROM_TENSORFLOW),
    ".tflite": ("a TensorFlow Lite network", "Name the weights that it was made of"),
}
WEB_PAGE = re.compile(rb"\s*<(!doctype\s+html|html|head|\?xml|!--)", re.IGNORECASE)
TEXT = re.compile(rb"[\t\n\r\x20-\x7e]+")
TAR = 257, b"ustar"  # where it says so


def check_kind(path: Path) -> None:
    """Nothing, if a file may be one of weights; else a WeightsError that says what it is."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        raise WeightsError(f"{path} is empty: it was not written or not downloaded whole. Get it again.")
    is_safetensors = head[8:9] == b"{"  # whose first bytes are a length, and may be any
    kind = None if is_safetensors else _kind_by_name(path, head) or _kind_of_archive(path, head) or _kind_of_text(head)
    if kind is not None:
        what, cure = kind
        raise WeightsError(f"{path} is {what}, and no file of weights. {cure}.")


def _kind_by_name(path: Path, head: bytes) -> tuple[str, str] | None:
    """What the first bytes say, or the ending."""
    for start, kind in BY_FIRST_BYTES.items():
        if head.startswith(start):
            return kind
    network = path.with_suffix(".xml")
    if path.suffix == ".bin" and network.is_file() and not head.startswith((b"PK", b"\x80")):  # as those of torch.save do
        return "the second file of an OpenVINO network", f"Name the first, {network}"
    return BY_SUFFIX.get(path.suffix)


def _kind_of_text(head: bytes) -> tuple[str, str] | None:
    """Of what cannot be read by machines alone: pages, messages, lists."""
    if WEB_PAGE.match(head):
        return (
            "a web page",
            "A download got a page to log in, or an error, in its place. Open its address in a browser to see it",
        )
    if TEXT.fullmatch(head):
        start = head[:60].decode().strip().splitlines()[0]
        return f"text, which begins with {start!r}", "Name the file of weights, or download it again"
    return None


def _kind_of_archive(path: Path, head: bytes) -> tuple[str, str] | None:
    """What a tar or ZIP archive is; None for those of torch.save and of Keras, and for one that cannot be listed."""
    at, mark = TAR
    if head[at : at + len(mark)] == mark:
        return "a tar archive", COMPRESSED[1]
    if not head.startswith(b"PK") or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if "model.weights.h5" in names:
        return None
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner:
        load = "torch.save(torch.jit.load(path, 'cpu').state_dict(), 'weights.pth')"
        return (
            "a TorchScript archive, a program of torch.jit.save",
            f"If you trust where it is from, take its tensors out: {load}",
        )
    if "archive_format" in inner or "serialized_exported_program.json" in names:
        return "a network that torch.export wrote", EXPORTED
    if "data.pkl" in inner:
        return None
    if all(name.endswith(".npy") for name in names):
        load = "{name: torch.from_numpy(array) for name, array in numpy.load(path).items()}"
        return "an archive of NumPy's arrays", f"Pass its tensors: {load}"
    return f"a ZIP archive of {', '.join(names[:3]) or 'nothing'}", COMPRESSED[1]


def describe_folder(folder: Path) -> str:
    """What a folder is that has no weights of a run, and what to do about it."""
    names = sorted(path.name for path in folder.iterdir())
    if "saved_model.pb" in names:
        return f"is a SavedModel of TensorFlow. {CONVERT_FROM_TENSORFLOW}"
    if "checkpoint" in names or any(name.endswith(".index") for name in names):
        return f"is a checkpoint of TensorFlow. {CONVERT_FROM_TENSORFLOW}"
    files = [name for name in names if name.endswith((".safetensors", ".pth", ".pt", ".bin", ".h5", ".keras"))]
    if files:
        return f"is not a run folder, but has {', '.join(files[:5])}. Name one of these files"
    return f"is not a run folder: it has no {FILE}. A run that was stopped in its first epoch has none"
