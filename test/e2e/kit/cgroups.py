"""Cgroups of the kernel's making, where we may make any."""
import os
import pathlib


def writable_hierarchies():
    """The pids, freezer or systemd hierarchy of v1, or the unified one."""
    roots = [pathlib.Path("/sys/fs/cgroup") / name for name in ("pids", "freezer", "unified", "systemd", "")]
    return [root for root in roots if (root / "cgroup.procs").exists() and os.access(root / "cgroup.procs", os.W_OK)]


def unified_hierarchy():
    """The writable cgroup v2, or None."""
    return next((root for root in writable_hierarchies() if (root / "cgroup.controllers").exists()), None)


def remove(folder, top):
    """Removes the empty cgroups from `folder` up to, and with, `top`."""
    for one in (folder, *folder.parents):
        one.rmdir()
        if one == top:
            return
