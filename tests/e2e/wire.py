# SPDX-License-Identifier: MIT
"""The lab's networks: namespaces around a wire that is no part of the kernel, loss at chosen places, a tap at each.

    direct   a (tun) ------------------------------------- wire - (tun) b
    routed   a (veth) -------------------- g (veth, tun) - wire - (tun) b    the wire translates: each end is remote
    nat      the same, and g masquerades what comes from a
    bridged  a (veth) - r (bridge) - (veth) g (veth, tun) - wire - (tun) b

A tap is an nftables rule that logs every TCP packet at one point of a namespace to the wire's process (build/tests/wire),
which reads all of them and logs them with what it carried. Between two neighbouring taps there is one place of loss.
"""
import contextlib
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import tempfile

import pytest

from lab import SLOW, SO_RCVBUFFORCE, Namespace, reset
from tracer import TOP

WIRE = os.path.join(TOP, "build", "tests", "wire")

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
NETLINK_NETFILTER, SOL_NETLINK = 12, 270
NFULNL_MSG_CONFIG = 4 << 8 | 1
NFULA_CFG_CMD, NFULA_CFG_MODE, NFULA_CFG_QTHRESH, NFULA_CFG_FLAGS = 1, 2, 5, 6
GROUP = 7
SNAP = 128  # IPv6, TCP and all options

# Taps of the wire, then 16 * namespace + point.
WIRE_AB, WIRE_BA, WIRE_OUT = 0, 1, 2
NAMES = "abrg"
OUTPUT, POSTROUTING, PREROUTING, INPUT, BRIDGE_IN, BRIDGE_OUT = range(6)
CHAIN = ("output priority -300", "postrouting priority 300", "prerouting priority -300", "input priority 300",
         "forward priority -300", "forward priority 300")

A, A2 = {4: "10.78.1.1", 6: "fd78:1::1"}, {4: "198.51.100.1", 6: "2001:db8:100::1"}
B, R = {4: "10.78.2.2", 6: "fd78:2::2"}, {4: "198.51.100.2", 6: "2001:db8:100::2"}
GATE, OUTER = {4: "10.78.1.254", 6: "fd78:1::254"}, {4: "10.78.3.1", 6: "fd78:3::1"}
BITS = {4: 32, 6: 128}

MAC_A, MAC_G = "02:00:00:00:01:01", "02:00:00:00:01:02"


def tap(ns, point):
    return 16 * (NAMES.index(ns) + 1) + point


# Place of loss -> (direction, namespace; None: on no host).
PLACES = {
    "nf_out_ab": ("ab", "a"), "tc_ab": ("ab", "a"), "qdisc_ab": ("ab", "a"), "netem_ab": ("ab", "a"),
    "queue_ab": ("ab", "a"), "bridge_ab": ("ab", "r"), "forward_ab": ("ab", "g"), "wire_ab": ("ab", None),
    "nf_in_ab": ("ab", "b"), "socket_ab": ("ab", "b"),
    "nf_out_ba": ("ba", "b"), "tc_ba": ("ba", "b"), "qdisc_ba": ("ba", "b"), "netem_ba": ("ba", "b"),
    "wire_ba": ("ba", None), "forward_ba": ("ba", "g"), "bridge_ba": ("ba", "r"), "nf_in_ba": ("ba", "a"),
    "socket_ba": ("ba", "a"),
}


