"""Runs machine code that calls the kernel by the 32-bit door."""
# ruff: noqa

EXPECT = "killed"

import ctypes, mmap

code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20 (getpid); int 0x80; ret
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
found = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
