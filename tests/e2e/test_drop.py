# SPDX-License-Identifier: MIT
"""Packets dropped at known places, and what the drop events say of them; and the causes that follow from them."""
import contextlib
import fcntl
import functools
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess

import pytest

import causes
import lab
from conftest import Shared
from lab import (BARE_ACK, BLOCK, DATA, SLOW, TC_ACT_SHOT, Capture, before_nth, follow, percent, receive_bytes, reset,
                 send_bytes, start_connect, wait_until)
from tracer import BINARY, FORCE, Rebpf, brief, has_reasons, mode, run_rebpf

US = os.getpid()
NOBODY = {"pid": None, "comm": None, "uid": None, "state": None, "received": None}


def has_rx_sk():
    """Does the kernel say which socket refused a packet (6.11)?"""
    return mode()["drop"] == "tracepoint-sk"


def need_reasons():
    if not has_reasons():
        pytest.skip("TCP frees what it receives without a trace on this kernel")


@functools.lru_cache(maxsize=None)
def kernel_names():
    """All drop reasons that the running kernel's BTF names."""
    with open("/sys/kernel/btf/vmlinux", "rb") as file:
        found = re.findall(rb"\0(?:SKB_DROP_REASON_|QDISC_DROP_)([A-Z0-9_]+)(?=\0)", file.read())
    return {name.decode() for name in found}


# ---- what was dropped, and what the events say of it ----


class Drops:
    """The drop events of one network and one port in a Rebpf, from now on.

    By 6.10 nothing tells in which namespace TCP dropped what it had received: netns is null then.
    """

    def __init__(self, rebpf, net, port):
        self.rebpf, self.net, self.port = rebpf, net, port
        self.start = len(rebpf.parsed)

    def events(self, **fields):
        mine = {ns.inode for ns in self.net.all}
        return [e for e in self.rebpf.parsed[self.start:] if e["event"] == "drop" and
                self.port in (e["sport"], e["dport"]) and (e["netns"] in mine or e["netns"] is None) and
                all(e[key] == value for key, value in fields.items())]

    def wait(self, n=1, timeout=15, **fields):
        return wait_until(lambda: (lambda found: len(found) >= n and found)(self.events(**fields)), timeout,
                          lambda: "%d events with %r of:\n%s" % (n, fields, self.rebpf.story(self.events()[-8:])))

    def exactly(self, n, **fields):
        """Waits until there are n, and for what should not come after them."""
        assert n, "nothing was dropped"
        self.wait(n, **fields)
        select.select([], [], [], 0.2 * SLOW)
        events = self.events(**fields)
        assert len(events) == n, "%d events for %d drops:\n%s" % (len(events), n, self.rebpf.story(events[-8:]))
        return events


@pytest.fixture(scope="module")
def all_drops():
    one = Shared("--class", "all", events="drop")
    yield one
    one.stop()


@pytest.fixture
def watch_drops(all_drops):
    """watch_drops(net, port=5001): the drops of every class from now on."""
    all_drops.get()
    yield lambda net, port=5001: Drops(all_drops.get(), net, port)
    all_drops.check()


def function(location):
    """Without what compilers add to a name, the offset and the module."""
    return re.split(r"[+.]", location)[0]


def check_place(event, reasons, functions, drop_class, netns=None, ifname=None):
    """Why, where, in which namespace and at which device. The first of the reasons that this kernel has."""
    if has_reasons():
        known = [name for name in reasons if name in kernel_names()]
        assert event["reason"] in (known or [None, "NOT_SPECIFIED"]), brief([event])
        if known and drop_class:
            assert event["class"] == drop_class, brief([event])
    else:
        assert event["reason"] is None, brief([event])
    assert re.match(r"[\w.]+\+0x[0-9a-f]+( \[\w+\])?$", event["location"]), brief([event])
    assert function(event["location"]) in functions, brief([event])
    if netns:
        assert event["netns"] == netns.inode, brief([event])
    # What TCP received has lost its device; it is known again by the way that it came, once rebpf has seen that device.
    assert event["ifname"] == ifname if ifname else event["ifname"] in (None, "a0", "b0", "ra", "rb"), brief([event])


def check_ends(event, source, target):
    """The ends in the packet's direction: (address, port)."""
    assert (event["saddr"], event["sport"], event["daddr"], event["dport"]) == (*source, *target), brief([event])
    assert event["ip_version"] == (6 if ":" in source[0] else 4)


def check_owner(event, **fields):
    assert {key: event[key] for key in fields} == fields, brief([event])


def ends(sock):
    """Both ends of a connected socket: its own first."""
    return sock.getsockname()[:2], sock.getpeername()[:2]


def shown(segments):
    """What events must say of captured segments."""
    return sorted((s.seq, s.end_seq, s.ack if s.flags & 16 else 0, s.len, s.flag_names) for s in segments)


def said(events):
    return sorted((e["seq"], e["end_seq"], e["ack"], e["len"], e["flags"]) for e in events)


NETFILTER = ["nf_hook_slow", "nft_do_chain", "nft_do_chain_inet"]
NETFILTER_DROP = (["NETFILTER_DROP"], NETFILTER, "policy")
BOTH = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture
def capture():
    """capture(ns, dev): the TCP segments that come to a device."""
    started = []

    def start(ns, dev):
        started.append(Capture(ns, dev))
        return started[-1]

    yield start
    for one in started:
        one.close()


# ---- netfilter ----


def connect(net, version=4):
    """A connection whose server has received something: then its owner is known by all means. (client, server)"""
    client, server = net.connect(version=version)
    client.sendall(b"?")
    assert server.recv(1) == b"?"
    return client, server