class TcHash:
    """A classic BPF program that drops by a hash of the packet's TCP header, so that the truth can tell which."""

    def __init__(self, version, percent, seed):
        self.version, self.limit, self.seed = version, round(percent * 10), (seed * 0x9e3779b1 + 12345) & 0xffffffff

    def drops(self, rec):
        if not rec.word:
            return False
        h = (rec.seq * 0x85ebca6b & 0xffffffff) ^ (rec.ack * 0xc2b2ae35 & 0xffffffff)
        h ^= rec.word * 0x27d4eb2f & 0xffffffff
        h = (h + self.seed) & 0xffffffff
        h ^= h >> 15
        h = (h * 0x2c1b3c6d & 0xffffffff) >> 8
        return h % 1000 < self.limit

    def bytecode(self):
        net = 0xfff00000  # SKF_NET_OFF
        th = net + (20 if self.version == 4 else 40)
        code = [
            (0x30, 0, 0, net + (9 if self.version == 4 else 6)),  # ldb protocol
            (0x15, 0, 25, 6),  # jeq TCP, else the last
            (0x20, 0, 0, th + 24), (0x07, 0, 0, 0), (0x20, 0, 0, th + 28), (0x0c, 0, 0, 0),  # ld; tax; ld; add x
            (0x24, 0, 0, 0x27d4eb2f), (0x02, 0, 0, 0),  # mul; st M0
            (0x20, 0, 0, th + 8), (0x24, 0, 0, 0xc2b2ae35), (0x61, 0, 0, 0), (0xac, 0, 0, 0), (0x02, 0, 0, 0),
            (0x20, 0, 0, th + 4), (0x24, 0, 0, 0x85ebca6b), (0x61, 0, 0, 0), (0xac, 0, 0, 0),  # ldx M0; xor x
            (0x04, 0, 0, self.seed), (0x02, 0, 0, 1), (0x74, 0, 0, 15), (0x61, 0, 0, 1), (0xac, 0, 0, 0),
            (0x24, 0, 0, 0x2c1b3c6d), (0x74, 0, 0, 8), (0x94, 0, 0, 1000),  # mul; rsh; mod
            (0x35, 1, 0, self.limit),  # jge
            (0x06, 0, 0, 2), (0x06, 0, 0, 0),  # shot, ok
        ]
        return "%d,%s" % (len(code), ",".join("%d %d %d %d" % one for one in code))


