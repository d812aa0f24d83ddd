# SPDX-License-Identifier: MIT
"""Whose segment it is, which one, why and for the how manyth time it was sent again."""
import os
import socket
import subprocess

import pytest

import causes
from lab import (BLOCK, DATA, Capture, Worker, acknowledge, chatter, drain, enter, from_nth, need, nth, percent,
                 receive_bytes, reset, send_bytes, start_connect, transfer, wait_until)
from tracer import View, brief

MSS = causes.MSS


# ---- owner ----


def client_process(control, address, port, size):
    """Connects, says so, sends size bytes when told, and stays."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family)
    sock.connect((address, port))
    control.sendall(b"connected\n")
    control.recv(3)
    send_bytes(sock, size)
    control.recv(1)


def server_process(control, port, size):
    """Accepts one connection and sends size bytes on it at once: it never receives."""
    listener = socket.socket()
    listener.bind(("", port))
    listener.listen()
    control.sendall(b"listening\n")
    sock, _ = listener.accept()
    send_bytes(sock, size)
    control.recv(1)


def forking_server(control, port, size, reads):
    """Accepts, and has a forked child serve the connection, which the parent closes. Says the child's pid."""
    listener = socket.socket()
    listener.bind(("", port))
    listener.listen()
    control.sendall(b"listening\n")
    sock, _ = listener.accept()
    child = os.fork()
    if child == 0:
        listener.close()
        if reads:
            sock.recv(1)
        control.recv(3)
        send_bytes(sock, size)
        control.recv(1)
        os._exit(0)
    sock.close()
    control.sendall(b"%d\n" % child)
    control.recv(1)


def check_owner(event, worker, comm=None):
    assert (event["pid"], event["comm"]) == (worker.pid, comm or worker.comm), brief([event])


@pytest.mark.parametrize("version", [4, 6])
def test_client(net, watch, version):
    view = watch(net.a)
    causes.steady(net)
    listener = net.listen(5001, version)
    worker = net.worker(client_process, net.addr[version][1], 5001, 1000, ns=net.a, comm="rbclient", uid=1234)
    server = net.keep(listener.accept()[0])
    assert worker.hear() == "connected"
    net.b.drop("input", DATA)
    worker.tell()
    for event in view.wait(3):
        check_owner(event, worker)
        assert event["uid"] == 1234
    assert server


def test_client_that_is_older_than_rebpf(net, rebpf):
    causes.steady(net)
    listener = net.listen()
    worker = net.worker(client_process, net.addr[4][1], 5001, 1000, ns=net.a, comm="rbold")
    net.keep(listener.accept()[0])
    assert worker.hear() == "connected"
    net.b.drop("input", DATA)
    view = View(rebpf(), net.a)
    worker.tell()
    for event in view.wait(2):
        check_owner(event, worker)


def test_syn_of_a_client(net, watch):
    def connecting(control, address):
        sock = socket.socket()
        start_connect(sock, address)
        control.recv(1)

    view = watch(net.a)
    net.b.drop("input", causes.SYN)
    worker = net.worker(connecting, (net.addr[4][1], 5001), ns=net.a, comm="rbsyn")
    check_owner(view.wait(1, type="syn")[0], worker)


def test_accepted_socket(net, watch):
    view = watch(net.b)
    worker = net.worker(server_process, 5001, 400000, ns=net.b, comm="rbserver")
    assert worker.hear() == "listening"
    net.a.drop("input", DATA + " " + percent(10))
    client = net.keep(net.a.socket())
    client.connect((net.addr[4][1], 5001))
    receive_bytes(client, 400000)
    for event in view.wait(3):
        check_owner(event, worker)


@pytest.mark.parametrize("reads", [True, False], ids=["child reads", "child only sends"])
def test_socket_passed_over_fork(net, watch, reads):
    """The parent accepted, but it has closed the socket: its child is the owner."""
    view = watch(net.b)
    worker = net.worker(forking_server, 5001, 400000, reads, ns=net.b, comm="rbfork")
    assert worker.hear() == "listening"
    client = net.keep(net.a.socket())
    client.connect((net.addr[4][1], 5001))
    client.sendall(b"?")
    child = int(worker.hear())
    net.a.drop("input", DATA + " " + percent(10))
    worker.tell()
    receive_bytes(client, 400000)
    for event in view.wait(3):
        assert event["pid"] == child, brief([event])


