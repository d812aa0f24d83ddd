# SPDX-License-Identifier: MIT
"""Full listen queues, connections given up, needless retransmissions: no drop of a packet tells of them.

Each is compared with what the kernel counted in the same namespace."""
import contextlib
import errno
import socket
import threading
import time

import pytest

import causes
from conftest import Shared
from lab import BARE_ACK, BLOCK, SLOW, SYN, SYNACK, Background, receive_bytes, reset, start_connect, wait_until
from tracer import View, mode

TCP_USER_TIMEOUT = 18


@pytest.fixture(scope="module")
def everything():
    one = Shared(events="all")
    yield one
    one.stop()


@pytest.fixture
def signs(everything):
    """signs(ns, kind): the events of a kind in a namespace from now on."""
    everything.get()
    yield lambda ns, kind: View(everything.get(), ns, kind)
    everything.check()


def check_count(view, wanted, **fields):
    """As many such events as the kernel counted, and no more."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: len(view.events(**fields)) >= wanted, 5)
    view.wait_quiet()
    found = view.events(**fields)
    assert len(found) == wanted, "%d events, the kernel counted %d: %r" % (len(found), wanted, found[-20:])
    return found


# ---- listen queues ----

VERSIONS = pytest.mark.parametrize("version", [4, 6, 0], ids=["v4", "v6", "mapped"])


def listener_of(control, version, port, backlog):
    """A process that listens and accepts when told."""
    sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if version != 4:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, version == 6)
    sock.bind(("" if version == 4 else "::", port))
    sock.listen(backlog)
    control.sendall(b"listening\n")
    while control.recv(1):
        pass


@pytest.fixture
def hearer(net):
    """hearer(version, backlog): a process with a listener of this backlog at b that never accepts."""

    def start(version, backlog, port=5001):
        worker = net.worker(listener_of, version, port, backlog, ns=net.b, comm="hearer")
        assert worker.hear() == "listening"
        return worker

    return start


def family(version):
    return socket.AF_INET6 if version == 6 else socket.AF_INET


def address(net, version, port=5001):
    return (net.addr[version or 4][1], port)


def knock(net, version, count, port=5001, ports=None):
    """Begins so many connections from a to b."""
    socks = []
    for i in range(count):
        sock = net.keep(net.a.socket(family(version)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ports:
            sock.bind(("", ports[i]))
        start_connect(sock, address(net, version, port))
        socks.append(sock)
    return socks


def is_connected(sock):
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def fill(net, version, count, port=5001):
    """So many connections, each complete on both sides before the next."""
    socks = []
    for _ in range(count):
        accepted = accept_queue(net)
        socks += knock(net, version, 1, port)
        wait_until(lambda sock=socks[-1]: is_connected(sock), 5, "a connection")
        wait_until(lambda before=accepted: accept_queue(net) > before, 5, "the accept queue to grow")
    return socks


def accept_queue(net):
    """Connections that wait in accept queues at b."""
    return sum(int(line.split()[1]) for line in net.b.run("ss", "-Hltn").splitlines())


def check_overflow(net, events, reason, version, pid):
    saddr, daddr = net.addr[version or 4]
    for event in events:
        assert event["reason"] == reason and event["synthetic"] is True, event
        assert (event["saddr"], event["daddr"], event["dport"]) == (saddr, daddr, 5001), event
        assert event["state"] == "LISTEN", event
        assert (event["pid"], event["comm"]) == (pid, "hearer"), event


@VERSIONS
@pytest.mark.parametrize("backlog", [0, 1])
def test_accept_queue_full_for_syn(net, signs, hearer, version, backlog):
    """The accept queue holds one more than the backlog; each further SYN, and each that comes again, overflows."""
    view = signs(net.b, "drop")
    worker = hearer(version, backlog)
    with net.b.counting() as rise:
        fill(net, version, backlog + 1)
        extra = knock(net, version, 4)
        view.wait(6, reason="TCP_LISTEN_OVERFLOW", synthetic=True)
        for sock in extra:
            sock.close()
    assert rise["TcpExtListenOverflows"] >= 6
    events = check_count(view, rise["TcpExtListenOverflows"], synthetic=True)
    check_overflow(net, events, "TCP_LISTEN_OVERFLOW", version, worker.pid)


def half_open(net, version, port=40001):
    """A connection whose last ACK is held back: open for a, a request at b. Returns (client, rule)."""
    rule = net.a.drop("output", "tcp sport %d " % port + BARE_ACK)
    client = knock(net, version, 1, ports=[port])[0]
    wait_until(lambda: is_connected(client), 5, "a connection")
    return client, rule


@VERSIONS
def test_accept_queue_full_for_ack(net, signs, hearer, version):
    """The queue fills between a connection's SYN and its ACK: that ACK, and each segment that follows it, overflows."""
    view = signs(net.b, "drop")
    worker = hearer(version, 2)
    client, rule = half_open(net, version)
    with net.b.counting() as rise:
        fill(net, version, 3)
        rule.remove()
        client.send(BLOCK[:100])
        view.wait(3, reason="TCP_LISTEN_OVERFLOW", synthetic=True)
        reset(client)
    events = check_count(view, rise["TcpExtListenOverflows"], synthetic=True)
    check_overflow(net, events, "TCP_LISTEN_OVERFLOW", version, worker.pid)
    assert {e["sport"] for e in events} == {40001}


