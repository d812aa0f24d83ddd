# SPDX-License-Identifier: MIT
"""A run under mixed loss and churn: memory, descriptors and maps stay flat, and the counters are equal at its end.

REBPF_SOAK seconds (make soak: 600); a plain `make test` takes 40.
"""
import json
import os
import signal
import socket
import subprocess
import threading
import time

import bpfobj
import lab
from blind import Witness
from lab import DATA, SLOW, percent, reset, wait_until
from test_faults import descriptors, memory, overflow_once
from test_metrics import PORT, scrape
from tracer import BINARY, FORCE, counted_failures, counted_segs, sees_failures

SECONDS = float(os.environ.get("REBPF_SOAK", "40"))
# How much more the last quarter of a run may have than the one before, on average. (In the first half of ten minutes the
# tables of a bounded size fill: 65,536 drops, for one.)
MEMORY_SHARE, MEMORY_KIB, DESCRIPTORS = 0.05, 2048, 10
# Hash maps whose entries end with what they are about; the others forget the oldest by themselves. And so do slots.
ENDING = ("connecting",)


class Counted:
    """rebpf's JSON, summed up as it comes: ten minutes of it are too much to keep."""

    def __init__(self, *args, ns):
        self.process = subprocess.Popen(["nsenter", "--net=/run/netns/" + ns.name, BINARY, *FORCE, "-o", "json", "-e", "all",
                                         *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid, self.errors = self.process.pid, []
        self.segs = self.failures = self.syns = self.drops = self.events = 0
        self.outcomes, self.causes, self.stats = {}, {}, None
        self.readers = [lab.Background(self.read), lab.Background(self.read_errors)]
        wait_until(lambda: any("ready" in line for line in list(self.errors)), 30, lambda: "readiness: %r" % self.errors)

    def read(self):
        for line in self.process.stdout:
            self.take(json.loads(line))

    def read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.decode().rstrip("\n"))

    def take(self, event):
        kind = event["event"]
        self.events += kind != "stats"
        if kind == "retransmit":
            self.segs += counted_segs([event])
            self.failures += counted_failures([event])
            for counts, key in ((self.outcomes, "outcome"), (self.causes, "cause")):
                counts[event[key]] = counts.get(event[key], 0) + 1
        elif kind == "connect":
            self.syns += event["syn_sent"]
        elif kind == "drop":
            self.drops += event["reason"] == "NETFILTER_DROP"
        else:
            self.stats = event if kind == "stats" else self.stats

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60 * SLOW)
        for reader in self.readers:
            reader.result()
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()


class Blind:
    """What happened on top of process 1, which no BPF program sees on some machines."""

    def __init__(self):
        self.witness, self.retransmissions, self.drops = Witness(), 0, 0

    def read(self):
        retransmissions, drops = self.witness.read()
        self.retransmissions += len([1 for _, _, dport in retransmissions if 5001 <= dport <= 5003])
        self.drops += len(drops)

    def stop(self):
        self.witness.stop()


class Churn:
    """Calls that are repeated side by side, each with a pause, until stop()."""

    def __init__(self):
        self.over, self.running, self.turns = threading.Event(), [], {}

    def add(self, pause, func, *args):
        def body():
            while not self.over.wait(pause):
                func(*args)
                self.turns[func.__name__] = self.turns.get(func.__name__, 0) + 1

        self.running.append(lab.Background(body))

    def stop(self):
        self.over.set()
        for one in self.running:
            one.result()


def transfers(net, listener, size):
    client = net.a.socket()
    client.settimeout(60 * SLOW)
    client.connect(listener.getsockname() if listener.getsockname()[0] != "0.0.0.0" else
                   (net.addr[4][1], listener.getsockname()[1]))
    server, _ = listener.accept()
    server.settimeout(60 * SLOW)
    lab.transfer(client, server, size)
    reset(client)
    reset(server)


def refused(net):
    client = net.a.socket()
    client.settimeout(30 * SLOW)
    assert client.connect_ex((net.addr[4][1], 5999))
    client.close()


def devices(net):
    net.a.ip_batch("link add s0 type veth peer name s1", "link set s0 up", "link set s1 up", "link del s0")


def namespaces():
    ns = lab.Namespace("n")
    try:
        ns.ip("addr", "add", "10.77.0.9/32", "dev", "lo")
        overflow_once(ns.name, "10.77.0.9")
    finally:
        ns.close()


def entries(objects):
    """{map's name: entries} of the hash maps among these objects."""
    return {name: count for name, count in (bpfobj.hash_entries(number) for kind, number in objects if kind == "map") if name}


def quarters(values):
    """The means of the four quarters."""
    size = len(values) // 4
    return [sum(values[i * size:(i + 1) * size]) / size for i in range(4)]