def test_iperf3_that_is_older_than_rebpf(net, rebpf):
    need("iperf3")
    server = subprocess.Popen(["ip", "netns", "exec", net.b.name, "iperf3", "-s", "-1", "-p", "5201"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    net.workers.append(Process(server))
    wait_until(lambda: ":5201" in net.b.run("ss", "-tlnH"), 20, "iperf3 to listen")
    net.b.drop("input", DATA + " " + percent(2))
    client = subprocess.Popen(["ip", "netns", "exec", net.a.name, "iperf3", "-c", net.addr[4][1], "-p", "5201", "-t",
                               "600", "-b", "4M", "-l", "4K"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    net.workers.append(Process(client))
    wait_until(lambda: net.a.counters()["TcpRetransSegs"] > 2, 20, "iperf3 to retransmit")
    view = View(rebpf(), net.a)
    for event in view.wait(10, timeout=30):
        assert (event["pid"], event["comm"], event["dport"]) == (client.pid, "iperf3", 5201), brief([event])


class Process:
    """A child that Net.close() ends."""

    def __init__(self, popen):
        self.popen = popen

    def kill(self):
        self.popen.kill()
        self.popen.wait()


def test_two_owners_at_once(net, watch):
    """Each flow has its own owner, also while the other's timer interrupts it."""
    view = watch(net.a)
    listeners = [net.listen(5001), net.listen(5002)]
    workers = [net.worker(client_process, net.addr[4][1], 5001 + i, 400000, ns=net.a, comm="rbtwo%d" % i)
               for i in range(2)]
    servers = [net.keep(listener.accept()[0]) for listener in listeners]
    net.b.drop("input", DATA + " " + percent(10))
    for worker in workers:
        assert worker.hear() == "connected"
        worker.tell()
    for server in servers:
        receive_bytes(server, 400000)
    for i, worker in enumerate(workers):
        for event in view.wait(1, dport=5001 + i):
            check_owner(event, worker)


# ---- addresses ----


def test_mapped_address(net, watch):
    """A v6 socket that speaks IPv4."""
    causes.steady(net)
    view = watch(net.a)
    net.listen()
    client = net.keep(net.a.socket(socket.AF_INET6))
    client.connect(("::ffff:" + net.addr[4][1], 5001))
    net.b.drop("input", DATA)
    client.sendall(BLOCK[:1000])
    event = view.wait(1)[0]
    assert (event["ip_version"], event["saddr"], event["daddr"]) == (4, *net.addr[4])


def test_mapped_address_of_a_server(net, watch):
    """A v6 listener's child and its SYN-ACKs, over IPv4."""
    view = watch(net.b)
    listener = net.listen(5001, version=0)
    rule = net.a.drop("input", causes.SYNACK)
    client = net.keep(net.a.socket())
    start_connect(client, (net.addr[4][1], 5001))
    event = view.wait(1, type="synack")[0]
    assert (event["ip_version"], event["saddr"], event["daddr"]) == (4, net.addr[4][1], net.addr[4][0])
    rule.remove()
    server = net.keep(listener.accept()[0])
    net.a.drop("input", DATA)
    server.sendall(BLOCK[:1000])
    event = view.wait(1, lambda e: e["type"] != "synack")[0]
    assert (event["ip_version"], event["saddr"], event["daddr"]) == (4, net.addr[4][1], net.addr[4][0])


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("port", [443, 5201])
def test_addresses_and_ports(net, watch, version, port):
    causes.steady(net)
    view = watch(net.a)
    client, _, _ = causes.stuck(net, version, port)
    event = view.wait(1)[0]
    assert (event["ip_version"], event["saddr"], event["daddr"]) == (version, *net.addr[version])
    assert (event["sport"], event["dport"]) == (client.getsockname()[1], port)
    assert event["netns"] == net.a.inode


def test_addresses_of_a_server(net, watch):
    """saddr and sport are the local end, whoever connected."""
    causes.steady(net)
    view = watch(net.b)
    client, server = net.connect(port=443)
    net.a.drop("input", DATA)
    server.sendall(BLOCK[:1000])
    event = view.wait(1)[0]
    assert (event["saddr"], event["sport"]) == (net.addr[4][1], 443)
    assert (event["daddr"], event["dport"]) == client.getsockname()


# ---- the segment ----


@pytest.fixture
def capture(net):
    one = Capture(net.b, "b0")
    yield one
    one.close()


def test_partial_acknowledgement(net, watch, capture):
    """Half of a segment is acknowledged: the kernel trims it, and what goes out begins in its middle."""
    net.sysctl("net.ipv4.tcp_timestamps", 0)
    view = watch(net.a)
    causes.stuck(net)
    view.wait(1)
    first = capture.data(5001)[0]
    half = (first.seq + 500) & 0xffffffff
    capture.inject(acknowledge(first, half))
    event = view.wait(1, seq=half)[0]
    wire = wait_until(lambda: [s for s in capture.data(5001) if s.seq == half], 10, "the trimmed segment")[0]
    assert (event["seq"], event["len"], event["end_seq"]) == (wire.seq, wire.len, (wire.seq + 500) & 0xffffffff)
    assert (event["outcome"], event["ret"]) == ("sent", 0)
    # The byte at seq had been sent again before, as a part of the whole segment.
    assert event["attempt"] > 1


@pytest.mark.parametrize("version", [4, 6])
def test_sequence_numbers_are_those_on_the_wire(net, watch, capture, version):
    view = watch(net.a)
    net.b.drop("input", DATA + " " + percent(5))
    client, server = net.connect(version=version)
    transfer(client, server, 1 << 20)
    reset(client)
    events = view.wait_quiet()
    sent = {s.seq for s in capture.data(5001)}
    assert events
    for event in events:
        assert event["seq"] in sent, brief([event])
        assert (event["end_seq"] - event["seq"]) & 0xffffffff == event["len"], brief([event])


def test_length_and_segments(net, watch):
    """A lone segment: its payload and nothing else."""
    view = watch(net.a)
    causes.stuck(net, size=777)
    event = view.wait(1)[0]
    assert (event["len"], event["segs"]) == (777, 1)
    assert (event["end_seq"] - event["seq"]) & 0xffffffff == 777


def test_figures_of_the_socket(net, watch):
    view = watch(net.a)
    causes.stuck(net)
    first, second = view.wait(2)[:2]
    assert first["mss"] == MSS
    assert first["ca_state"] == "loss"
    assert first["cwnd"] >= 1 and first["ssthresh"] >= 2
    assert 0 < first["srtt_us"] < first["rto_us"]
    assert first["rto_us"] >= 200000
    assert second["total_retrans"] == first["total_retrans"] + 1
    assert second["segs_out"] > first["segs_out"]


def test_identity_of_the_buffer(net, watch):
    """The correlation id stays the same for all attempts of one segment."""
    view = watch(net.a)
    causes.stuck(net)
    events = view.wait(3)
    assert len({e["skb"] for e in events}) == 1
    assert all(e["skb"] for e in events)


# ---- state ----


def test_state_fin_wait1(net, watch):
    view = watch(net.a)
    client, _, _ = causes.stuck(net)
    client.close()
    assert view.wait(1, state="FIN_WAIT1")


def test_state_close_wait(net, watch):
    causes.steady(net)
    view = watch(net.b)
    client, server = net.connect()
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    net.a.drop("input", DATA)
    server.sendall(BLOCK[:1000])
    assert view.wait(1)[0]["state"] == "CLOSE_WAIT"


def test_state_last_ack(net, watch):
    causes.steady(net)
    view = watch(net.b)
    client, server = net.connect()
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    net.a.drop("input", "tcp flags & fin == fin")
    server.close()
    event = view.wait(1)[0]
    assert (event["state"], event["len"], event["segs"]) == ("LAST_ACK", 0, 1)


# ---- type and attempt ----


def test_attempts_of_one_segment(net, watch):
    view = watch(net.a)
    causes.stuck(net)
    events = view.wait(4)[:4]
    assert [e["attempt"] for e in events] == [1, 2, 3, 4], brief(events)
    assert {e["type"] for e in events} == {"rto"}
    assert len({e["seq"] for e in events}) == 1
    assert {e["state"] for e in events} == {"ESTABLISHED"}


def test_attempts_begin_anew(net, watch):
    """The next segment is another one."""
    view = watch(net.a)
    client, server, rule = causes.stuck(net)
    first = view.wait(2)[0]
    rule.remove()
    receive_bytes(server, 1000)
    net.b.drop("input", DATA)
    client.sendall(BLOCK[:500])
    events = view.wait(2, lambda e: e["seq"] != first["seq"])[:2]
    assert [e["attempt"] for e in events] == [1, 2], brief(view.events())


def test_attempts_before_rebpf_are_unknown(net, rebpf):
    """A segment that was retransmitted before rebpf began: how often, nobody knows."""
    client, server, rule = causes.stuck(net)
    wait_until(lambda: net.a.counters()["TcpRetransSegs"] >= 2, 10, "two retransmissions")
    view = View(rebpf(), net.a)
    assert view.wait(1, timeout=60)[0]["attempt"] is None
    rule.remove()
    receive_bytes(server, 1000)
    view.wait_quiet()
    view.restart()
    net.b.drop("input", DATA)
    client.sendall(BLOCK[:500])
    assert view.wait(1)[0]["attempt"] == 1


def test_type_fast(net, watch):
    view = watch(net.a)
    client, server, size = causes.lose_middle(net)
    receive_bytes(server, size)
    event = view.wait(1)[0]
    assert (event["type"], event["attempt"], event["ca_state"]) == ("fast", 1, "recovery")
    assert (event["len"], event["segs"]) == (MSS, 1)
    assert client


def test_type_tlp(net, watch):
    view = watch(net.b)
    client, _, size = causes.lose_tail(net)
    receive_bytes(client, size)
    event = view.wait(1)[0]
    assert (event["type"], event["attempt"], event["ret"], event["outcome"]) == ("tlp", 1, 0, "sent")


def test_type_slow_start(net, watch):
    view = watch(net.a)
    _, server, size = causes.lose_flight(net)
    with net.a.counting() as rise:
        receive_bytes(server, size)
    events = view.wait_quiet()
    assert events[0]["type"] == "rto"
    assert {e["type"] for e in events[1:]} == {"slow_start"}
    assert sum(e["segs"] for e in events) == 10
    assert sum(e["segs"] for e in events[1:]) == rise["TcpExtTCPSlowStartRetrans"]


@pytest.mark.parametrize("version", [4, 6])
def test_type_syn(net, watch, version):
    view = watch(net.a)
    causes.stuck_syn(net, version)
    events = view.wait(2, timeout=20)[:2]
    assert [e["attempt"] for e in events] == [1, 2]
    for event in events:
        assert (event["type"], event["state"], event["len"], event["segs"]) == ("syn", "SYN_SENT", 0, 1)
        assert event["ip_version"] == version


def test_type_synack(net, watch, capture):
    """The listener's process owns it, though no connection exists yet."""
    view = watch(net.b)
    client, listener = causes.stuck_synack(net)
    event = view.wait(1, timeout=20)[0]
    assert (event["type"], event["len"], event["segs"], event["attempt"]) == ("synack", 0, 1, 1)
    assert (event["saddr"], event["sport"]) == (net.addr[4][1], 5001)
    assert (event["daddr"], event["dport"]) == (net.addr[4][0], capture.segments[0].sport)
    assert event["pid"] == os.getpid()
    assert client and listener


def test_type_pmtu(make_net, watch):
    """A router's ICMP message makes TCP send smaller segments at once."""
    net = make_net(middle="router")
    net.sysctl("net.ipv4.tcp_early_retrans", 0)
    view = watch(net.a)
    client, server = net.connect()
    net.r.ip("link", "set", "rb", "mtu", "1000")
    client.sendall(BLOCK[:5 * MSS])
    receive_bytes(server, 5 * MSS)
    events = view.wait_quiet()
    assert events and {e["type"] for e in events} == {"pmtu"}, brief(events)
