# SPDX-License-Identifier: MIT
"""Active opens: each has one event, which says how it ended, when, whose it was and what was in its way."""
import contextlib
import errno
import json
import os
import re
import select
import socket
import struct
import threading
import time

import pytest

import lab
from blind import Witness
from conftest import Shared
from lab import IPPROTO_MPTCP, SLOW, SYN, SYNACK, Namespace, before_nth, need, reset, start_connect, wait_until
from line import SYN_ACK, SYN_ONLY, Line
from test_drop import NETFILTER, function, kernel_names
from tracer import Rebpf, View, brief, force, has_reasons, mode, rfc3339, run_rebpf

US = os.getpid()
BOTH = pytest.mark.parametrize("version", [4, 6])
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
NOWHERE = {4: "203.0.113.1", 6: "2001:db8:203::1"}  # no route leads there
NEIGHBOUR = ["arp_error_report", "ndisc_error_report", "neigh_invalidate"]

TCP_FASTOPEN_CONNECT, MSG_FASTOPEN = 30, 0x20000000
FENCE_PORT = 9


def sees_returns():
    """Does rebpf see what connect() returns?"""
    return mode()["noroute"] in ("fexit", "kprobe")


# ---- events of one namespace ----


class Connects(View):
    """The connect events of a namespace from now on."""

    def __init__(self, rebpf, ns, fence):
        super().__init__(rebpf, ns, "connect")
        self.fence = fence

    def all(self):
        """All events until now: behind them comes that of another connect."""
        self.fence(self.rebpf)
        return self.events()

    def only(self, timeout=20):
        """The one event that there is."""
        self.wait(1, timeout=timeout)
        events = self.all()
        assert len(events) == 1, "not one event:\n" + brief(events)
        return events[0]

    def exactly(self, n, timeout=20):
        self.wait(n, timeout=timeout)
        events = self.all()
        assert len(events) == n, "not %d events:\n%s" % (n, brief(events))
        return events


@pytest.fixture(scope="module")
def all_connects():
    one = Shared(events="connect")
    yield one
    one.stop()


@pytest.fixture(scope="module")
def fence():
    """fence(rebpf): returns when rebpf has told of all connects that had ended before."""
    ns = Namespace("f")

    def refused():
        with socket.socket() as sock:
            with contextlib.suppress(ConnectionRefusedError):
                sock.connect(("127.0.0.1", FENCE_PORT))

    def wait(rebpf):
        deadline = time.monotonic() + 20 * SLOW
        while True:
            view = View(rebpf, ns, "connect")
            ns.inside(refused)
            with contextlib.suppress(AssertionError):  # nobody sees what happens while process 1 is current
                return view.wait(1, timeout=3)
            assert time.monotonic() < deadline, "rebpf tells of no connect:\n" + rebpf.story([])

    yield wait
    ns.close()


@pytest.fixture
def watch(all_connects, fence):
    """watch(ns): the connects of a namespace from now on."""
    all_connects.get()
    yield lambda ns: Connects(all_connects.get(), ns, fence)
    all_connects.check()


@pytest.fixture
def line():
    one = Line()
    yield one
    one.close()


# ---- what an event must say ----


def check(event, result, error=None, syn_sent=True, syn_retrans=0, pid=US, **fields):
    """The result, and that all else agrees with it.

    Without a hook at connect()'s return, why it failed at once is not known.
    """
    if not syn_sent and result not in ("aborted", "established") and not sees_returns():
        error = None
    want = dict(result=result, error=error, syn_sent=syn_sent, syn_retrans=syn_retrans, pid=pid, **fields)
    assert {key: event[key] for key in want} == want, brief([event])
    assert event["latency_us"] == (event["duration_us"] if result == "established" and syn_sent else None), brief([event])
    assert event["uid"] == os.getuid() and event["task_pid"] is not None, event
    assert event["ip_version"] == (6 if ":" in event["daddr"] else 4)
    if syn_sent:
        assert event["sport"] and event["dport"], brief([event])


def check_ends(event, source, target):
    assert (event["saddr"], event["sport"], event["daddr"], event["dport"]) == (*source[:2], *target[:2]), brief([event])


def check_cause(event, ns, functions, reason=None, since=None):
    """What was lost last, where; @since: seconds before the event, at most a tenth of it more."""
    drop = event["cause_drop"]
    assert drop, "no drop is named: " + brief([event])
    if has_reasons():
        assert drop["reason"] == (reason if reason in kernel_names() else "NOT_SPECIFIED"), brief([event])
    assert function(drop["location"]) in functions, brief([event])
    assert drop["netns"] == ns.inode, brief([event])
    assert (drop["end_seq"] - drop["seq"]) & 0xffffffff == 1, brief([event])
    if since is not None:
        assert since * 0.85 <= drop["age_us"] / 1e6 <= since * 1.15 + 0.2 * SLOW, brief([event])


def by_netfilter(event, ns, since=None):
    check_cause(event, ns, NETFILTER, "NETFILTER_DROP", since)


def near(us, seconds, slack=0.3):
    """A time that timers decide: never early, but by a jiffy or two."""
    assert seconds - 0.03 <= us / 1e6 <= seconds * 1.13 + slack * SLOW, "%d us instead of %g s" % (us, seconds)


