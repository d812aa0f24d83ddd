# SPDX-License-Identifier: MIT
"""Makes small recordings of real loss. record.sh calls it with a directory, a suffix and the wanted names.

Each is `rebpf -w` around one situation in a network of its own (tests/e2e/lab.py), on a port of its own. It is kept only if
a replay says, byte for byte, what was said live, and if it holds no address but the network's: rebpf records the addresses
of every namespace that it sees, so run this where no other is to be seen.
"""
import contextlib
import fcntl
import ipaddress
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import causes
from lab import (BARE_ACK, BLOCK, DATA, SLOW, SYN, TC_ACT_SHOT, Net, nth, receive_bytes, reset, start_connect, transfer,
                 wait_until)

REBPF = os.environ.get("REBPF", os.path.join("build", "rebpf"))
PORT = 7077  # nothing else on this machine, such as the e2e tests, uses it meanwhile
SIZE_LIMIT = 60000
TCP_USER_TIMEOUT = 18
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
NETWORKS = [ipaddress.ip_network(text)
            for text in ("10.77.0.0/16", "127.0.0.0/8", "fd77::/16", "::1/128", "fe80::ff:fe00:0/120",
                         "0.0.0.0/32", "::/128")]  # the last two: a connect that came to no address of its own
with open(os.path.join("bpf", "event_kinds.h"), encoding="utf-8") as source:
    KINDS = ["NONE", *re.findall(r"X\((\w+), rec_\w+, \w+\)", source.read())]
# Each struct rec_owner of a record; the last of two is the task that ran when it happened.
OWNERS_AT = {"RTX_ENTRY": (104, 128), "CONNECT": (104, 128), "DROP": (192, 120), "SPURIOUS": (104,), "OWNER": (40,), "SOCKET": (56,)}
RELEASE_AT = 24 + 24  # rec_host.release
# Each address of a record, and the byte that says its version: 0 for none.
ADDRESSES_AT = {"RTX_ENTRY": ((24, 60), (40, 60)), "SPURIOUS": ((24, 60), (40, 60)), "CONNECT": ((24, 60), (40, 60)),
                "ADDR": ((24, 44),),
                "DROP": ((40, 76), (56, 76), (272, 308), (288, 308), (312, 348), (328, 348))}


class Recording:
    """with Recording(path, args) around the situation."""

    def __init__(self, path, *args):
        self.path, self.args = path, ["-P", str(PORT), *args]
        self.errors = open(path + ".log", "w+", encoding="utf-8")
        self.live = open(path + ".live", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [REBPF, "--utc", "-w", path, "-d", str(round(60 * SLOW)), *self.args],
            stdin=subprocess.DEVNULL, stdout=self.live, stderr=self.errors)

    def __enter__(self):
        wait_until(lambda: "rebpf: ready" in self.log() or self.process.poll() is not None, 20, "rebpf")
        assert self.process.poll() is None, self.log()
        time.sleep(0.2 * SLOW)
        return self

    def log(self):
        with open(self.errors.name, encoding="utf-8") as file:
            return file.read()

    def __exit__(self, kind, *_):
        if not kind:
            time.sleep(0.3 * SLOW)  # the last verdict waits for the drops to be read
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(20 * SLOW)
        assert kind or status == 0, self.log()
        replayed = subprocess.run([REBPF, "--utc", "-q", "-r", self.path, *self.args], stdout=subprocess.PIPE, check=True)
        self.live.seek(0)
        assert kind or self.live.read() == replayed.stdout.decode(), "the replay differs"
        for file in (self.errors, self.live):
            file.close()
            os.unlink(file.name)


