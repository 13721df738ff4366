"""Which files a jailed process may open: the interpreter and packages, each by its name.

In: names of further packages. Out: lists of paths. Never site-packages as a whole: scikit-learn
ships the digits and mnist1d makes its labels anew. Never the home, /proc, a run folder or this
project: its own modules are in the zygote's memory before the first fork.
"""

import fnmatch
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence

# torch, numpy and onnx, and what they import only when it is first needed.
PACKAGES = (
    "torch", "torchgen", "functorch", "numpy", "numpy.libs", "onnx", "ml_dtypes",
    "google/protobuf", "google/_upb", "typing_extensions.py", "sympy", "mpmath", "packaging",
)  # fmt: skip
_GPU_PACKAGES = ("nvidia", "triton")
_FOREIGN = frozenset({"site-packages", "dist-packages"})
_LIBRARY_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_DEVICES = ("/dev/null",)
_GPU_FILES = ("/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/proc/cpuinfo")
_GPU_TREES = ("/sys/devices", "/sys/bus/pci", "/sys/module/nvidia", "/proc/sys/vm")


def read_list(packages: Sequence[str], gpu: bool) -> list[str]:
    """Paths that may be read, with everything beneath them."""
    names = (*PACKAGES, *packages, *(_GPU_PACKAGES if gpu else ()))
    paths = [*_interpreter(), *_libraries(), *_named(names)]
    paths += ["/etc/ld.so.cache", "/dev/urandom"]
    return [*paths, *_GPU_FILES, *_GPU_TREES] if gpu else paths


def write_list(gpu: bool) -> list[str]:
    """Paths that may be written: no file, only devices."""
    if not gpu:
        return list(_DEVICES)
    cards = [f"/dev/{name}" for name in os.listdir("/dev") if name.startswith("nvidia")]
    return [*_DEVICES, *sorted(cards)]


def _interpreter() -> Iterator[str]:
    """The standard library, without the packages that may be installed in the middle of it."""
    folders = {os.path.dirname(os.__file__), sysconfig.get_config_var("DESTSHARED") or ""}
    for folder in sorted(filter(os.path.isdir, folders)):
        for name in sorted(os.listdir(folder)):
            if name not in _FOREIGN:
                yield os.path.join(folder, name)


def _libraries() -> Iterator[str]:
    """Shared libraries; /usr/lib itself also holds Debian's Python packages."""
    own = os.path.join(sys.base_prefix, "lib")
    for folder in (*_LIBRARY_FOLDERS, own):
        if not os.path.isdir(folder):
            continue
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.isdir(path):
                is_wanted = fnmatch.fnmatch(name, "*-linux-gnu*")
            else:
                is_wanted = ".so" in name
            if is_wanted:
                yield path


def _named(packages: Sequence[str]) -> Iterator[str]:
    """The folders and modules of these packages on the import path."""
    for folder in sys.path:
        for name in packages:
            path = os.path.join(folder, name)
            if os.path.isabs(path) and os.path.exists(path):
                yield path
