# SPDX-License-Identifier: MIT
"""Loss at known places, and what rebpf says of it: the confusion matrix of causes (wire.py and truth.py).

REBPF_LAB_FACTOR multiplies the traffic (make lab: 5), REBPF_LAB_SEED is the wire's, and with REBPF_LAB_TRUTH_ONLY=1 only
the truth is checked, not rebpf's verdicts. The matrix is printed at the end and kept in build/lab-matrix.txt.
"""
import contextlib
import os
import selectors
import socket
import time

import pytest

import wire
from blind import Witness
from lab import BLOCK, SLOW, SO_RCVBUFFORCE, reset, start_connect, wait_until
from tracer import TOP, counted_segs, has_reasons, mode
from truth import LATE, Matrix, Truth, score

FACTOR = float(os.environ.get("REBPF_LAB_FACTOR", "1"))
SEED = int(os.environ.get("REBPF_LAB_SEED", "1"))
TRUTH_ONLY = bool(os.environ.get("REBPF_LAB_TRUTH_ONLY"))
PORT = 5001
MATRIX = Matrix()
NOTES = []


# ---- traffic: both ends of many connections follow a script, in one thread ----


class End:
    """One end of a connection and what it is to do: ("send", n), ("recv", n), ("wait", seconds), ("call", function),
    ("fin",), ("eof",)."""

    def __init__(self, sock, script):
        self.sock, self.script, self.at, self.left, self.sent, self.received = sock, script, -1, 0, 0, 0
        self.until, self.done = 0, False
        self.next()

    def next(self):
        self.at += 1
        while self.at < len(self.script):
            step = self.script[self.at]
            if step[0] in ("send", "recv"):
                self.left = step[1]
                return
            if step[0] == "wait":
                self.until = time.monotonic() + step[1]
                return
            if step[0] == "eof":
                return
            if step[0] == "fin":
                self.sock.shutdown(socket.SHUT_WR)
            else:
                step[1](self.sock)
            self.at += 1
        self.done = True

    @property
    def wants(self):
        return None if self.done else self.script[self.at][0]

    def events(self):
        return {"send": selectors.EVENT_WRITE, "recv": selectors.EVENT_READ, "eof": selectors.EVENT_READ}.get(self.wants, 0)

    def step(self):
        if self.wants == "send":
            at = self.sent % len(BLOCK)
            n = self.sock.send(BLOCK[at:at + min(self.left, len(BLOCK) - at)])
            self.sent += n
            self.left -= n
        elif self.wants == "recv":
            data = self.sock.recv(min(self.left, 262144))
            assert data, "%d bytes are missing" % self.left
            for start in range(0, len(data), len(BLOCK)):
                part = data[start:start + len(BLOCK)]
                at = self.received % len(BLOCK)
                assert part == (BLOCK[at:] + BLOCK[:at])[:len(part)], "other bytes than were sent"
                self.received += len(part)
            self.left -= len(data)
        else:
            assert self.sock.recv(100) == b"", "more bytes than were sent"
            self.left = 0
        if not self.left:
            self.next()


def talk(net, listener, count, client, server, seconds=60):
    """count connections at once from a to b, whose ends follow their scripts; returns the sockets."""
    selector, ends, socks, early = selectors.DefaultSelector(), [], [], {}
    deadline = time.monotonic() + seconds * SLOW
    address = (net.remote, PORT)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    for _ in range(count):
        sock = net.socket(net.a)
        socks.append(sock)
        start_connect(sock, address)
        selector.register(sock, selectors.EVENT_WRITE)
        early[sock] = client
    accepted = 0
    while len(ends) < 2 * count or not all(end.done for end in ends):
        assert time.monotonic() < deadline, "%d ends still talk; %d of %d connected" % (
            sum(not end.done for end in ends), accepted, count)
        for end in ends:
            if end.wants == "wait" and time.monotonic() >= end.until:
                end.next()
                watch_end(selector, end)
        for key, _ in selector.select(0.01):
            if key.fileobj is listener:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sock = listener.accept()[0]
                        accepted += 1
                        socks.append(sock)
                        net.sockets.append(sock)
                        sock.setblocking(False)
                        ends.append(End(sock, server))
                        watch_end(selector, ends[-1])
            elif key.fileobj in early:
                error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert not error, os.strerror(error)
                del early[key.fileobj]
                ends.append(End(key.fileobj, client))
                watch_end(selector, ends[-1])
            else:
                with contextlib.suppress(BlockingIOError):
                    key.data.step()
                watch_end(selector, key.data)
    selector.close()
    return socks


def watch_end(selector, end):
    with contextlib.suppress(KeyError):
        selector.unregister(end.sock)
    if end.events():
        selector.register(end.sock, end.events(), end)


