# SPDX-License-Identifier: MIT
"""A network of our own: namespaces, links, loss at chosen places, traffic, and the kernel's own counters.

Everything here works on namespaces named rebpf-<pid>-..., which close() removes. Sockets are made by a short
thread inside the namespace and used from anywhere; only tests that ask which process owns a socket fork one.
"""
import atexit
import contextlib
import ctypes
import hashlib
import itertools
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

# Emulated machines are slow: every time-out is multiplied by this.
SLOW = float(os.environ.get("REBPF_TEST_SLOW", "1"))

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
SO_RCVBUFFORCE = 33
IPPROTO_MPTCP = 262
TC_ACT_OK, TC_ACT_SHOT, TC_ACT_STOLEN = 0, 2, 4

# What nft rules match. The longest segment without data has 60 (TCP) + 40 (IPv6) bytes.
DATA = "meta l4proto tcp meta length > 120"
SYN = "tcp flags & (syn | ack) == syn"
SYNACK = "tcp flags & (syn | ack) == (syn | ack)"
BARE_ACK = "tcp flags & (syn | ack | fin | rst) == ack meta length <= 120"

libc = ctypes.CDLL(None, use_errno=True)
serial = itertools.count(1)


def kernel():
    """The running kernel as (major, minor)."""
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


def wait_until(condition, seconds=10, what="the condition"):
    """Polls until condition() is true and returns its value; fails after seconds (times SLOW)."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("waited %.0f s for %s" % (seconds * SLOW, what() if callable(what) else what))
        time.sleep(0.005 * SLOW)


def run(*args, text=None, check=True):
    """Runs a command and returns its stdout."""
    done = subprocess.run(args, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                          timeout=30 * SLOW, check=False)
    if check and done.returncode:
        raise AssertionError("%s: %s" % (" ".join(args), (done.stderr or done.stdout).strip()))
    return done.stdout


def need(program):
    """The path of a program, or a skip."""
    path = shutil.which(program)
    if not path:
        pytest.skip("%s is not installed" % program)
    return path


# ---- namespaces ----


def enter(name):
    """Moves the calling thread into a namespace."""
    fd = os.open("/run/netns/" + name, os.O_RDONLY)
    try:
        if libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns " + name)
    finally:
        os.close(fd)


def inside(name, func, *args):
    """Runs func(*args) in a thread of its own within a namespace: it ends with the thread."""
    result = {}

    def body():
        try:
            enter(name)
            result["value"] = func(*args)
        except BaseException as error:  # handed to the caller
            result["error"] = error

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]


class Namespace:
    """One network namespace."""

    def __init__(self, label):
        self.name = "rebpf-%d-%d%s" % (os.getpid(), next(serial), label)
        run("ip", "netns", "add", self.name)
        alive.add(self.name)
        self.inode = os.stat("/run/netns/" + self.name).st_ino
        self.ip("link", "set", "lo", "up")
        # A destination's figures must not outlive a connection, or one test changes the next one's timing.
        self.sysctl("net.ipv4.tcp_no_metrics_save", 1)
        self.sysctl("net.ipv4.tcp_congestion_control", "reno")

    def close(self):
        if self.name in alive:
            alive.discard(self.name)
            run("ip", "netns", "del", self.name, check=False)

    def ip(self, *args, check=True):
        return run("ip", "-n", self.name, *args, check=check)

    def ip_batch(self, *lines):
        return run("ip", "-n", self.name, "-batch", "-", text="\n".join(lines) + "\n")

    def tc(self, *args, check=True):
        return run("tc", "-n", self.name, *args, check=check)

    def run(self, *args, text=None, check=True):
        return run("ip", "netns", "exec", self.name, *args, text=text, check=check)

    def inside(self, func, *args):
        return inside(self.name, func, *args)

    def sysctl(self, key, value):
        def write():
            with open("/proc/sys/" + key.replace(".", "/"), "w", encoding="ascii") as file:
                file.write(str(value))

        self.inside(write)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        return self.inside(socket.socket, family, kind, protocol)

    # -- loss and other trouble --

    def drop(self, hook, match):
        """Drops packets with nftables at a hook; the Rule counts them and can be taken back."""
        return Rule(self, hook, match)

    def count(self, hook, match):
        """Counts packets at a hook, before any rule that drops, and leaves them alone."""
        return Rule(self, hook, match, priority=-10, verdict="")

    def qdisc(self, dev, *args):
        """Replaces the device's root qdisc, or skips the test if the kernel has no such qdisc."""
        try:
            self.tc("qdisc", "replace", "dev", dev, "root", *args)
        except AssertionError as error:
            if "unknown" in str(error) or "No such file" in str(error):
                pytest.skip("this kernel has no qdisc %s" % args[0])
            raise

    def no_qdisc(self, dev):
        self.tc("qdisc", "del", "dev", dev, "root")

    def tc_filter(self, dev, *args, prio="60000"):
        """Adds a filter of a third program to TC egress: after rebpf's, also where that is a clsact filter."""
        if "clsact" not in self.tc("qdisc", "show", "dev", dev):
            self.tc("qdisc", "add", "dev", dev, "clsact", check=False)
        self.tc("filter", "add", "dev", dev, "egress", "prio", prio, *args)

    def tc_verdict(self, dev, verdict, prio="60000"):
        """A filter that gives every packet one verdict: classic BPF needs neither a compiler nor act_gact."""
        self.tc_filter(dev, "bpf", "da", "bytecode", "1,6 0 0 %d" % verdict, prio=prio)

    def tc_redirect(self, dev, target):
        self.tc_filter(dev, "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "redirect", "dev", target)

    # -- what the kernel counted --

    def counters(self):
        """The TCP counters of this namespace: {"TcpRetransSegs": n, "TcpExtTCPRetransFail": n, ...}."""
        return self.inside(read_counters)

    @contextlib.contextmanager
    def counting(self):
        """with ns.counting() as rise: ...; afterwards rise["TcpRetransSegs"]."""
        before, rise = self.counters(), {}
        yield rise
        after = self.counters()
        rise.update((key, after[key] - before.get(key, 0)) for key in after)


def read_counters():
    values = {}
    for path in ("/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"):
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()
        for names, numbers in zip(lines[::2], lines[1::2]):
            prefix = names.split(":")[0]
            values.update((prefix + name, int(number)) for name, number in zip(names.split()[1:], numbers.split()[1:]))
    return values


class Rule:
    """One nftables rule in a table of its own, so that removing it touches nothing else."""

    def __init__(self, ns, hook, match, priority=0, verdict="drop"):
        self.ns, self.table = ns, "lab%d" % next(serial)
        ns.run("nft", "-f", "-", text="table inet %s { chain c { type filter hook %s priority %d; %s counter %s; }; }"
               % (self.table, hook, priority, match, verdict))

    def count(self):
        return int(re.search(r"packets (\d+)", self.ns.run("nft", "list", "table", "inet", self.table)).group(1))

    def remove(self):
        self.ns.run("nft", "delete", "table", "inet", self.table)


def percent(share):
    """Match part: a random share of packets, in percent."""
    return "numgen random mod 1000 < %d" % round(share * 10)


def nth(*numbers):
    """Match part: the packets with these numbers among those that the rest of the rule matches, from 0."""
    return "numgen inc mod 1000000 { %s }" % ", ".join(str(number) for number in numbers)


def from_nth(number):
    """Match part: every packet from this number on."""
    return "numgen inc mod 1000000 >= %d" % number


def before_nth(number):
    """Match part: as many packets, then no more."""
    return "numgen inc mod 1000000 < %d" % number


alive = set()


@atexit.register
def remove_namespaces():
    for name in list(alive):
        run("ip", "netns", "del", name, check=False)


def remove_stale_namespaces():
    """Removes the namespaces of runs that were killed: their processes are gone."""
    for name in os.listdir("/run/netns"):
        owner = re.match(r"rebpf-(\d+)-\d+[a-z]$", name)
        if owner and not os.path.exists("/proc/" + owner.group(1)):
            run("ip", "netns", "del", name, check=False)


# ---- networks ----

MAC = "02:00:00:00:00:%02x"


class Net:
    """Namespaces a and b, joined by a veth pair a0-b0; or through r: "router" (two subnets) or "bridge".

    Neighbour entries are permanent: what drops or delays every packet must not drop ARP as well, for then the
    kernel reports another reason.
    """

    def __init__(self, middle=None, mtu=1500, tso=False):
        self.sockets, self.workers, self.all = [], [], []
        self.a, self.b = self.namespace("a"), self.namespace("b")
        self.addr = {4: ("10.77.0.1", "10.77.0.2"), 6: ("fd77::1", "fd77::2")}
        if middle:
            self.r = self.namespace("r")
            self.veth(self.a, "a0", 1, self.r, "ra", 3, mtu)
            self.veth(self.r, "rb", 4, self.b, "b0", 2, mtu)
            getattr(self, "build_" + middle)()
        else:
            self.veth(self.a, "a0", 1, self.b, "b0", 2, mtu)
            self.build_pair()
        if not tso:
            self.no_tso()

    def namespace(self, label):
        ns = Namespace(label)
        self.all.append(ns)
        return ns

    def veth(self, left, left_dev, left_mac, right, right_dev, right_mac, mtu=1500):
        left.ip("link", "add", left_dev, "mtu", str(mtu), "address", MAC % left_mac, "type", "veth", "peer", "name",
                right_dev, "mtu", str(mtu), "address", MAC % right_mac, "netns", right.name)
        left.ip("link", "set", left_dev, "up")
        right.ip("link", "set", right_dev, "up")

    def configure(self, ns, dev, subnet, host, peer, peer_mac):
        """Addresses 10.77.subnet.host and fd77:subnet::host, and the way to the peer's MAC address."""
        ns.ip_batch("addr add 10.77.%d.%d/24 dev %s" % (subnet, host, dev),
                    "addr add fd77:%d::%d/64 dev %s nodad" % (subnet, host, dev),
                    "neigh replace 10.77.%d.%d lladdr %s dev %s nud permanent" % (subnet, peer, MAC % peer_mac, dev),
                    "neigh replace fd77:%d::%d lladdr %s dev %s nud permanent" % (subnet, peer, MAC % peer_mac, dev))

    def build_pair(self):
        self.configure(self.a, "a0", 0, 1, peer=2, peer_mac=2)
        self.configure(self.b, "b0", 0, 2, peer=1, peer_mac=1)

    def build_bridge(self):
        self.r.ip_batch("link add br0 type bridge", "link set ra master br0", "link set rb master br0",
                        "link set br0 up")
        self.build_pair()

    def build_router(self):
        self.addr = {4: ("10.77.1.1", "10.77.2.2"), 6: ("fd77:1::1", "fd77:2::2")}
        self.configure(self.a, "a0", 1, 1, peer=254, peer_mac=3)
        self.configure(self.r, "ra", 1, 254, peer=1, peer_mac=1)
        self.configure(self.r, "rb", 2, 254, peer=2, peer_mac=2)
        self.configure(self.b, "b0", 2, 2, peer=254, peer_mac=4)
        for ns, subnet in ((self.a, 1), (self.b, 2)):
            ns.ip("route", "add", "default", "via", "10.77.%d.254" % subnet)
            ns.ip("-6", "route", "add", "default", "via", "fd77:%d::254" % subnet)
        self.r.sysctl("net.ipv4.ip_forward", 1)
        self.r.sysctl("net.ipv6.conf.all.forwarding", 1)

    def no_tso(self):
        """Packets of one MSS on the wire: loss then hits single segments."""
        for ns in self.all:
            for dev in re.findall(r"^\d+: (\w+)@", ns.ip("-o", "link", "show", "type", "veth"), re.M):
                ns.run("ethtool", "-K", dev, "tso", "off")

    def sysctl(self, key, value):
        for ns in self.all:
            ns.sysctl(key, value)

    def close(self):
        for worker in self.workers:
            worker.kill()
        for sock in self.sockets:
            reset(sock)
        for ns in self.all:
            ns.close()

    # -- sockets --

    def keep(self, sock):
        sock.settimeout(60 * SLOW)
        self.sockets.append(sock)
        return sock

    def listen(self, port=5001, version=4, ns=None, protocol=0):
        """A listening socket, in b unless told otherwise. Version 0: a v6 socket that takes v4 too."""
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        sock = self.keep((ns or self.b).socket(family, socket.SOCK_STREAM, protocol))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("" if version == 4 else "::", port))
        sock.listen(64)
        return sock

    def connect(self, port=5001, version=4, listener=None, protocol=0):
        """A connection from a to b: (client, server)."""
        listener = listener or self.listen(port, version, protocol=protocol)
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        client = self.keep(self.a.socket(family, socket.SOCK_STREAM, protocol))
        client.connect((self.addr[version][1], port))
        server = self.keep(listener.accept()[0])
        return client, server

    def worker(self, func, *args, **how):
        worker = Worker(func, *args, **how)
        self.workers.append(worker)
        return worker