class Timed:
    """with Timed() as t: ...; t.us: how long that took; t.check(event): the event's time lies within."""

    def __enter__(self):
        self.wall, self.begin = time.time(), time.monotonic_ns()
        return self

    def __exit__(self, *_):
        self.us = (time.monotonic_ns() - self.begin) / 1000
        self.wall_end = time.time()

    def check(self, event):
        assert event["duration_us"] <= self.us, "%d us were measured: %s" % (self.us, brief([event]))
        assert rfc3339(self.wall - 0.05) <= event["time"] <= rfc3339(self.wall_end + 0.05), event


def client(net, version=4, ns=None, protocol=0):
    """A socket whose connect() really waits: Python does not do that where there is a time limit."""
    sock = net.keep((ns or net.a).socket(FAMILY[version], socket.SOCK_STREAM, protocol))
    sock.setblocking(True)
    return sock


def is_connected(sock, seconds=20):
    """Waits for the end of a non-blocking connect and returns its error, 0: none."""
    assert select.select([], [sock], [], seconds * SLOW)[1], "it did not end"
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def fails(code, sock, address):
    with pytest.raises(OSError) as info:
        sock.connect(address)
    assert info.value.errno == code, info.value


def quick_syns(ns, retries=1):
    """A SYN is given up 3 s after it was sent, as it was before there were linear time-outs (6.5)."""
    ns.sysctl("net.ipv4.tcp_syn_retries", retries)
    with contextlib.suppress(OSError):
        ns.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0)


# ---- established ----


@BOTH
def test_latency(line, watch, version):
    """Between what the line saw and what the process saw; the best of five is within 5 % of the line's time."""
    listener, errors = line.listen(5001, version), []
    for _ in range(5):
        view, sock = watch(line.a), client(line, version)
        with Timed() as timed:
            sock.connect((line.addr[version][1], 5001))
        event = view.only()
        check(event, "established", cause_drop=None, netns=line.a.inode, dport=5001)
        check_ends(event, sock.getsockname(), sock.getpeername())
        timed.check(event)
        span = line.answered_us(event["sport"])
        assert span >= 50000
        assert event["latency_us"] + 1 >= span, brief([event])
        errors.append(event["latency_us"] / 50000 - 1)
        listener.accept()[0].close()
    assert min(errors) < 0.05 * SLOW, errors


@BOTH
def test_loopback(net, watch, version):
    view, sock = watch(net.a), client(net, version)
    net.listen(5001, version, ns=net.a)
    with Timed() as timed:
        sock.connect((LOOPBACK[version], 5001))
    event = view.only()
    check(event, "established", cause_drop=None)
    check_ends(event, sock.getsockname(), sock.getpeername())
    timed.check(event)
    assert event["latency_us"] < 20000 * SLOW


def test_mapped_address(net, watch):
    """tcp_v6_connect calls tcp_v4_connect: one event, of IPv4."""
    view, sock = watch(net.a), client(net, 6)
    net.listen()
    sock.connect(("::ffff:" + net.addr[4][1], 5001))
    event = view.only()
    check(event, "established", ip_version=4, saddr=net.addr[4][0], daddr=net.addr[4][1], dport=5001,
          sport=sock.getsockname()[1])


def test_mapped_address_refused(net, watch):
    view, sock = watch(net.a), client(net, 6)
    fails(errno.ECONNREFUSED, sock, ("::ffff:" + net.addr[4][1], 5001))
    check(view.only(), "refused", "ECONNREFUSED", ip_version=4, saddr=net.addr[4][0], daddr=net.addr[4][1])


@BOTH
def test_nonblocking(line, watch, version):
    view, sock = watch(line.a), client(line, version)
    line.listen(5001, version)
    with Timed() as timed:
        start_connect(sock, (line.addr[version][1], 5001))
        assert is_connected(sock) == 0
    event = view.only()
    check(event, "established", cause_drop=None)
    timed.check(event)
    near(event["latency_us"], 0.05)


def test_thread(net, watch):
    """The process's id, not the thread's."""
    def threaded(control, address):
        def body():
            socket.create_connection(address).close()

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        control.recv(1)

    view = watch(net.a)
    net.listen()
    worker = net.worker(threaded, (net.addr[4][1], 5001), ns=net.a, comm="rbthread")
    check(view.only(), "established", pid=worker.pid)


@pytest.mark.parametrize("who", ["parent", "child"])
def test_fork(line, watch, who):
    """It is theirs who called connect(), whoever made the socket or is left with it."""
    def forking(control, address):
        sock = socket.socket()
        if who == "parent":
            start_connect(sock, address)
        child = os.fork()
        if child == 0:
            if who == "child":
                start_connect(sock, address)
            control.sendall(b"%d\n" % os.getpid())
            is_connected(sock)
            control.recv(1)
            os._exit(0)
        if who == "parent":
            sock.close()
        os.waitpid(child, 0)

    view = watch(line.a)
    line.listen()
    worker = line.worker(forking, (line.addr[4][1], 5001), ns=line.a, comm="rbforking")
    child = int(worker.hear())
    check(view.only(), "established", pid=child if who == "child" else worker.pid, comm="rbforking")
    worker.tell()


def test_self_connect(net, watch):
    """A socket that connects to itself: a simultaneous open with one end."""
    view, sock = watch(net.a), client(net)
    sock.bind(("127.0.0.1", 7001))
    sock.connect(("127.0.0.1", 7001))
    event = view.only()
    check(event, "established", sport=7001, dport=7001)


