"""The system calls that a jailed process may make, by name, with their numbers.

Data only: (x86_64, aarch64), from asm/unistd_64.h and asm-generic/unistd.h; None where a processor
has no such call. What is in no table is refused. `seccomp` makes a filter of it.
"""

Table = dict[str, tuple[int | None, int | None]]

# Files that are open or that Landlock lets be opened, memory, clocks, and what a process may know
# of itself. Nothing here names another process, changes a file or makes a socket.
PLAIN: Table = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66),
    "pread64": (17, 67), "lseek": (8, 62), "close": (3, 57), "dup": (32, 23),
    "open": (2, None), "openat": (257, 56), "fstat": (5, 80), "stat": (4, None),
    "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getcwd": (79, 17), "getdents64": (217, 61),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216),
    "brk": (12, 214), "madvise": (28, 233), "futex": (202, 98), "rseq": (334, 293),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "set_robust_list": (273, 99),
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101), "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "getrusage": (98, 165), "getrlimit": (97, 163), "getrandom": (318, 278),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "uname": (63, 160), "sysinfo": (99, 179), "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip

# What a new thread does beside being cloned.
THREADS: Table = {
    "set_tid_address": (218, 96), "membarrier": (324, 283), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
}  # fmt: skip

# What CUDA does beside that: it talks to its driver by ioctl on /dev/nvidia*, waits for events
# and pins memory.
GPU: Table = {
    "ioctl": (16, 29), "poll": (7, None), "ppoll": (271, 73), "eventfd2": (290, 19),
    "pipe2": (293, 59), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22), "get_mempolicy": (239, 236), "set_mempolicy": (238, 237),
    "mbind": (237, 235), "mlock": (149, 228), "munlock": (150, 229),
}  # fmt: skip

# Allowed for some values of an argument only: (argument, values).
CLONE = {"clone": (56, 220)}
CLONE3 = {"clone3": (435, 435)}
THREAD_FLAGS = (0, (0x3D0F00,))  # exactly what pthread_create of glibc asks for
ARGUMENTS: dict[str, tuple[tuple[int, int], tuple[int, tuple[int, ...]]]] = {
    "fcntl": ((72, 25), (1, (0, 1, 2, 3, 1030))),  # flags and duplicates; no locks, no signals
    "prctl": ((157, 167), (0, (15, 16))),  # the name of a thread
    "prlimit64": ((302, 261), (2, (0,))),  # reading limits; the address of a new one is not 0
}