class LabNet:
    """One topology, with these losses in percent: {"nf_out_ab": 2, "wire_ba": 3, ...}; spike=(ab, ba, ms) in percent."""

    def __init__(self, topology, version, losses=None, spike=None, seed=1, delay_us=(2000, 6000), tso=False, spare_syn=False,
                 match="all"):
        self.topology, self.version, self.losses, self.seed = topology, version, dict(losses or {}), seed
        self.spike, self.delay_us, self.spare_syn, self.match = spike or (0, 0, 0), delay_us, spare_syn, match
        self.tso, self.all, self.sockets, self.fds, self.process, self.log = tso, [], [], [], None, None
        self.tc_hash = {}
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def build(self):
        if not os.access(WIRE, os.X_OK):
            pytest.fail("no build/tests/wire: run make %s" % os.path.relpath(WIRE, TOP))
        self.a, self.b = self.namespace("a"), self.namespace("b")
        self.ns = {"a": self.a, "b": self.b}
        self.remote = (B if self.topology == "direct" else R)[self.version]
        self.tun_b = self.tun(self.b)
        if self.topology == "direct":
            self.tun_a, self.dev = self.tun(self.a), {"a": "w0", "b": "w0"}
        else:
            self.ns["g"] = self.g = self.namespace("g")
            self.tun_a, self.dev = self.tun(self.g), {"a": "a0", "b": "w0"}
            self.build_middle()
        self.addresses()
        if self.topology == "nat":
            self.masquerade()
        for ns in self.all:
            for dev in re.findall(r"^\d+: (\w+)[@:]", ns.ip("-o", "link", "show"), re.M):
                if dev not in ("lo", "br0") and not self.tso:
                    ns.ip("link", "set", dev, "gso_max_segs", "1")
        self.taps()
        self.lose()

    def namespace(self, label):
        ns = Namespace(label)
        self.all.append(ns)
        ns.sysctl("net.ipv4.conf.all.rp_filter", 0)
        ns.sysctl("net.ipv4.conf.default.rp_filter", 0)
        return ns

    def tun(self, ns):
        def make():
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"w0", IFF_TUN | IFF_NO_PI))
            return fd

        fd = ns.inside(make)
        self.fds.append(fd)
        # The wire must never be what is full.
        ns.ip("link", "set", "w0", "txqueuelen", "20000")
        ns.sysctl("net.ipv6.conf.w0.addr_gen_mode", 1)
        ns.ip("link", "set", "w0", "up")
        return fd

    def veth(self, left, left_dev, right, right_dev, left_mac=None, right_mac=None):
        left.ip("link", "add", left_dev, *(["address", left_mac] if left_mac else []), "type", "veth", "peer", "name",
                right_dev, *(["address", right_mac] if right_mac else []), "netns", right.name)
        left.ip("link", "set", left_dev, "up")
        right.ip("link", "set", right_dev, "up")

    def build_middle(self):
        if self.topology == "bridged":
            self.ns["r"] = self.r = self.namespace("r")
            try:
                self.r.ip("link", "add", "br0", "type", "bridge")
            except AssertionError as error:
                pytest.skip("no bridge on this kernel: %s" % error)
            self.veth(self.a, "a0", self.r, "ra", MAC_A)
            self.veth(self.r, "rg", self.g, "g0", None, MAC_G)
            self.r.ip_batch("link set ra master br0", "link set rg master br0", "link set br0 up")
        else:
            self.veth(self.a, "a0", self.g, "g0", MAC_A, MAC_G)
        self.g.sysctl("net.ipv4.ip_forward", 1)
        self.g.sysctl("net.ipv6.conf.all.forwarding", 1)

    def addresses(self):
        v = self.version
        if self.topology == "direct":
            self.a.ip_batch("addr add %s/%d dev w0%s" % (A[v], BITS[v], " nodad" * (v == 6)), "route add %s dev w0" % B[v])
            back = A[v]
        else:
            nodad = " nodad" * (v == 6)
            self.a.ip_batch("addr add %s/%d dev a0%s" % (A[v], 24 if v == 4 else 64, nodad),
                            "neigh replace %s lladdr %s dev a0 nud permanent" % (GATE[v], MAC_G),
                            "route add default via %s" % GATE[v])
            self.g.ip_batch("addr add %s/%d dev g0%s" % (GATE[v], 24 if v == 4 else 64, nodad),
                            "addr add %s/%d dev w0%s" % (OUTER[v], BITS[v], nodad),
                            "neigh replace %s lladdr %s dev g0 nud permanent" % (A[v], MAC_A),
                            "route add %s dev w0" % R[v])
            back = A2[v]
        self.b.ip_batch("addr add %s/%d dev w0%s" % (B[v], BITS[v], " nodad" * (v == 6)), "route add %s dev w0" % back)

    def masquerade(self):
        family = "ip" if self.version == 4 else "ip6"
        try:
            self.g.run("nft", "-f", "-", text="table %s mq { chain c { type nat hook postrouting priority 100; "
                       "oifname w0 masquerade; }; }" % family)
            self.g.sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", 1)
        except (AssertionError, OSError) as error:
            pytest.skip("no NAT on this kernel: %s" % error)

    # -- taps and losses --

    def taps(self):
        self.tap_sockets = []
        for name, ns in self.ns.items():
            points = {"a": (OUTPUT, POSTROUTING, PREROUTING, INPUT), "g": (PREROUTING, POSTROUTING),
                      "r": (BRIDGE_IN, BRIDGE_OUT)}["a" if name == "b" else name]
            match = "ether type { ip, ip6 }" if name == "r" else "meta l4proto tcp"
            rules = ["chain t%d { type filter hook %s; %s log prefix \"%d\" group %d snaplen %d queue-threshold 1; }" % (
                point, CHAIN[point], match, point, GROUP, SNAP) for point in points]
            self.tap_sockets.append((self.nflog(ns), NAMES.index(name) + 1))
            ns.run("nft", "-f", "-", text="table %s taps {\n%s\n}" % ("bridge" if name == "r" else "inet", "\n".join(rules)))

    def nflog(self, ns):
        """A socket that gets what this namespace logs to GROUP."""
        sock = ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.sockets.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)
        sock.bind((0, 0))

        def config(kind, value):
            attr = struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
            body = struct.pack("!BBH", 0, 0, GROUP) + attr
            sock.send(struct.pack("=IHHII", 16 + len(body), NFULNL_MSG_CONFIG, 1 | 4, 1, 0) + body)
            error = struct.unpack_from("=i", sock.recv(4096), 16)[0]
            if error:
                raise OSError(-error, "NFLOG: " + os.strerror(-error))

        config(NFULA_CFG_CMD, b"\1")  # bind
        config(NFULA_CFG_MODE, struct.pack("!IBB", SNAP, 2, 0))  # copy packets
        config(NFULA_CFG_FLAGS, struct.pack("!H", 1))  # serial numbers
        config(NFULA_CFG_QTHRESH, struct.pack("!I", 1))
        return sock

    def lose(self):
        """Installs the losses of the namespaces; the wire's are its options."""
        for place, percent in self.losses.items():
            direction, name = PLACES[place]
            kind = place[:-3]
            if kind in ("nf_out", "nf_in", "forward", "bridge"):
                hook = {"nf_out": "output", "nf_in": "input"}.get(kind, "forward")
                dev = {"forward": "w0", "bridge": "rg"}.get(kind)
                way = "%s %s " % ("oifname" if direction == "ab" else "iifname", dev) if dev else ""
                self.ns[name].run("nft", "-f", "-", text=(
                    "table %s lose_%s { chain c { type filter hook %s priority 0; %s%snumgen random mod 1000 < %d counter "
                    "drop; }; }" % ("bridge" if kind == "bridge" else "inet", place, hook, way,
                                    "" if kind == "bridge" else "meta l4proto tcp ", round(percent * 10))))
            elif kind == "tc":
                self.tc_hash[direction] = TcHash(self.version, percent, self.seed)
            elif kind == "qdisc":
                # As much as percent Mbit/s, and a dozen packets of room.
                self.ns[name].qdisc(self.dev[name], "tbf", "rate", "%dkbit" % round(percent * 1000), "burst", "6000",
                                    "limit", "18000")
            elif kind == "queue":
                # No loss, but a long wait on this host.
                self.ns[name].qdisc(self.dev[name], "tbf", "rate", "%dkbit" % round(percent * 1000), "burst", "6000",
                                    "limit", "2000000")
            elif kind == "netem":
                self.ns[name].qdisc(self.dev[name], "netem", "loss", "%g%%" % percent, "limit", "10000")

    def third_programs(self):
        """The other TC program goes on last: after rebpf's, if that is there already."""
        for direction, tc_hash in self.tc_hash.items():
            name = direction[0]
            self.ns[name].tc_filter(self.dev[name], "bpf", "da", "bytecode", tc_hash.bytecode())

    def counted(self):
        """What the counters of nftables say: {place: packets}."""
        found = {}
        for place in self.losses:
            name = PLACES[place][1]
            if place[:-3] in ("nf_out", "nf_in", "forward", "bridge"):
                family = "bridge" if place.startswith("bridge") else "inet"
                text = self.ns[name].run("nft", "list", "table", family, "lose_" + place)
                found[place] = int(re.search(r"packets (\d+)", text).group(1))
            elif place[:-3] in ("qdisc", "netem"):
                text = self.ns[name].tc("-s", "qdisc", "show", "dev", self.dev[name], "root")
                found[place] = int(re.search(r"dropped (\d+)", text).group(1))
        return found

    def chain(self, direction):
        """The taps that a packet passes, in order."""
        ab = [tap("a", OUTPUT), tap("a", POSTROUTING)]
        middle = []
        if "r" in self.ns:
            middle += [tap("r", BRIDGE_IN), tap("r", BRIDGE_OUT)]
        if "g" in self.ns:
            middle += [tap("g", PREROUTING), tap("g", POSTROUTING)]
        if direction == "ab":
            return ab + middle + [WIRE_AB, WIRE_OUT, tap("b", PREROUTING), tap("b", INPUT)]
        back = middle[2:] + middle[:2] if len(middle) == 4 else middle
        return [tap("b", OUTPUT), tap("b", POSTROUTING), WIRE_BA, WIRE_OUT] + back + [tap("a", PREROUTING), tap("a", INPUT)]

    # -- the wire's process --

    def start(self, seconds=60):
        self.third_programs()
        fd, self.log = tempfile.mkstemp(prefix="rebpf-lab-")
        os.close(fd)
        losses = ",".join(str(round(self.losses.get("wire_" + way, 0) * 10)) for way in ("ab", "ba"))
        command = [WIRE, "-a", str(self.tun_a), "-b", str(self.tun_b), "-o", self.log, "-s", str(self.seed),
                   "-t", str(round(seconds * SLOW)), "-d", "%d,%d" % self.delay_us, "-l", losses, "-m", self.match,
                   "-k", "%d,%d,%d" % (round(self.spike[0] * 10), round(self.spike[1] * 10), self.spike[2])]
        if self.spare_syn:
            command.append("-h")
        if self.topology != "direct":
            v = self.version
            command += ["-n", ",".join(((OUTER if self.topology == "nat" else A)[v], A2[v], R[v], B[v]))]
        keep = [self.tun_a, self.tun_b]
        for sock, number in self.tap_sockets:
            command += ["-T", "%d,%d" % (sock.fileno(), number)]
            keep.append(sock.fileno())
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        pass_fds=keep)
        return self

    def stop(self):
        """Ends the wire and returns what it counted."""
        out, err = self.process.communicate(timeout=30 * SLOW)
        assert self.process.returncode == 0, err.decode()
        self.report = json.loads(out.decode())
        assert not self.report["missing"], "the taps lost packets: %r" % self.report
        return self.report

    def records(self):
        with open(self.log, "rb") as file:
            return [Rec(i, fields) for i, fields in enumerate(RECORD.iter_unpack(file.read()))]

    # -- sockets --

    def socket(self, ns):
        sock = ns.socket(socket.AF_INET if self.version == 4 else socket.AF_INET6)
        sock.settimeout(60 * SLOW)
        self.sockets.append(sock)
        return sock

    def listen(self, port):
        sock = self.socket(self.b)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("" if self.version == 4 else "::", port))
        sock.listen(512)
        return sock

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for sock in self.sockets:
            reset(sock)
        for fd in self.fds:
            os.close(fd)
        for ns in self.all:
            ns.close()
        if self.log:
            with contextlib.suppress(OSError):
                os.unlink(self.log)