@BOTH
def test_simultaneous_open(line, watch, version):
    """Both ends connect to each other; no one listens, and no one is refused."""
    views, socks = [watch(line.a), watch(line.b)], []
    here, there = [(line.addr[version][i], 7001 + i) for i in range(2)]
    for ns, source in ((line.a, here), (line.b, there)):
        socks.append(client(line, version, ns))
        socks[-1].bind(source)
    start_connect(socks[0], there)
    start_connect(socks[1], here)
    assert [is_connected(sock) for sock in socks] == [0, 0]
    for view, ends in zip(views, ((here, there), (there, here))):
        event = view.only()
        check(event, "established", cause_drop=None)
        check_ends(event, *ends)
        # The other end's SYN has been on its way for up to the time between the two calls.
        assert 0.025 <= event["latency_us"] / 1e6 <= 0.06 + 0.1 * SLOW, brief([event])


def test_again(net, watch):
    """One socket connects twice: refused, then established."""
    view, sock = watch(net.a), client(net)
    fails(errno.ECONNREFUSED, sock, (net.addr[4][1], 5001))
    net.listen()
    sock.connect((net.addr[4][1], 5001))
    first, second = view.exactly(2)
    check(first, "refused", "ECONNREFUSED")
    check(second, "established", sport=sock.getsockname()[1])


TCP_REPAIR, TCP_REPAIR_OFF_NO_WP = 19, -1


def test_repair(net, watch):
    """A connection that is put back together, by CRIU say: it is established without a SYN."""
    view, sock = watch(net.a), client(net)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    except OSError as error:
        pytest.skip("no TCP_REPAIR: %s" % error.strerror)
    sock.bind((net.addr[4][0], 7001))
    with net.a.counting() as rise:
        sock.connect((net.addr[4][1], 5001))
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)
    assert rise["TcpActiveOpens"] == 0
    event = view.only()
    check(event, "established", syn_sent=False, sport=7001, dport=5001, latency_us=None)


def test_mptcp(net, watch):
    """One connect, though a socket of MPTCP and one of TCP change their state."""
    try:
        sock = client(net, protocol=IPPROTO_MPTCP)
    except OSError as error:
        pytest.skip("no MPTCP: %s" % error.strerror)
    view = watch(net.a)
    net.listen(protocol=IPPROTO_MPTCP)
    with net.a.counting() as rise:
        sock.connect((net.addr[4][1], 5001))
    assert rise["TcpActiveOpens"] == 1
    event = view.only()
    check(event, "established", sport=sock.getsockname()[1], dport=5001)


def test_older_than_rebpf(net, rebpf, fence):
    """When it began is not known, and how long it took neither."""
    listener, rule = net.listen(), net.b.drop("input", SYN)
    sock = client(net)
    start_connect(sock, (net.addr[4][1], 5001))
    view = Connects(rebpf(events="connect"), net.a, fence)
    rule.remove()
    event = view.only(timeout=70)
    assert is_connected(sock) == 0
    assert listener
    check(event, "established", latency_us=None, duration_us=None, sport=sock.getsockname()[1],
          syn_retrans=event["syn_retrans"])
    assert event["syn_retrans"] > 0


# ---- lost on the way, and established all the same ----


@BOTH
@pytest.mark.parametrize("place", ["output", "input"])
@pytest.mark.parametrize("what", ["syn", "synack"])
def test_lost_here(net, watch, version, what, place):
    """The first SYN, or the first answer, is dropped on this host: by the sender's rules, or by the receiver's."""
    view, sock = watch(net.a), client(net, version)
    net.listen(5001, version)
    dropper = net.a if (what == "syn") == (place == "output") else net.b
    rule = dropper.drop(place, (SYN if what == "syn" else SYNACK) + " " + before_nth(1))
    with Timed() as timed:
        sock.connect((net.addr[version][1], 5001))
    event = view.only()
    assert rule.count() == 1 or what == "synack"
    # The answer is sent again after a second, too: which of the two comes first?
    check(event, "established", syn_retrans=1 if what == "syn" else event["syn_retrans"])
    near(event["latency_us"], 1)
    timed.check(event)
    if event["syn_retrans"]:
        by_netfilter(event, dropper, since=1)
        assert event["cause_drop"]["pid"] in (US, None)


@BOTH
@pytest.mark.parametrize("way, flags", [("ab", SYN_ONLY), ("ba", SYN_ACK)], ids=["syn", "synack"])
def test_lost_by_the_wire(line, watch, version, way, flags):
    """No drop of this host is to blame."""
    view, sock = watch(line.a), client(line, version)
    line.listen(5001, version)
    line.lose(way, flags, 1)
    with Timed() as timed:
        sock.connect((line.addr[version][1], 5001))
    event = view.only()
    check(event, "established", syn_retrans=1, cause_drop=None)
    near(event["latency_us"], 1.05)
    assert event["latency_us"] + 1 >= line.answered_us(event["sport"])
    timed.check(event)


def test_answered_again(line, watch):
    """The server repeats its answer before the client its SYN, and the first of them was dropped here."""
    line.listen()
    line.repeat("ba", SYN_ACK, 0.4)
    rule = line.a.drop("input", SYNACK + " " + before_nth(1))
    view, sock = watch(line.a), client(line)
    sock.connect((line.addr[4][1], 5001))
    event = view.only()
    assert rule.count() == 1
    check(event, "established")
    near(event["latency_us"], 0.45)
    by_netfilter(event, line.a, since=0.4)


def test_answered_twice(line, watch):
    """The first answer came through: what was dropped was one too many."""
    line.listen()
    line.repeat("ba", SYN_ACK, 0.02)
    line.a.drop("input", SYNACK + " " + before_nth(1))
    view, sock = watch(line.a), client(line)
    sock.connect((line.addr[4][1], 5001))
    check(view.only(), "established", cause_drop=None)


