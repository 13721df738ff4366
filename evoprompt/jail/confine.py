"""What a jailed process is left with: rules prepared once in the zygote and laid on each child.

In: what the jobs need. Out: a `Confinement`, and in plain sentences what this platform lacks. It
needs no root and no package. Where Landlock or seccomp is missing the jail refuses to run; that is
decided in `forker`.
"""

import fcntl
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evoprompt.jail import landlock, readable, seccomp

LANDLOCK, SECCOMP, NAMESPACES, GPU = "landlock", "seccomp", "namespaces", "gpu"
HIGH_DESCRIPTOR = 16  # above those that a child puts its pipes on
_LAST_DESCRIPTOR = 1 << 20
_ABI_TCP, _ABI_DEVICES, _ABI_SIGNALS = 4, 5, 6
_LACKS = {
    LANDLOCK: "the kernel has no Landlock: a program could read and write the user's files",
    SECCOMP: "the kernel or the processor has no known system call filter: a program could start "
    "processes and open sockets",
    NAMESPACES: "no namespaces for an ordinary user: the system call filter alone keeps a program "
    "off the network",
    GPU: "a job that gets the GPU may call its driver, and has no namespaces of its own",
}


@dataclass(frozen=True)
class Confinement:
    """What was prepared in the zygote and is laid on each child."""

    rules: int | None
    """File descriptor of the Landlock rules; None where the kernel lacks it."""
    filter: seccomp.Filter | None
    """The system call filter; None where it is not known for this processor."""

    def lay_on(self, kept: int) -> None:
        """Confine this process, for good, and close all descriptors from `kept` on."""
        if self.rules is not None:
            landlock.restrict(self.rules)
        os.closerange(kept, _LAST_DESCRIPTOR)  # one call, which the filter would refuse
        if self.filter is not None:
            self.filter.install()


NOTHING = Confinement(None, None)


def prepare(
    packages: Sequence[str], threads: bool, gpu: bool, lacking: Collection[str]
) -> Confinement:
    """Build the rules; `packages` may be read beside the usual ones, `lacking` is not used."""
    rules = None
    if LANDLOCK not in lacking:
        paths = readable.read_list(packages, gpu)
        low = landlock.ruleset(paths, readable.write_list(gpu))
        rules = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR)
        os.close(low)
    filter_ = None if SECCOMP in lacking else seccomp.build(threads, gpu)
    return Confinement(rules, filter_)


def lacking() -> set[str]:
    """Which of Landlock and seccomp this machine lacks."""
    missing = set() if landlock.version() else {LANDLOCK}
    return missing if seccomp.is_known() else missing | {SECCOMP}


def sentences(missing: Collection[str]) -> list[str]:
    """Say in plain words what this platform cannot give."""
    said = [sentence for name, sentence in _LACKS.items() if name in missing]
    known = landlock.version()
    if known and LANDLOCK not in missing:
        if known < _ABI_TCP:
            said.append(f"Landlock {known} of this kernel does not know TCP (version 4 does)")
        if known < _ABI_DEVICES:
            said.append(f"Landlock {known} of this kernel does not know device calls (5 does)")
        if known < _ABI_SIGNALS:
            said.append(f"Landlock {known} of this kernel does not know signals (6 does)")
    return said