@BOTH
def test_netfilter_input(net, watch_drops, capture, version):
    """By then the receiver's socket is known: the kernel looks it up early."""
    drops, wire = watch_drops(net), capture(net.b, "b0")
    causes.steady(net)
    client, _ = connect(net, version)
    here, there = ends(client)
    rule = net.b.drop("input", DATA)
    client.sendall(BLOCK[:1000])
    drops.wait(3)
    reset(client)
    events = drops.exactly(rule.count(), len=1000)
    for event in events:
        check_place(event, *NETFILTER_DROP, netns=net.b, ifname="b0")
        check_ends(event, here, there)
        check_owner(event, pid=US, state="ESTABLISHED", received=True, uid=os.getuid())
    assert said(events) == shown([s for s in wire.data(5001) if s.len == 1000])


@BOTH
@pytest.mark.parametrize("hook", ["output", "postrouting"])
def test_netfilter_output(net, watch_drops, version, hook):
    drops = watch_drops(net)
    client, _ = net.connect(version=version)
    here, there = ends(client)
    rule = net.a.drop(hook, DATA)
    client.sendall(BLOCK[:500])
    drops.wait(3)
    reset(client)
    for event in drops.exactly(rule.count(), len=500):
        check_place(event, *NETFILTER_DROP, netns=net.a, ifname=event["ifname"])
        assert event["ifname"] in (("a0",) if hook == "postrouting" else ("a0", None))
        check_ends(event, here, there)
        check_owner(event, pid=US, state="ESTABLISHED", received=False)
        assert (event["len"], event["flags"]) == (500, "PSH|ACK")


@BOTH
def test_netfilter_forward(make_net, watch_drops, version):
    """On its way through: nobody's."""
    net = make_net(middle="router")
    drops = watch_drops(net)
    client, _ = net.connect(version=version)
    here, there = ends(client)
    rule = net.r.drop("forward", DATA)
    client.sendall(BLOCK[:500])
    drops.wait(2)
    reset(client)
    for event in drops.exactly(rule.count(), len=500):
        check_place(event, *NETFILTER_DROP, netns=net.r, ifname=event["ifname"])
        assert event["ifname"] in ("ra", "rb")
        check_ends(event, here, there)
        check_owner(event, **NOBODY)
        assert (event["len"], event["flags"]) == (500, "PSH|ACK")


@BOTH
def test_netfilter_drops_acknowledgements(net, watch_drops, capture, version):
    """Packets without data, of the other direction."""
    drops = watch_drops(net)
    client, server = net.connect(version=version)
    server.sendall(b"?")
    assert client.recv(1) == b"?"
    here, there = ends(server)
    wire = capture(net.a, "a0")
    rule = net.a.drop("input", BARE_ACK)
    client.sendall(BLOCK[:500])
    drops.wait(2)
    reset(client)
    events = drops.exactly(rule.count(), netns=net.a.inode, reason="NETFILTER_DROP" if has_reasons() else None)
    for event in events:
        check_place(event, *NETFILTER_DROP, netns=net.a, ifname="a0")
        check_ends(event, here, there)
        check_owner(event, pid=US, state="ESTABLISHED", received=True)
    assert said(events) == shown([s for s in wire.segments if s.flags == 16])


def test_mapped_addresses(net, watch_drops):
    """v6 sockets that speak IPv4, at both ends."""
    drops = watch_drops(net)
    listener = net.listen(version=0)
    client = net.keep(net.a.socket(socket.AF_INET6))
    client.connect(("::ffff:" + net.addr[4][1], 5001))
    server = net.keep(listener.accept()[0])
    source, target = (net.addr[4][0], client.getsockname()[1]), (net.addr[4][1], 5001)
    rule = net.a.drop("output", DATA)
    client.sendall(BLOCK[:500])
    for event in drops.wait(1):
        check_ends(event, source, target)
        check_owner(event, pid=US, state="ESTABLISHED", received=False)
    rule.remove()
    receive_bytes(server, 500)
    drops = watch_drops(net)
    net.b.drop("input", DATA)
    client.sendall(BLOCK[:500])
    for event in drops.wait(1):
        check_ends(event, source, target)
        check_owner(event, pid=US, state="ESTABLISHED", received=True)


# ---- on the way out ----


@BOTH
def test_shot_by_another_program(net, watch_drops, version):
    drops = watch_drops(net)
    client, _ = net.connect(version=version)
    here, there = ends(client)
    net.a.tc_verdict("a0", TC_ACT_SHOT)
    passed = net.a.count("postrouting", "meta l4proto tcp")
    client.sendall(BLOCK[:500])
    drops.wait(2)
    reset(client)
    events = drops.exactly(passed.count(), netns=net.a.inode)
    for event in events:
        check_place(event, ["TC_EGRESS"], ["__dev_queue_xmit", "sch_handle_egress", "tc_run"], "policy", net.a, "a0")
        check_ends(event, here, there)
    for event in events[:-1]:  # the last one is the reset; its socket has no port any more
        check_owner(event, pid=US, state="ESTABLISHED", received=False)
        assert (event["len"], event["flags"]) == (500, "PSH|ACK")
    assert "RST" in events[-1]["flags"]


@BOTH
def test_queue_over_its_limit(net, rebpf, version):
    """As many as the queue has counted, of all protocols."""
    one = rebpf("--all-protocols", "--class", "all", "--netns", net.a.name, "-i", "lo,a0", ns=net.a, events="drop")
    client, _ = net.connect(version=version)
    here, there = ends(client)
    net.a.qdisc("a0", "pfifo", "limit", "0")
    client.sendall(BLOCK[:500])
    one.wait_events(lambda e: e["dport"] == 5001, 3, event="drop")
    net.a.ip("link", "set", "a0", "down")
    dropped = int(re.search(r"dropped (\d+)", net.a.tc("-s", "qdisc", "show", "dev", "a0")).group(1))
    where = ["kfree_skb_list_reason", "kfree_skb_list", "__dev_queue_xmit", "__dev_xmit_skb", "dev_qdisc_enqueue",
             "tcf_kfree_skb_list"]
    assert one.stop() == 0
    events = [event for event in one.events("drop") if function(event["location"]) in where]
    assert len(events) == dropped, one.story(one.events("drop"))
    for event in [event for event in events if event["dport"] == 5001]:
        # Since 7.1 of an enumeration of their own.
        check_place(event, ["OVERLIMIT", "QDISC_DROP"], where, None, net.a, "a0")
        assert event["class"] == "bad"
        check_ends(event, here, there)
        check_owner(event, pid=US, state="ESTABLISHED", received=False)


TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000


def open_tun(name):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


@pytest.fixture
def tun(net):
    """A device of a, tun0, behind which nobody reads: 10.80.0.0/24 and fd80::/64."""
    try:
        fd = net.a.inside(open_tun, "tun0")
    except OSError as error:
        pytest.skip("no tun: %s" % error.strerror)
    # Nothing but what the test sends shall go there.
    net.a.drop("output", 'oifname "tun0" meta l4proto != tcp')
    net.a.ip("link", "set", "tun0", "txqueuelen", "2")
    net.a.ip("link", "set", "tun0", "addrgenmode", "none")
    net.a.ip("link", "set", "tun0", "up")
    net.a.ip_batch("addr add 10.80.0.1/24 dev tun0", "addr add fd80::1/64 dev tun0 nodad")
    yield
    os.close(fd)


def send_syns(net, address, port, count):
    """SYNs of as many sockets, each once."""
    for _ in range(count):
        sock = net.keep(net.a.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
        start_connect(sock, (address, port))


@BOTH
def test_full_ring_of_a_tun_device(net, tun, watch_drops, version):
    """The program behind the device does not read."""
    drops = watch_drops(net)
    send_syns(net, "10.80.0.2" if version == 4 else "fd80::2", 5001, 6)
    drops.wait(4)
    dropped = json.loads(net.a.ip("-j", "-s", "link", "show", "dev", "tun0"))[0]["stats64"]["tx"]["dropped"]
    events = drops.events()[:4]
    assert dropped >= 4
    for event in events:
        check_place(event, ["FULL_RING"], ["tun_net_xmit"], "bad", net.a, "tun0")
        assert (event["saddr"], event["daddr"]) == (("10.80.0.1", "10.80.0.2") if version == 4 else
                                                    ("fd80::1", "fd80::2"))
        assert (event["flags"], event["len"]) == ("SYN", 0)
        assert (event["end_seq"] - event["seq"]) & 0xffffffff == 1
        # The device lets go of the socket first.
        assert (event["pid"], event["state"], event["received"]) in ((None, None, None), (None, "SYN_SENT", False),
                                                                       (US, "SYN_SENT", False))


@BOTH
def test_no_route(net, watch_drops, version):
    """The route of a connection goes: its segments have no IP header yet."""
    drops = watch_drops(net)
    client, server = net.connect(version=version)
    here, there = ends(client)
    net.a.ip(*(["-6"] if version == 6 else []), "route", "flush", "dev", "a0")
    client.sendall(BLOCK[:500])
    events = drops.wait(2, timeout=20)
    for event in events:
        if version == 4:
            check_place(event, ["IP_OUTNOROUTES"], ["__ip_queue_xmit", "ip_queue_xmit"], "bad", net.a)
        else:
            check_place(event, [], ["inet6_csk_xmit"], "bad", net.a)
        check_ends(event, here, there)
        check_owner(event, pid=US, state="ESTABLISHED", received=False)
        # Where the cached route has gone to blackhole_netdev first (seen on 6.12 PREEMPT_RT), its MTU of 68 cuts the segment.
        assert event["flags"] == "PSH|ACK" and event["len"] == event["end_seq"] - event["seq"] <= 500
    assert server


@BOTH
def test_no_route_of_a_router(make_net, watch_drops, version):
    """What came in cannot go on."""
    net = make_net(middle="router")
    drops = watch_drops(net)
    net.r.ip(*(["-6"] if version == 6 else []), "route", "flush", "dev", "rb")
    start_connect(net.keep(net.a.socket(socket.AF_INET if version == 4 else socket.AF_INET6)),
                  (net.addr[version][1], 5001))
    event = drops.wait(1)[0]
    if version == 4:
        check_place(event, ["IP_INNOROUTES"], ["ip_error"], "bad", net.r, "ra")
    else:
        check_place(event, ["IP_INNOROUTES", "IP6_INNOROUTES"], ["ip6_pkt_drop", "ip6_pkt_discard"], None, net.r, "ra")
    assert (event["saddr"], event["daddr"], event["flags"]) == (*net.addr[version], "SYN")
    check_owner(event, **NOBODY)


@BOTH
def test_neighbour_that_does_not_answer(net, watch_drops, version):
    drops = watch_drops(net)
    address = "10.77.0.99" if version == 4 else "fd77::99"
    for family in ("ipv4", "ipv6"):
        net.a.sysctl("net.%s.neigh.a0.mcast_solicit" % family, 1)
        net.a.sysctl("net.%s.neigh.a0.retrans_time_ms" % family, 200)
    send_syns(net, address, 5001, 1)
    event = drops.wait(1)[0]
    where = ["arp_error_report", "ndisc_error_report", "neigh_invalidate"]
    check_place(event, ["NEIGH_FAILED"] if version == 4 else [], where, "bad", net.a, "a0")
    assert (event["saddr"], event["daddr"], event["flags"]) == (net.addr[version][0], address, "SYN")
    check_owner(event, pid=US, state="SYN_SENT", received=False)


# ---- at the receiver ----

# TCP's receiving functions, which compilers merge, or leave by a jump to the last call.
QUEUE = ["tcp_rcv_established", "tcp_data_queue", "tcp_data_queue_ofo", "tcp_validate_incoming", "tcp_prune_queue",
         "tcp_try_rmem_schedule", "tcp_drop_reason"]


@BOTH
def test_closed_port(net, watch_drops, version):
    """Answered with a reset: nothing to wonder about."""
    drops = watch_drops(net)
    client = net.keep(net.a.socket(socket.AF_INET if version == 4 else socket.AF_INET6))
    with pytest.raises(ConnectionRefusedError):
        client.connect((net.addr[version][1], 5001))
    event = drops.exactly(1)[0]
    check_place(event, ["NO_SOCKET"], ["tcp_v%d_rcv" % version], "expected", net.b, "b0")
    assert (event["saddr"], event["daddr"], event["flags"]) == (*net.addr[version], "SYN")
    check_owner(event, **NOBODY)


class Talk:
    """A connection of which the wire is known, so that segments can be forged: from a to b."""

    def __init__(self, net, capture, version=4, rcvbuf=None):
        # Forged segments carry no time stamps.
        net.sysctl("net.ipv4.tcp_timestamps", 0)
        self.wire, self.injector = capture(net.b, "b0"), capture(net.a, "a0")
        listener = net.listen(version=version)
        if rcvbuf:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.client, self.server = net.connect(version=version, listener=listener)
        self.here, self.there = ends(self.client)
        self.client.sendall(b"x" * 100)
        assert self.server.recv(100) == b"x" * 100
        self.net, self.last = net, wait_until(lambda: self.wire.data(5001), 10, "the first segment")[-1]

    @property
    def next(self):
        """The next sequence number that b has not seen."""
        return self.wire.data(5001)[-1].end_seq

    def forge(self, seq, payload=b"", **how):
        """Sends a segment to b that the client knows nothing of."""
        self.injector.inject(follow(self.last, seq, payload, **how))


def check_receiver(event, state="ESTABLISHED"):
    """The receiving socket and its owner, where the kernel says which it is."""
    if has_rx_sk():
        check_owner(event, pid=US, state=state, received=True)


@BOTH
@pytest.mark.parametrize("size", [10, 500])
def test_bad_checksum(net, watch_drops, capture, version, size):
    need_reasons()
    talk = Talk(net, capture, version)
    drops = watch_drops(net)
    with net.b.counting() as rise:
        talk.forge(talk.next, b"y" * size, damage=1)
        event = drops.exactly(1)[0]
    assert rise["TcpInCsumErrors"] == 1
    where = ["tcp_v%d_rcv" % version, "tcp_v%d_do_rcv" % version, "tcp_rcv_established"]
    check_place(event, ["TCP_CSUM"], where, "bad", ifname=event["ifname"])
    check_ends(event, talk.here, talk.there)
    assert (event["seq"], event["len"], event["flags"]) == (talk.last.end_seq, size, "PSH|ACK")
    # A short packet is checked before its socket is looked for.
    if event["state"]:
        check_receiver(event)


@BOTH
def test_old_data(net, watch_drops, capture, rebpf, version):
    """What b has had before: expected, hidden by default, and counted."""
    need_reasons()
    talk = Talk(net, capture, version)
    drops, default = watch_drops(net), rebpf(events="drop")
    for _ in range(3):
        talk.forge(talk.last.seq, b"x" * 100)
    events = drops.exactly(3)
    for event in events:
        check_place(event, ["TCP_OLD_DATA"], QUEUE, "expected", ifname=event["ifname"])
        check_ends(event, talk.here, talk.there)
        assert (event["seq"], event["len"], event["flags"]) == (talk.last.seq, 100, "PSH|ACK")
        check_receiver(event)
    rule = net.b.drop("input", DATA)
    talk.forge(talk.last.seq, b"x" * 100)
    default.wait_events(lambda e: e["dport"] == 5001 and e["netns"] == net.b.inode, event="drop")
    assert default.stop() == 0
    assert not [e for e in default.events("drop") if e["class"] == "expected"]
    stats = default.stats()
    assert stats["drops_by_class"]["expected"] >= 3 and rule.count() == 1
    assert sum(stats["drops_by_class"].values()) == stats["drops"]


def test_zero_window(net, watch_drops, capture):
    """Data although the receiver has closed its window."""
    need_reasons()
    talk = Talk(net, capture, rcvbuf=4096)
    talk.client.setblocking(False)
    fill(talk)
    drops = watch_drops(net)
    talk.forge(talk.next, b"y" * 200)
    event = drops.wait(1, len=200)[0]
    # Since 6.17, what ends beyond the window is refused earlier.
    check_place(event, ["TCP_INVALID_END_SEQUENCE", "TCP_ZEROWINDOW"], QUEUE, "bad")
    check_ends(event, talk.here, talk.there)
    check_receiver(event)


def fill(talk):
    """Sends until b's window is closed."""
    def closed():
        with contextlib.suppress(BlockingIOError):
            talk.client.send(BLOCK)
        answers = [s for s in list(talk.injector.segments) if s.sport == 5001]
        return answers and struct.unpack_from("!H", answers[-1].frame, answers[-1].l4 + 14)[0] == 0

    wait_until(closed, 20, "the window to close")


def overfill(net, drops, talk):
    """Many small segments out of order weigh more than the buffer may. Returns those refused and those thrown out."""
    with net.b.counting() as rise:
        for i in range(200):
            talk.forge(talk.next + 10 + 2 * i, b"y")
        drops.wait(20)
        wait_until(lambda: len(talk.wire.data(5001)) >= 201, 10, "all to arrive")
        select.select([], [], [], 0.3 * SLOW)
    refused, pruned = drops.events(reason="PROTO_MEM"), drops.events(reason="TCP_OFO_QUEUE_PRUNE")
    assert len(refused) == rise["TcpExtTCPOFODrop"] and bool(pruned) == bool(rise["TcpExtOfoPruned"])
    assert refused or pruned
    return refused, pruned


def test_full_receive_buffer(net, watch_drops, capture):
    need_reasons()
    talk = Talk(net, capture, rcvbuf=8192)
    refused, pruned = overfill(net, watch_drops(net), talk)
    for event in refused:
        check_place(event, ["PROTO_MEM"], QUEUE, "bad")
    for event in pruned:
        check_place(event, ["TCP_OFO_QUEUE_PRUNE"], ["tcp_prune_ofo_queue", *QUEUE], "bad", ifname=event["ifname"])
    for event in refused + pruned:
        check_ends(event, talk.here, talk.there)
        assert event["len"] == 1
    for event in refused:
        check_receiver(event)


def test_device_of_a_queued_segment(net, watch_drops, capture):
    need_reasons()
    _, pruned = overfill(net, watch_drops(net), Talk(net, capture, rcvbuf=8192))
    assert {e["ifname"] for e in pruned} <= {None, "b0"}
    assert {e["netns"] for e in pruned} <= {net.b.inode}


SO_ATTACH_FILTER = 26


def refuse_all(sock):
    """A filter on a socket that lets nothing in."""
    program = lab.ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                    struct.pack("HxxxxxxP", 1, lab.ctypes.addressof(program)))