def test_two_lost_at_two_places(net, watch):
    """The last of the drops is named."""
    view, sock = watch(net.a), client(net)
    net.listen()
    net.a.drop("output", SYN + " " + before_nth(1))
    net.b.drop("input", SYN + " " + before_nth(1))
    sock.connect((net.addr[4][1], 5001))
    event = view.only()
    check(event, "established", syn_retrans=2)
    by_netfilter(event, net.b)


# ---- refused ----


@BOTH
@pytest.mark.parametrize("target", ["peer", "loopback"])
def test_closed_port(net, watch, version, target):
    view, sock = watch(net.a), client(net, version)
    address = net.addr[version][1] if target == "peer" else LOOPBACK[version]
    with Timed() as timed:
        fails(errno.ECONNREFUSED, sock, (address, 5001))
    event = view.only()
    check(event, "refused", "ECONNREFUSED", daddr=address, dport=5001,
          saddr=net.addr[version][0] if target == "peer" else address)
    # The other end is on this host, too: there the SYN found no socket. Without reasons, that place says nothing certain.
    if has_reasons():
        check_cause(event, net.b if target == "peer" else net.a, ["tcp_v%d_rcv" % version], "NO_SOCKET")
    timed.check(event)


def reject(ns, hook, how):
    """A Rule that rejects SYNs; the test is skipped where the kernel cannot."""
    try:
        return lab.Rule(ns, hook, SYN, verdict="reject with " + how)
    except AssertionError as error:
        pytest.skip("no reject on this kernel: %s" % error)


@BOTH
@pytest.mark.parametrize("place", ["output", "input"])
def test_rejected_with_a_reset(net, watch, version, place):
    reject(net.a if place == "output" else net.b, place, "tcp reset")
    view, sock = watch(net.a), client(net, version)
    fails(errno.ECONNREFUSED, sock, (net.addr[version][1], 5001))
    check(view.only(), "refused", "ECONNREFUSED", dport=5001)


@BOTH
@pytest.mark.parametrize("how, result, errors", [
    ("port-unreachable", "refused", ("ECONNREFUSED", "ECONNREFUSED")),
    ("host-unreachable", "unreachable", ("EHOSTUNREACH", "EHOSTUNREACH")),
    ("no-route", "unreachable", ("ENETUNREACH", "ENETUNREACH")),
    ("admin-prohibited", "unreachable", ("EHOSTUNREACH", "EACCES"))])
def test_rejected_with_icmp(line, watch, version, how, result, errors):
    """The message comes while nobody is at work on the socket: then it ends the connect at once."""
    reject(line.b, "input", "icmpx type " + how)
    view, sock = watch(line.a), client(line, version)
    error = errors[version == 6]
    with Timed() as timed:
        fails(getattr(errno, error), sock, (line.addr[version][1], 5001))
    event = view.only()
    check(event, result, error, dport=5001)
    near(event["duration_us"], 0.05)
    timed.check(event)


# ---- timeout ----


@BOTH
@pytest.mark.parametrize("place", ["output", "input"])
def test_timeout(net, watch, version, place):
    quick_syns(net.a)
    dropper = net.a if place == "output" else net.b
    rule = dropper.drop(place, SYN)
    view, sock = watch(net.a), client(net, version)
    with Timed() as timed:
        fails(errno.ETIMEDOUT, sock, (net.addr[version][1], 5001))
    event = view.only()
    check(event, "timeout", "ETIMEDOUT", syn_retrans=1, dport=5001)
    near(event["duration_us"], 3)
    by_netfilter(event, dropper, since=2)
    timed.check(event)
    assert rule.count() == 2


def test_timeout_on_the_wire(line, watch):
    quick_syns(line.a)
    line.lose("ab", SYN_ONLY, 10)
    view, sock = watch(line.a), client(line)
    fails(errno.ETIMEDOUT, sock, (line.addr[4][1], 5001))
    event = view.only()
    check(event, "timeout", "ETIMEDOUT", syn_retrans=1, cause_drop=None)
    near(event["duration_us"], 3)


def test_timeout_of_the_answer(net, watch):
    quick_syns(net.a)
    view, sock = watch(net.a), client(net)
    net.listen()
    net.a.drop("input", SYNACK)
    fails(errno.ETIMEDOUT, sock, (net.addr[4][1], 5001))
    event = view.only()
    check(event, "timeout", "ETIMEDOUT", syn_retrans=1)
    by_netfilter(event, net.a)


# ---- unreachable ----


@BOTH
def test_no_route(net, watch, version):
    view, sock = watch(net.a), client(net, version)
    fails(errno.ENETUNREACH, sock, (NOWHERE[version], 5001))
    if not sees_returns():
        assert not view.all()
        return
    check(view.only(), "unreachable", "ENETUNREACH", syn_sent=False, duration_us=None, sport=None, daddr=NOWHERE[version],
          dport=5001, cause_drop=None)


def test_no_route_for_a_mapped_address(net, watch):
    view, sock = watch(net.a), client(net, 6)
    fails(errno.ENETUNREACH, sock, ("::ffff:" + NOWHERE[4], 5001))
    if not sees_returns():
        assert not view.all()
        return
    check(view.only(), "unreachable", "ENETUNREACH", syn_sent=False, ip_version=4, daddr=NOWHERE[4], dport=5001)


