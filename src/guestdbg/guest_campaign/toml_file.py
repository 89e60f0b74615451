"""A campaign as TOML: see docs/campaigns.md."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger import load
from guestdbg.guest_campaign.errors import CampaignFileError
from guestdbg.guest_campaign.generators import Bytes, Generated, Part
from guestdbg.regular_file import UnsuitableFile, read_regular_file

if TYPE_CHECKING:
    from guestdbg.debugger import Guest

__all__ = ["TomlCampaign", "read_toml"]

_KINDS = ("memory", "console", "disk", "register")
#: The tables, and what may be in each.
_TOP = ("title", "guest", "cases", "vary", "points", "watches", "console", "limits", "outcomes")
_CASES = ("count", "seed")
_LIMITS = {
    "instructions": "max_instructions",
    "guest_seconds": "guest_seconds",
    "seconds": "timeout",
}
_OUTCOMES = ("failures", "exceptions")
_VARY = (*_KINDS, "random", "samples", "mutations", "most", "length_at", "drive", "at", "count")
#: Arguments of ``load`` with paths: they are relative to the file.
_PATHS = ("symbols", "vmlinux", "modules", "initrd", "flash_file")
#: What a saved guest does not have, and every worker's guest needs again.
_OPTIONS = ("semihosting", "vmlinux", "modules", "net")
_SAMPLES_MAX = 10_000


class TomlCampaign(NamedTuple):
    """What the file says.

    Attributes:
        title: "" if it gives none.
        start: returns the guest where the cases begin.
        vary: gives what differs in a case.
        settings: further arguments of ``campaign``.
    """

    title: str
    start: Callable[[], Guest]
    vary: Generated
    settings: Mapping[str, Any]


def read_toml(path: Path, contents: bytes) -> TomlCampaign:
    """Read a description.

    Raises:
        CampaignFileError: it is no TOML, or does not say what is needed.
    """
    try:
        found = tomllib.loads(contents.decode())
    except ValueError as error:  # UnicodeDecodeError, TOMLDecodeError
        raise CampaignFileError(f"{path}: no TOML: {error}") from error
    return _Reader(path).read(found)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._directory = path.absolute().parent

    def _error(self, text: str) -> CampaignFileError:
        return CampaignFileError(f"{self._path}: {text}")

    def _table(self, found: Mapping[str, Any], name: str, keys: Sequence[str] | None) -> Any:
        table = found.get(name, {})
        if not isinstance(table, dict):
            raise self._error(f"[{name}] must be a table")
        if keys is not None:
            self._check_keys(f"[{name}]", table, keys)
        return table

    def _check_keys(self, where: str, table: Mapping[str, Any], keys: Sequence[str]) -> None:
        for key in table:
            if key not in keys:
                raise self._error(f"{where}: {key!r} is unknown; there are {', '.join(keys)}")

    def _typed(self, where: str, value: Any, *kinds: type) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join(_TYPE_NAMES[kind] for kind in kinds)
            raise self._error(f"{where} is {value!r}: it must be {names}")
        return value

    def read(self, found: dict[str, Any]) -> TomlCampaign:
        self._check_keys("the file", found, _TOP)
        cases = self._table(found, "cases", _CASES)
        limits = self._table(found, "limits", tuple(_LIMITS))
        outcomes = self._table(found, "outcomes", _OUTCOMES)
        start, options = self._guest(found)
        settings: dict[str, Any] = {"options": options}
        if "count" in cases:
            settings["cases"] = self._typed("count", cases["count"], int)
        if "seed" in cases:
            settings["seed"] = self._typed("seed", cases["seed"], int)
        for name in ("points", "watches", "console"):
            table = self._table(found, name, None)
            settings[name] = {
                key: self._typed(f"[{name}] {key}", value, str) for key, value in table.items()
            }
        settings |= {_LIMITS[name]: value for name, value in limits.items()}
        settings |= outcomes
        parts = found.get("vary")
        if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
            raise self._error("[[vary]] is missing: it says what differs from case to case")
        vary = Generated([self._part(part) for part in parts])
        title = self._typed("title", found.get("title", ""), str)
        return TomlCampaign(title, start, vary, settings)

    def _guest(self, found: Mapping[str, Any]) -> tuple[Callable[[], Guest], dict[str, Any]]:
        arguments = dict(self._table(found, "guest", None))
        if "file" not in arguments:
            raise self._error('[guest] has no file: file = "firmware.elf"')
        path = self._directory / self._typed("file", arguments.pop("file"), str)
        to = arguments.pop("to", None)
        if to is not None:
            self._typed("to", to, int, str)
        for name in _PATHS:
            if name in arguments:
                arguments[name] = self._directory / self._typed(name, arguments[name], str)
        if "drives" in arguments:
            drives = self._typed("drives", arguments["drives"], list)
            arguments["drives"] = [str(self._directory / str(each)) for each in drives]
        arguments.setdefault("console", None)
        options = {name: arguments[name] for name in _OPTIONS if arguments.get(name)}
        return (lambda: self._start(path, arguments, to)), options

    def _start(self, path: Path, arguments: Mapping[str, Any], to: int | str | None) -> Guest:
        guest = load(path, **arguments)
        if to is None:
            return guest
        try:
            stop = guest.run(until=to, max_instructions=10_000_000_000)
            if stop.reason != "until":
                raise self._error(f"the guest does not come to {to!r}: {stop}")
        except BaseException:
            guest.close()
            raise
        return guest

    def _part(self, part: dict[str, Any]) -> Part:
        self._check_keys("[[vary]]", part, _VARY)
        kinds = [kind for kind in _KINDS if kind in part]
        if len(kinds) != 1:
            raise self._error(f"[[vary]] names one of {', '.join(_KINDS)}, and not {len(kinds)}")
        (kind,) = kinds
        types = {"disk": (int,), "console": (bool,)}.get(kind, (str, int))
        where = self._typed(kind, part[kind], *types)
        return Part(
            kind,
            0 if kind == "console" else where,
            self._bytes(part),
            part.get("length_at"),
            self._typed("drive", part.get("drive", 0), int),
            self._when(part.get("at")),
            self._typed("count", part.get("count", 1), int),
        )

    def _when(self, at: Any) -> int | str | tuple[int, int] | None:
        if at is None:
            return None
        if isinstance(at, list):
            return self._range("at", at)
        when: int | str = self._typed("at", at, int, str)
        return when

    def _range(self, name: str, value: Any) -> tuple[int, int]:
        if type(value) is int:
            value = [value, value]
        if (
            not isinstance(value, list)
            or [type(each) for each in value] != [int, int]
            or not 0 <= value[0] <= value[1]
        ):
            raise self._error(f"{name} is {value!r}: it must be a number, or [least, most]")
        return value[0], value[1]

    def _bytes(self, part: Mapping[str, Any]) -> Bytes:
        if "random" in part and "samples" in part:
            raise self._error("[[vary]]: random bytes, or mutations of samples: give one of them")
        least, most = self._range("random", part.get("random", [1, 64]))
        if "samples" not in part:
            return Bytes(least, most)
        samples = [self._sample(path) for path in self._samples(part["samples"])]
        most = self._typed("most", part.get("most", max(map(len, samples)) + 64), int)
        mutations = self._typed("mutations", part.get("mutations", 8), int)
        if most < 1 or mutations < 1:
            raise self._error("[[vary]]: most and mutations must be 1 or more")
        return Bytes(least, most, tuple(samples), mutations)

    def _samples(self, patterns: Any) -> list[Path]:
        found: list[Path] = []
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            paths = sorted(self._directory.glob(self._typed("samples", pattern, str)))
            if not paths:
                raise self._error(f"samples: there is no file {pattern!r}")
            found += [path for path in paths if path.is_file()]
        if not found or len(found) > _SAMPLES_MAX:
            raise self._error(f"samples: {len(found)} files; 1 to {_SAMPLES_MAX} can be used")
        return found

    def _sample(self, path: Path) -> bytes:
        try:
            return read_regular_file(path, what="sample")
        except UnsuitableFile as error:
            raise self._error(f"samples: {error}") from error


_TYPE_NAMES = {int: "a number", str: "text", list: "a list", bool: "true or false"}