def size(total):
    """Bytes, fewer where everything is slow."""
    return max(4000, int(total * FACTOR / (1 if SLOW == 1 else 5)))


def upload(total):
    return lambda flows: ([("send", size(total) // flows)], [("recv", size(total) // flows)])


def download(total):
    # Who only waits does not notice that the end of its handshake was lost, and the other end gives up after a while.
    return lambda flows: ([("send", 300), ("recv", size(total) // flows)], [("recv", 300), ("send", size(total) // flows)])


def ask(rounds, request=300, answer=2500):
    """Request and response: what is lost is seen by a time-out or a tail loss probe."""
    def scripts(flows):
        many = max(3, int(rounds * min(FACTOR, 4) / (1 if SLOW == 1 else 3)))
        return ([("send", request), ("recv", answer)] * many, [("recv", request), ("send", answer)] * many)

    return scripts


def short(flows):
    """A whole life: SYN and FIN are lost too."""
    return ([("send", 500), ("recv", 500), ("fin",), ("eof",), ("call", socket.socket.close)],
            [("recv", 500), ("send", 500), ("eof",), ("call", socket.socket.close)])


def narrow(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)


def wide(sock):
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)


def full(total):
    """The receiver promised more room than it has."""
    def scripts(flows):
        each = size(total) // flows
        return ([("send", each)], [("call", narrow), ("wait", 0.7 * SLOW), ("call", wide), ("recv", each)])

    return scripts


# ---- scenarios ----


def scenario(name, topology, version, flows, traffic, waves=1, **how):
    return pytest.param(dict(name=name, topology=topology, version=version, flows=flows, traffic=traffic, waves=waves,
                             how=how), id="%s-%s-v%d-%d" % (name, topology, version, flows))


# Different ways: two that start at once, a SYN and a SYN-ACK sent again after a second each, then do not cross at one end.
# The longer, the fewer retransmissions come from an emulated machine's slowness.
DELAY = (3000, 9000) if SLOW == 1 else (15000, 45000)
BULK = upload(5 << 20)
QDISC = 24 / SLOW ** 2 if SLOW > 1 else 24  # Mbit/s
MIXED = dict(losses={"nf_out_ab": 5, "wire_ab": 2, "nf_in_ab": 1, "nf_out_ba": 2, "wire_ba": 2, "nf_in_ba": 2})
EVERYWHERE = dict(losses={"nf_out_ab": 1, "bridge_ab": 1, "forward_ab": 1, "wire_ab": 1, "nf_in_ab": 1, "nf_out_ba": 1,
                          "wire_ba": 1, "forward_ba": 1, "bridge_ba": 1, "nf_in_ba": 1})


def variants(version):
    """Where an emulated machine need not do both versions."""
    yield scenario("qdisc_ab", "direct" if version == 4 else "routed", version, 50, BULK,
                   losses={"qdisc_ab": QDISC, "wire_ab": 3})
    yield scenario("bridge_ab", "bridged", version, 50, BULK, losses={"bridge_ab": 2, "bridge_ba": 4})
    yield scenario("spike", "direct", version, 50, BULK, spike=(1, 1, 350))
    yield scenario("ask", "routed", version, 50, ask(10), losses=dict(MIXED["losses"], nf_out_ab=1, nf_out_ba=1))
    yield scenario("socket", "direct" if version == 4 else "routed", version, 20, full(1 << 20),
                   losses={"socket_ab": 0, "wire_ab": 1})


def scenarios():
    """On an emulated machine each kind once."""
    single = {4: ("nf_out_ab", "tc_ab", "wire_ab", "nf_in_ab"), 6: ("wire_ab", "nf_in_ab", "tc_ab") if SLOW == 1 else ()}
    for version, places in single.items():
        for place in places:
            # A first copy that could not be sent is no retransmission when it is sent: something else must lose it first.
            losses = {place: 4} if place[:-3] not in ("nf_out", "tc") else {place: 10, "wire_ab": 4}
            yield scenario(place, "direct", version, 50, BULK, losses=losses)
    yield scenario("nf_in_ab", "routed", 6, 1, upload(2 << 20), losses={"nf_in_ab": 3})
    if SLOW == 1:
        yield scenario("wire_ab", "direct", 4, 1, upload(2 << 20), losses={"wire_ab": 3})
        yield scenario("nf_out_ab", "routed", 4, 1, upload(2 << 20), losses={"nf_out_ab": 15, "forward_ab": 4})
    for version in (4, 6):
        if version == 4 or SLOW == 1:
            yield from variants(version)
            yield scenario("forward_ab", "routed", version, 50, BULK, losses={"forward_ab": 4})
            yield scenario("mixed", "direct", version, 50, BULK, **MIXED)
            yield scenario("nat", "nat", version, 50, BULK, losses=dict(MIXED["losses"], forward_ab=1, forward_ba=2))
            yield scenario("short", "direct" if version == 4 else "routed", version, 30, short, waves=3, **MIXED)
        if version == 6 or SLOW == 1:
            yield scenario("mixed", "routed", version, 50, BULK, **MIXED)
            yield scenario("everywhere", "bridged", version, 50, BULK, **EVERYWHERE)
    yield scenario("acks", "direct", 4, 50, ask(10), losses={"nf_out_ba": 4, "nf_in_ba": 4, "wire_ba": 4})
    yield scenario("acks_tc", "direct", 6, 50, ask(10), losses={"tc_ba": 5})
    yield scenario("spike", "routed", 4, 50, ask(10), spike=(0.5, 0.5, 350), losses={"nf_in_ab": 1, "forward_ba": 2})
    yield scenario("acks_qdisc", "routed", 4, 50, BULK, losses={"qdisc_ba": 0.6 / SLOW, "wire_ab": 1})
    yield scenario("queue", "direct", 4, 20, upload(1 << 20), losses={"queue_ab": 2 / SLOW})
    yield scenario("download", "nat", 4, 50, download(5 << 20), **MIXED)
    yield scenario("tso", "routed", 4, 50, BULK, tso=True, losses={"forward_ab": 2, "wire_ab": 1, "nf_in_ab": 1})
    yield scenario("mixed_tc", "direct", 4, 50, BULK, losses={"tc_ab": 5, "nf_out_ab": 5, "wire_ab": 3, "nf_in_ab": 2})
    yield scenario("netem_ab", "direct", 4, 50, BULK, losses={"netem_ab": 3})


def orphans(ns):
    """Sockets that still send: FIN_WAIT1, CLOSING, LAST_ACK."""
    def read():
        found = 0
        for path in ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"):
            with open(path, encoding="ascii") as file:
                found += sum(line.split()[3] in ("04", "09", "0B") for line in file.read().splitlines()[1:])
        return found

    return ns.inside(read)


def warm_up(net, ns, view):
    """Where rebpf uses clsact, what is sent while it puts that on a device is lost: have that done before."""
    if mode()["tc"] != "clsact":
        return
    family, address = (socket.AF_INET, "127.0.0.1") if net.version == 4 else (socket.AF_INET6, "::1")
    rule = ns.drop("input", "iif lo tcp dport 5999 meta length > 120")
    pair = [ns.socket(family), ns.socket(family)]
    pair[0].bind((address, 5999))
    pair[0].listen(1)
    pair[1].connect((address, 5999))
    pair[1].sendall(BLOCK[:500])
    view.watched()
    for sock in pair[::-1]:
        reset(sock)
    rule.remove()
    view.wait_quiet()
    view.restart()


def run(one, watch, witness):
    """Runs a scenario: (net, truth, events by side, the rise of the counters by side)."""
    net = wire.LabNet(one["topology"], one["version"], seed=SEED, delay_us=DELAY, **one["how"])
    try:
        views = {"a": watch(net.a), "b": watch(net.b)}
        warm_up(net, net.a, views["a"])
        warm_up(net, net.b, views["b"])
        net.start(120)
        witness.read()
        client, server = one["traffic"](one["flows"])
        with net.a.counting() as rise_a, net.b.counting() as rise_b:
            listener = net.listen(PORT)
            for _ in range(one["waves"]):
                socks = talk(net, listener, one["flows"], client, server)
            wait_until(lambda: not orphans(net.a) and not orphans(net.b), 30, "the connections to end")
            for sock in [*socks, listener]:
                reset(sock)
        events = {}
        for side, rise in (("a", rise_a), ("b", rise_b)):
            wanted = rise["TcpRetransSegs"]
            with contextlib.suppress(AssertionError):
                wait_until(lambda: counted_segs(views[side].events()) >= wanted, 3)
            views[side].wait_quiet(0.2)
            events[side] = views[side].events()
        net.stop()
        counted = net.counted()
        truth = Truth(net, net.records(), {PORT})
        witness.read()
        cases, unseen, extra = score(one["name"], net, truth, events, has_reasons(), witness)
        return net, truth, events, {"a": rise_a, "b": rise_b}, counted, cases, unseen, extra
    finally:
        net.close()


def segments(truth, way):
    """What the truth says of TcpRetransSegs: at least, at most."""
    sure = [sure for _, flow, rec, _, _, sure in truth.retransmissions(way) if not truth.failed_synack(way, rec, flow)]
    return sum(sure), len(sure)


def check_losses(net, truth, counted):
    """Where the taps say that packets were lost, as many were dropped; and nowhere else."""
    if SLOW > 1 or net.tso:
        return
    losses = truth.losses()
    for way in ("ab", "ba"):
        counted["wire_" + way] = net.report[way]["dropped"]
    unclear = truth.resets + sum(n for place, n in losses.items() if place[0] == "?")
    for place, number in counted.items():
        assert abs(losses[place] - number) <= unclear, (place, counted, losses)
    assert unclear <= truth.resets + 3 + 0.002 * sum(losses.values()), losses


@pytest.mark.parametrize("one", scenarios())
def test_cause(one, watch, witness):
    began = time.monotonic()
    net, truth, events, rises, counted, cases, unseen, extra = run(one, watch, witness)
    beyond = [rec for rec in unseen if witness.retransmitted(rec.sport, rec.dport, rec.at)]
    unseen = [rec for rec in unseen if rec not in beyond]
    matrix = Matrix()
    matrix.add(cases)
    MATRIX.add(cases)
    open_cases = [case for case in cases if case.result == "open" and case.verdict.why != LATE]
    if beyond:
        NOTES.append("on top of process 1, where no BPF program runs here: %s" % [str(rec) for rec in beyond])
    NOTES.append("%-10s %-8s v%d %3d flows: %4d retransmissions, %5.1f %% decidable, %5.1f s; dropped %s wire %s" % (
        one["name"], one["topology"], one["version"], one["flows"], len(cases),
        100 - 100 * len(open_cases) / max(len(cases), 1), time.monotonic() - began, counted,
        {way: {k: v for k, v in net.report[way].items() if v and k != "bytes"} for way in ("ab", "ba")}))
    # The truth is whole: as many as the kernel counted, on either side, and each with its event.
    for way, side in (("ab", "a"), ("ba", "b")):
        assert net.report[way]["overflows"] == 0
        if not net.tso:
            least, most = segments(truth, way)
            assert least <= rises[side]["TcpRetransSegs"] <= most, "taps and counters differ at " + side
        hidden = sum((rec.dport == PORT) == (way == "ab") for rec in beyond)
        assert counted_segs(events[side]) + hidden == rises[side]["TcpRetransSegs"], \
            "events and counters differ at %s; without an event: %s" % (side, [str(rec) for rec in unseen])
    check_losses(net, truth, counted)
    assert not unseen and not extra, ([str(rec) for rec in unseen], extra[:3])
    # What the lab itself cannot decide must be little, or the lab would prove nothing; all in all less: test_matrix.
    assert len(open_cases) <= (max(3, 0.1 * len(cases)) if SLOW == 1 else max(5, 0.2 * len(cases))), matrix.text()
    if TRUTH_ONLY:
        return
    text = matrix.text() + "\n" + "\n".join(str(case) for case in cases if case.result in ("wrong", "unknown"))[:6000]
    assert not matrix.forbidden(), text
    for kind in ("local", "ack_local", "network"):
        right, all_of = matrix.share(kind, "right")
        assert right >= all_of - max(3, 0.05 * all_of), text


# Of a few hundred, so many may be otherwise: one part in a hundred is less than what a single busy queue makes of them.
FEW = 6


def test_matrix():
    """Over all scenarios: each kind right in 99 of 100, unknown in fewer than 2."""
    if TRUTH_ONLY or not MATRIX.cases:
        pytest.skip("only the truth is checked" if TRUTH_ONLY else "no scenario ran")
    assert not MATRIX.forbidden(), "\n".join(map(str, MATRIX.forbidden()[:10]))
    for kind in ("local", "ack_local", "network"):
        right, all_of = MATRIX.share(kind, "right")
        assert right >= 0.99 * all_of - FEW * (all_of < 1000), MATRIX.text()
    undecided = sum(case.result == "open" and case.verdict.why != LATE for case in MATRIX.cases)
    assert undecided <= (0.03 if SLOW == 1 else 0.15) * len(MATRIX.cases) + FEW, MATRIX.text()
    decidable = [case for case in MATRIX.cases if case.result not in ("open", "exempt")]
    unknown = sum(case.result == "unknown" for case in decidable)
    assert unknown <= 0.02 * len(decidable) + FEW * (len(decidable) < 1000), MATRIX.text()


@pytest.fixture(scope="module")
def witness():
    one = Witness()
    yield one
    one.stop()


@pytest.fixture(scope="module", autouse=True)
def show_matrix(request, shared):
    """The matrix is shown in any case: it is what this file is for."""
    yield
    if not MATRIX.cases:
        return
    rebpf = shared.rebpf
    shared.stop()
    stats = rebpf.stats() if rebpf else {}
    lost = "rebpf: lost %s, missed %s" % (stats.get("lost"), stats.get("missed"))
    text = "\n".join(["", *NOTES, "", MATRIX.text(), lost, ""])
    os.makedirs(os.path.join(TOP, "build"), exist_ok=True)
    again = request.config.getoption("lf", False)
    with open(os.path.join(TOP, "build", "lab-matrix.txt"), "a" if again else "w", encoding="ascii") as file:
        file.write(text)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        print(text)