def test_route_that_prohibits(net, watch):
    net.a.ip("route", "add", "prohibit", NOWHERE[4])
    view, sock = watch(net.a), client(net)
    fails(errno.EACCES, sock, (NOWHERE[4], 5001))
    if not sees_returns():
        assert not view.all()
        return
    check(view.only(), "unreachable", "EACCES", syn_sent=False)


@BOTH
def test_neighbour_that_does_not_answer(net, watch, version):
    address = "10.77.0.99" if version == 4 else "fd77::99"
    for family in ("ipv4", "ipv6"):
        net.a.sysctl("net.%s.neigh.a0.mcast_solicit" % family, 1)
        net.a.sysctl("net.%s.neigh.a0.retrans_time_ms" % family, 200)
    view, sock = watch(net.a), client(net, version)
    with Timed() as timed:
        fails(errno.EHOSTUNREACH, sock, (address, 5001))
    event = view.only()
    check(event, "unreachable", "EHOSTUNREACH", daddr=address, syn_retrans=event["syn_retrans"])
    timed.check(event)
    check_cause(event, net.a, NEIGHBOUR, "NEIGH_FAILED" if version == 4 else None)


# ---- aborted ----


@BOTH
@pytest.mark.parametrize("how", ["close", "reset", "disconnect"])
def test_aborted(line, watch, version, how):
    line.lose("ab", SYN_ONLY, 10)
    view, sock = watch(line.a), client(line, version)
    with Timed() as timed:
        start_connect(sock, (line.addr[version][1], 5001))
        source = sock.getsockname()
        wait_until(lambda: line.passages(source[1], SYN_ONLY), what="the SYN")
        {"close": sock.close, "reset": lambda: reset(sock), "disconnect": lambda: disconnect(sock)}[how]()
    event = view.only()
    check(event, "aborted", cause_drop=None)
    check_ends(event, source, (line.addr[version][1], 5001))
    timed.check(event)


def disconnect(sock):
    """connect() to no family ends the connection, or the attempt."""
    assert lab.libc.connect(sock.fileno(), struct.pack("=H14x", socket.AF_UNSPEC), 16) == 0


def test_aborted_after_a_drop(net, watch):
    """What was in its way until then."""
    rule = net.b.drop("input", SYN)
    view, sock = watch(net.a), client(net)
    start_connect(sock, (net.addr[4][1], 5001))
    wait_until(rule.count, what="the SYN")
    sock.close()
    event = view.only()
    check(event, "aborted")
    by_netfilter(event, net.b)


@pytest.mark.parametrize("blocking", [False, True], ids=["non-blocking", "blocking"])
def test_killed(line, watch, blocking):
    def connecting(control, address):
        sock = socket.socket()
        if blocking:
            sock.connect(address)
        start_connect(sock, address)
        control.recv(1)

    line.lose("ab", SYN_ONLY, 10)
    view = watch(line.a)
    worker = line.worker(connecting, (line.addr[4][1], 5001), ns=line.a, comm="rbkilled")
    pid = worker.pid
    wait_until(lambda: line.log, what="the SYN")
    worker.kill()
    event = view.only()
    check(event, "aborted", pid=pid, comm="rbkilled", dport=5001, syn_retrans=event["syn_retrans"])


def test_killed_by_ss(line, watch):
    """`ss -K` ends it with an error of its own."""
    need("ss")
    line.lose("ab", SYN_ONLY, 10)
    view, sock = watch(line.a), client(line)
    start_connect(sock, (line.addr[4][1], 5001))
    line.a.run("ss", "-K", "dport", "=", "5001", check=False)
    if not select.select([], [sock], [], 0.5)[1]:
        pytest.skip("this kernel destroys no sockets")
    event = view.only()
    check(event, "aborted", "ECONNABORTED", dport=5001, syn_retrans=event["syn_retrans"])


# ---- failed ----


@BOTH
def test_no_free_port(net, watch, version):
    net.a.sysctl("net.ipv4.ip_local_port_range", "40000 40000")
    net.listen(5001, version)
    view, first, second = watch(net.a), client(net, version), client(net, version)
    first.connect((net.addr[version][1], 5001))
    with net.a.counting() as rise:
        fails(errno.EADDRNOTAVAIL, second, (net.addr[version][1], 5001))
    assert rise["TcpActiveOpens"] == 0
    before, event = view.exactly(2)
    check(before, "established", sport=40000)
    check(event, "failed", "EADDRNOTAVAIL", syn_sent=False, daddr=net.addr[version][1], dport=5001, sport=None,
          cause_drop=None)


def test_port_in_use(net, watch):
    """It was bound to a port, but that very connection is there already."""
    net.listen()
    view, socks = watch(net.a), [client(net), client(net)]
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((net.addr[4][0], 7001))
    socks[0].connect((net.addr[4][1], 5001))
    fails(errno.EADDRNOTAVAIL, socks[1], (net.addr[4][1], 5001))
    before, event = view.exactly(2)
    check(before, "established", sport=7001)
    check(event, "failed", "EADDRNOTAVAIL", syn_sent=False, sport=event["sport"], daddr=net.addr[4][1], dport=5001)
    assert event["sport"] in (None, 7001)


# ---- fast open ----


def fast_open(line, way=TCP_FASTOPEN_CONNECT):
    """Without cookies: the first connect is deferred, too. (client, listener)"""
    for ns in (line.a, line.b):
        ns.sysctl("net.ipv4.tcp_fastopen", 0x607)
    listener, sock = line.listen(), client(line)
    if way == TCP_FASTOPEN_CONNECT:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    return sock, listener


