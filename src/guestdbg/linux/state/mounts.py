"""What is mounted, as /proc/mounts has it for a task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.linux.errors import CorruptedGuestData, MissingKernelData
from guestdbg.linux.state.records import collect
from guestdbg.linux.state.trees import rb_entries
from guestdbg.linux.state.view import list_entries

if TYPE_CHECKING:
    from guestdbg.linux.state.records import Records
    from guestdbg.linux.state.view import KernelView, Object

__all__ = ["Mount", "dentry_path", "read_mounts"]

_MAX_MOUNTS = 1 << 16
_MAX_DEPTH = 256
_MAX_NAME = 4096
#: include/linux/mount.h: MNT_*, as options of mount(8).
_FLAGS = (
    (0x01, "nosuid"),
    (0x02, "nodev"),
    (0x04, "noexec"),
    (0x08, "noatime"),
    (0x10, "nodiratime"),
    (0x20, "relatime"),
)
_MNT_READONLY = 0x40
_SB_RDONLY = 1


@hexadecimal("address")
@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system.

    Attributes:
        device: what is mounted: ``/dev/vda``, or a name such as ``proc``.
        path: where, from the root of the task.
        type: the type of the file system.
        options: ``ro`` or ``rw``, and those of the mount. Options of the file system itself, such
            as ``size=``, are text that only its own code makes.
        address: that of its ``struct mount``.
    """

    device: str
    path: str
    type: str
    options: tuple[str, ...]
    address: int

    def __str__(self) -> str:
        return f"{self.device} on {self.path} type {self.type} ({','.join(self.options)})"

    def cells(self) -> tuple[str, ...]:
        """The columns of a table."""
        return self.device, self.path, self.type, ",".join(self.options)


_HEADINGS = ("device", "path", "type", "options")


def read_mounts(view: KernelView, task: Object) -> Records[Mount]:
    """The mounts that a ``struct task_struct`` sees, in the kernel's order."""
    return collect(_HEADINGS, _mounts(view, task))


def _mounts(view: KernelView, task: Object) -> Iterator[Mount]:
    proxy, fs = task.follow("nsproxy"), task.follow("fs")
    namespace = None if proxy is None else proxy.follow("mnt_ns")
    if namespace is None or fs is None:
        raise MissingKernelData("the task has no mount namespace (any more)")
    layout = view.layouts.struct("mount")
    if layout.has("mnt_node"):  # since 6.8
        node = layout.field("mnt_node").offset
        entries = rb_entries(view, namespace.at("mounts"), "mounts")
    else:
        node = layout.field("mnt_list").offset
        entries = list_entries(view, namespace.at("list"), _MAX_MOUNTS, "mounts")
    root = fs.number("root.mnt") - layout.field("mnt").offset, fs.number("root.dentry")
    for at in entries:
        found = view.object(layout, at - node)
        path = _path(found, root)
        if path is not None:
            yield _mount(found, path)


def _mount(found: Object, path: str) -> Mount:
    superblock = found.follow("mnt.mnt_sb")
    if superblock is None:
        raise CorruptedGuestData(f"the mount at {found.address:#x} has no super block")
    kind = superblock.follow("s_type")
    name = "" if kind is None else kind.string("name", _MAX_NAME)
    if superblock.has("s_subtype") and superblock.number("s_subtype"):
        name += "." + superblock.string("s_subtype", _MAX_NAME)
    flags = found.number("mnt.mnt_flags")
    is_read_only = flags & _MNT_READONLY or superblock.number("s_flags") & _SB_RDONLY
    options = ("ro" if is_read_only else "rw", *(text for bit, text in _FLAGS if flags & bit))
    return Mount(found.string("mnt_devname", _MAX_NAME), path, name, options, found.address)


def _path(mount: Object, root: tuple[int, int]) -> str | None:
    """Where a mount is, from the root (mount and directory) of a task; None outside of that."""
    parts: list[str] = []
    entry = mount.follow("mnt.mnt_root")
    top = entry
    for _ in range(_MAX_DEPTH):
        if entry is None or (mount.address, entry.address) == root:
            return "/" + "/".join(reversed(parts))
        if top is not None and entry.address == top.address:
            parent, entry = mount.follow("mnt_parent"), mount.follow("mnt_mountpoint")
            if parent is None or parent.address == mount.address:
                return None
            mount, top = parent, parent.follow("mnt.mnt_root")
        else:
            parts.append(entry.string("d_name.name", _MAX_NAME))
            entry = entry.follow("d_parent")
    raise CorruptedGuestData("mounts are nested without end")


def dentry_path(dentry: Object) -> str:
    """The path of a directory entry, from the root of its file system."""
    return "/" + "/".join(reversed(_names(dentry)))


def _names(dentry: Object) -> list[str]:
    """The names of an entry and those it is in, up to the root of the file system."""
    found: list[str] = []
    for _ in range(_MAX_DEPTH):
        parent = dentry.follow("d_parent")
        if parent is None or parent.address == dentry.address:
            return found
        found.append(dentry.string("d_name.name", _MAX_NAME))
        dentry = parent
    raise CorruptedGuestData("directories are nested without end")