def records(data):
    """The (offset, kind, size) of each."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from("HB", data, at + 16)
        yield at, KINDS[kind], size
        at += size


def make_anonymous(path):
    """Takes out who else was running on this machine, and what it calls its kernel.

    This process gets one number: in a PID namespace the kernel's hooks and /proc call it differently.
    """
    with open(path, "rb") as file:
        data = bytearray(file.read())
    for at, kind, size in records(data):
        for address, version in ADDRESSES_AT.get(kind, ()):
            if version < size and data[at + version]:
                raw = bytes(data[at + address:at + address + (4 if data[at + version] == 4 else 16)])
                assert any(ipaddress.ip_address(raw) in network for network in NETWORKS), \
                    "%s: a %s of elsewhere; try again" % (path, kind)
        for owner in OWNERS_AT.get(kind, ()):
            comm = data[at + owner + 8:at + owner + 24].split(b"\0")[0]
            if comm == b"python3":
                struct.pack_into("I", data, at + owner, os.getpid())
            elif comm and not comm.startswith((b"swapper/", b"ksoftirqd/")):
                assert owner in (128, 120), "%s: a socket of %r" % (path, comm)
                struct.pack_into("II16s", data, at + owner, 0, 0, b"swapper/0")
        if kind == "HOST":
            release = bytes(data[at + RELEASE_AT:at + RELEASE_AT + 64]).split(b"\0")[0].split(b"-")[0].split(b"+")[0]
            struct.pack_into("64s", data, at + RELEASE_AT, release)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o644)  # rebpf makes it for its owner only: it holds kernel addresses
    return len(data)


# ---- a wire outside the kernel ----


class WireNet(Net):
    """a0 and b0 are TUN devices, and a thread is the wire. lose(packet), hold(packet): is this one from a to be lost, to be
    kept until let_go()?"""

    def __init__(self):
        self.fds, self.held = [], []
        self.lose = self.hold = lambda packet: False
        self.stopping = False
        self.wire = threading.Thread(target=self.carry, daemon=True)
        super().__init__()
        self.wire.start()

    def veth(self, left, left_dev, left_mac, right, right_dev, right_mac, mtu=1500):
        for ns, dev in ((left, left_dev), (right, right_dev)):
            self.fds.append(ns.inside(self.tun, dev))
            ns.sysctl("net.ipv6.conf.%s.addr_gen_mode" % dev, 1)
            ns.ip("link", "set", dev, "up")

    def tun(self, dev):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", dev.encode(), IFF_TUN | IFF_NO_PI))
        return fd

    def configure(self, ns, dev, subnet, host, peer, peer_mac):
        ns.ip_batch("addr add 10.77.%d.%d/24 dev %s" % (subnet, host, dev),
                    "addr add fd77:%d::%d/64 dev %s nodad" % (subnet, host, dev))

    def no_tso(self):
        pass  # a TUN device that was not asked for it has none

    def carry(self):
        a, b = self.fds
        while not self.stopping:
            for fd in select.select([a, b], [], [], 0.1)[0]:
                packet = os.read(fd, 65536)
                time.sleep(0.001)
                if fd == b:
                    os.write(a, packet)
                elif self.hold(packet):
                    self.held.append(packet)
                elif not self.lose(packet):
                    os.write(b, packet)

    def let_go(self):
        self.hold = lambda packet: False
        while self.held:
            os.write(self.fds[1], self.held.pop(0))

    def close(self):
        self.stopping = True
        self.wire.join()
        super().close()
        for fd in self.fds:
            os.close(fd)


def chosen(*numbers):
    """Is a packet among these of those with data, from 0?"""
    seen = []

    def is_chosen(packet):
        if len(packet) <= 120:
            return False
        seen.append(packet)
        return len(seen) - 1 in numbers

    return is_chosen


# ---- what is recorded: record(*options) is the Recording to do it in ----


def rises(net, key, by=1):
    """Waits until a counter at a has risen."""
    before = net.a.counters()[key]
    wait_until(lambda: net.a.counters()[key] >= before + by, 20, key)


def lossy_transfer(net, version=4):
    """Some lost in the receiver's netfilter, which the sender cannot see."""
    net.b.drop("input", DATA + " " + nth(3, 7))
    client, server = net.connect(PORT, version)
    transfer(client, server, 14 * causes.MSS)


def local(net, record):
    with record():
        lossy_transfer(net)


def mapped(net, record):
    """IPv4 through IPv6 sockets."""
    with record():
        net.b.drop("input", DATA + " " + nth(3))
        listener = net.listen(PORT, 0)
        client = net.keep(net.a.socket(socket.AF_INET6))
        client.connect(("::ffff:" + net.addr[4][1], PORT))
        server = net.keep(listener.accept()[0])
        transfer(client, server, 10 * causes.MSS)


def stack(net, record):
    """Drops only, with stacks: two in netfilter, and then a connection to a port where nobody listens."""
    with record("-e", "drop", "--class", "all", "--stack"):
        net.b.drop("input", DATA + " " + nth(3, 7))
        listener = net.listen(PORT)
        client, server = net.connect(PORT, listener=listener)
        transfer(client, server, 14 * causes.MSS)
        time.sleep(0.3 * SLOW)  # a socket that has gone has no owner
        for sock in (client, server, listener):
            reset(sock)
        with contextlib.suppress(ConnectionRefusedError):
            net.keep(net.a.socket()).connect((net.addr[4][1], PORT))


def sender(net, record):
    """Lost at three places on the sender's way out, one after the other; then it arrives."""
    causes.steady(net)
    with record():
        client, server = net.connect(PORT)
        rule = net.b.drop("input", DATA)
        client.sendall(BLOCK[:1000])
        rises(net, "TcpRetransSegs")
        output = net.a.drop("output", DATA)
        rises(net, "TcpRetransSegs")
        net.a.qdisc("a0", "pfifo", "limit", "0")
        output.remove()
        rises(net, "TcpRetransSegs")
        net.a.tc_verdict("a0", TC_ACT_SHOT)
        rises(net, "TcpRetransSegs")
        net.a.tc("filter", "del", "dev", "a0", "egress", "prio", "60000")
        net.a.no_qdisc("a0")
        rule.remove()
        receive_bytes(server, 1000)