def deferred_latency(line, view, seconds=0.4):
    """Connects, and has something to send so much later: the event, and what its latency would be from connect() on."""
    sock, _ = fast_open(line)
    begin = time.monotonic_ns()
    sock.connect((line.addr[4][1], 5001))
    select.select([], [], [], seconds)
    assert not line.log, "the SYN did not wait"
    since = (time.monotonic_ns() - begin) / 1000
    sock.sendall(b"?")
    event = view.only()
    assert event["latency_us"] + 1 >= line.answered_us(event["sport"]), brief([event])
    check(event, "established", sport=sock.getsockname()[1])
    return event["latency_us"], since


def test_deferred_connect(line, watch):
    """The clock starts at the SYN, where a hook sees it."""
    latency, since = deferred_latency(line, watch(line.a))
    if mode()["syn"] == "state":
        assert latency > since
    else:
        near(latency, 0.05)
        assert latency < since


def test_deferred_connect_that_never_sends(line, watch):
    """Aborted before there was a SYN; counted nowhere."""
    view, (sock, _) = watch(line.a), fast_open(line)
    with line.a.counting() as rise:
        sock.connect((line.addr[4][1], 5001))
        sock.close()
    assert rise["TcpActiveOpens"] == 0
    event = view.only()
    check(event, "aborted", syn_sent=False, dport=5001)
    assert not line.log


def test_data_with_the_syn(line, watch):
    view, (sock, listener) = watch(line.a), fast_open(line, MSG_FASTOPEN)
    with Timed() as timed:
        assert sock.sendto(b"hello", MSG_FASTOPEN, (line.addr[4][1], 5001)) == 5
        event = view.only()
    server = line.keep(listener.accept()[0])
    assert server.recv(5) == b"hello"
    check(event, "established", sport=sock.getsockname()[1])
    near(event["latency_us"], 0.05)
    timed.check(event)


def test_data_with_the_syn_refused(line, watch):
    line.a.sysctl("net.ipv4.tcp_fastopen", 0x607)
    view, sock = watch(line.a), client(line)
    with pytest.raises(ConnectionRefusedError):
        sock.sendto(b"hello", MSG_FASTOPEN, (line.addr[4][1], 5001))
    check(view.only(), "refused", "ECONNREFUSED")


# ---- the kernel's count ----


def mixed_bag(net, view):
    """Connects of all sorts at once, and their end."""
    address, socks = net.addr[4][1], []
    quick_syns(net.a)
    net.a.sysctl("net.ipv4.tcp_fastopen", 0x607)
    listeners = [net.listen(5001), net.listen(5001, 6), net.listen(5001, ns=net.a)]
    for version in (4, 6):
        for _ in range(10):
            socks.append(client(net, version))
            socks[-1].connect((net.addr[version][1], 5001))
            fails(errno.ECONNREFUSED, client(net, version), (net.addr[version][1], 5003))
            fails(errno.ECONNREFUSED, client(net, version), (LOOPBACK[version], 5003))
            with contextlib.suppress(OSError):
                client(net, version).connect((NOWHERE[version], 5001))
    net.b.drop("input", "tcp dport 5004")
    net.a.drop("output", "tcp dport 5005 " + before_nth(10))
    listeners.append(net.listen(5005))
    waiting = []
    for port in (5004, 5004, 5005, 5005, 5005):
        for version in (4, 6):
            waiting.append(client(net, version))
            start_connect(waiting[-1], (net.addr[version][1], port))
    aborted = client(net)
    start_connect(aborted, (address, 5004))
    aborted.close()
    deferred = client(net)
    deferred.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    deferred.connect((address, 5001))
    deferred.close()
    fast = client(net)
    fast.sendto(b"hello", MSG_FASTOPEN, (address, 5001))
    itself = client(net)
    itself.bind(("127.0.0.1", 7001))
    itself.connect(("127.0.0.1", 7001))
    with contextlib.suppress(OSError):
        client(net, protocol=IPPROTO_MPTCP).connect((address, 5001))
    net.a.sysctl("net.ipv4.ip_local_port_range", "40000 40000")
    one, other = client(net), client(net)
    one.connect((address, 5001))
    fails(errno.EADDRNOTAVAIL, other, (address, 5001))
    for sock in waiting:
        is_connected(sock, 30)
    assert view and listeners


def test_active_opens(net, watch):
    """As many SYNs as the kernel counted."""
    view, witness = watch(net.a), Witness(events=("sock/inet_sock_set_state",))
    try:
        with net.a.counting() as rise:
            mixed_bag(net, view)
        events = view.all()
        sent, wanted = sum(e["syn_sent"] for e in events), rise["TcpActiveOpens"]
        ports = {e["sport"] for e in events}
        unseen = [(sport, dport) for _, sport, dport in witness.read()[0] if sport not in ports and dport >= 5001]
        assert wanted > 60
        assert sent <= wanted <= sent + len(unseen), "%d of %d, and %r on top of process 1:\n%s" % (
            sent, wanted, unseen, brief(events))
        if unseen:
            print("%d connects ended on top of process 1" % (wanted - sent))
        results = {e["result"] for e in events}
        assert results >= {"established", "refused", "timeout", "aborted", "failed"}, results
        assert ("unreachable" in results) == sees_returns()
    finally:
        witness.stop()


# ---- filters ----