@VERSIONS
def test_accept_queue_full_for_cookie(net, signs, hearer, version):
    """The same with SYN cookies: there is no request, the ACK alone would make the socket."""
    net.b.sysctl("net.ipv4.tcp_syncookies", 2)
    view = signs(net.b, "drop")
    worker = hearer(version, 1)
    client, rule = half_open(net, version)
    with net.b.counting() as rise:
        fill(net, version, 2)
        rule.remove()
        client.send(BLOCK[:100])
        view.wait(2, reason="TCP_LISTEN_OVERFLOW", synthetic=True)
        reset(client)
    assert rise["TcpExtSyncookiesRecv"] >= 2
    events = check_count(view, rise["TcpExtListenOverflows"], synthetic=True)
    check_overflow(net, events, "TCP_LISTEN_OVERFLOW", version, worker.pid)


def test_deferred_accept_is_no_overflow(net, signs):
    """A listener that waits for data takes no notice of a bare ACK, whether its queue is full or not."""
    view = signs(net.b, "drop")
    listener = net.listen()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
    listener.listen(2)
    client, rule = half_open(net, 4)
    with net.b.counting() as rise:
        for _ in range(3):
            queued = accept_queue(net)
            sock = knock(net, 4, 1)[0]
            wait_until(lambda sock=sock: is_connected(sock), 5, "a connection")
            sock.send(b"?")
            wait_until(lambda before=queued: accept_queue(net) > before, 5, "the accept queue to grow")
        rule.remove()
        wait_until(lambda: net.b.counters()["TcpExtTCPDeferAcceptDrop"] > 3, 10, "the bare ACK")
    assert rise["TcpExtListenOverflows"] == 0
    check_count(view, 0, synthetic=True)
    with net.b.counting() as rise:
        client.send(b"?")
        view.wait(2, synthetic=True)
        reset(client)
    check_count(view, rise["TcpExtListenOverflows"], reason="TCP_LISTEN_OVERFLOW", synthetic=True)


@VERSIONS
def test_request_queue_full(net, signs, hearer, version):
    """Without SYN cookies, a listener holds one request more than its backlog; nothing of it is an overflow."""
    net.b.sysctl("net.ipv4.tcp_syncookies", 0)
    net.b.sysctl("net.ipv4.tcp_max_syn_backlog", 4096)
    view = signs(net.b, "drop")
    worker = hearer(version, 4)
    net.b.drop("output", SYNACK)
    with net.b.counting() as rise:
        socks = knock(net, version, 12)
        view.wait(10, reason="TCP_REQQ_FULL", synthetic=True)
        for sock in socks:
            sock.close()
    assert rise["TcpExtListenOverflows"] == 0
    events = check_count(view, rise["TcpExtTCPReqQFullDrop"], synthetic=True)
    check_overflow(net, events, "TCP_REQQ_FULL", version, worker.pid)


def test_request_queue_full_with_cookies_is_none(net, signs, hearer):
    """With SYN cookies a full queue refuses nobody."""
    net.b.sysctl("net.ipv4.tcp_syncookies", 1)
    view = signs(net.b, "drop")
    hearer(4, 4)
    net.b.drop("output", SYNACK)
    with net.b.counting() as rise:
        socks = knock(net, 4, 12)
        wait_until(lambda: net.b.counters()["TcpExtTCPReqQFullDoCookies"] >= 7, 5, "cookies")
        for sock in socks:
            sock.close()
    assert rise["TcpExtTCPReqQFullDrop"] == rise["TcpExtListenOverflows"] == 0
    check_count(view, 0, synthetic=True)