def reset(sock):
    """Closes with a reset where possible: nothing is retransmitted afterwards."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# ---- traffic ----


def pattern(size):
    """Bytes that repeat nowhere near."""
    block = hashlib.sha256(b"rebpf").digest()
    return b"".join(hashlib.sha256(block + struct.pack("<I", i)).digest() for i in range((size + 31) // 32))[:size]


BLOCK = pattern(65536)


def send_bytes(sock, size):
    """Sends size bytes; returns their hash."""
    digest = hashlib.sha256()
    while size:
        part = BLOCK[:min(size, len(BLOCK))]
        sock.sendall(part)
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()


def receive_bytes(sock, size):
    """Receives exactly size bytes; returns their hash."""
    digest = hashlib.sha256()
    while size:
        part = sock.recv(min(size, 262144))
        if not part:
            raise AssertionError("%d bytes are missing" % size)
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()


class Background:
    """A call in a thread; result() joins it and passes its exception on."""

    def __init__(self, func, *args):
        self.value = self.error = None
        self.thread = threading.Thread(target=self.body, args=(func, args), daemon=True)
        self.thread.start()

    def body(self, func, args):
        try:
            self.value = func(*args)
        except BaseException as error:  # handed to the caller
            self.error = error

    def result(self, seconds=120):
        self.thread.join(seconds * SLOW)
        if self.thread.is_alive():
            raise AssertionError("still running after %.0f s" % (seconds * SLOW))
        if self.error:
            raise self.error
        return self.value


def transfer(sender, receiver, size):
    """Moves size bytes and compares the hashes of both ends."""
    sending = Background(send_bytes, sender, size)
    received = receive_bytes(receiver, size)
    assert sending.result() == received


def start_connect(sock, address):
    """Starts a connection and does not wait for it."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)


