"""Opens devices: memory, kernel log, terminals, disks, cards."""
# ruff: noqa

EXPECT = "refused"


def opened(path):
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise PermissionError(path) from None


def try_memory():
    return opened("/dev/mem")


def try_kernel_log():
    return opened("/dev/kmsg")


def try_terminal():
    return opened("/dev/tty")


def try_pseudo_terminal():
    return opened("/dev/ptmx")


def try_disk():
    return opened("/dev/vda")


def try_fuse():
    return opened("/dev/fuse")


def try_tunnel():
    return opened("/dev/net/tun")


def try_kvm():
    return opened("/dev/kvm")
