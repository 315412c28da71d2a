"""How this process gets and keeps its memory, and how it knows that there is none left."""

import ctypes
import re
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
NEVER = 2**31 - 1  # bytes
MADV_HUGEPAGE = 14  # Linux, mman.h
HUGE_PAGE = 2**21  # bytes
RESERVE = 2**31 - 2**23  # bytes of address space, of which only what is used becomes memory


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next use, and take memory in large pages. Linux with glibc only.

    An update frees and asks for the same hundreds of megabytes as the one before. Given back to the system in between,
    each page has to be cleared and mapped again, which took a quarter of an update's time
    (docs/measurements/performance.md).
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):  # another C library than glibc
        return
    libc.mallopt(M_MMAP_THRESHOLD, NEVER)
    libc.mallopt(M_TRIM_THRESHOLD, NEVER)
    # The heap grows by the reserve, is told to use large pages there, and keeps the address space.
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = libc.malloc(RESERVE)
    if start is not None:
        first = -(-start // HUGE_PAGE) * HUGE_PAGE
        libc.madvise(first, RESERVE - (first - start) - HUGE_PAGE, MADV_HUGEPAGE)
        libc.free(start)


def no_room(why: Exception) -> str | None:
    """Return in one line what an error says of memory that there is not, or None if it is about something else.

    Torch has no class of errors for the CPU's memory.
    """
    line = " ".join(str(why).split())
    if isinstance(why, MemoryError):
        return line or "none left"
    found = re.search("(can't allocate memory|out of memory|overflow).*", line)
    return found[0][:150] if found else None