RECORD = struct.Struct("=QQBBBBHHIIIIIIHBx8II")
assert RECORD.size == 88, RECORD.size

PASSED, DROPPED, DELAYED, HELD, FAILED = range(5)
FIN, SYN, RST, ACK = 1, 2, 4, 16


class Rec:
    """One packet at one tap."""

    __slots__ = ("i", "at", "out", "tap", "verdict", "version", "flags", "sport", "dport", "seq", "end", "ack", "tsval",
                 "tsecr", "word", "ip_id", "sacks", "len", "lo", "hi")

    def __init__(self, i, fields):
        self.i = i
        (self.at, self.out, self.tap, self.verdict, self.version, self.flags, self.sport, self.dport, self.seq, self.end,
         self.ack, self.tsval, self.tsecr, self.word, self.ip_id, count) = fields[:16]
        self.sacks = [(fields[16 + 2 * j], fields[17 + 2 * j]) for j in range(count)]
        self.len = fields[24]

    def __str__(self):
        return "%.6f tap %d %d>%d %d-%d ack %d flags %x" % (
            self.at / 1e9, self.tap, self.sport, self.dport, self.seq, self.end, self.ack, self.flags)

    def key(self):
        """What makes it the same packet at another tap."""
        return (self.seq, self.end, self.ack, self.tsval, self.tsecr, self.ip_id, tuple(self.sacks))
