"""Puts this very process under Landlock and seccomp, then becomes the command. Run as a file: `python -I -S confine.py JSON`.

It imports nothing of ours, so that it starts fast and under any Python. JSON is one object: `read` and `write` (paths, with
everything beneath them), `filter` (file with the assembled system-call filter), `tcp` (whether TCP is left
alone), `limits` (names of `resource` constants and values), `cwd` and `argv`. Exits 126 with one sentence on standard error
when the kernel refuses: the command is never run unconfined.

Source: linux/landlock.h and Documentation/userspace-api/landlock.rst of Linux 6.15; linux/prctl.h.
"""

import ctypes
import json
import os
import resource
import stat
import struct
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_QUESTION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_SINCE_FIRST = (1 << 13) - 1
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_NET_BIND_TCP, _NET_CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_PR_CAPBSET_DROP = 24
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number, *arguments):
    result = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def abi():
    """The Landlock version of this kernel, 0 where there is none."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_QUESTION))
    except OSError:
        return 0


def restrict(version, read, write, tcp):
    """Nothing outside `read` can be opened from here on, nothing outside `write` changed. Missing paths are ignored."""
    handled = _SINCE_FIRST | _REFER | _TRUNCATE | (_IOCTL_DEVICE if version >= 5 else 0)
    network = 0 if tcp else _NET_BIND_TCP | _NET_CONNECT_TCP
    scopes = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS
    attributes = struct.pack("=QQQ", handled, network, scopes) if version >= 6 else struct.pack("=QQ", handled, network)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    for path in read:
        _allow(ruleset, path, _READ | (handled & _IOCTL_DEVICE))
    for path in write:
        _allow(ruleset, path, handled)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def _allow(ruleset, path, access):
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _ON_FILES
        rule = struct.pack("=Qi", access, descriptor)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _prctl(option, *arguments):
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(ctypes.c_int(option), *padded) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def filter_calls(program):
    """Install an assembled filter, which cannot be taken off again."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    instructions = Program(len(program) // 8, program)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(instructions))


def drop_capabilities():
    """Root keeps its files and loses its powers. With them it could, for one, read the memory and environment of every
    process, Landlock or not (`may_access_mm` in kernel/fork.c, CAP_PERFMON)."""
    for capability in range(64):
        try:
            _prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            break  # no more capabilities in this kernel, or none to drop them with
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, bytes(24)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def limit(limits):
    """Lower the limits, soft and hard; one that is lower already stays."""
    for name, wanted in limits.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (value, value))


def find_program(name):
    """Like execvp, which imports modules when the library's folder may be out of reach already."""
    if "/" in name:
        return name
    for folder in os.environ.get("PATH", "/usr/bin:/bin").split(":"):
        candidate = f"{folder}/{name}"
        if os.access(candidate, os.X_OK):
            return candidate
    raise OSError(f"there is no program {name}")


def main():
    try:
        wanted = json.loads(sys.argv[1])
        version = abi()
        if version < 4:
            raise OSError(f"Landlock is version {version} here, and 4 is needed")
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        limit(wanted["limits"])
        # pathlib would double the time to start
        with open(wanted["filter"], "rb") as file:  # noqa: PTH123
            calls = file.read()
        argv = wanted["argv"]
        program_file = find_program(argv[0])
        os.chdir(wanted["cwd"])
        restrict(version, wanted["read"], wanted["write"], wanted["tcp"])
        drop_capabilities()
        filter_calls(calls)
        os.execv(program_file, argv)
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"The sandbox could not be set up, so the command was not run: {error}\n")
        sys.exit(126)


if __name__ == "__main__":
    main()