# ---- processes ----


class Worker:
    """A forked process that runs func(control, *args): for tests that ask whose a socket is.

    control is the child's end of a socket pair, self.control ours: they exchange single lines.
    """

    def __init__(self, func, *args, ns=None, comm=None, uid=None):
        self.control, child_end = socket.socketpair()
        self.control.settimeout(60 * SLOW)
        self.comm = comm
        self.pid = os.fork()
        if self.pid == 0:
            self.child(child_end, func, args, ns, uid)
        child_end.close()

    def child(self, control, func, args, ns, uid):
        status = 1
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if self.comm:
                libc.prctl(PR_SET_NAME, self.comm.encode(), 0, 0, 0)
            self.control.close()
            if ns:
                enter(ns.name)
            if uid:
                os.setresuid(uid, uid, uid)
            func(control, *args)
            status = 0
        except Exception as error:
            with contextlib.suppress(OSError):
                control.sendall(("error: %r\n" % error).encode())
        finally:
            os._exit(status)

    def tell(self, line="go"):
        self.control.sendall(line.encode() + b"\n")

    def hear(self):
        return read_line(self.control)

    def kill(self):
        """Ends the process, if it has not ended."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        self.control.close()


def read_line(sock):
    """One line from a worker's or its parent's control socket."""
    line = b""
    while not line.endswith(b"\n"):
        part = sock.recv(1)
        if not part:
            raise AssertionError("the other process ended after saying %r" % line)
        line += part
    text = line.decode().rstrip("\n")
    if text.startswith("error: "):
        raise AssertionError("the other process: " + text)
    return text


def chatter(sock, seconds, size=3000):
    """Sends size bytes every 20 ms, for tests that need a flow which goes on."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sock.sendall(BLOCK[:size])
        select.select([], [], [], 0.02)


