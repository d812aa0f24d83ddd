# SPDX-License-Identifier: MIT
"""Makes small recordings of real loss. record.sh calls it with a directory, a suffix and the wanted names.

Each runs `rebpf -w` inside one namespace of a network of its own (tests/e2e/lab.py), on a port of its own.
"""
import os
import re
import signal
import struct
import subprocess
import sys

import causes
from lab import BLOCK, DATA, SLOW, TC_ACT_SHOT, TC_ACT_STOLEN, Net, percent, transfer, wait_until

REBPF = os.environ.get("REBPF", os.path.join("build", "rebpf"))
PORT = 7077  # nothing else on this machine, such as the e2e tests, uses it meanwhile
with open(os.path.join("bpf", "event_kinds.h"), encoding="utf-8") as source:
    KINDS = ["NONE", *re.findall(r"X\((\w+), rec_\w+, \w+\)", source.read())]
TASK_AT, RELEASE_AT = 24 + 80 + 24, 24 + 24  # of rec_rtx_entry.task and rec_host.release


class Recording:
    """rebpf -w in a namespace, until it has printed so many events; 0: until it is stopped."""

    def __init__(self, path, ns, count=0):
        self.path, self.count = path, count
        self.errors = open(path + ".log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            ["nsenter", "--net=/run/netns/" + ns.name, REBPF, "-w", path, "-P", str(PORT), "-d",
             str(20 * SLOW), *(["-c", str(count)] if count else [])],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors)
        wait_until(lambda: "rebpf: ready" in self.log() or self.process.poll() is not None, 20, "rebpf")
        assert self.process.poll() is None, self.log()

    def log(self):
        with open(self.errors.name, encoding="utf-8") as file:
            return file.read()

    def stop(self, count):
        """Keeps so many attempts."""
        self.count = count
        self.process.send_signal(signal.SIGINT)
        self.wait()

    def wait(self):
        try:
            status = self.process.wait(25 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)
            status = self.process.wait(10 * SLOW)
        assert status == 0, self.log()
        self.errors.close()
        os.unlink(self.errors.name)
        shorten(self.path, self.count)


def records(data):
    """The (offset, kind) of each."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from("HB", data, at + 16)
        yield at, KINDS[kind]
        at += size


def shorten(path, count):
    """Ends a recording with the tick after so many attempts: rebpf had more on its hands when it stopped."""
    with open(path, "rb") as file:
        data = file.read()
    for at, kind in records(data):
        count -= kind == "RTX_EXIT"
        if count <= 0 and kind == "TICK":
            os.truncate(path, at + struct.unpack_from("H", data, at + 16)[0])
            return


def make_anonymous(path):
    """Takes out who else was running on this machine, and what it calls its kernel."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    for at, kind in records(data):
        if kind == "RTX_ENTRY":
            comm = data[at + TASK_AT + 8:at + TASK_AT + 24]
            if not comm.startswith((b"swapper/", b"ksoftirqd/", b"python3\0")):
                struct.pack_into("II16s", data, at + TASK_AT, 0, 0, b"swapper/0")
        elif kind == "HOST":
            release = bytes(data[at + RELEASE_AT:at + RELEASE_AT + 64]).split(b"\0")[0].split(b"-")[0]
            struct.pack_into("64s", data, at + RELEASE_AT, release)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o644)  # rebpf makes it for its owner only: it holds kernel addresses
    return len(data)


# ---- what is recorded: each gets a network, and record(namespace, *events) which starts rebpf ----


def lossy_transfer(net, record, version=4, count=6, share=8):
    """Random loss on the wire: the receiver's netfilter takes it, which the sender cannot see."""
    client, server = net.connect(PORT, version)
    recording = record(net.a, count)
    net.b.drop("input", DATA + " " + percent(share))
    while recording.process.poll() is None:
        transfer(client, server, 15000)
    recording.wait()


def loss(net, record):
    lossy_transfer(net, record)


def ipv6(net, record):
    lossy_transfer(net, record, version=6, count=5)


def gso(net, record):
    """Buffers of many segments."""
    lossy_transfer(net, record, count=6, share=15)


def retransmitted(net):
    """How many segments so far. The kernel counts those too that it could not send."""
    return net.a.counters()["TcpRetransSegs"]


def unlucky(net, record, count, spoil):
    """The first retransmissions of data that never arrives leave the host; so many after spoil() do not."""
    recording = record(net.a)
    causes.stuck(net, port=PORT)
    wait_until(lambda: retransmitted(net), 10, "a retransmission")
    spoil()
    all_of_them = retransmitted(net) + count
    wait_until(lambda: retransmitted(net) >= all_of_them, 10, "retransmissions")
    recording.stop(all_of_them)


def shot(net, record):
    unlucky(net, record, 2, lambda: net.a.tc_verdict("a0", TC_ACT_SHOT))


def early(net, record):
    """A clsact filter before ours, where there is no tcx."""
    unlucky(net, record, 2, lambda: net.a.tc_verdict("a0", TC_ACT_SHOT, prio="1"))


def stolen(net, record):
    unlucky(net, record, 2, lambda: net.a.tc_verdict("a0", TC_ACT_STOLEN))


def output(net, record):
    unlucky(net, record, 2, lambda: net.a.drop("output", DATA))


def qdisc(net, record):
    unlucky(net, record, 2, lambda: net.a.qdisc("a0", "pfifo", "limit", "0"))


def netem(net, record):
    """Says that all is well, and drops."""
    unlucky(net, record, 2, lambda: net.a.qdisc("a0", "netem", "loss", "100%"))


def busy(net, record):
    """A segment waits for longer than the retransmission timer in a queue of this host."""
    client, _ = net.connect(PORT)
    causes.steady(net)
    recording = record(net.a, 2)
    net.a.qdisc("a0", "tbf", "rate", "4kbit", "burst", "1600", "limit", "50000")
    udp = net.keep(net.a.socket(kind=2))
    for _ in range(4):
        udp.sendto(BLOCK[:1400], (net.addr[4][1], 9))
    client.sendall(BLOCK[:1000])
    recording.wait()


def syn(net, record):
    recording = record(net.a, 2)
    causes.stuck_syn(net, port=PORT)
    recording.wait()


def synack(net, record):
    recording = record(net.b, 3)
    causes.stuck_synack(net, port=PORT)
    recording.wait()


SITUATIONS = {situation.__name__: situation
              for situation in (loss, ipv6, gso, shot, early, stolen, output, qdisc, netem, busy, syn, synack)}


def make(path, name):
    net = Net(tso=name == "gso")
    try:
        SITUATIONS[name](net, lambda ns, *count: Recording(path, ns, *count))
    finally:
        net.close()
    size = make_anonymous(path)
    print("%-28s %6d bytes" % (os.path.basename(path), size), file=sys.stderr)
    assert size < 65536, "too large to keep"


for wanted in sys.argv[3:]:
    make(os.path.join(sys.argv[1], wanted + sys.argv[2] + ".rebpf"), wanted)
