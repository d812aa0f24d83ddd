# SPDX-License-Identifier: MIT
"""A line of known delay between two namespaces: two TUN devices, and a thread that carries each packet over in its time.

It is outside of every kernel hook, so what it loses is lost on no host; and it knows when each segment went in and out.
"""
import collections
import contextlib
import fcntl
import heapq
import itertools
import os
import select
import socket
import struct
import threading
import time

from lab import Net

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SYN_ONLY, SYN_ACK = 0x02, 0x12

# Times in ns of CLOCK_MONOTONIC: read from one device, and just before it was written to the other (None: lost).
Passage = collections.namedtuple("Passage", "way at out sport dport flags")


def parse(packet):
    """(sport, dport, SYN and ACK) of a TCP segment, else None."""
    start = (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40
    if packet[9 if packet[0] >> 4 == 4 else 6] != socket.IPPROTO_TCP:
        return None
    return (*struct.unpack_from("!HH", packet, start), packet[start + 13] & 0x12)


class Line(Net):
    """Namespaces a and b with a device w0 each, whose packets come out of the other one after `delay` seconds."""

    def __init__(self, delay=0.025):
        self.sockets, self.workers, self.all, self.fds = [], [], [], []
        self.addr = {4: ("10.79.0.1", "10.79.0.2"), 6: ("fd79::1", "fd79::2")}
        self.delay_ns, self.log, self.losses, self.repeats, self.thread = round(delay * 1e9), [], [], [], None
        self.a, self.b = self.namespace("a"), self.namespace("b")
        for i, ns in enumerate((self.a, self.b)):
            self.fds.append(ns.inside(self.open_tun))
            ns.ip("link", "set", "w0", "addrgenmode", "none")
            ns.ip("link", "set", "w0", "up")
            ns.ip_batch("addr add %s peer %s dev w0" % (self.addr[4][i], self.addr[4][1 - i]),
                        "addr add %s/64 dev w0 nodad" % self.addr[6][i])
        self.stopped, self.stopper = os.pipe()
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    @staticmethod
    def open_tun():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"w0", IFF_TUN | IFF_NO_PI))
        return fd

    def lose(self, way, flags, count):
        """Loses the next `count` segments of this way ("ab", "ba") with these of the flags SYN and ACK."""
        self.losses.append([way, flags, count])

    def repeat(self, way, flags, seconds):
        """Brings every such segment twice, the second time so much later."""
        self.repeats.append((way, flags, round(seconds * 1e9)))

    def is_lost(self, way, segment):
        for loss in self.losses:
            if segment and loss[0] == way and loss[1] == segment[2] and loss[2] > 0:
                loss[2] -= 1
                return True
        return False

    def carry(self):
        waiting, serial = [], itertools.count()
        while True:
            timeout = max(0, waiting[0][0] - time.monotonic_ns()) / 1e9 if waiting else None
            ready = select.select([*self.fds, self.stopped], [], [], timeout)[0]
            if self.stopped in ready:
                return
            for fd in ready:
                packet, way = os.read(fd, 65536), "ab" if fd == self.fds[0] else "ba"
                at, segment = time.monotonic_ns(), parse(packet)
                if not self.is_lost(way, segment):
                    for later in [0, *(r[2] for r in self.repeats if segment and r[:2] == (way, segment[2]))]:
                        heapq.heappush(waiting, (at + self.delay_ns + later, next(serial), way, packet, at, segment))
                elif segment:
                    self.log.append(Passage(way, at, None, *segment))
            while waiting and waiting[0][0] <= time.monotonic_ns():
                _, _, way, packet, at, segment = heapq.heappop(waiting)
                if segment:
                    self.log.append(Passage(way, at, time.monotonic_ns(), *segment))
                with contextlib.suppress(OSError):
                    os.write(self.fds[1 if way == "ab" else 0], packet)

    def passages(self, port, flags):
        """What has passed or was lost, of the connection from this port of a's."""
        return [p for p in list(self.log) if p.flags == flags and port == (p.sport if p.way == "ab" else p.dport)]

    def answered_us(self, port):
        """From a's first SYN to the first SYN-ACK that came back, as the line saw it: never more than a's kernel did."""
        begin = min(p.at for p in self.passages(port, SYN_ONLY))
        end = min(p.out for p in self.passages(port, SYN_ACK) if p.out and p.way == "ba")
        return (end - begin) / 1000

    def close(self):
        if self.thread:
            os.write(self.stopper, b".")
            self.thread.join()
            os.close(self.stopped)
            os.close(self.stopper)
        super().close()
        for fd in self.fds:
            os.close(fd)