def drain(sock):
    """Receives until the end."""
    with contextlib.suppress(OSError):
        while sock.recv(262144):
            pass


# ---- the wire ----


FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")


class Segment:
    """A TCP segment as captured: its addresses' version, ports, seq, ack, flags and payload length."""

    def __init__(self, frame):
        self.frame = frame
        self.version = frame[14] >> 4
        self.l3 = 14
        if self.version == 4:
            self.l4 = 14 + (frame[14] & 15) * 4
            end = 14 + struct.unpack_from("!H", frame, 16)[0]
        else:
            self.l4 = 54
            end = 54 + struct.unpack_from("!H", frame, 18)[0]
        self.sport, self.dport, self.seq, self.ack, offset, self.flags = struct.unpack_from("!HHIIBB", frame, self.l4)
        self.len = end - self.l4 - (offset >> 4) * 4
        self.end_seq = (self.seq + self.len + (self.flags & 1) + (self.flags >> 1 & 1)) & 0xffffffff

    @property
    def flag_names(self):
        return "|".join(name for i, name in enumerate(FLAGS) if self.flags >> i & 1)


class Capture:
    """Captures the TCP segments that arrive at a device."""

    def __init__(self, ns, dev):
        self.segments = []
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.sock.bind((dev, 3))
        self.sock.settimeout(0.05)
        self.stopping = False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while not self.stopping:
            # socket.timeout, or "Network is down" once the device has gone.
            with contextlib.suppress(OSError):
                frame, address = self.sock.recvfrom(70000)
                if address[2] == socket.PACKET_OUTGOING:
                    continue
                if (frame[12:14] == b"\x08\0" and frame[23] == 6) or (frame[12:14] == b"\x86\xdd" and frame[20] == 6):
                    self.segments.append(Segment(frame))

    def data(self, dport):
        return [s for s in list(self.segments) if s.dport == dport and s.len]

    def inject(self, frame):
        """Sends a frame out of the device."""
        self.sock.send(frame)

    def close(self):
        self.stopping = True
        self.thread.join()
        self.sock.close()


