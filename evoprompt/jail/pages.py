"""The zygote's memory in large pages, where the kernel has them: a fork copies fewer entries.

Nothing depends on it: where the kernel refuses, nothing changes.
"""

from evoprompt.jail import kernel

_ADVISE_HUGE, _COLLAPSE_NOW = 14, 25  # asm-generic/mman-common.h; the second from Linux 6.1
_LARGE = 2 << 20


def join() -> None:
    """Ask for large pages in all memory that this process has allocated so far."""
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file]
    for span, rights, *rest in lines:
        name = rest[3] if len(rest) > 3 else ""
        if rights != "rw-p" or name not in ("", "[heap]"):
            continue
        begin, end = (int(number, 16) for number in span.split("-"))
        begin, end = -(-begin // _LARGE) * _LARGE, end // _LARGE * _LARGE
        if end > begin:
            for advice in (_ADVISE_HUGE, _COLLAPSE_NOW):
                kernel.advise(begin, end - begin, advice)