def test_flood_of_connections(net, signs):
    """Many at once, while the listener accepts now and then: the counts agree to the last one."""
    view = signs(net.b, "drop")
    listener = net.listen()
    listener.listen(8)
    stop = threading.Event()

    def accept_some():
        while not stop.is_set():
            with contextlib.suppress(OSError):
                listener.settimeout(0.05)
                reset(listener.accept()[0])
            time.sleep(0.01)

    with net.b.counting() as rise:
        accepting = Background(accept_some)
        socks = knock(net, 4, 200)
        wait_until(lambda: net.b.counters()["TcpExtListenOverflows"] > 100, 10, "overflows")
        for sock in socks:
            sock.close()
        time.sleep(0.3 * SLOW)
        stop.set()
        accepting.result()
    wanted = rise["TcpExtListenOverflows"]
    if mode()["overflow"] in ("fexit", "kprobe"):
        check_count(view, wanted, synthetic=True)
        return
    # Foretold: an accept() between our look and the kernel's proves a few wrong.
    view.wait_quiet()
    assert abs(len(view.events(synthetic=True)) - wanted) <= max(2, wanted // 50)


# ---- connections given up ----


def check_given_up(net, view, rise, state, version=4):
    assert rise["TcpExtTCPAbortOnTimeout"] == 1
    event = check_count(view, 1, synthetic=True)[0]
    assert event["reason"] == "RETRIES_EXCEEDED"
    assert (event["saddr"], event["daddr"], event["dport"], event["state"]) == (*net.addr[version], 5001, state)
    return event


@pytest.mark.parametrize("version", [4, 6])
def test_syn_given_up(net, signs, version):
    net.a.sysctl("net.ipv4.tcp_syn_retries", 1)
    net.b.drop("input", SYN)
    view = signs(net.a, "drop")

    def dial(control):
        with contextlib.suppress(OSError), socket.socket(family(version)) as sock:
            sock.connect(address(net, version))
        control.sendall(b"failed\n")

    with net.a.counting() as rise:
        worker = net.worker(dial, ns=net.a, comm="dialler")
        assert worker.hear() == "failed"
    event = check_given_up(net, view, rise, "SYN_SENT", version)
    assert (event["pid"], event["comm"]) == (worker.pid, "dialler")


def given_up(sock, seconds=60):
    """Waits until the connection has failed; returns the error."""
    return wait_until(lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), seconds, "the connection to fail")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("how", ["user_timeout", "retries"])
def test_data_given_up(net, signs, how, version):
    if how == "retries":
        net.a.sysctl("net.ipv4.tcp_retries2", 3)
    view = signs(net.a, "drop")
    client, _ = net.connect(version=version)
    net.b.drop("input", causes.DATA)
    if how == "user_timeout":
        client.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 700)
    with net.a.counting() as rise:
        client.sendall(BLOCK[:1000])
        assert given_up(client) == errno.ETIMEDOUT
    check_given_up(net, view, rise, "ESTABLISHED", version)


def test_keepalive_given_up(net, signs):
    view = signs(net.a, "drop")
    client, _ = net.connect()
    net.b.drop("input", "meta l4proto tcp")
    with net.a.counting() as rise:
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
            client.setsockopt(socket.IPPROTO_TCP, option, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert given_up(client) == errno.ETIMEDOUT
    check_given_up(net, view, rise, "ESTABLISHED")


def test_zero_window_given_up(net, signs):
    """The peer's window stays shut, and its answers to the probes do not come."""
    view = signs(net.a, "drop")
    client, _ = net.connect()
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(4000):  # little at a time: a receiver that is overrun drops, and the timer is another one
            client.send(BLOCK[:1400])
            time.sleep(0.002)
    wait_until(lambda: "persist" in net.a.run("ss", "-Htnoi", "dport", "=", ":5001"), 15, "the window to shut")
    with net.a.counting() as rise:
        net.b.drop("input", "meta l4proto tcp")
        client.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 700)
        assert given_up(client) == errno.ETIMEDOUT
    check_given_up(net, view, rise, "ESTABLISHED")