def checksum(data):
    total = sum(struct.unpack("!%dH" % ((len(data) + 1) // 2), data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def acknowledge(segment, ack):
    """The frame that a receiver would send for ack, wherever in the segment that is (IPv4, no options)."""
    frame = segment.frame
    return build_frame(frame[6:12] + frame[:6], frame[30:34], frame[26:30], segment.dport, segment.sport, segment.ack,
                       ack, 0x10)


def follow(segment, seq, payload=b"", flags=0x18, damage=0):
    """The frame of another segment of the same direction (no options); damage is added to its checksum."""
    at = slice(26, 30) if segment.version == 4 else slice(22, 38)
    size = at.stop - at.start
    return build_frame(segment.frame[:12], segment.frame[at], segment.frame[at.stop:at.stop + size], segment.sport,
                       segment.dport, seq, segment.ack, flags, payload, damage)


def build_frame(macs, source, target, sport, dport, seq, ack, flags, payload=b"", damage=0):
    """An Ethernet frame with one TCP segment; macs: destination's and source's."""
    size = 20 + len(payload)
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xffffffff, ack, 5 << 4, flags, 8000, 0, 0) + payload
    total = checksum(source + target + struct.pack("!II", size, 6) + tcp)
    tcp = tcp[:16] + struct.pack("!H", (total + damage) & 0xffff) + tcp[18:]
    if len(source) == 16:
        return macs + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, size, 6, 64) + source + target + tcp
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return macs + b"\x08\0" + ip + tcp