@BOTH
def test_socket_filter(net, watch_drops, version):
    drops = watch_drops(net)
    client, server = connect(net, version)
    here, there = ends(client)
    refuse_all(server)
    passed = net.b.count("input", DATA)
    client.sendall(BLOCK[:500])
    drops.wait(2)
    reset(client)
    for event in drops.exactly(passed.count(), len=500):
        check_place(event, ["SOCKET_FILTER"], ["tcp_v%d_rcv" % version], "policy", net.b, "b0")
        check_ends(event, here, there)
        check_receiver(event)


# ---- owners ----


def sender(control, address, port):
    """Connects, says so, sends when told, and stays."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.connect((address, port))
    sock.sendall(b"?")
    control.sendall(b"connected\n")
    control.recv(3)
    send_bytes(sock, 500)
    control.recv(1)


def receiver(control, port, reads, refuse):
    """Accepts one connection, says so, and stays."""
    listener = socket.socket()
    listener.bind(("", port))
    listener.listen()
    control.sendall(b"listening\n")
    sock, _ = listener.accept()
    if reads:
        sock.recv(1)
    if refuse:
        refuse_all(sock)
    control.sendall(b"accepted\n")
    control.recv(1)


UNREAD = pytest.param("unread", marks=pytest.mark.xfail(
    reason="the owner of a socket that has not received yet is not searched for at a drop", strict=False))


@pytest.mark.parametrize("where", ["output", "input", UNREAD, "socket"])
def test_owner(net, watch_drops, where):
    """On its way out the sender's; on its way in the receiver's, also of one that has not received before."""
    drops = watch_drops(net)
    server = net.worker(receiver, 5001, where != "unread", where == "socket", ns=net.b, comm="rbrecv")
    assert server.hear() == "listening"
    client = net.worker(sender, net.addr[4][1], 5001, ns=net.a, comm="rbsend", uid=1001)
    assert (client.hear(), server.hear()) == ("connected", "accepted")
    if where != "socket":
        (net.a if where == "output" else net.b).drop("output" if where == "output" else "input", DATA)
    client.tell()
    for event in drops.wait(2, len=500):
        if where == "output":
            check_owner(event, pid=client.pid, comm="rbsend", uid=1001, received=False)
        elif where != "socket" or has_rx_sk():
            check_owner(event, pid=server.pid, comm="rbrecv", uid=0, received=True)


def test_reset_of_a_closed_socket(net, watch_drops):
    """It sends its reset when it has ended: still its own packet."""
    drops = watch_drops(net)
    client, _ = connect(net)
    net.a.drop("output", "tcp flags & rst == rst")
    reset(client)
    assert drops.wait(1, flags="RST|ACK")[0]["received"] is False


def test_equal_ports(net, watch_drops):
    """Both ends have one port: the addresses tell whose the socket is."""
    drops = watch_drops(net)
    listener = net.listen()
    client = net.keep(net.a.socket())
    client.bind((net.addr[4][0], 5001))
    client.connect((net.addr[4][1], 5001))
    net.keep(listener.accept()[0])
    net.b.drop("input", DATA)
    client.sendall(BLOCK[:500])
    assert drops.wait(1)[0]["received"] is True


# ---- filters ----


class Flows:
    """Flows that lose packets all the time, at different places.

    x: IPv4, its data in b of the first network; k: x's acknowledgements, in a of the first network;
    y: IPv6, in a of the second; z: IPv4 in another subnet, in b of the second.
    """

    def __init__(self):
        self.nets = [lab.Net(), lab.Net()]
        first, second = self.nets
        causes.steady(first)
        causes.steady(second)
        second.a.ip_batch("addr add 10.77.0.129/25 dev a0",
                          "neigh replace 10.77.0.130 lladdr %s dev a0 nud permanent" % (lab.MAC % 2))
        second.b.ip_batch("addr add 10.77.0.130/25 dev b0",
                          "neigh replace 10.77.0.129 lladdr %s dev b0 nud permanent" % (lab.MAC % 1))
        # Little enough that retransmissions seldom get lost again and again: TCP then waits for ever longer.
        first.b.drop("input", DATA + " " + percent(8))
        first.a.drop("input", BARE_ACK + " " + percent(8))
        second.a.drop("output", "meta nfproto ipv6 " + DATA + " " + percent(10))
        second.b.drop("input", "meta nfproto ipv4 " + DATA + " " + percent(10))
        self.x = causes.Flow(first, "x", 4, 6001, "10.77.0.1", "10.77.0.2")
        self.y = causes.Flow(second, "y", 6, 6002, "fd77::1", "fd77::2")
        self.z = causes.Flow(second, "z", 4, 6003, "10.77.0.129", "10.77.0.130")
        self.inodes = {ns.inode for net in self.nets for ns in net.all}

    def names(self, events):
        """Which flows the events are of. (An acknowledgement that another CPU has overtaken is dropped for its old time stamp.)"""
        known = {(7001, 6001): "x", (6001, 7001): "k", (7002, 6002): "y", (7003, 6003): "z"}
        return {known.get((e["sport"], e["dport"]), "?") for e in events
                if e["netns"] in self.inodes and not (e["reason"] or "").startswith("TCP_RFC7323")}

    def words(self):
        """What filters have to be told of the flows."""
        return {"pid_x": str(self.x.worker.pid), "pid_y": str(self.y.worker.pid), "pid": str(US),
                "a1": self.nets[0].a.name, "b1": self.nets[0].b.name, "a2": str(self.nets[1].a.inode)}

    def close(self):
        for net in self.nets:
            net.close()


@pytest.fixture(scope="module")
def flows():
    made = Flows()
    yield made
    made.close()


FILTERS = [
    ("-P 6001", "xk"),
    ("-P 6002-6003", "yz"),
    ("--sport 7001", "x"),
    ("--dport 7001", "k"),
    ("-a 10.77.0.2", "xk"),
    ("--saddr 10.77.0.2", "k"),
    ("--daddr 10.77.0.2", "x"),
    ("-a fd77::/64", "y"),
    ("-4", "xkz"),
    ("-6", "y"),
    ("-p {pid_y}", "y"),
    ("-p {pid_x}", "k"),
    ("-p {pid}", "xz"),
    ("--comm rbflowy", "y"),
    ("--netns {b1}", "x"),
    ("--netns {a1},{a2}", "ky"),
    ("--class policy", "xkyz"),
    ("--class bad,expected --reason NETFILTER_DROP", ""),
    ("-4 --netns {a2}", ""),
    ("--reason NETFILTER_DROP", "xkyz"),
    ("--reason TCP_CSUM", ""),
    ("-P 6001-6003 -e retransmit,drop", "xkyz"),
]


def check_filters(flows, drops, chosen):
    """One rebpf per filter, side by side: each sees its flows' drops, and no others while those go on."""
    started = []
    try:
        for words, expected in chosen:
            started.append((words, set(expected), Rebpf(*words.format(**flows.words()).split(), events="drop")))
        seen = [Drops(drops.get(), net, port) for net, port in zip((flows.nets * 2)[:3], (6001, 6002, 6003))]
        seen[2].net = flows.nets[1]
        wait_until(lambda: all(len(view.events()) >= 4 for view in seen), 30,
                   lambda: "drops of every flow: %s" % [len(view.events()) for view in seen])
        for words, expected, one in started:
            wait_until(lambda one=one, expected=expected: flows.names(one.events("drop")) >= expected, 15,
                       lambda words=words, one=one: "%s to show its drops\n%s" % (
                           words, one.story(one.events("drop")[-5:])))
        for words, expected, one in started:
            assert one.stop() == 0
            others = [e for e in one.events("drop") if not flows.names([e]) <= expected]
            assert not others and flows.names(one.events("drop")) == expected, (words, others[:3])
    finally:
        for _, _, one in started:
            one.kill()


