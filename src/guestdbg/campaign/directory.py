"""The directory of a campaign: what it is, the files that its workers need, and who runs it.

    campaign.json    what the campaign is
    files/DIGEST     the job, pickled, and its files (a snapshot of a guest)
    failures.jsonl   evidence of failures, and what is left of them when they are minimised
    lock             held by the process that runs the campaign
    …                the results: see ``guestdbg.campaign.results``

Reading what a campaign has found executes nothing of it. Its job is a program: it runs when the
campaign is resumed or a case is run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guestdbg.campaign.errors import CampaignError
from guestdbg.campaign.worker import digest_of, file_of
from guestdbg.regular_file import UnsuitableFile, read_regular_file
from guestdbg.tables import Column

__all__ = ["Manifest", "add_file", "create", "held", "read_file", "read_manifest"]

FORM = 1
_MANIFEST = "campaign.json"
_MANIFEST_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a campaign is.

    Attributes:
        title: for people.
        cases: how many there are; None: it goes on until it is stopped.
        seed: what the seeds of the cases are computed from.
        job: digest of the pickled job.
        files: digests of the files that its workers need.
        columns: of the results, beside those of every campaign.
        seconds: a worker that takes longer for one case is ended; None: it is not.
        about: more for people, a text for each name.
        guestdbg, python: the versions that made it.
    """

    title: str
    cases: int | None
    seed: int
    job: str
    files: tuple[str, ...]
    columns: tuple[Column, ...]
    seconds: float | None
    about: Mapping[str, str]
    guestdbg: str
    python: str


def create(directory: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Make the directory, with its files. It is there whole, or not.

    Raises:
        CampaignError: there is something already, or it cannot be written.
    """
    if os.path.lexists(directory):
        what = "a campaign" if (directory / _MANIFEST).is_file() else "something else"
        raise CampaignError(
            f"{directory}: there is {what} already: resume it if it is this one, or give another "
            "directory"
        )
    temporary = ""
    try:
        temporary = tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent)
        base = Path(temporary)
        (base / "files").mkdir()
        for digest, data in contents.items():
            _write(file_of(base, digest), data)
        text = json.dumps({"guestdbg-campaign": FORM, **asdict(manifest)}, indent=1)
        _write(base / _MANIFEST, text.encode())
        os.chmod(base, 0o755)
        os.rename(base, directory)
    except (OSError, ValueError) as error:
        if temporary:
            _remove(Path(temporary))
        reason = error.strerror if isinstance(error, OSError) else error
        raise CampaignError(f"{directory}: the campaign cannot be written: {reason}") from error


def add_file(contents: bytes) -> tuple[str, bytes]:
    """A file of a campaign, by its digest."""
    return digest_of(contents), contents


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove(directory: Path) -> None:
    with contextlib.suppress(OSError):
        for each in (*directory.glob("files/*"), directory / _MANIFEST):
            each.unlink(missing_ok=True)
        (directory / "files").rmdir()
        directory.rmdir()


def read_manifest(directory: Path) -> Manifest:
    """What the campaign in a directory is.

    Raises:
        CampaignError: there is none, or it is damaged, or of another version.
    """
    path = directory / _MANIFEST
    if not path.is_file():
        what = "no such directory" if not directory.exists() else f"there is no {_MANIFEST}"
        raise CampaignError(f"{directory}: not a campaign: {what}")
    try:
        found = json.loads(read_regular_file(path, what="campaign"))
    except (UnsuitableFile, ValueError, RecursionError) as error:
        raise CampaignError(f"{path}: cannot be read: {error}") from error
    form = found.get("guestdbg-campaign") if isinstance(found, dict) else None
    if form != FORM:
        raise CampaignError(
            f"{path}: a campaign of the form {form!r}; this guestdbg reads {FORM}"
            if form is not None
            else f"{path}: not a campaign of guestdbg"
        )
    try:
        return _manifest(found)
    except (KeyError, TypeError, ValueError) as error:
        raise CampaignError(f"{path}: the campaign is damaged: {error}") from error


def _manifest(found: dict[str, Any]) -> Manifest:
    cases, seconds = found["cases"], found["seconds"]
    if not (cases is None or (type(cases) is int and cases >= 0)) or type(found["seed"]) is not int:
        raise ValueError("cases and seed must be numbers")
    if not (seconds is None or isinstance(seconds, int | float)):
        raise ValueError("seconds must be a number")
    digests = (found["job"], *found["files"])
    for digest in digests:
        if not isinstance(digest, str) or len(digest) != 64 or not digest.isalnum():
            raise ValueError(f"{digest!r:.80} is no digest")
    return Manifest(
        str(found["title"]),
        cases,
        found["seed"],
        digests[0],
        digests[1:],
        tuple(Column(**each) for each in found["columns"]),
        seconds,
        {str(name): str(text) for name, text in found["about"].items()},
        str(found["guestdbg"]),
        str(found["python"]),
    )


def read_file(directory: Path, digest: str) -> bytes:
    """A file of the campaign.

    Raises:
        CampaignError: it cannot be read, or is damaged.
    """
    path = file_of(directory, digest)
    try:
        contents = read_regular_file(path, what="file of the campaign")
    except UnsuitableFile as error:
        raise CampaignError(str(error)) from error
    if digest_of(contents) != digest:
        raise CampaignError(
            f"{path}: the file is damaged: its digest is not its name. The results can still be "
            "read"
        )
    return contents


def check_files(directory: Path, digests: Sequence[str]) -> None:
    """Raise CampaignError if a file is missing or damaged."""
    for digest in digests:
        read_file(directory, digest)


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Be the only process that runs the campaign, inside a ``with`` block.

    Raises:
        CampaignError: another one does.
    """
    path = directory / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise CampaignError(f"{path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CampaignError(
                f"{directory}: another process runs this campaign now: wait for its end, or stop it"
            ) from error
        yield
    finally:
        os.close(descriptor)
