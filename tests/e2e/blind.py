# SPDX-License-Identifier: MIT
"""What no BPF program can see on some hosted machines: their kernel runs none while the machine's own agent, process 1, is
current, so what a softirq or a timer does on top of it passes every hook (seen on a Firecracker guest, Linux 6.18: ftrace
records the event, no BPF program runs, and no miss is counted).

ftrace is the witness: it says what happened on top of process 1. A test forgives rebpf just that, and only that. Where BPF
programs do run there, rebpf sees those events like all others and nothing needs forgiving.
"""
import contextlib
import os
import re
import subprocess
import tempfile
import time

from lab import SLOW

# Taps are read by a program of their own: what they saw happened up to so much earlier.
LAG = int(100e6 * SLOW)
EVENTS = ("tcp/tcp_retransmit_skb", "tcp/tcp_retransmit_synack", "skb/kfree_skb")
LINE = re.compile(r" (\d+)\.(\d{6}): (\w+): (.*)$")


class Witness:
    """Retransmissions and drops on top of process 1, by an ftrace instance of its own; none where there is no tracefs.

    Of other events with ports, what it calls retransmissions are those.
    """

    def __init__(self, events=EVENTS):
        self.events = events
        self.mount = self.instance = self.pipe = None
        self.known = ([], [])
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            self.start()

    def start(self):
        mount = tempfile.mkdtemp(prefix="rebpf-tracefs-")
        try:
            subprocess.run(["mount", "-t", "tracefs", "tracefs", mount], check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            os.rmdir(mount)
            raise
        self.mount = mount
        self.instance = os.path.join(mount, "instances", os.path.basename(mount))
        os.mkdir(self.instance)
        self.put("trace_clock", "mono")
        self.put("buffer_size_kb", "1024")
        self.put("options/event-fork", "1")
        self.put("set_event_pid", " ".join(os.listdir("/proc/1/task")))
        for event in self.events:
            self.put("events/%s/enable" % event, "1")
        self.pipe = os.open(os.path.join(self.instance, "trace_pipe"), os.O_RDONLY | os.O_NONBLOCK)

    def put(self, name, value):
        with open(os.path.join(self.instance, name), "w", encoding="ascii") as file:
            file.write(value)

    def take(self):
        """The lines since the last call. (To read `trace` and then to clear it would lose what comes in between.)"""
        parts = []
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.pipe, 1 << 16):
                parts.append(part)
        return b"".join(parts).decode("ascii", "replace").splitlines()

    def stop(self):
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None
        if self.instance:
            with contextlib.suppress(OSError):
                os.rmdir(self.instance)
        if self.mount:
            subprocess.run(["umount", self.mount], check=False)
            os.rmdir(self.mount)
        self.mount = self.instance = None

    def read(self):
        """Takes what has happened since the last call: (retransmissions: (ns, sport, dport), drops: ns)."""
        retransmissions, drops = [], []
        if self.pipe is not None:
            for match in filter(None, map(LINE.search, self.take())):
                at = int(match[1]) * 10**9 + int(match[2]) * 1000
                ports = re.search(r"sport=(\d+) dport=(\d+)", match[4])
                if match[3] == "kfree_skb":
                    drops.append(at)
                elif ports:
                    retransmissions.append((at, int(ports[1]), int(ports[2])))
        self.known = (retransmissions, drops)
        return self.known

    def retransmitted(self, sport, dport, at):
        """Was a retransmission of this flow, which a tap saw at this time, made on top of process 1?"""
        return any((s, d) == (sport, dport) and at - LAG <= when <= at for when, s, d in self.known[0])

    def flow(self, sport, dport):
        """How many retransmissions of this flow were."""
        return sum((s, d) == (sport, dport) for _, s, d in self.known[0])

    def dropped(self, since, until=None):
        """Was a packet dropped on top of process 1 between these times of taps?"""
        until = until or time.monotonic_ns()
        return any(since - LAG <= when <= until for when in self.known[1])