@pytest.mark.parametrize("first", range(0, len(FILTERS), 5), ids=lambda i: FILTERS[i][0])
def test_filters(flows, all_drops, first):
    chosen = [f for f in FILTERS[first:first + 5] if has_reasons() or "--reason" not in f[0]]
    check_filters(flows, all_drops, chosen)


def test_filter_by_interface(net, rebpf):
    """The device at which a packet was dropped."""
    one, other = rebpf("-i", "b0", ns=net.b, events="drop"), rebpf("-i", "lo", ns=net.b, events="drop")
    causes.stuck(net)
    events = one.wait_events(lambda e: e["netns"] == net.b.inode, 2, event="drop")
    assert {e["ifname"] for e in events} == {"b0"}
    assert other.stop() == 0
    assert not other.events("drop")


def test_retransmissions_alone(flows, rebpf):
    one = rebpf("-P", "6001-6003", events="retransmit")
    one.wait_events(n=5)
    assert one.stop() == 0
    assert not one.events("drop")
    assert one.stats()["drops"] > 0


def test_both_kinds_are_the_default(flows, rebpf):
    one = rebpf("-P", "6001-6003", events=None)
    one.wait_events(n=3)
    one.wait_events(n=3, event="drop")


def test_count(flows, rebpf):
    one = rebpf("-c", "3", "-P", "6001-6003", events="drop")
    assert one.wait_exit() == 0
    assert len(one.events("drop")) == 3


