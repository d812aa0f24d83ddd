#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of the corpora: corpus/TARGET/seed-NAME. The golden recordings are seeds of "replay", too.

What the fuzzer has found is beside them under other names, and stays.
"""
import glob
import os
import re
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
NASTY = [b'q"uo\\te', b"new\nline", b"\x1b[2J\x1b]0;x\x07", b"\xff\xfe\xc3(", "l\u2028s".encode(), b"\x01\x7f\x80 \t",
         b"a" * 300, b"=,:()", b"%s%n", b"-", b""]


def write(target, name, data):
    os.makedirs(os.path.join(HERE, "corpus", target), exist_ok=True)
    with open(os.path.join(HERE, "corpus", target, "seed-" + name), "wb") as file:
        file.write(data)


# ---- recordings: bpf/event.h ----

def read_kinds():
    with open(os.path.join(HERE, "..", "..", "bpf", "event_kinds.h"), encoding="utf-8") as source:
        return ["NONE", *re.findall(r"X\((\w+), rec_\w+, \w+\)", source.read())]


def record(kind, payload, ts=1000, order="=", size=None):
    head = struct.pack(order + "QQHBBHH", ts, 0, 24 + len(payload) if size is None else size, kind, 0, 0, 0)
    return head + payload


def host(order="=", fmt=1):
    return struct.pack(order + "IIIIQ", fmt, 250, 4026531840, 0xff, 500) + b"6.18\xff".ljust(64, b"\xff") + b"0" * 32


def replay_seeds():
    kinds = read_kinds()
    first = record(kinds.index("HOST"), host())
    # Every kind: full of one byte, and cut short.
    for fill in (0, 1, 0xff):
        data = first
        for kind in range(1, len(kinds)):
            data += record(kind, bytes([fill]) * 600, ts=1000 + kind) + record(kind, bytes([fill]) * 7, ts=2000 + kind)
        data += record(kinds.index("TICK"), b"\0" * 32, ts=10**10)
        write("replay", "every-kind-%02x" % fill, data)
    other = ">" if struct.pack("=H", 1) == struct.pack("<H", 1) else "<"
    write("replay", "other-byte-order", record(kinds.index("HOST"), host(other), order=other) + b"\0" * 40)
    write("replay", "other-format", record(kinds.index("HOST"), host(fmt=2)))
    write("replay", "no-record", b"# not a recording\n")
    write("replay", "short-size", first + record(1, b"", size=3))
    write("replay", "cut", first + record(1, b"x" * 30, size=400))


# ---- the command line ----

def options_seeds():
    lines = [
        "-e retransmit,drop,connect,all -a 10.0.0.1/8,fd00::1/64 -P 443,5000-5999 --sport 1 --dport 2 -4",
        "--saddr ::ffff:10.0.0.1/100 --daddr 1.2.3.4 -p 1,2,3 --comm nginx,a b --cgroup /x --netns ns1,4026531840 -i eth0 -6",
        "--type rto,tlp,syn --cause local,network --reason no_socket,SKB_DROP_REASON_TCP_ZEROWINDOW --class all",
        "--min-latency 1.5ms --all-protocols -o json --stack -S --interval 2s --color never --utc -q -v -v",
        "--listen [::1]:2112 --metrics-ports --metrics-max-series 100 -d 1h -c 18446744073709551615",
        "-w out -r in", "-w - -o none", "--check", "--explain NO_SOCKET", "--explain netfilter", "--help", "--version", "-h",
        "--force retransmit=fentry,drop=x", "--btf f", "--po=1", "--p", "-Z", "--=", "-", "--", "word", "-o count -P 1-",
        "-a 256.1.1.1", "-P 99999999999999999999", "-d 99999999h", "-e", "-c -1", "--listen :", "--output=count",
    ]
    for i, line in enumerate(lines):
        write("options", "%02d" % i, line.replace(" ", "\0").encode())
    for i, name in enumerate(NASTY):
        write("options", "nasty-%02d" % i, b"--comm\0" + name + b"\0-i\0" + name + b"\0" + name)


# ---- values, and files of /proc ----

SNMP = b"""Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs
Tcp: 1 200 120000 -1 3 1 2 0 1 66 70 2
"""


def parse_seeds():
    values = [b"443", b"1-65535", b"1.5ms", b"2h", b"87600h", b"0.000000001", b"10.0.0.0/8", b"fd00::/64", b"[::1]:80",
              b"::ffff:1.2.3.4/97", b"0.0.0.0:65535", b"eth0", b"skb_drop_reason_no_socket", b"18446744073709551616",
              b"32768\t60999\n", SNMP, SNMP.replace(b"66", b"99999999999999999999"), b"Tcp:\nTcp:\n", b"Tcp: OutSegs",
              b"00000001 00000002 0 0 0 0 0 0 0 0 0 0000000f 0\nffffffff ffffffffffffffffff\n",
              b"a / x rw 0 0\ncgroup2 /sys/fs/cgroup\\040x cgroup2 rw 0 0\n", b"x " + b"y" * 5000 + b" cgroup2"]
    for i, value in enumerate(values + NASTY):
        write("parse", "%02d" % i, value)


def symbols_seeds():
    lines = (b"ffffffff81000000 T _stext\nffffffff81000010 t nf_hook_slow\nffffffff81000010 T nf_alias\n"
             b"ffffffff81000020 T kfree_skb_reason\nffffffff81000040 W tcp_drop.isra.0\nffffffff81000050 D data\n"
             b"ffffffff81000060 T __pfx_x\nffffffff81000070 T _etext\nffffffffc0000000 t fn\t[nf_tables]\n"
             b"ffffffffc0000010 t fn2\t[nf_tables]\nffffffffc0000020 t $x\nffffffff80000000 t unsorted\n")
    write("symbols", "plain", lines)
    write("symbols", "hidden", b"0000000000000000 T _stext\n0000000000000000 t x\t[m]\n")
    write("symbols", "broken", b"f T \n1 t a\t[\n2 t b\t[]\n123456789abcdef01234 t long\n\n\n \n1 t\n1 tt x\n3 t c [m")
    write("symbols", "long", b"1 t " + b"n" * 65600 + b"\n2 t b\n")
    write("symbols", "ends", b"ffffffffffffffff t last\nffffffffffffffff t again\n0000000000000001 t first")
    write("symbols", "nasty", b"".join(b"%x t %s\t[%s]\n" % (i + 1, name, name) for i, name in enumerate(NASTY)))


# ---- BTF ----

class Btf:
    def __init__(self):
        self.types, self.strings, self.count = b"", b"\0", 0

    def string(self, text):
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(self, name, kind, vlen=0, size=0, rest=b""):
        self.types += struct.pack("=III", self.string(name) if name else 0, kind << 24 | vlen, size) + rest
        self.count += 1
        return self.count

    def tracepoint(self, name, types):
        args = b"".join(struct.pack("=II", 0, t) for t in types)
        proto = self.add("", 13, len(types), 0, args)
        pointer = self.add("", 2, 0, proto)
        return self.add("btf_trace_" + name, 8, 0, pointer)

    def function(self, name, params):
        proto = self.add("", 13, params, 0, struct.pack("=II", 0, 1) * params)
        return self.add(name, 12, 0, proto)

    def enum(self, name, values):
        rest = b"".join(struct.pack("=Ii", self.string(word), value) for word, value in values)
        return self.add(name, 6, len(values), 4, rest)

    def seed(self):
        return struct.pack("=H", len(self.types) & 0xffff) + self.types + self.strings


def btf_seeds():
    btf = Btf()
    number = btf.add("int", 1, 0, 4, struct.pack("=I", 1 << 24 | 32))
    reason = btf.enum("skb_drop_reason", [("SKB_NOT_DROPPED_YET", 0), ("SKB_DROP_REASON_NO_SOCKET", 3),
                                          ("SKB_DROP_REASON_MAX", 4)])
    btf.enum("skb_drop_reason_subsys", [("SKB_DROP_REASON_SUBSYS_OPENVSWITCH", 2)])
    btf.enum("qdisc_drop_reason", [("QDISC_DROP_OVERLIMIT", 0x30001), ("__QDISC_DROP_REASON", 0x30000)])
    btf.enum("bpf_attach_type", [("BPF_TCX_EGRESS", 47)])
    btf.tracepoint("tcp_retransmit_skb", [0, 0, 0, number])
    btf.tracepoint("kfree_skb", [0, 0, 0, reason, 0])
    for name, params in (("tcp_retransmit_skb", 3), ("__tcp_retransmit_skb", 3), ("tcp_rtx_synack", 2),
                         ("inet_csk_accept", 2), ("tcp_connect", 1), ("tcp_v4_syn_recv_sock", 6)):
        btf.function(name, params)
    write("btf", "plain", btf.seed())
    # Names beyond the strings, types beyond the types, a typedef of nothing.
    bad = Btf()
    bad.add("skb_drop_reason", 6, 2, 4, struct.pack("=IiIi", 0xffffff, 1, 1, -1))
    bad.add("bpf_attach_type", 6, 1, 4, struct.pack("=Ii", 0xffffff, 1))
    bad.types += struct.pack("=III", 0xffffff, 4 << 24, 4)
    bad.count += 1
    bad.tracepoint("kfree_skb", [0, 0, 0, 3])
    bad.add("btf_trace_tcp_retransmit_skb", 8, 0, 0xffff)
    bad.add("tcp_connect", 12, 0, 0xffff)
    write("btf", "bad", bad.seed())
    write("btf", "empty", b"\0\0\0")


def proc_seeds():
    rest = b" S 1 2 3 4 5 4194560 " + b" ".join(b"%d" % i for i in range(10, 53)) + b"\n"

    def seed(link, stat):
        return bytes([len(link)]) + link + stat

    write("proc", "plain", seed(b"socket:[12345]", b"4321 (nginx)" + rest))
    write("proc", "kernel", seed(b"socket:[12345]", b"4321 (kworker) S 1 2 3 4 5 2097152 " + b"0 " * 40))
    for i, link in enumerate((b"", b"socket:[", b"socket:[99999999999999999999]", b"pipe:[1]", b"socket:[x]", b"/dev/null")):
        write("proc", "link-%d" % i, seed(link, b"4321 (x)" + rest))
    for i, name in enumerate(NASTY + [b"a) S (b", b")", b"(((("]):
        write("proc", "comm-%02d" % i, seed(b"", b"4321 (" + name + b")" + rest))
    for i, stat in enumerate((b"", b"4321", b"4321 (", b"4321 ()", b")(", b"1 (x) S 1", b"(" * 2000)):
        write("proc", "stat-%d" % i, seed(b"", stat))


# ---- netlink ----

def attr(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def message(kind, body, flags=2, seq=0):
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body


DONE = message(3, struct.pack("=i", 0))


def datagram(*messages):
    data = b"".join(one + b"\0" * (-len(one) % 4) for one in messages)
    return struct.pack("<H", len(data)) + data


def link(index, name, *attrs):
    return message(16, struct.pack("=BxHiII", 0, 1, index, 0x41, 0) + attr(3, name + b"\0") + b"".join(attrs))


def tc(kind, index, *attrs):
    return message(kind, struct.pack("=BxxxiIII", 0, index, 1, 0xffffffff, 1 << 16) + b"".join(attrs))


def netlink_seeds():
    links = datagram(link(1, b"lo"), link(2, b"eth0", attr(18, attr(1, b"veth\0")), attr(43, attr(2, b"\1")),
                                          attr(23, b"\1" * 200), attr(56, b"0000:00\0"))) + datagram(DONE)
    address = message(20, struct.pack("=BBBBi", 2, 24, 0, 0, 2) + attr(1, b"\x0a\0\0\1") + attr(2, b"\x0a\0\0\2"))
    address6 = message(20, struct.pack("=BBBBi", 10, 64, 0, 0, 2) + attr(1, b"\xfd" + b"\0" * 15))
    actions = attr(5, attr(1, attr(1, b"gact\0") + attr(2, attr(2, b"\0" * 8 + struct.pack("=i", 4) + b"\0" * 8))))
    filters = [tc(44, 2, attr(1, b"bpf\0"), attr(2, attr(7, b"rebpf_egress\0") + attr(8, b"\1\0\0\0"))),
               tc(44, 2, attr(1, b"bpf\0"), attr(2, attr(5, struct.pack("=HBBI", 6, 0, 0, 4)) + attr(8, b"\1\0\0\0"))),
               tc(44, 2, attr(1, b"matchall\0"), attr(2, actions)), tc(44, 2, attr(1, b"flower\0"), attr(2, actions)),
               tc(44, 2, attr(1, b"u32\0"), attr(2, attr(6, attr(1, b"\0" * 32))))]
    qdisc = tc(36, 2, attr(1, b"netem\0"), attr(7, attr(3, struct.pack("=IIIII", 5, 0, 0, 0, 0))))
    neighbour = message(28, struct.pack("=BxxxiHBB", 2, 2, 1, 0, 1))
    stats = message(92, struct.pack("=BxxxII", 0, 2, 1) + attr(1, b"\2" * 192))
    diag = message(20, struct.pack("=BBBB", 2, 1, 0, 0) + b"\0" * 48 + struct.pack("=IIIII", 0, 0, 0, 33, 99) +
                   attr(21, struct.pack("=Q", 4567)))
    route = message(24, struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 255, 2, 253, 2, 0))
    hook = message(12 << 8, b"\5\0\0\0")
    error = message(2, struct.pack("=i", -95) + b"\0" * 16)
    write("netlink", "links", b"\0" + links)
    write("netlink", "filters", b"\1" + datagram(*filters, DONE))
    write("netlink", "addresses", b"\2" + datagram(address, address6) + datagram(DONE))
    for i, one in enumerate(filters):
        write("netlink", "judge-%d" % i, b"\3" + datagram(one, DONE))
    write("netlink", "monitor", b"\4" + links + datagram(message(17, b"")))
    write("netlink", "socket", b"\5" + datagram(diag))
    write("netlink", "listener", b"\5" + datagram(diag.replace(struct.pack("=BBBB", 2, 1, 0, 0), b"\2\x0a\0\0")) + datagram(route))
    write("netlink", "socket6", b"\x85" + datagram(error))
    write("netlink", "hook", b"\6" + datagram(hook, DONE))
    every = datagram(link(1, b"lo"), link(2, b"eth0"), qdisc, neighbour, stats, address, address6, filters[3], hook, DONE)
    write("netlink", "look", b"\7" + every)
    for i, name in enumerate(NASTY):
        write("netlink", "look-%02d" % i, b"\7" + datagram(link(2, name), DONE))
    write("netlink", "interrupted", b"\7" + datagram(message(16, b"", flags=0x12), DONE))
    write("netlink", "foreign", b"\0" + datagram(message(16, b"\0" * 16, seq=12345678), DONE))
    # Lengths that are not what they should be.
    write("netlink", "short", b"\0" + datagram(struct.pack("=IHHII", 3, 16, 0, 0, 0), DONE))
    write("netlink", "odd", b"\0" + struct.pack("<H", 33) + struct.pack("=IHHII", 33, 16, 0, 0, 0) + b"\0" * 16 + b"x")
    # Of an odd length, so that less than nothing is left; behind it what an earlier one has left there, to the buffer's end.
    stale = struct.pack("=IHHII", 32768 - 36, 16, 0, 99, 0)
    odd = struct.pack("=IHHII", 33, 16, 0, 99, 0) + b"\0" * 17
    write("netlink", "stale", b"\0" + datagram(message(16, b"\0" * 20 + stale, seq=99)) + struct.pack("<H", 33) + odd)
    write("netlink", "long", b"\0" + datagram(struct.pack("=IHHII", 0xffffffff, 16, 0, 0, 0), DONE))
    write("netlink", "attr", b"\0" + datagram(message(16, b"\0" * 16 + struct.pack("=HH", 3, 3) + b"x"), DONE))


def http_seeds():
    requests = [b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"HEAD /metrics HTTP/1.1\r\n\r\n",
                b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"GET http://a:1/metrics?x=y#z HTTP/1.1\r\n\r\n",
                b"GET /metrics\r\n", b"GET  HTTP/1.1\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n\r\n", b"GET /%00%0d%0a HTTP/1.1\r\n\r\n",
                b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"\x16\x03\x01\x02\0\1\0",
                b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n", b"\0\0\0\0\r\n\r\n",
                b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
                b"GET / HTTP/1.1\r\nConnection: upgrade\r\nA:\r\n b\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n",
                b"PROPFIND / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"]
    for i, request in enumerate(requests):
        write("http", "%02d" % i, bytes([(0, 7, 128, 200)[i % 4]]) + request)


def names_seeds():
    def part(name):
        return bytes([len(name) & 0xff]) + name[:255]

    for i, name in enumerate(NASTY):
        write("names", "%02d" % i, b"\0" + part(name[:15]) + part(name[:15]) + part(name[:15]))
        write("names", "places-%02d" % i, b"\1" + part(name[:16]) * 2 + part(name[:16]) + part(name) * 3)
    every = bytes(range(1, 256))
    for i in range(0, 255, 15):
        write("names", "bytes-%03d" % i, b"\0" + (b"\x0f" + every[i:i + 15]) * 3)


if __name__ == "__main__":
    for old in glob.glob(os.path.join(HERE, "corpus", "*", "seed-*")):
        os.remove(old)
    for make in (replay_seeds, options_seeds, parse_seeds, symbols_seeds, btf_seeds, proc_seeds, netlink_seeds, http_seeds,
                 names_seeds):
        make()
