"""xdp_swap.py - replaces the steering program of a pinned link by one that does the same and is another, as a new build would be.

Model     the other program jumps into the present one through a program array; its tag differs, so a starting daemon replaces
          it in place. Traffic goes on through both swaps.
Needs     root; nothing but the bpf system call.
"""
import contextlib
import ctypes
import os
import pathlib
import platform
import struct

NR_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
MAP_CREATE, MAP_UPDATE_ELEM, PROG_LOAD, OBJ_GET, PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, LINK_UPDATE = 0, 2, 5, 7, 13, 15, 29
PROG_ARRAY, TYPE_XDP, ATTACH_XDP, HAS_FRAGS = 3, 6, 37, 1 << 5
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, *fields):
    """One call; `fields` are (format, value) pairs of the attribute, zero behind them."""
    data = struct.pack("=" + "".join(form for form, _value in fields), *[value for _form, value in fields])
    attribute = ctypes.create_string_buffer(data, 144)
    result = _libc.syscall(NR_BPF, command, attribute, len(attribute))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return result


def address(buffer):
    return ctypes.addressof(buffer)


def instruction(code, registers, offset=0, immediate=0):
    return struct.pack("=BBhi", code, registers, offset, immediate)


def program_of(link):
    """The id of the program behind a link."""
    info = ctypes.create_string_buffer(128)
    bpf(OBJ_GET_INFO_BY_FD, ("I", link), ("I", len(info)), ("Q", address(info)))
    return struct.unpack_from("=III", info)[2]


def load_jump(array, frags):
    code = ctypes.create_string_buffer(b"".join([
        instruction(0x18, 0x12, immediate=array), instruction(0, 0),  # r2 = array
        instruction(0xb7, 3),                                         # r3 = 0
        instruction(0x85, 0, immediate=12),                           # tail call
        instruction(0xb7, 0, immediate=2), instruction(0x95, 0)]))    # return XDP_PASS
    license_text = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, ("I", TYPE_XDP), ("I", 6), ("Q", address(code)), ("Q", address(license_text)), ("I", 0), ("I", 0),
               ("Q", 0), ("I", 0), ("I", HAS_FRAGS if frags else 0), ("16s", b"jump"), ("I", 0), ("I", ATTACH_XDP))


def swap(bpf_directory, frags):
    """Every pinned port under the directory; how many."""
    links = list(pathlib.Path(bpf_directory).glob("v1/ports/*/link"))
    for pin in links:
        with contextlib.ExitStack() as stack:
            def opened(fd):
                stack.callback(os.close, fd)
                return fd
            path = ctypes.create_string_buffer(str(pin).encode())
            link = opened(bpf(OBJ_GET, ("Q", address(path))))
            present = opened(bpf(PROG_GET_FD_BY_ID, ("I", program_of(link))))
            array = opened(bpf(MAP_CREATE, ("I", PROG_ARRAY), ("I", 4), ("I", 4), ("I", 1)))
            jump = opened(load_jump(array, frags))
            key, value = ctypes.c_uint32(0), ctypes.c_uint32(present)
            bpf(MAP_UPDATE_ELEM, ("I", array), ("I", 0), ("Q", address(key)), ("Q", address(value)))
            bpf(LINK_UPDATE, ("I", link), ("I", jump))
    return len(links)
