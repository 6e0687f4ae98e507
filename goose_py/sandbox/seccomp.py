"""The system-call filter as classic BPF, assembled here: the few calls a file-system boundary cannot stop.

Format: an array of `struct sock_filter` {u16 code; u8 jt; u8 jf; u32 k} in host byte order, run over `struct seccomp_data`
{i32 nr; u32 arch; u64 instruction_pointer; u64 args[6]} (linux/seccomp.h, linux/filter.h). Call numbers are from
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

import struct
import sys
from typing import Final

import msgspec

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_GREATER_EQUAL: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_EPERM: Final = 1
_EACCES: Final = 13
_ENOSYS: Final = 38

_NUMBER_OFFSET: Final = 0
_ARCH_OFFSET: Final = 4
_ARGUMENT_OFFSET: Final = 16  # low word of args[0]; every supported machine is little endian
_X32_BIT: Final = 0x40000000

AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
AF_NETLINK: Final = 16
_SOCK_DGRAM: Final = 2
_SOCK_TYPE_MASK: Final = 0xF
_CLONE_NEW: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} of linux/sched.h


class Machine(msgspec.Struct, frozen=True):
    """`audit_arch` is AUDIT_ARCH_* of linux/audit.h; `calls` the numbers of the calls that are looked at."""

    audit_arch: int
    calls: dict[str, int]


_X86_64: Final = Machine(
    0xC000003E,
    {
        "socket": 41, "socketpair": 53, "clone": 56, "clone3": 435, "unshare": 272, "setns": 308,
        "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "move_mount": 429, "open_tree": 428, "fsopen": 430,
        "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249,
        "kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "delete_module": 176,
        "open_by_handle_at": 304, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "swapon": 167, "swapoff": 168, "reboot": 169, "quotactl": 179, "acct": 163, "syslog": 103,
    },
)  # fmt: skip

_AARCH64: Final = Machine(
    0xC00000B7,
    {
        "socket": 198, "socketpair": 199, "clone": 220, "clone3": 435, "unshare": 97, "setns": 268,
        "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "move_mount": 429, "open_tree": 428, "fsopen": 430,
        "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "keyctl": 219, "add_key": 217, "request_key": 218,
        "kexec_load": 104, "kexec_file_load": 294, "init_module": 105, "finit_module": 273, "delete_module": 106,
        "open_by_handle_at": 265, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "swapon": 224, "swapoff": 225, "reboot": 142, "quotactl": 60, "acct": 89, "syslog": 116,
    },
)  # fmt: skip

_MACHINES: Final = {"x86_64": _X86_64, "aarch64": _AARCH64, "arm64": _AARCH64}
_CONDITIONAL: Final = frozenset({"socket", "socketpair", "clone", "clone3", "io_uring_setup"})

Instruction = tuple[int, int, int, int]


def supported(machine: str) -> bool:
    """Whether a filter can be made for `machine` (`platform.machine()`)."""
    return machine in _MACHINES and sys.byteorder == "little"


def assemble(machine: str, *, internet: bool, unix_sockets: bool) -> bytes:
    """The filter for `machine`, ready for `bwrap --seccomp` or `SECCOMP_SET_MODE_FILTER`. Raises KeyError where the
    machine is not supported.

    Sockets of no family but netlink can be made; of the internet's with `internet`, local ones with `unix_sockets`.
    io_uring is answered ENOSYS because its rings open sockets without a socket(2) call; clone3 because its flags lie in
    memory that a filter cannot read (C libraries fall back to clone)."""
    target = _MACHINES[machine]
    families = [AF_NETLINK]
    if internet:
        families += [AF_INET, AF_INET6]
    if unix_sockets:
        families.append(AF_UNIX)
    calls = target.calls
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH_OFFSET),
        (_JUMP_EQUAL, 1, 0, target.audit_arch),
        (_RETURN, 0, 0, _ERRNO | _ENOSYS),  # a foreign ABI (i386) has other numbers for the same calls
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    if target is _X86_64:
        program += [(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    program += _when(calls["socket"], _allow_families(families))
    if not unix_sockets:
        program += _when(calls["socketpair"], _refuse_datagram_pairs())
    program += _when(calls["clone"], _refuse_bits(_CLONE_NEW))
    for name in ("clone3", "io_uring_setup"):
        program += _when(calls[name], [(_RETURN, 0, 0, _ERRNO | _ENOSYS)])
    for name in sorted(calls.keys() - _CONDITIONAL):
        program += _when(calls[name], [(_RETURN, 0, 0, _ERRNO | _EPERM)])
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _when(number: int, body: list[Instruction]) -> list[Instruction]:
    """Run `body`, which must return on every path, when the call is `number`."""
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def _allow_families(families: list[int]) -> list[Instruction]:
    body: list[Instruction] = [(_LOAD, 0, 0, _ARGUMENT_OFFSET)]
    for position, family in enumerate(families):
        body.append((_JUMP_EQUAL, len(families) - position, 0, family))
    return [*body, (_RETURN, 0, 0, _ERRNO | _EACCES), (_RETURN, 0, 0, _ALLOW)]


def _refuse_datagram_pairs() -> list[Instruction]:
    # A datagram socket of a pair can still be sent to any named socket; a stream pair cannot, and programs need it.
    return [
        (_LOAD, 0, 0, _ARGUMENT_OFFSET + 8),
        (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_JUMP_EQUAL, 0, 1, _SOCK_DGRAM),
        (_RETURN, 0, 0, _ERRNO | _EACCES),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _refuse_bits(bits: int) -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _ARGUMENT_OFFSET),
        (_JUMP_ANY_BIT, 0, 1, bits),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
