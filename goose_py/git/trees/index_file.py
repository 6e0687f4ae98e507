"""The times and sizes in an index of ours, for files whose content on disk is not what git stores for them.

Git tells by these numbers that a file is unchanged. Where a pointer is stored for it (Git LFS) only the filter's program could
tell git so; we know it without one, and write the numbers ourselves. Format: gitformat-index(5), versions 2 and 3.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping
from pathlib import Path

_HEADER = struct.Struct(">4sLL")
_STAT = struct.Struct(">6L")  # ctime and mtime with their nanoseconds, device, inode
_OWNER = struct.Struct(">3L")  # user, group, size
_MODE_BYTES = 4
_EXTENDED = 0x4000
_LONG_NAME = 0xFFF


def write_stats(index: Path, stats: Mapping[bytes, os.stat_result], object_format: str) -> None:
    """The entries of these paths get these numbers, their modes and ids stay. An index in another version of the format stays
    as it is: git then compares contents, which costs time and changes nothing else. Whoever calls this holds the lock."""
    data = bytearray(index.read_bytes())
    oid_bytes = 32 if object_format == "sha256" else 20
    signature, version, count = _HEADER.unpack_from(data)
    if not stats or signature != b"DIRC" or version not in (2, 3):
        return
    fixed = _STAT.size + _MODE_BYTES + _OWNER.size + oid_bytes
    position = _HEADER.size
    for _ in range(count):
        flags = data[position + fixed] << 8 | data[position + fixed + 1]
        name_at = position + fixed + (4 if flags & _EXTENDED else 2)
        length = flags & _LONG_NAME
        end = data.index(0, name_at) if length == _LONG_NAME else name_at + length
        if (status := stats.get(bytes(data[name_at:end]))) is not None:
            _write(data, position, status)
        position += (end - position + 8) & ~7
    body, checksum = bytes(data[:-oid_bytes]), data[-oid_bytes:]
    if any(checksum):  # all zeros where git was told not to compute it
        checksum = bytearray(hashlib.new(object_format, body).digest())
    fresh = index.with_name(f"{index.name}.stats")
    fresh.write_bytes(body + checksum)
    fresh.replace(index)


def _write(data: bytearray, position: int, status: os.stat_result) -> None:
    times = (*divmod(status.st_ctime_ns, 10**9), *divmod(status.st_mtime_ns, 10**9))
    _STAT.pack_into(data, position, *(_short(number) for number in (*times, status.st_dev, status.st_ino)))
    owner = (status.st_uid, status.st_gid, status.st_size)
    _OWNER.pack_into(data, position + _STAT.size + _MODE_BYTES, *(_short(number) for number in owner))


def _short(number: int) -> int:
    return number & 0xFFFFFFFF
