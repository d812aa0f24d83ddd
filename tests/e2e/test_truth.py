# SPDX-License-Identifier: MIT
"""rebpf's events add up to the kernel's own counters, exactly, per namespace (cause.md: the two equalities)."""
import socket

import pytest

import causes
from lab import (BARE_ACK, BLOCK, DATA, IPPROTO_MPTCP, SLOW, SYNACK, Background, before_nth, nth, percent, receive_bytes,
                 reset, start_connect, transfer, wait_until)
from tracer import check_truth, counted_segs, has_entry_hooks, mode, need_failures, need_refusals


@pytest.fixture
def truth(watch):
    """truth(ns, traffic): runs traffic(), which closes its sockets, and checks the events against the counters."""

    def check(ns, traffic):
        view = watch(ns)
        with ns.counting() as rise:
            traffic(view)
        return check_truth(view, rise)

    return check


def move(net, size, version=4, port=5001, protocol=0):
    """One transfer from a to b, and its end."""
    client, server = net.connect(port, version, protocol=protocol)
    transfer(client, server, size)
    reset(client)
    reset(server)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("share, size", [(1, 6 << 20), (5, 2 << 20), (20, 400 << 10)])
def test_random_loss(net, truth, version, share, size):
    rule = net.b.drop("input", DATA + " " + percent(share))
    events = truth(net.a, lambda view: move(net, size, version))
    assert events or not rule.count()
    # On a slow machine the previous copy may still be on its way when TCP wants to send it again.
    # While rebpf puts a clsact qdisc on the device, the kernel deactivates it and drops what comes (dev_deactivate).
    bad = [e for e in events if e["outcome"] != "sent" and e["ret_name"] != "EBUSY"
           and not (mode()["tc"] == "clsact" and e["tc"] is None and e["drop"]["ifname"] == "a0")]
    assert not bad
    addresses = net.addr[version]
    assert all(e["ip_version"] == version and (e["saddr"], e["daddr"]) == addresses and e["segs"] >= 1 for e in events)


@pytest.mark.parametrize("version", [4, 6])
def test_tso(make_net, truth, version):
    """One call then retransmits many segments."""
    net = make_net(tso=True)
    net.b.drop("input", DATA + " " + percent(5))
    events = truth(net.a, lambda view: move(net, 16 << 20, version))
    assert any(e["segs"] > 1 and e["len"] > e["mss"] for e in events)


def test_large_mtu(make_net, truth):
    net = make_net(mtu=9000, tso=True)
    net.b.drop("input", DATA + " " + percent(5))
    truth(net.a, lambda view: move(net, 16 << 20))


@pytest.mark.parametrize("version", [4, 6])
def test_loopback(net, truth, version):
    """On loopback the first copy is the receiver's buffer, so the next one is no companion of the original."""
    net.a.drop("input", DATA + " " + percent(5))
    listener = net.listen(5001, version, ns=net.a)
    client = net.keep(net.a.socket(socket.AF_INET if version == 4 else socket.AF_INET6))

    def traffic(view):
        client.connect(("127.0.0.1" if version == 4 else "::1", 5001))
        server = net.keep(listener.accept()[0])
        transfer(client, server, 16 << 20)
        reset(client)
        reset(server)

    events = truth(net.a, traffic)
    assert all(e["outcome"] == "sent" for e in events)


@pytest.mark.parametrize("middle", ["router", "bridge"])
def test_loss_on_the_way(make_net, truth, middle):
    """Lost on another host, as far as a can know."""
    net = make_net(middle=middle)
    if middle == "router":
        net.r.drop("forward", DATA + " " + percent(5))
    else:
        net.b.drop("prerouting", DATA + " " + percent(5))
    truth(net.a, lambda view: move(net, 2 << 20))


def test_parallel_flows(net, truth):
    """Several flows in both families at once, in both directions."""
    for ns in (net.a, net.b):
        ns.drop("input", DATA + " " + percent(5))
    pairs = [net.connect(5001 + i, version) for i, version in enumerate([4, 6] * 4)]

    def traffic(view):
        running = [Background(transfer, *(pair if i % 4 < 2 else pair[::-1]), 1 << 20) for i, pair in enumerate(pairs)]
        for one in running:
            one.result()
        for pair in pairs:
            reset(pair[0])
            reset(pair[1])

    events = truth(net.a, traffic)
    assert {e["ip_version"] for e in events} == {4, 6}
    assert len({e["dport"] for e in events}) == 4


def test_lost_acknowledgements(net, truth):
    """Retransmissions of data that had arrived count as well."""
    net.a.drop("input", BARE_ACK + " " + before_nth(12))

    def traffic(view):
        client, server = net.connect()
        transfer(client, server, 10 * causes.MSS)
        view.wait(1)
        reset(client)
        reset(server)

    truth(net.a, traffic)


def test_tail_loss_probe(net, truth):
    """The probe does not go through tcp_retransmit_skb."""

    def traffic(view):
        client, server, size = causes.lose_tail(net)
        receive_bytes(client, size)
        view.wait(1)
        reset(client)
        reset(server)

    events = truth(net.b, traffic)
    assert events[0]["type"] == "tlp"


@pytest.mark.parametrize("version", [4, 6])
def test_syn(net, truth, version):
    def traffic(view):
        client = causes.stuck_syn(net, version)
        view.wait(2, type="syn")
        client.close()

    events = truth(net.a, traffic)
    assert {e["type"] for e in events} == {"syn"}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("lost", [SYNACK, BARE_ACK], ids=["synack", "ack"])