def check_flat(samples):
    """Says what came of it before it fails."""
    for index, name in enumerate(("RssAnon (KiB)", "VmRSS (KiB)", "descriptors", "maps' memory (KiB)")):
        means = quarters([sample[index] for sample in samples])
        print("soak: %-20s by quarters %8.1f %8.1f %8.1f %8.1f, last %d" % (name, *means, samples[-1][index]))
        allowed = DESCRIPTORS if index == 2 else max(means[2] * MEMORY_SHARE, MEMORY_KIB)
        assert means[3] - means[2] <= allowed, (name, [sample[index] for sample in samples])


def test_soak(net, tmp_path):
    path = str(tmp_path / "records")
    one = Counted("-a", "10.77.0.0/24", "--netns", net.a.name, "--listen", str(PORT), "-w", path, ns=net.a)
    try:
        soak(net, one, path)
    finally:
        one.kill()


def soak(net, one, path):
    rules = [net.b.drop("input", DATA + " " + percent(3))]
    listeners = [net.listen(5001 + i) for i in range(3)]
    # Not what a scrape of the metrics sends, on loopback: those are not the wanted addresses.
    local = net.a.drop("output", "ip daddr %s %s %s" % (net.addr[4][1], DATA, percent(0.5)))
    churn, samples, pages, blind = Churn(), [], [], Blind()
    objects = bpfobj.objects_of(one.pid)
    with net.a.counting() as rise:
        for listener in listeners:
            churn.add(0.05, transfers, net, listener, 300 << 10)
        churn.add(0.05, refused, net)
        churn.add(0.5, devices, net)
        churn.add(1, namespaces)
        churn.add(1, lambda: pages.append(scrape(net.a).sum("rebpf_retransmitted_segments_total")))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.5)
            blind.read()
            assert one.process.poll() is None, one.errors
            samples.append((memory(one.pid, "RssAnon"), memory(one.pid), descriptors(one.pid),
                            bpfobj.memory_of(objects) // 1024))
        churn.stop()
    # Sockets were reset: nothing is on its way any more, but for what is still to be judged.
    blind.read()
    blind.stop()
    before = -1
    while before != one.events:
        before = one.events
        time.sleep(1.5 * SLOW)
    left, open_slots = entries(objects), bpfobj.in_flight(objects)
    page = scrape(net.a)
    print("soak: %.0f s, %r, %d events, maps %r" % (SECONDS, churn.turns, one.events, left))
    assert one.stop() == 0
    check_flat(samples)
    assert not [name for name in ENDING if left.get(name, 0) > 4], left
    assert open_slots <= 4
    assert pages == sorted(pages)
    check_equal(one, rise, page, local, path, len(pages), blind)
    assert not [line for line in one.errors if "cannot" in line], one.errors[:20]
    assert len(one.errors) < 60 + SECONDS / 10, one.errors[:60]


def check_equal(one, rise, page, local, path, scrapes, blind):
    """The kernel's counters against events, metrics, statistics and a replay, but for what no program could see (blind.py)."""
    stats, opens = one.stats, rise["TcpActiveOpens"] - scrapes  # those are not between the wanted addresses
    print("soak: TcpRetransSegs %d, events %d (on top of process 1: %d, drops %d); TCPRetransFail %d, events %d; ActiveOpens %d, events "
          "%d; nft drops %d, events %d; %r %r" % (rise["TcpRetransSegs"], one.segs, blind.retransmissions, blind.drops,
                                                  rise["TcpExtTCPRetransFail"], one.failures, opens, one.syns, local.count(), one.drops, one.outcomes,
                                                  one.causes))
    # A flood of drops elsewhere on the machine is seen, too: what it costs is stated.
    lost = stats["lost"]["drops"]
    print("soak: lost %r, missed %r" % (stats["lost"], stats["missed"]))
    assert stats["lost"]["control"] == stats["malformed"] == stats["output_lost"] == 0, stats
    assert stats["printed"] == one.events
    assert stats["consumed"] + lost == stats["produced"]
    for seen, counted, few in ((one.segs, rise["TcpRetransSegs"], 2 * blind.retransmissions), (one.syns, opens, opens // 1000),
                               (one.drops, local.count(), blind.drops + lost)):
        assert 0 <= counted - seen <= few
    if sees_failures():
        assert 0 <= rise["TcpExtTCPRetransFail"] - one.failures <= 2 * blind.retransmissions
    assert page.sum("rebpf_retransmitted_segments_total") == one.segs
    replayed = subprocess.run([BINARY, "-q", "-r", path, "-e", "retransmit", "-o", "json"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
    assert replayed.returncode == 0, replayed.stderr
    events = [json.loads(line) for line in replayed.stdout.splitlines()]
    print("soak: recording of %.1f MiB, %d lines" % (os.path.getsize(path) / 1048576, len(events)))
    assert events[-1]["attempts"] == stats["attempts"] and events[-1]["segs"] == stats["segs"]
