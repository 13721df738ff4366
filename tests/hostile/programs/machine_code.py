"""Calls fork from machine code of its own, past Python and libc."""
# ruff: noqa

EXPECT = "contained"

import ctypes, mmap, platform

assert platform.machine() == "x86_64"
code = bytes.fromhex("b8390000000f05c3")  # mov eax, 57 (fork); syscall; ret
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
found = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
if found == 0:
    import time

    time.sleep(60)