def test_other_protocols(net, rebpf):
    """A datagram's drop shows only if one wants it."""
    every = rebpf("--all-protocols", "--netns", net.b.name, events="drop")
    tcp = rebpf("--netns", net.b.name, events="drop")
    rule = net.b.drop("input", "udp dport 5001")
    udp = net.keep(net.a.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind((net.addr[4][0], 6000))
    for _ in range(3):
        udp.sendto(b"x" * 100, (net.addr[4][1], 5001))
    for event in every.wait_events(n=3, event="drop"):
        check_place(event, *NETFILTER_DROP, netns=net.b, ifname="b0")
        check_ends(event, (net.addr[4][0], 6000), (net.addr[4][1], 5001))
        assert (event["protocol"], event["flags"], event["seq"], event["len"]) == ("udp", None, None, None)
        assert event["packet_len"] == 128
    assert rule.count() == 3
    causes.stuck(net)
    tcp.wait_events(event="drop")
    assert tcp.stop() == every.stop() == 0
    assert {e["protocol"] for e in tcp.events("drop")} == {"tcp"}
    assert len([e for e in every.events("drop") if e["protocol"] == "udp"]) == 3


def test_full_buffer_of_a_datagram_socket(net, rebpf):
    one = rebpf("--all-protocols", "--netns", net.b.name, events="drop")
    server = net.keep(net.b.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    server.bind((net.addr[4][1], 5001))
    udp = net.keep(net.a.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.sendto(b"?", (net.addr[4][1], 5001))
    assert server.recv(1) == b"?"
    with net.b.counting() as rise:
        for _ in range(20):
            udp.sendto(b"x" * 1000, (net.addr[4][1], 5001))
        wait_until(lambda: net.b.counters()["UdpInDatagrams"] + net.b.counters()["UdpRcvbufErrors"], 5, "datagrams")
    events = one.wait_events(n=rise["UdpRcvbufErrors"], event="drop")
    assert len(events) == rise["UdpRcvbufErrors"] > 0
    for event in events:
        check_place(event, ["SOCKET_RCVBUFF"], ["udp_queue_rcv_one_skb", "__udp_queue_rcv_skb", "udp_queue_rcv_skb"],
                    "bad", net.b, "b0")
        if has_rx_sk():
            check_owner(event, uid=os.getuid(), received=True)


# ---- output ----

LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d{6} DROP +(\d+|-) +(\S+) +(\S+:\d+) > (\S+:\d+) +drop=(\S+)@(\S+)\+0x[0-9a-f]+"
                  r"(\[\w+\])? class=(\w+)( synthetic=yes)? ifname=(\S+) flags=([A-Z|]+|none|-) seq=(\d+|-) "
                  r"len=(\d+|-) state=(\S+)( stack=(\S+))?( why=\"[^\"]+\")?$")

FIELDS = """time event netns pid comm uid cgroup task_pid task_comm ip_version saddr sport daddr dport reason location
    class synthetic ifname protocol flags seq end_seq ack len packet_len state received skb stack meaning""".split()


def test_json_fields(flows, rebpf):
    one = rebpf("-P", "6001-6003", events="drop")
    for event in one.wait_events(n=3, event="drop"):
        assert not set(FIELDS) - set(event), event
        assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$", event["time"])
        assert event["synthetic"] is False and event["protocol"] == "tcp"
        assert (event["end_seq"] - event["seq"]) & 0xffffffff == event["len"]
        assert event["meaning"] and not event["stack"]


def test_text_lines(flows, rebpf):
    """Into a pipe: fixed columns and then words; no header, no colour, nothing folded."""
    one = rebpf("-P", "6002", output="text", events="drop")
    # Where rebpf has not found the owners of older sockets at its start (5.10), it learns them as they work.
    wait_until(lambda: len([line for line in one.text if " rbflowy " in line]) >= 3, 15, "lines")
    for line in one.text:
        found = LINE.match(line)
        assert found, line
        assert found.groups()[:2] in ((str(flows.y.worker.pid), "rbflowy"), ("-", "-"))
        assert found.groups()[2:4] == ("[fd77::1]:7002", "[fd77::2]:6002")
        assert found.group(5) == ("NETFILTER_DROP" if has_reasons() else "-") and found.group(6) in NETFILTER
        assert (found.group(8), found.group(14)) == ("policy", "ESTABLISHED")


def test_verbose_text(flows, rebpf):
    one = rebpf("-v", "-c", "1", "-P", "6002", output="text", events="drop")
    assert one.wait_exit() == 0
    for word in ("netns=%d" % flows.nets[1].a.inode, "received=no", r"packet_len=\d+", r"end_seq=\d+",
                 "skb=0x[0-9a-f]+"):
        assert re.search(" %s( |$)" % word, one.text[0]), (word, one.text[0])
    assert len(one.text) == 1


def test_stack(flows, rebpf):
    """The kernel's call stack: on the same line in text, a list in JSON."""
    text = rebpf("--stack", "-c", "2", "-P", "6002", output="text", events="drop")
    one = rebpf("--stack", "-c", "2", "-P", "6002", events="drop")
    assert text.wait_exit() == one.wait_exit() == 0
    assert len(text.text) == 2
    for line in text.text:
        frames = LINE.match(line).group(16).split("<")
        assert len(frames) > 3 and all(re.match(r"[\w.]+\+0x[0-9a-f]+(\[\w+\])?$", frame) for frame in frames), line
        assert any(frame.startswith("nf_hook_slow") for frame in frames), line
    for event in one.events("drop"):
        assert len(event["stack"]) > 3
        assert any(frame.startswith("nf_hook_slow") for frame in event["stack"]), event["stack"]
        assert event["location"] in event["stack"], event


@pytest.mark.parametrize("output", ["text", "json"])
def test_replay(flows, tmp_path, output):
    """A recording gives the lines of the live run, retransmissions and drops, without privileges."""
    path, filters = str(tmp_path / "records"), ["-P", "6001-6003", "--stack", "--class", "all"]
    one = Rebpf("-w", path, *filters, output=output, events="retransmit,drop")
    try:
        wait_until(lambda: len(one.text) > 40, 30, "forty lines")
        assert one.stop() == 0
    finally:
        one.kill()
    live = [line for line in one.text if '"stats"' not in line]
    status, out, err = run_rebpf("-r", path, "-o", output, *filters, force=False)
    assert status == 0, err
    assert [line for line in out.splitlines() if '"stats"' not in line] == live
    assert any("DROP " in line or '"drop"' in line for line in live)
    if output == "text":
        status, out, err = run_rebpf("-r", path, "-e", "drop", "-P", "6002", "--stack", force=False)
        assert status == 0, err
        assert out.splitlines() == [line for line in live if " DROP " in line and ":6002" in line]


def flood(net, count=200):
    """Resets from nowhere to a port that b's firewall does not let in."""
    rule = net.b.drop("input", "tcp dport 5001")
    one = Capture(net.a, "a0")
    try:
        macs = bytes.fromhex("020000000002" "020000000001")
        source, target = (socket.inet_aton(address) for address in net.addr[4])
        for i in range(count):
            one.inject(lab.build_frame(macs, source, target, 6000, 5001, i, 0, 4))
        wait_until(lambda: rule.count() == count, 30, lambda: "%d drops: %d" % (count, rule.count()))
    finally:
        one.close()


def test_pipe_gets_every_line(net, rebpf):
    one = rebpf("--netns", net.b.name, output="text", events="drop")
    flood(net)
    wait_until(lambda: len(one.text) >= 200, 15, lambda: "200 lines, there are %d" % len(one.text))
    assert one.stop() == 0
    assert len(one.text) == 200 and all(LINE.match(line) for line in one.text)
    assert [int(LINE.match(line).group(12)) for line in one.text] == list(range(200))


def test_flood_is_counted(net, rebpf):
    """Every drop is an event, or one that rebpf says it has lost."""
    one = rebpf("--netns", net.b.name, events="drop")
    flood(net, 20000)
    assert one.stop() == 0
    seen, stats = len(one.events("drop")), one.stats()
    # This reader, in Python, may be what is too slow: then the lines that it cost are counted, too.
    said = stats["lost"]["drops"] + stats["missed"] + stats["output_lost"]
    assert 20000 - said <= seen <= 20000 - stats["output_lost"], stats


def test_terminal_folds(net):
    """On a terminal, what a policy drops a thousand times is a few lines and their number."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BINARY, *FORCE, "--color", "never", "-e", "drop", "--netns", net.b.name],
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    output = b""
    try:
        assert process.stderr.readline().startswith(b"rebpf: ready")
        flood(net)
        while output.count(b" more ") == 0 and select.select([ours], [], [], 10 * SLOW)[0]:
            output += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        while select.select([ours], [], [], 10 * SLOW)[0]:
            output += os.read(ours, 65536)
    except OSError:
        pass  # EIO: rebpf has closed it
    finally:
        os.close(ours)
        process.kill()
        process.communicate()
    lines = output.decode().replace("\r", "").splitlines()[1:]
    full = [line for line in lines if LINE.match(line)]
    folded = [re.match(r"\.\.\. ([\d,]+) more (\S+)( at |$)", line) for line in lines if not LINE.match(line)]
    assert folded and all(folded), lines
    assert len(full) + sum(int(match.group(1).replace(",", "")) for match in folded) == 200
    assert len(full) < 200 and {match.group(2) for match in folded} == {"NETFILTER_DROP" if has_reasons() else "drops"}


# ---- causes ----


def need_causes():
    if not has_reasons():
        pytest.skip("on this kernel TCP drops what it received without a trace, and causes need more")


def check_cause(event, cause, functions, ns, ifname, reason="NETFILTER_DROP"):
    assert event["cause"] == cause, brief([event])
    drop = event["cause_drop"]
    assert drop["reason"] == (reason if has_reasons() else None), brief([event])
    assert function(drop["location"]) in functions, brief([event])
    assert (drop["netns"], drop["ifname"]) == (ns.inode, ifname), brief([event])


@BOTH
def test_cause_local(net, watch, version):
    """Lost in the receiver's netfilter, on the same host."""
    view = watch(net.a)
    causes.steady(net)
    causes.stuck(net, version)
    for event in view.wait(3)[:3]:
        check_cause(event, "local", NETFILTER, net.b, "b0")
        drop = event["cause_drop"]
        assert (drop["seq"], drop["end_seq"], drop["covered"]) == (event["seq"], event["end_seq"], event["len"])
        assert 150000 < drop["age_us"] < 1000000 * SLOW and drop["nat"] is False


@BOTH
def test_cause_ack_local(net, watch, version):
    """It arrived, but its acknowledgement was lost."""
    view = watch(net.a)
    causes.steady(net)
    client, server = net.connect(version=version)
    net.a.drop("input", BARE_ACK)
    client.sendall(BLOCK[:1000])
    receive_bytes(server, 1000)
    for event in view.wait(2)[:2]:
        check_cause(event, "ack_local", NETFILTER, net.a, "a0")


@pytest.mark.parametrize("filters", [[], ["-P", "5001"], ["--pid", str(US)], ["-a", "10.77.0.1"], ["--type", "rto"],
                                     ["--comm", "no-such"]], ids=lambda f: " ".join(f) or "none")
def test_filters_do_not_change_causes(net, rebpf, filters):
    """What is printed is narrowed, what is evidence is not."""
    hidden = "no-such" in filters
    one = rebpf("--netns", net.a.name, *filters)
    causes.steady(net)
    causes.stuck(net)
    if hidden:
        wait_until(lambda: net.a.counters()["TcpRetransSegs"] > 1, 10, "retransmissions")
        assert one.stop() == 0 and not one.events()
        return
    for event in one.wait_events(n=2):
        check_cause(event, "local", NETFILTER, net.b, "b0")
    assert not one.events("drop")


def test_cause_of_many_segments(make_net, watch):
    """A buffer of many segments is dropped whole: each retransmission of a part of it was lost there."""
    net = make_net(tso=True)
    view = watch(net.a)
    causes.steady(net)
    client, server = net.connect()
    rule = net.b.drop("input", DATA + " " + before_nth(1))
    size = 10 * causes.MSS
    client.sendall(BLOCK[:size])
    receive_bytes(server, size)
    events = view.wait_quiet()
    assert rule.count() >= 1 and events
    first = events[0]["seq"]
    for event in events:
        if (event["seq"] - first) & 0xffffffff >= size or event["attempt"] != 1:
            continue
        check_cause(event, "local", NETFILTER, net.b, "b0")
        drop = event["cause_drop"]
        assert drop["covered"] == event["len"], brief([event])
        assert (drop["end_seq"] - drop["seq"]) & 0xffffffff > causes.MSS, brief([event])


def test_cause_of_one_segment_in_the_middle(net, watch):
    view = watch(net.a)
    _, server, size = causes.lose_middle(net)
    receive_bytes(server, size)
    event = view.wait(1)[0]
    check_cause(event, "local", NETFILTER, net.b, "b0")
    assert event["cause_drop"]["covered"] == event["len"]
