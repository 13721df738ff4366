"""Taking rights away from a forked child with what Linux gives to ordinary users, through ctypes.

Landlock: no write outside /dev (and there only where a GPU is passed), no TCP, no signals to
processes outside. Seccomp: no new process or program, no sockets, no signals, no tracing. Where
the kernel lacks one of them it is left out and `available` says so. Not done here: reading files
is allowed, and the seccomp filter is a list of what is forbidden, not of what is allowed.
"""

import ctypes
import os
import platform
import struct
from dataclasses import dataclass

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER = 1, 4, 22, 36
_PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h: system calls 444-446; bits of the file accesses that change something.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_WRITE_FILE = 1 << 1
_CHANGES_BY_ABI = {
    1: _WRITE_FILE | sum(1 << bit for bit in range(4, 13)),
    2: 1 << 13,  # moving files between folders
    3: 1 << 14,  # truncation
}
_TCP_BIND_CONNECT = 0b11  # from ABI 4
_SCOPE_SOCKETS_SIGNALS = 0b11  # from ABI 6

# Forbidden system calls by number (asm/unistd_64.h; asm-generic/unistd.h).
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_FORBIDDEN = {
    "x86_64": {
        "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "socket": 41, "socketpair": 53,
        "kill": 62, "tkill": 200, "ptrace": 101, "process_vm_readv": 310,
        "process_vm_writev": 311, "pidfd_open": 434, "pidfd_send_signal": 424, "unshare": 272,
        "setns": 308, "mount": 165, "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92,
        "fchown": 93, "lchown": 94, "fchownat": 260, "bpf": 321, "userfaultfd": 323,
        "perf_event_open": 298, "keyctl": 250, "add_key": 248, "io_uring_setup": 425,
        "shmget": 29, "shmat": 30, "shmctl": 31, "msgget": 68, "semget": 64, "mq_open": 240,
        "setsid": 112, "setpgid": 109, "reboot": 169, "init_module": 175, "kexec_load": 246,
    },
    "aarch64": {
        "execve": 221, "execveat": 281, "socket": 198, "socketpair": 199, "kill": 129,
        "tkill": 130, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271,
        "pidfd_open": 434, "pidfd_send_signal": 424, "unshare": 97, "setns": 268, "mount": 40,
        "fchmod": 52, "fchmodat": 53, "fchown": 55, "fchownat": 54, "bpf": 280,
        "userfaultfd": 282, "perf_event_open": 241, "keyctl": 219, "add_key": 217,
        "io_uring_setup": 425, "shmget": 194, "shmat": 196, "shmctl": 195, "msgget": 186,
        "semget": 190, "mq_open": 180, "setsid": 157, "setpgid": 154, "reboot": 142,
        "init_module": 105, "kexec_load": 104,
    },
}  # fmt: skip
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP_ALLOW, _SECCOMP_KILL, _SECCOMP_ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_ENOSYS, _EPERM = 38, 1
_CLONE_THREAD = 0x00010000
_LOAD, _JUMP_EQUAL, _JUMP_SET, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


@dataclass(frozen=True)
class Confinement:
    """What was prepared in the zygote and is laid on each child."""

    landlock: int | None
    """File descriptor of the rules; None where the kernel lacks Landlock."""
    seccomp: bytes | None
    """The filter program; None where it is not known for this processor."""

    @property
    def available(self) -> dict[str, bool]:
        """Which of the two this machine gives."""
        return {"landlock": self.landlock is not None, "seccomp": self.seccomp is not None}


def prepare(pass_gpu: bool) -> Confinement:
    """Build the rules once; with `pass_gpu`, files under /dev may be written."""
    return Confinement(_landlock_rules(["/dev"] if pass_gpu else []), _seccomp_filter())


def confine(rules: Confinement) -> None:
    """Lay the rules on this process, for good."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if rules.landlock is not None:
        _call(_LANDLOCK_RESTRICT, rules.landlock, 0)
        os.close(rules.landlock)
    if rules.seccomp is not None:
        code = ctypes.create_string_buffer(rules.seccomp, len(rules.seccomp))
        program = _Program(len(rules.seccomp) // 8, ctypes.cast(code, ctypes.c_void_p))
        _prctl(_PR_SET_SECCOMP, 2, ctypes.byref(program))


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Keep processes of the same user from reading this process's memory through /proc."""
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with(parent: int) -> None:
    """Be killed when the parent process dies."""
    _prctl(_PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, *arguments: object) -> None:
    padded = [*arguments, *[0] * (4 - len(arguments))]
    values = [ctypes.c_ulong(v) if isinstance(v, int) else v for v in padded]
    if _LIBC.prctl(option, *values):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _call(number: int, *arguments: object) -> int:
    values = [ctypes.c_long(v) if isinstance(v, int) else v for v in arguments]
    result = _LIBC.syscall(ctypes.c_long(number), *values)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def _landlock_rules(writable: list[str]) -> int | None:
    """Return the descriptor of a ruleset that handles every change to files, and TCP."""
    try:
        version = _call(_LANDLOCK_CREATE, None, 0, 1)
    except OSError:
        return None
    changes = sum(bits for abi, bits in _CHANGES_BY_ABI.items() if abi <= version)
    network = _TCP_BIND_CONNECT if version >= 4 else 0
    scope = _SCOPE_SOCKETS_SIGNALS if version >= 6 else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = struct.pack("QQQ", changes, network, scope)[:size]
    ruleset = _call(_LANDLOCK_CREATE, rules, size, 0)
    for folder in writable:
        handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        _call(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", _WRITE_FILE, handle), 0)
        os.close(handle)
    return ruleset


def _seccomp_filter() -> bytes | None:
    """Return a BPF program: EPERM for what is forbidden, threads allowed, the rest allowed."""
    machine = platform.machine()
    if machine not in _FORBIDDEN:
        return None

    def step(code: int, if_true: int, if_false: int, value: int) -> bytes:
        return struct.pack("HBBI", code, if_true, if_false, value)

    steps = [
        step(_LOAD, 0, 0, 4),
        step(_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        step(_RETURN, 0, 0, _SECCOMP_KILL),
        step(_LOAD, 0, 0, 0),
        # glibc falls back to clone, whose flags a filter can read.
        step(_JUMP_EQUAL, 0, 1, _CLONE3),
        step(_RETURN, 0, 0, _SECCOMP_ERRNO | _ENOSYS),
        step(_JUMP_EQUAL, 0, 4, _CLONE[machine]),
        step(_LOAD, 0, 0, 16),
        step(_JUMP_SET, 0, 1, _CLONE_THREAD),
        step(_RETURN, 0, 0, _SECCOMP_ALLOW),
        step(_RETURN, 0, 0, _SECCOMP_ERRNO | _EPERM),
    ]
    if machine == "x86_64":  # the x32 calls are the same calls under other numbers
        steps += [
            step(_JUMP_AT_LEAST, 0, 1, 0x40000000),
            step(_RETURN, 0, 0, _SECCOMP_ERRNO | _EPERM),
        ]
    for number in sorted(_FORBIDDEN[machine].values()):
        steps.append(step(_JUMP_EQUAL, 0, 1, number))
        steps.append(step(_RETURN, 0, 0, _SECCOMP_ERRNO | _EPERM))
    steps.append(step(_RETURN, 0, 0, _SECCOMP_ALLOW))
    return b"".join(steps)