def ack(net, record):
    """The data arrives and its acknowledgement does not: lost at the receiver, then at the sender. DSACKs follow."""
    causes.steady(net)
    with record():
        client, server = net.connect(PORT, 6)
        for ns, hook in ((net.b, "output"), (net.a, "input")):
            rule = ns.drop(hook, BARE_ACK)
            before = net.a.counters()
            client.sendall(BLOCK[:1000])
            receive_bytes(server, 1000)
            wait_until(lambda: net.a.counters()["TcpRetransSegs"] > before["TcpRetransSegs"], 10, "a retransmission")
            rule.remove()
            wait_until(lambda: net.a.counters()["TcpExtTCPDSACKRecv"] > before["TcpExtTCPDSACKRecv"], 10, "a DSACK")


def wire(net, record, version=4):
    with record():
        net.lose = chosen(3, 7)
        client, server = net.connect(PORT, version)
        transfer(client, server, 14 * 1400)


def wire6(net, record):
    wire(net, record, 6)


def late(net, record):
    """One lost on the wire, and one held up on it for longer than the time-out."""
    causes.steady(net)
    with record():
        client, server = net.connect(PORT)
        net.lose = chosen(0)
        client.sendall(BLOCK[:500])
        receive_bytes(server, 500)
        time.sleep(0.3 * SLOW)
        net.hold = lambda packet: len(packet) > 120
        client.sendall(BLOCK[:1000])
        rises(net, "TcpRetransSegs")
        net.let_go()
        receive_bytes(server, 1000)
        time.sleep(0.1 * SLOW)


def overflow(net, record):
    """A listener that does not accept, and more connections than it has room for."""
    with record():
        listener = net.listen(PORT)
        listener.listen(1)
        socks = [net.keep(net.a.socket()) for _ in range(4)]
        for sock in socks:
            start_connect(sock, (net.addr[4][1], PORT))
            time.sleep(0.05 * SLOW)
        wait_until(lambda: net.b.counters()["TcpExtListenOverflows"] >= 4, 20, "overflows")
        for sock in socks:
            reset(sock)


def given_up(net, record):
    with record():
        client, _ = net.connect(PORT, 6)
        net.b.drop("input", DATA)
        client.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 700)
        client.sendall(BLOCK[:1000])
        wait_until(lambda: net.a.counters()["TcpExtTCPAbortOnTimeout"], 60, "the end")


def summary(net, record):
    """Some of everything that is summed up, for longer than a second."""
    with record("-e", "all"):
        with contextlib.suppress(ConnectionRefusedError):
            net.keep(net.a.socket()).connect((net.addr[4][1], PORT))
        listener = net.listen(PORT)
        client, server = net.connect(PORT, listener=listener)
        net.b.drop("input", DATA + " " + nth(3, 7))
        transfer(client, server, 14 * causes.MSS)
        time.sleep(1.2 * SLOW)
        net.b.drop("input", DATA + " " + nth(4))
        transfer(client, server, 14 * causes.MSS)
        time.sleep(1.2 * SLOW)
        client.sendall(BLOCK[:1000])
        receive_bytes(server, 1000)


def connect(net, record):
    """Connects only, one of each end: refused, established over both versions, with the first SYN lost, not answered at all,
    given up by the program, and without a port to begin from."""
    net.a.sysctl("net.ipv4.tcp_syn_retries", 1)
    with contextlib.suppress(OSError):
        net.a.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0)

    def sock(family=socket.AF_INET):
        return net.keep(net.a.socket(family))

    with record("-e", "connect"):
        with contextlib.suppress(ConnectionRefusedError):
            sock(socket.AF_INET6).connect((net.addr[6][1], PORT))
        listener = net.listen(PORT, 0)
        sock(socket.AF_INET6).connect((net.addr[6][1], PORT))
        sock(socket.AF_INET6).connect(("::ffff:" + net.addr[4][1], PORT))
        rule = net.b.drop("input", SYN + " " + nth(0))
        sock().connect((net.addr[4][1], PORT))
        rule.remove()
        rule = net.a.drop("output", SYN)
        with contextlib.suppress(TimeoutError):
            sock().connect((net.addr[4][1], PORT))
        left = sock()
        start_connect(left, (net.addr[4][1], PORT))
        wait_until(lambda: rule.count() >= 3, what="the SYN")
        left.close()
        rule.remove()
        net.a.sysctl("net.ipv4.ip_local_port_range", "40000 40000")
        for _ in range(2):
            with contextlib.suppress(OSError):
                sock().connect((net.addr[4][1], PORT))
        assert listener


SITUATIONS = {situation.__name__: situation
              for situation in (local, mapped, stack, sender, ack, wire, wire6, late, overflow, given_up, connect, summary)}


def make(path, name):
    net = WireNet() if name in ("wire", "wire6", "late") else Net()
    try:
        SITUATIONS[name](net, lambda *args: Recording(path, *args))
    finally:
        net.close()
    try:
        size = make_anonymous(path)
    except BaseException:
        os.unlink(path)
        raise
    print("%-28s %6d bytes" % (os.path.basename(path), size), file=sys.stderr)
    assert size < SIZE_LIMIT, "too large to keep"


for wanted in sys.argv[3:]:
    make(os.path.join(sys.argv[1], wanted + sys.argv[2] + ".rebpf"), wanted)