def scenario(net):
    """Connects that filters tell apart."""
    def once(control, address):
        sock = socket.socket()
        sock.connect(address)
        control.sendall(b"done\n")
        control.recv(1)

    slow = net.b.drop("input", "tcp dport 5002 " + SYN + " " + before_nth(1))
    worker = net.worker(once, (net.addr[4][1], 5001), ns=net.a, comm="rbfilter")
    assert worker.hear() == "done"
    client(net, 6).connect((net.addr[6][1], 5001))
    fails(errno.ECONNREFUSED, client(net), (LOOPBACK[4], 5003))
    source = client(net)
    source.bind(("", 7005))
    source.connect((net.addr[4][1], 5002))
    client(net, ns=net.b).connect((net.addr[4][1], 5001))
    assert slow.count() == 1
    slow.remove()
    reset(source)


# Those of scenario(): to port 5001, 5001 over IPv6, 5003 of lo, 5002 with the first SYN lost, and 5001 from b.
WORKER, V6, REFUSED, LATE, OTHER = range(5)
FILTERS = [
    (["--min-latency", "900ms"], {LATE}),
    (["--min-latency", "1us", "--dport", "5003"], {REFUSED}),
    (["--comm", "rbfilter"], {WORKER}),
    (["-a", "127.0.0.1"], {REFUSED}),
    (["--daddr", "fd77::/16"], {V6}),
    (["--saddr", "10.77.0.2"], {OTHER}),
    (["-P", "5002-5003"], {REFUSED, LATE}),
    (["--sport", "7005"], {LATE}),
    (["--netns", "{b}"], {OTHER}),
    (["-4", "--dport", "5001"], {WORKER, OTHER}),
    (["-6"], {V6}),
    (["--reason", "NETFILTER_DROP"], {LATE}),
]


def label(net, event):
    if event["netns"] == net.b.inode:
        return OTHER
    if event["ip_version"] == 6:
        return V6
    return {5001: WORKER, 5002: LATE, 5003: REFUSED}[event["dport"]]


def test_filters(net, fence):
    """One after the other on a slow machine, else a few at once."""
    at_once = 1 if SLOW > 1 else 7
    chosen = FILTERS if SLOW == 1 else FILTERS[:1] + FILTERS[3:6]
    if not has_reasons():
        chosen = [one for one in chosen if one[0][0] != "--reason"]
    listeners = [net.listen(5001), net.listen(5001, 6), net.listen(5002)]
    assert listeners
    for first in range(0, len(chosen), at_once):
        check_filters(net, fence, chosen[first:first + at_once])


def check_filters(net, fence, chosen):
    """A rebpf for each of these, and one that shows all: once that has told of all connects, so have the others."""
    running = []
    try:
        for args in ([], *(args for args, _ in chosen)):
            running.append(Rebpf(*[arg.format(b=net.b.name) for arg in args], events="connect"))
        since = rfc3339(time.time())
        scenario(net)
        fence(running[0])
        for one in running:
            assert one.stop() == 0
        for one, (args, wanted) in zip(running, [([], set(range(5))), *chosen]):
            shown = [e for e in one.events("connect") if e["netns"] in (net.a.inode, net.b.inode) and e["time"] >= since]
            assert sorted(label(net, e) for e in shown) == sorted(wanted), "%r shows\n%s" % (args, brief(shown))
    finally:
        for one in running:
            one.kill()


def test_pid_filter(net, fence):
    """Another process's connects are not shown, and its own are, whichever thread."""
    def refused(control, address):
        for _ in range(2):
            control.recv(3)
            with contextlib.suppress(OSError):
                socket.create_connection(address)
            control.sendall(b"done\n")

    workers = [net.worker(refused, (LOOPBACK[4], 5009), ns=net.a) for _ in range(2)]
    one = Rebpf("-p", str(workers[1].pid), "-p", str(US), events="connect")
    try:
        for worker in workers:
            worker.tell()
            assert worker.hear() == "done"
        fence(one)
        shown = [e for e in one.events("connect") if e["netns"] == net.a.inode]
        assert [e["pid"] for e in shown] == [workers[1].pid], brief(shown)
    finally:
        one.stop()


# ---- text ----


LINE_START = r"(?P<time>\d\d:\d\d:\d\d\.\d{6}) CONNECT +(?P<pid>\d+) +(?P<comm>\S+) +(?P<ends>\S+ > \S+) +"


def test_text(net, rebpf):
    """What a pipe gets is the documented form; its time is that of the end."""
    one = rebpf("--netns", net.a.name, "--utc", output="text", events="connect")
    net.listen()
    net.b.drop("input", SYN + " " + before_nth(1))
    sock = client(net)
    with Timed() as timed:
        sock.connect((net.addr[4][1], 5001))
    fails(errno.ECONNREFUSED, client(net, 6), (net.addr[6][1], 5003))
    lines = wait_until(lambda: len(one.text) >= 2 and one.text, what=lambda: "two lines: %r" % one.text)
    match = re.match(
        LINE_START + r"result=established latency=(?P<ms>\d+\.\d{3})ms syn_retrans=1 cause_drop=(?P<drop>\S+)$", lines[0])
    assert match, lines[0]
    assert int(match["pid"]) == US
    assert match["ends"] == "%s:%d > %s:5001" % (net.addr[4][0], sock.getsockname()[1], net.addr[4][1])
    assert 1000 <= float(match["ms"]) <= timed.us / 1000
    assert re.match(r"\S+@\w+(\.\w+)*\+0x[0-9a-f]+(\[\w+\])?(:\w+)?,netns=%d,age=\d+\.\d{3}ms$" % net.b.inode,
                    match["drop"])
    stamps = [rfc3339(at)[11:26] for at in (timed.wall_end - 0.3 * SLOW, timed.wall_end + 0.05)]
    assert stamps[0] <= match["time"] <= stamps[1] or stamps[0] > stamps[1], (match["time"], stamps)
    match = re.match(
        LINE_START + r"result=refused\(ECONNREFUSED\) after=\d+\.\d{3}ms cause_drop=(-|\S+@tcp_v6_rcv\S+)$", lines[1])
    assert match, lines[1]
    assert match["ends"].startswith("[%s]:" % net.addr[6][0]) and match["ends"].endswith(" > [%s]:5003" % net.addr[6][1])


