# SPDX-License-Identifier: MIT
"""BPF objects by their numbers: whose they are, whether the kernel still has them; and a small TC program of a third party."""
import ctypes
import os
import re
import struct

from lab import libc

NR_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
# enum bpf_cmd, include/uapi/linux/bpf.h
MAP_LOOKUP_ELEM, MAP_GET_NEXT_KEY, PROG_LOAD, OBJ_GET_INFO_BY_FD, LINK_CREATE = 1, 4, 5, 15, 28
FD_BY_ID = {"prog": 13, "map": 14, "link": 30, "btf": 19}
PROG_TYPE_SCHED_CLS, TCX_EGRESS = 3, 47


def bpf(cmd, attr):
    """The system call; attr: the bytes of its union, 128 at most."""
    buf = ctypes.create_string_buffer(attr, 128)
    value = libc.syscall(NR_BPF, cmd, buf, 128)
    if value < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return value


def objects_of(pid):
    """{(kind, number)} of what a process holds by descriptors (the loader's feature probes are gone by the next look)."""
    found = set()
    try:
        names = os.listdir("/proc/%d/fdinfo" % pid)
    except OSError:
        return found
    for name in names:
        try:
            with open("/proc/%d/fdinfo/%s" % (pid, name), encoding="ascii") as file:
                found |= {(kind, int(number)) for kind, number in
                          re.findall(r"^(prog|map|link|btf)_id:\s*(\d+)$", file.read(), re.M)}
        except OSError:
            pass  # closed meanwhile
    return found


def exists(kind, number):
    """Does the kernel still have this object? (Numbers are not used again before all others were.)"""
    try:
        os.close(bpf(FD_BY_ID[kind], struct.pack("II", number, 0)))
    except FileNotFoundError:
        return False
    return True


def left_of(objects):
    return sorted(o for o in objects if exists(*o))


def describe(fd):
    """(type, key size, value size, most entries, name) of a map."""
    info = ctypes.create_string_buffer(128)
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("IIQ", fd, len(info), ctypes.addressof(info)))
    # struct bpf_map_info: type, id, key_size, value_size, max_entries, map_flags, name[16]
    kind, _, key_size, value_size, most = struct.unpack_from("5I", info.raw)
    return kind, key_size, value_size, most, info.raw[24:40].split(b"\0")[0].decode()


def read_shared(objects):
    """The bytes of rebpf's shared words (struct shared, in .bss)."""
    found = b""
    for kind, number in objects:
        if kind != "map":
            continue
        try:
            fd = bpf(FD_BY_ID["map"], struct.pack("II", number, 0))
        except OSError:
            continue
        _, _, size, _, name = describe(fd)
        if name.endswith(".bss"):
            value, key = ctypes.create_string_buffer(size), ctypes.create_string_buffer(4)
            bpf(MAP_LOOKUP_ELEM, struct.pack("IIQQQ", fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
            found = value.raw
        os.close(fd)
    return found


def in_flight(objects):
    """Slots that are open: the first of the shared words."""
    return struct.unpack_from("q", read_shared(objects))[0]


def memory_of(objects):
    """Bytes that the maps among these objects take, by the kernel's count."""
    total = 0
    for kind, number in objects:
        if kind == "map":
            fd = bpf(FD_BY_ID["map"], struct.pack("II", number, 0))
            with open("/proc/self/fdinfo/%d" % fd, encoding="ascii") as file:
                total += int(re.search(r"^memlock:\s*(\d+)", file.read(), re.M).group(1))
            os.close(fd)
    return total


HASHES = (1, 5, 9, 10)  # BPF_MAP_TYPE_HASH, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH


def hash_entries(number):
    """(name, how many entries) of a map, or (None, 0) if it is no hash map."""
    fd = bpf(FD_BY_ID["map"], struct.pack("II", number, 0))
    try:
        kind, key_size, _, most, name = describe(fd)
        if kind not in HASHES:
            return None, 0
        key, after, count = None, ctypes.create_string_buffer(key_size), 0
        while count <= most:
            try:
                bpf(MAP_GET_NEXT_KEY, struct.pack("IIQQ", fd, 0, ctypes.addressof(key) if key else 0,
                                                  ctypes.addressof(after)))
            except FileNotFoundError:
                break
            key, count = ctypes.create_string_buffer(after.raw, key_size), count + 1
        return name, count
    finally:
        os.close(fd)


class ForeignTcx:
    """Another tool's tcx program on a device: drops what bears one mark, passes the rest on."""

    MARK = 77

    def __init__(self, ns, ifindex):
        insns = b"".join(struct.pack("<BBhi", *insn) for insn in (
            (0x61, 0x12, 8, 0),           # r2 = skb->mark
            (0xb7, 0x00, 0, 2),           # r0 = TCX_DROP
            (0x15, 0x02, 1, self.MARK),   # if r2 == MARK: leave
            (0xb7, 0x00, 0, -1),          # r0 = TCX_NEXT
            (0x95, 0x00, 0, 0)))
        code, licence = ctypes.create_string_buffer(insns), ctypes.create_string_buffer(b"GPL")
        self.prog = bpf(PROG_LOAD, struct.pack("IIQQ", PROG_TYPE_SCHED_CLS, len(insns) // 8, ctypes.addressof(code),
                                               ctypes.addressof(licence)))
        self.link = ns.inside(bpf, LINK_CREATE, struct.pack("IIII", self.prog, ifindex, TCX_EGRESS, 0))

    def close(self):
        os.close(self.link)
        os.close(self.prog)
