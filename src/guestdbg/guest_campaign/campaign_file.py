"""Campaigns that a file describes: ``guestdbg campaign FILE.py`` and ``FILE.toml``."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.campaign import Campaign, CampaignError
from guestdbg.debugger import Guest
from guestdbg.errors import GuestdbgError
from guestdbg.guest_campaign.errors import CampaignFileError
from guestdbg.guest_campaign.make import campaign
from guestdbg.guest_campaign.toml_file import read_toml
from guestdbg.regular_file import UnsuitableFile, read_regular_file

if TYPE_CHECKING:
    from guestdbg.campaign import Job

__all__ = ["CampaignFile", "read_campaign_file"]

_EXPECTED = (
    "a campaign's file defines start(), which returns the guest where the cases begin, and "
    "vary(case), or job(), which returns a guestdbg.campaign.Job"
)


class CampaignFile(NamedTuple):
    """What a file describes.

    Attributes:
        title: the name of the file, if it gives none.
        start: returns the guest where the cases begin; None: the cases are none of a guest.
        vary: see ``guestdbg.guest_campaign.campaign``.
        job: returns what is run instead of a guest.
        settings: further arguments of ``campaign``, or of ``Campaign.create``.
    """

    title: str
    start: Callable[[], Guest] | None
    vary: Any
    job: Callable[[], Job] | None
    settings: Mapping[str, Any]

    def create(self, directory: Path, **changed: Any) -> Campaign:
        """Make the campaign; ``changed`` takes the place of its settings.

        Raises:
            CampaignError, and what ``start`` raises.
        """
        settings = {"title": self.title, **self.settings}
        settings |= {name: value for name, value in changed.items() if value is not None}
        try:
            if self.job is not None:
                cases = settings.pop("cases", None)
                return Campaign.create(directory, self.job(), cases, **settings)
            assert self.start is not None
            with self.start() as guest:
                return campaign(guest, directory, self.vary, **settings)
        except TypeError as error:
            raise CampaignFileError(f"{self.title}: {error}") from error


def read_campaign_file(path: Path) -> CampaignFile:
    """Read a file, by its ending. One that ends in ``.py`` is executed.

    Raises:
        CampaignFileError: it cannot be read, or does not say what is needed.
    """
    ending = path.suffix.lower()
    if ending not in (".py", ".toml"):
        raise CampaignFileError(f"{path}: a campaign's file ends in .py or .toml")
    try:
        contents = read_regular_file(path, what="campaign's file")
    except UnsuitableFile as error:
        raise CampaignFileError(str(error)) from error
    if ending == ".toml":
        description = read_toml(path, contents)
        return CampaignFile(
            description.title or path.name,
            description.start,
            description.vary,
            None,
            description.settings,
        )
    return _of_module(path, _executed(path, contents))


def _executed(path: Path, contents: bytes) -> ModuleType:
    """The file as a module. Its functions are sent to workers with their code."""
    import cloudpickle  # takes a while to import

    name = f"guestdbg_campaign_{hashlib.sha256(contents).hexdigest()[:16]}"
    module = ModuleType(name)
    module.__file__ = str(path.absolute())
    directory = str(path.absolute().parent)
    if directory not in sys.path:  # as for a script: it may import what is beside it
        sys.path.insert(0, directory)
    sys.modules[name] = module
    try:
        exec(compile(contents, str(path), "exec"), module.__dict__)
    except GuestdbgError:
        raise
    except (Exception, SystemExit) as error:
        # From the file's own lines on: those of guestdbg say nothing to its author.
        frames = traceback.extract_tb(error.__traceback__)[1:]
        line = f", line {frames[-1].lineno}" if frames else ""
        raise CampaignFileError(f"{path}{line}: {type(error).__name__}: {error}") from error
    cloudpickle.register_pickle_by_value(module)
    return module


def _of_module(path: Path, module: ModuleType) -> CampaignFile:
    found = vars(module)
    settings = found.get("SETTINGS", {})
    if not isinstance(settings, Mapping):
        raise CampaignFileError(f"{path}: SETTINGS is {settings!r:.60}: it must be a dict")
    settings = dict(settings)
    title = str(settings.pop("title", path.name))
    start, vary, job = found.get("start"), found.get("vary"), found.get("job")
    if callable(job):
        return CampaignFile(title, None, None, job, settings)
    if not callable(start) or vary is None:
        raise CampaignFileError(f"{path}: {_EXPECTED}")
    if "classify" in found:
        settings.setdefault("classify", found["classify"])

    def started() -> Guest:
        guest = start()
        if not isinstance(guest, Guest):
            raise CampaignError(f"{path}: start() has returned {guest!r:.60}, and no guest")
        return guest

    return CampaignFile(title, started, vary, None, settings)