def test_synack(net, truth, version, lost):
    """Either the SYN-ACK or what answers it is lost: the timer, or a second SYN, has it sent again."""
    listener = net.listen(5001, version)
    (net.a if lost == SYNACK else net.b).drop("input", lost)
    client = net.keep(net.a.socket(socket.AF_INET if version == 4 else socket.AF_INET6))

    def traffic(view):
        start_connect(client, (net.addr[version][1], 5001))
        view.wait(2, type="synack")
        reset(client)
        reset(listener)

    events = truth(net.b, traffic)
    assert all(e["type"] == "synack" and e["ip_version"] == version and e["ret"] == 0 for e in events)


def test_mptcp(net, truth):
    """Subflows retransmit as plain TCP does."""
    try:
        net.keep(net.a.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP))
    except OSError as error:
        pytest.skip("no MPTCP: %s" % error.strerror)
    net.b.drop("input", DATA + " " + percent(5))
    truth(net.a, lambda view: move(net, 2 << 20, protocol=IPPROTO_MPTCP))


def fails(net, view, cause, n=3):
    """The data of a connection is lost, then retransmissions fail here; at last the way is free again."""
    client, server, rule = causes.stuck(net)
    view.wait(1)
    undo = cause()
    view.wait(n, outcome="dropped")
    undo()
    rule.remove()
    receive_bytes(server, 1000)
    reset(client)
    reset(server)


def test_failures_in_netfilter(net, truth):
    need_failures()
    events = truth(net.a, lambda view: fails(net, view, lambda: net.a.drop("output", DATA).remove))
    assert any(e["ret"] == -1 for e in events)


def test_failures_in_tc(net, truth):
    need_failures()

    def shot():
        net.a.tc_verdict("a0", 2)
        return lambda: net.a.tc("filter", "del", "dev", "a0", "egress")

    events = truth(net.a, lambda view: fails(net, view, shot))
    assert any(e["ret"] == 1 for e in events)


def test_failures_in_qdisc(net, truth):
    need_failures()

    def full():
        net.a.qdisc("a0", "pfifo", "limit", "0")
        return lambda: net.a.no_qdisc("a0")

    events = truth(net.a, lambda view: fails(net, view, full))
    assert any(e["ret"] == 1 for e in events)


def test_failures_under_load(net, truth):
    """Many segments at once, some of which fail on this host."""
    need_failures()
    net.b.drop("input", DATA + " " + percent(5))
    net.a.drop("output", DATA + " " + percent(5))
    events = truth(net.a, lambda view: move(net, 1 << 20))
    # On a machine that is slower still than the time-outs, a copy before may wait in a CPU's backlog (EBUSY).
    assert {e["ret"] for e in events if SLOW == 1 or e["outcome"] != "refused"} <= {0, -1}


def test_refusals_count_nothing(net, truth):
    """No route: the kernel gives up before it counts."""
    need_refusals()

    def traffic(view):
        client, server, rule = causes.stuck(net)
        view.wait(1)
        net.a.ip("route", "del", "10.77.0.0/24", "dev", "a0")
        view.wait(2, outcome="refused")
        net.a.ip("route", "add", "10.77.0.0/24", "dev", "a0")
        rule.remove()
        receive_bytes(server, 1000)
        reset(client)
        reset(server)

    truth(net.a, traffic)


def test_end_of_a_connection(net, truth):
    """FINs are retransmitted too, of sockets that no process holds any more."""
    net.b.drop("input", "tcp flags & fin == fin")

    def traffic(view):
        client, server = net.connect()
        client.close()
        view.wait(2)
        reset(server)
        wait_until(lambda: "10.77.0.1" not in net.a.run("ss", "-tnH"), 20, "the socket to end")

    events = truth(net.a, traffic)
    assert events[0]["state"] == "FIN_WAIT1" and events[0]["len"] == 0


def test_slow_reader(net, truth):
    """A receiver that accepts late, and reads late, under loss."""
    net.b.drop("input", DATA + " " + nth(5))
    net.b.drop("input", DATA + " " + percent(5))
    listener = net.listen()
    client = net.keep(net.a.socket())

    def traffic(view):
        client.connect((net.addr[4][1], 5001))
        sending = Background(client.sendall, BLOCK * 16)
        wait_until(lambda: net.a.counters()["TcpRetransSegs"], 20, "a retransmission")
        server = net.keep(listener.accept()[0])
        receive_bytes(server, 16 * len(BLOCK))
        sending.result()
        reset(client)
        reset(server)

    truth(net.a, traffic)


def test_entry_hooks_and_tracepoint_agree(rebpf, net):
    """The two ways to see an attempt, side by side."""
    if not has_entry_hooks():
        pytest.skip("no entry hooks on this kernel")
    one, other = rebpf(), rebpf(force=["--force", "attempt=tracepoint,synack=tracepoint"])
    net.b.drop("input", DATA + " " + percent(5))
    with net.a.counting() as rise:
        move(net, 1 << 20)

    def segs(which):
        # Without refused ones: only the entry hooks see those.
        return counted_segs([e for e in which.events() if e["netns"] == net.a.inode])

    wait_until(lambda: segs(one) == segs(other) == rise["TcpRetransSegs"], 10,
               lambda: "%d and %d to be %d" % (segs(one), segs(other), rise["TcpRetransSegs"]))
