"""Mounts overlays in namespaces of its own and waits to be let go. Run as a file: `python -I -S mount_shares.py`.

It imports nothing of ours, so that it starts fast and under any Python. Standard input is one line of JSON: `workspace` and
`shares`, each with `source`, `target` (relative to the workspace, or absolute), `upper`, `work` and `hidden`. It prints one
line: for each share the reason why it could not be mounted, or nothing. The mounts are there as long as somebody holds its
namespaces; it holds them itself until standard input ends.

Source: Documentation/filesystems/overlayfs.rst of Linux 6.15, user_namespaces(7), mount_namespaces(7).
"""

import ctypes
import errno
import json
import os
import stat
import sys

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REC, _MS_SLAVE = 1, 2, 4, 1 << 14, 1 << 19
_MNT_DETACH = 2
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def enter():
    """Namespaces of its own, in which it is who it was. What is mounted outside later on appears here, not the other way."""
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    for name, value in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib would double the time to start
            file.write(value)
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None))


def folder_below(root, path):
    """The folder `path` below the opened folder `root`. What a task has made of its names is not followed."""
    here = os.dup(root)
    for name in path.split("/"):
        inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
        os.close(here)
        here = inner
    return here


def mount(source, upper, work, target):
    """By descriptors, so that no name has to be written the way that mount options want it."""
    layers = (("lowerdir", source), ("upperdir", upper), ("workdir", work))
    options = ",".join([*(f"{name}=/proc/self/fd/{number}" for name, number in layers), "userxattr"])
    place = f"/proc/self/fd/{target}".encode()
    _check(_libc.mount(b"overlay", place, b"overlay", _MS_NOSUID | _MS_NODEV, options.encode()))


def hide(merged, path):
    """Take a file out of the merged view, and cover a folder; the user's own stays. What the task has put in the way of it
    hides it as well."""
    parent, _, name = path.rpartition("/")
    try:
        folder = folder_below(merged, parent) if parent else os.dup(merged)
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            place = f"/proc/self/fd/{folder_below(folder, name)}".encode()
            _check(_libc.mount(b"tmpfs", place, b"tmpfs", _MS_NOSUID | _MS_NODEV | _MS_RDONLY, b"mode=0555,size=4k"))
        else:
            os.unlink(name, dir_fd=folder)
        os.close(folder)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise


def mount_share(workspace, share):
    """Raises OSError, and then nothing is mounted."""
    source = os.open(share["source"], _FOLDER)
    upper, work = os.open(share["upper"], _FOLDER), os.open(share["work"], _FOLDER)
    target, absolute = share["target"], share["target"].startswith("/")
    mount(source, upper, work, os.open(target, _FOLDER) if absolute else folder_below(workspace, target))
    # Opened again: what was opened before lies below the mount.
    merged = os.open(target, _FOLDER) if absolute else folder_below(workspace, target)
    try:
        os.chmod("work", 0o700, dir_fd=work)  # the kernel makes it so that not even its owner can delete it
        for path in share["hidden"]:
            hide(merged, path)
    except OSError:
        _libc.umount2(f"/proc/self/fd/{merged}".encode(), _MNT_DETACH)
        raise


def mount_all(wanted):
    """The reasons, in order."""
    enter()
    workspace = os.open(wanted["workspace"], _FOLDER)
    reasons = []
    for share in wanted["shares"]:
        try:
            mount_share(workspace, share)
            reasons.append("")
        except OSError as error:
            reasons.append(error.strerror or errno.errorcode.get(error.errno, "it failed"))
    return reasons


def main():
    wanted = json.loads(sys.stdin.readline())
    try:
        reasons = mount_all(wanted)
    except OSError as error:
        reasons = [error.strerror] * len(wanted["shares"])
    print(json.dumps(reasons), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