def test_orphan_given_up(net, signs):
    """Closed with data on the way: nobody is left to be told."""
    net.a.sysctl("net.ipv4.tcp_orphan_retries", 1)
    view = signs(net.a, "drop")
    client, _ = net.connect()
    net.b.drop("input", causes.DATA)
    with net.a.counting() as rise:
        client.sendall(BLOCK[:1000])
        client.close()
        wait_until(lambda: net.a.counters()["TcpExtTCPAbortOnTimeout"], 60, "the end")
    check_given_up(net, view, rise, "FIN_WAIT1")


def test_unreachable_given_up(net, signs):
    """A router says that the host is unreachable: the error that the process gets is that, the end is a time-out."""
    net.a.sysctl("net.ipv4.tcp_retries2", 3)
    view = signs(net.a, "drop")
    client, _ = net.connect()
    net.b.run("nft", "-f", "-", text="table ip lab { chain c { type filter hook input priority 0; "
              "meta l4proto tcp meta length > 120 reject with icmp type host-unreachable; }; }")
    with net.a.counting() as rise:
        client.sendall(BLOCK[:1000])
        wait_until(lambda: net.a.counters()["TcpExtTCPAbortOnTimeout"], 60, "the end")
        assert given_up(client) == errno.EHOSTUNREACH
    check_given_up(net, view, rise, "ESTABLISHED")


def test_other_ends_are_none(net, signs):
    """Refused, unreachable, reset, closed: no time-out, and no event."""
    view = signs(net.a, "drop")
    with net.a.counting() as rise:
        refused = net.keep(net.a.socket())
        with pytest.raises(ConnectionRefusedError):
            refused.connect(address(net, 4, 5009))
        net.b.run("nft", "-f", "-", text="table ip lab { chain c { type filter hook input priority 0; "
                  "tcp dport 5010 reject with icmp type host-unreachable; }; }")
        with pytest.raises(OSError):
            net.keep(net.a.socket()).connect(address(net, 4, 5010))
        client, server = net.connect()
        reset(server)
        wait_until(lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 5, "the reset")
        client, server = net.connect(5002)
        client.close()
        server.close()
        pending = net.keep(net.a.socket())
        net.b.drop("input", SYN)
        start_connect(pending, address(net, 4))
        time.sleep(1.5)
        pending.close()
    assert rise["TcpExtTCPAbortOnTimeout"] == 0
    check_count(view, 0, synthetic=True)


# ---- needless retransmissions ----


def check_flow(net, events, version=4):
    for event in events:
        assert (event["saddr"], event["daddr"], event["dport"]) == (*net.addr[version], 5001), event


def wait_rise(ns, before, key):
    wait_until(lambda: ns.counters()[key] > before[key], 10, key + " to rise")


@pytest.mark.parametrize("version", [4, 6])
def test_dsack(net, signs, version):
    """Acknowledgements are lost, so what arrived is sent again, and the peer says so."""
    causes.steady(net)
    view = signs(net.a, "spurious")
    client, server = net.connect(version=version)
    mark = BLOCK[:1000]
    with net.a.counting() as rise:
        for _ in range(3):
            rule = net.b.drop("output", BARE_ACK)
            before = net.a.counters()
            client.sendall(mark)
            receive_bytes(server, len(mark))
            wait_rise(net.a, before, "TcpRetransSegs")
            rule.remove()
            wait_rise(net.a, before, "TcpExtTCPDSACKRecv")
            time.sleep(0.3 * SLOW)
    counted = rise["TcpExtTCPDSACKRecv"] + rise["TcpExtTCPDSACKOfoRecv"]
    assert counted >= 3 and rise["TcpExtTCPDSACKIgnoredDubious"] == 0
    if mode()["dsack"] == "fexit":
        events = check_count(view, counted, evidence="dsack")
        assert all((e["end_seq"] - e["seq"]) % (1 << 32) == len(mark) for e in events), events
    else:
        events = view.wait(3, evidence="dsack")
        assert view.wait_quiet() and len(view.events(evidence="dsack")) <= counted
        assert all(e["seq"] is None or e["seq"] == e["end_seq"] for e in events)
    check_flow(net, events, version)


