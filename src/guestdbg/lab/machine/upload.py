"""Files to copy into the lab before a command runs."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from guestdbg.lab.errors import LabError

#: What to copy: a mapping from the path in the lab to the contents or to the local file; or local
#: files, which keep their paths. Relative paths are relative to the command's directory in the lab.
Files = Mapping[str, bytes | Path] | Iterable[str | Path]

_MOST = 512 << 20


@dataclass(frozen=True)
class UploadFile:
    """One file: its path in the lab, its permissions and its contents."""

    path: str
    mode: int
    data: bytes


def read_upload(files: Files, cwd: str) -> Iterator[UploadFile]:
    """Reads each file; a directory means all files in it.

    Raises LabError if one cannot be read, or if all together are too large.
    """
    items: Iterable[tuple[str, bytes | Path]]
    if isinstance(files, Mapping):
        items = files.items()
    else:
        items = ((os.fspath(path), Path(path)) for path in files)
    total = 0
    for name, content in items:
        inside = os.path.normpath(os.path.join(cwd, name))
        for file in _expand(inside, content):
            total += len(file.data)
            if total > _MOST:
                raise LabError(f"the files for the lab are more than {_MOST >> 20} MiB")
            yield file


def _expand(inside: str, content: bytes | Path) -> Iterator[UploadFile]:
    if isinstance(content, bytes):
        yield UploadFile(inside, 0o644, content)
        return
    try:
        if content.is_dir():
            for path in sorted(content.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield from _expand(f"{inside}/{path.relative_to(content).as_posix()}", path)
        elif content.exists() and not content.is_file():
            raise LabError(f"{content} is neither a file nor a directory")
        else:
            yield UploadFile(inside, content.stat().st_mode & 0o777, content.read_bytes())
    except OSError as error:
        raise LabError(f"{content} cannot be copied into the lab: {error.strerror}") from error