# ---- no leak ----


def map_ids(pid):
    """The BPF maps that a process holds."""
    found = set()
    for fd in os.listdir("/proc/%d/fdinfo" % pid):
        with contextlib.suppress(OSError), open("/proc/%d/fdinfo/%s" % (pid, fd), encoding="ascii") as file:
            found.update(int(number) for number in re.findall(r"^map_id:\s*(\d+)", file.read(), re.M))
    return found


def connecting_of(rebpf, pids):
    """Entries of rebpf's map of unfinished connects that belong to these processes."""
    shown = json.loads(lab.run("bpftool", "-j", "map", "show"))
    ids = [one["id"] for one in shown if one.get("name") == "connecting" and one["id"] in map_ids(rebpf.pid)]
    assert len(ids) == 1, ids
    dump = lab.run("bpftool", "-j", "map", "dump", "id", str(ids[0]))
    values = [one["formatted"]["value"] for one in json.loads(dump) if "formatted" in one]
    return [value for value in values if value["owner"]["tgid"] in pids]


def test_no_leak(net, rebpf):
    need("bpftool")

    def refused(control, address, count):
        for _ in range(count):
            with socket.socket() as sock:
                sock.connect_ex(address)
        control.sendall(b"done\n")
        control.recv(1)

    count = 100000 if SLOW == 1 else 5000
    one = rebpf("--dport", "5999", "--comm", "rbnext", events="connect")
    worker = net.worker(refused, ("127.0.0.1", 5999), count, ns=net.a, comm="rbmany")
    worker.control.settimeout(120 * SLOW)
    assert worker.hear() == "done"
    wait_until(lambda: not connecting_of(one, {worker.pid}), 5, lambda: repr(connecting_of(one, {worker.pid})[:3]))
    following = net.worker(refused, ("127.0.0.1", 5999), 1, ns=net.a, comm="rbnext")
    assert following.hear() == "done"
    event = one.wait_events(event="connect", timeout=30)[0]
    check(event, "refused", "ECONNREFUSED", pid=following.pid, comm="rbnext", netns=net.a.inode)
    assert one.stop() == 0
    stats = one.stats()
    produced = stats["connects_by_result"]["refused"]
    assert stats["connects"] == produced
    if stats["lost"]["control"]:
        assert produced <= count + 1 <= produced + stats["lost"]["control"], stats
    else:
        assert produced == count + 1, stats


def test_entry_of_a_waiting_connect(net, rebpf):
    """One that has not ended is in the map, which shows that the test above looks at the right one."""
    need("bpftool")
    one = rebpf(events="connect")
    net.b.drop("input", SYN)
    sock = client(net)
    start_connect(sock, (net.addr[4][1], 5001))
    wait_until(lambda: len(connecting_of(one, {US})) == 1, what="the entry")
    sock.close()
    wait_until(lambda: not connecting_of(one, {US}), what="its end")


# ---- every rung ----


def rungs():
    return [("syn", name) for name in ("fentry", "sockops", "kprobe", "state")] + [
        ("noroute", name) for name in ("fexit", "kprobe", "state")]


@pytest.mark.parametrize("role, rung", rungs(), ids="=".join)
def test_rung(line, rebpf, fence, role, rung):
    """What each of them is there for, and what must not depend on it."""
    forced = force("%s=%s" % (role, rung))
    status, _, err = run_rebpf("--check", *forced, force=False)
    if status:
        pytest.skip("this kernel has no %s=%s: %s" % (role, rung, err.strip()))
    one = rebpf(force=forced, events="connect")
    view = Connects(one, line.a, fence)
    if role == "syn":
        latency, since = deferred_latency(line, view)
        assert (latency > since) == (rung == "state"), (latency, since)
        if rung != "state":
            near(latency, 0.05)
    else:
        fails(errno.ENETUNREACH, client(line), (NOWHERE[4], 5001))
        events = view.all()
        assert len(events) == (rung != "state"), brief(events)
        for event in events:
            assert (event["result"], event["error"], event["syn_sent"]) == ("unreachable", "ENETUNREACH", False)
        line.a.sysctl("net.ipv4.ip_local_port_range", "40000 40000")
        line.listen()
        client(line).connect((line.addr[4][1], 5001))
        fails(errno.EADDRNOTAVAIL, client(line), (line.addr[4][1], 5001))
        event = [e for e in view.all() if e["result"] != "established"][-1]
        assert (event["result"], event["error"], event["syn_sent"]) == (
            "failed", None if rung == "state" else "EADDRNOTAVAIL", False), brief([event])
    view.restart()
    for version in (4, 6):
        fails(errno.ECONNREFUSED, client(line, version), (line.addr[version][1], 5003))
    for event in view.exactly(2):
        assert (event["result"], event["error"], event["syn_sent"]) == ("refused", "ECONNREFUSED", True), brief([event])
        near(event["duration_us"], 0.05)