def test_dsack_of_a_closed_connection(net, signs):
    """The ACK that reports the duplicate ends the connection as well; the owner is remembered."""
    causes.steady(net)
    view = signs(net.a, "spurious")
    listener = net.listen()

    def talk(control):
        with socket.socket() as sock:
            sock.connect(address(net, 4))
            control.sendall(b"connected\n")
            control.recv(1)
            sock.sendall(BLOCK[:1000])

    worker = net.worker(talk, ns=net.a, comm="talker")
    assert worker.hear() == "connected"
    server = net.keep(listener.accept()[0])
    rule = net.b.drop("output", BARE_ACK)
    worker.tell()
    receive_bytes(server, 1000)
    wait_until(lambda: net.a.counters()["TcpRetransSegs"], 10, "a retransmission")
    rule.remove()
    event = view.wait(1, evidence="dsack")[0]
    assert (event["pid"], event["comm"]) == (worker.pid, "talker")


def slow_wire(make_net):
    """a - r - b, where r can be made slow towards b: what waits there is no longer in a's own queues."""
    return make_net(middle="router")


def delay_once(net, seconds):
    """Puts so many seconds of datagrams into r's queue towards b: what comes behind them waits, and nothing is lost."""
    net.r.qdisc("rb", "tbf", "rate", "400kbit", "burst", "3000", "limit", "400000")
    udp = net.keep(net.a.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for _ in range(int(seconds * 400000 / 8 / 1442)):
        udp.sendto(BLOCK[:1400], (net.addr[4][1], 9))


def spurious_timeout(net, view, rise, version=4):
    """A flight that is held up for longer than the time-out, then arrives; counts how the kernel takes it."""
    client, server = net.connect(version=version)
    for _ in range(20):  # a round-trip time to be surprised by
        client.sendall(BLOCK[:100])
        receive_bytes(server, 100)
    with net.a.counting() as counted:
        delay_once(net, 1.5 * max(1, SLOW / 2))
        time.sleep(0.05)
        client.sendall(BLOCK[:40 * 1400])  # more than fits the window: F-RTO needs new data to send
        receive_bytes(server, 40 * 1400)
        for _ in range(5):
            client.sendall(BLOCK[:1400])
            receive_bytes(server, 1400)
        time.sleep(0.5 * SLOW)
    rise.update(counted)
    view.wait_quiet()


def check_undo(view, rise):
    """What the kernel undid, by its evidence. Undo by DSACK is told as DSACK."""
    if mode()["undo"] == "none":
        pytest.skip("undone time-outs are not visible with undo=none on this kernel")
    undone = rise["TcpExtTCPLossUndo"] + rise["TcpExtTCPFullUndo"] + rise["TcpExtTCPPartialUndo"]
    assert undone, {key: value for key, value in rise.items() if value}
    check_count(view, rise["TcpExtTCPSpuriousRTOs"], evidence="frto")
    check_count(view, undone - rise["TcpExtTCPSpuriousRTOs"], evidence="timestamp")


@pytest.mark.parametrize("version", [4, 6])
def test_timestamp_undo(make_net, signs, version):
    net = slow_wire(make_net)
    net.sysctl("net.ipv4.tcp_frto", 0)
    view, rise = signs(net.a, "spurious"), {}
    spurious_timeout(net, view, rise, version)
    check_undo(view, rise)
    assert view.events(evidence="timestamp")
    check_flow(net, view.events(), version)


@pytest.mark.parametrize("version", [4, 6])
def test_frto(make_net, signs, version):
    net = slow_wire(make_net)
    net.sysctl("net.ipv4.tcp_timestamps", 0)
    view, rise = signs(net.a, "spurious"), {}
    spurious_timeout(net, view, rise, version)
    check_undo(view, rise)
    assert rise["TcpExtTCPSpuriousRTOs"]
    check_flow(net, view.events(), version)


def test_needed_retransmissions_are_not_spurious(net, signs):
    """Real loss of every kind, and no sign against it."""
    view = signs(net.a, "spurious")
    with net.a.counting() as rise:
        client, server, size = causes.lose_middle(net)
        receive_bytes(server, size)
        client, server, size = causes.lose_flight(net, port=5002)
        receive_bytes(server, size)
        time.sleep(0.3 * SLOW)
    assert rise["TcpRetransSegs"]
    undone = sum(rise["TcpExt" + name] for name in ("TCPDSACKRecv", "TCPDSACKOfoRecv", "TCPLossUndo", "TCPFullUndo",
                                                    "TCPPartialUndo"))
    assert len(view.wait_quiet()) <= undone
    if not undone:
        check_count(view, 0)
