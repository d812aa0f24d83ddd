#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What rebpf costs, as ratios from interleaved runs on one machine (`make bench`).

  bench.py [--rounds N] [--packets N] [--only flood,cost,retransmission,tc,user,scale,latency] [--seed N]

flood    one sender pushes SYNs through loopback into an nftables drop: its rate with nothing attached, with an empty
         program on kfree_skb, with rebpf in each output, and with bpftrace and perf where they are installed
cost     nanoseconds per run of each program, by the kernel's bpf_stats, each output's own
retransmission  what the programs together cost for each attempt to retransmit
tc       the classifier on packets that are no retransmission, against an empty one; iperf3 traced against untraced
user     events per second of a replay, start-up time, memory, CPU while idle (user.py)
scale    the same by number of flows, and memory
latency  from a drop to its line in a pipe
"""
import argparse
import contextlib
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import user

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
REBPF = os.environ.get("REBPF", os.path.join(TOP, "build", "rebpf"))
FLOOD = os.path.join(TOP, "build", "tests", "flood")
EMPTY = os.path.join(TOP, "build", "tests", "empty")
CLASSIFIER = os.path.join(TOP, "build", "tests", "classifier")
NETNS = "rebpf-bench-%d" % os.getpid()
STATS = "/proc/sys/kernel/bpf_stats_enabled"


def run(*words, check=True, text=None):
    return subprocess.run(words, check=check, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def inside(*words):
    return ["ip", "netns", "exec", NETNS, *words]


@contextlib.contextmanager
def namespace():
    """Loopback on which what goes to port 9 is dropped; a veth pair to a second namespace for iperf3."""
    other = NETNS + "-peer"
    try:
        for name in (NETNS, other):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run(*inside("nft", "-f", "-"), text="table inet bench {\n chain c {\n type filter hook input priority 0;\n"
            " tcp dport 9 drop\n }\n}\n")
        run("ip", "-n", NETNS, "link", "add", "b0", "type", "veth", "peer", "name", "b1", "netns", other)
        run("ip", "-n", NETNS, "addr", "add", "10.66.0.1/24", "dev", "b0")
        run("ip", "-n", other, "addr", "add", "10.66.0.2/24", "dev", "b1")
        run("ip", "-n", NETNS, "link", "set", "b0", "up")
        run("ip", "-n", other, "link", "set", "b1", "up")
        yield other
    finally:
        for name in (NETNS, other):
            run("ip", "netns", "del", name, check=False)


class Tracer:
    """Something that watches, from its start to its end: @ready is what it prints (to stderr or stdout) once it does."""

    def __init__(self, words, ready, out=None):
        self.words, self.ready, self.path = words, ready, out

    def __enter__(self):
        self.out = open(self.path, "wb") if self.path else subprocess.DEVNULL
        self.log = tempfile.TemporaryFile("w+")
        began = time.monotonic()
        stdout = self.log if self.ready and self.ready[0] == "o" else self.out
        self.process = subprocess.Popen(self.words, stdout=stdout, stderr=self.log)
        while self.ready and self.ready[1] not in self.text():
            if self.process.poll() is not None or time.monotonic() - began > 60:
                self.__exit__()
                raise RuntimeError("%s: %s" % (self.words, self.text()))
            time.sleep(0.005)
        self.started = time.monotonic() - began
        return self

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def cpu(self):
        """Seconds of CPU so far."""
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def programs(self):
        """Numbers of the BPF programs that it holds."""
        found = set()
        for fd in os.listdir("/proc/%d/fdinfo" % self.process.pid):
            with contextlib.suppress(OSError), open("/proc/%d/fdinfo/%s" % (self.process.pid, fd), encoding="ascii") as file:
                found.update(re.findall(r"^prog_id:\s*(\d+)", file.read(), re.M))
        return found

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.path:
            self.out.close()


class Nothing(Tracer):
    def __init__(self):
        super().__init__([], None)

    def __enter__(self):
        return self

    def cpu(self):
        return 0.0

    def text(self):
        return ""

    def __exit__(self, *_):
        pass


def rebpf(*args, out=None, inside=False):
    """@inside: in the namespace, on whose devices the classifier then is from the start."""
    words = [REBPF, *args]
    return Tracer(["ip", "netns", "exec", NETNS, *words] if inside else words, ("e", "rebpf: ready"), out)


def flood(packets, flows=1000):
    """Packets a second."""
    count, seconds = run(*inside(FLOOD, str(packets), str(flows))).split()
    return int(count) / float(seconds)


def settled(tracer):
    """Waits until it has nothing left to do."""
    before = -1
    while tracer.cpu() != before:
        before = tracer.cpu()
        time.sleep(0.3)


def number(text, label):
    found = re.findall(r"^%s\s+(\d+)$" % label, text, re.M)
    return sum(map(int, found))


# ---- flood ----


# Both want tracefs, which is not mounted everywhere: in a mount namespace of their own.
TRACEFS = ["unshare", "-m", "sh", "-c", 'mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; exec "$@"', "sh"]


def flood_modes(folder):
    yield "untraced", Nothing
    yield "empty kfree_skb", lambda: Tracer([EMPTY, "kfree_skb"], ("o", "ready"))
    for name in ("text", "json", "count", "none"):
        yield "rebpf -o " + name, lambda name=name: rebpf("-e", "drop", "-o", name, out=os.path.join(folder, name))
    if shutil.which("bpftrace"):
        yield "bpftrace count", lambda: Tracer([*TRACEFS, "bpftrace", "-e", "tracepoint:skb:kfree_skb { @[args->reason] = count(); }"],
                                               ("o", "Attaching"))
        yield "bpftrace print", lambda: Tracer(
            [*TRACEFS, "bpftrace", "-e", 'tracepoint:skb:kfree_skb { printf("%d %p\\n", args->reason, args->location); }'],
            None, os.path.join(folder, "bpftrace"))
    if shutil.which("perf"):
        yield "perf record", lambda: Tracer([*TRACEFS, "perf", "record", "-q", "-a", "-e", "skb:kfree_skb", "-o",
                                             os.path.join(folder, "perf.data")], None)


def bench_flood(options, folder):
    modes = dict(flood_modes(folder))
    rates, cpu, lost, missing = ({name: [] for name in modes} for _ in range(4))
    flood(options.packets)  # warms up
    for name in list(modes):
        try:
            with modes[name]() as tracer:
                time.sleep(1)
                if tracer.words and tracer.process.poll() is not None:
                    raise RuntimeError(tracer.text())
        except RuntimeError as error:
            print("no %s: %s" % (name, str(error).replace("\n", " ")[:200]))
            del modes[name]
    for _ in range(options.rounds):
        order = list(modes)
        random.shuffle(order)
        for name in order:
            with modes[name]() as tracer:
                if not tracer.ready and tracer.words:
                    time.sleep(2)  # it says nothing when it is ready
                used = tracer.cpu()
                rates[name].append(flood(options.packets))
                settled(tracer)
                cpu[name].append(tracer.cpu() - used)
            text = tracer.text()
            lost[name].append(number(text, "  control") + number(text, "  drops") if name.startswith("rebpf") else 0)
            if name in ("rebpf -o text", "rebpf -o json"):
                with open(tracer.path, "rb") as file:
                    missing[name].append(options.packets - sum(b"127.0.0.1:9 " in line or b'"dport":9,' in line for line in file))
    base, empty = statistics.median(rates["untraced"]), statistics.median(rates["empty kfree_skb"])
    print("flood: %d packets, %d rounds, medians" % (options.packets, options.rounds))
    print("%-18s %10s %9s %9s %10s %12s %8s" % ("", "packets/s", "/untraced", "/empty", "us/packet", "records lost", "CPU s"))
    for name in modes:
        rate = statistics.median(rates[name])
        note = "  %s lines missing" % missing[name] if any(missing[name]) else ""
        print("%-18s %10.0f %9.2f %9.2f %10.2f %12s %8.2f%s" % (
            name, rate, rate / base, rate / empty, 1e6 / rate - 1e6 / base, sum(lost[name]) if "rebpf" in name else "",
            statistics.median(cpu[name]), note))


# ---- cost by bpf_stats ----


@contextlib.contextmanager
def stats():
    with open(STATS, "w", encoding="ascii") as file:
        file.write("1")
    try:
        yield
    finally:
        with open(STATS, "w", encoding="ascii") as file:
            file.write("0")


def costs(programs):
    """{name: (runs, ns a run)}"""
    found = {}
    for number_ in programs:
        shown = json.loads(run("bpftool", "-j", "prog", "show", "id", number_))
        if shown.get("run_cnt"):
            found[shown["name"]] = (shown["run_cnt"], shown["run_time_ns"] / shown["run_cnt"])
    return found


def bench_cost(options, folder):
    print("cost: ns a run, by bpf_stats")
    rows = [("empty kfree_skb", lambda: Tracer([EMPTY, "kfree_skb"], ("o", "ready"))),
            ("full drop record", lambda: rebpf("-e", "drop", "-o", "none")),
            ("drop filtered out", lambda: rebpf("-e", "drop", "-o", "none", "-P", "1"))]
    for name, make in rows:
        values = []
        for _ in range(options.rounds):
            with stats(), make() as tracer:
                flood(options.packets // 2)
                shown = costs(tracer.programs())
            values.append(next(ns for key, (_, ns) in shown.items() if key in ("bench_empty", "rebpf_drop")))
        print("%-18s %6.0f (%s)" % (name, statistics.median(values), " ".join("%.0f" % v for v in values)))


SOCKETS = 500
LISTEN = """
import socket
with socket.create_server(("10.66.0.2", 7), backlog=1024) as server:
    print("ready", flush=True)
    kept = [server.accept() for _ in range(%d)]
    print("accepted", flush=True)
    input()
""" % SOCKETS
SEND = """
import socket, time
kept = [socket.create_connection(("10.66.0.2", 7)) for _ in range(%d)]
print("connected", flush=True)
input()
for sock in kept:
    sock.send(b"x" * 100)
time.sleep(1.5)  # three time-outs each
""" % SOCKETS


@contextlib.contextmanager
def loss(other, rule):
    """What arrives at @other and fits the rule is dropped."""
    run("ip", "netns", "exec", other, "nft", "-f", "-", text="table inet loss {\n chain c {\n"
        " type filter hook input priority 0;\n %s drop\n }\n}\n" % rule)
    try:
        yield
    finally:
        run("ip", "netns", "exec", other, "nft", "delete", "table", "inet", "loss", check=False)


def storm(other):
    """Connections whose first bytes are lost, time-out after time-out: hardly a packet that is no retransmission."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    server = subprocess.Popen(["ip", "netns", "exec", other, sys.executable, "-c", LISTEN], **pipes)
    client = None
    try:
        server.stdout.readline()
        client = subprocess.Popen(inside(sys.executable, "-c", SEND), **pipes)
        client.stdout.readline()
        server.stdout.readline()
        with loss(other, "tcp dport 7"), rebpf("-o", "none") as tracer, stats():
            client.communicate("\n", timeout=60)
            found = costs(tracer.programs())
        return found, number(tracer.text(), "Attempts seen")
    finally:
        for process in filter(None, (client, server)):
            process.kill()
            process.wait()


def lossy_flow(other):
    """One flow at its full speed, segment by segment, a fifth of which is lost: retransmissions one after another."""
    with loss(other, "tcp dport 5201 meta length > 1000 numgen random mod 5 == 0"), rebpf("-o", "none") as tracer, stats():
        iperf(other, "-A", "0,0")
        found = costs(tracer.programs())
    return found, number(tracer.text(), "Attempts seen")


# Those that run for every packet, and those that run for attempts only. The others run from time to time, or for something else.
PER_PACKET = ("rebpf_tc_egress", "rebpf_queued")
PER_ATTEMPT = ("tcp_retrans_", "tcp_synack_")


def packet_prices(other):
    """{program: ns a packet that is no retransmission}"""
    with stats(), rebpf("-o", "none", inside=True) as tracer:
        iperf(other, "-A", "0,0")
        found = costs(tracer.programs())
    return {name: found[name][1] for name in PER_PACKET}


def attempt_cost(found, attempts, prices):
    """ns for each attempt: without what the same programs ran for the packets between."""
    total = 0
    for name, (runs, ns) in found.items():
        if name.startswith(PER_ATTEMPT):
            total += runs * ns
        elif name in PER_PACKET:
            total += runs * ns - max(runs - attempts, 0) * prices[name]
    return total / attempts


def offload(other, state):
    for netns, device in ((NETNS, "b0"), (other, "b1")):
        run("ip", "netns", "exec", netns, "ethtool", "-K", device, "gso", state, "tso", state, "gro", state)


def bench_retransmission(options, folder, other):
    offload(other, "off")
    run("ip", "-n", NETNS, "route", "change", "10.66.0.0/24", "dev", "b0", "rto_min", "20ms")
    run(*inside("sysctl", "-qw", "net.ipv4.tcp_thin_linear_timeouts=1"))
    prices = packet_prices(other)
    for what, traffic in (("one flow, a fifth lost", lossy_flow), ("500 sockets' time-outs", storm)):
        values = []
        for _ in range(options.rounds):
            found, attempts = traffic(other)
            values.append(attempt_cost(found, attempts, prices))
        print("retransmission: %s: %.0f ns of programs for each attempt, all its records together (%s)" % (
            what, statistics.median(values), " ".join("%.0f" % v for v in values)))
        print("  the last time, %d attempts: %s" % (attempts, ", ".join(
            "%s %d runs of %.0f ns" % (name, runs, ns) for name, (runs, ns) in sorted(found.items()))))
    offload(other, "on")


# ---- the classifier ----


def iperf(other, *args):
    server = subprocess.Popen(["ip", "netns", "exec", other, "iperf3", "-s", "-1", "-J"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if ":5201" in run("ip", "netns", "exec", other, "ss", "-ltn"):
                break
            time.sleep(0.05)
        told = json.loads(run(*inside("iperf3", "-c", "10.66.0.2", "-t", "3", "-J", *args)))
        return told["end"]["sum_sent"]["bits_per_second"] / 1e9
    finally:
        server.kill()
        server.wait()


def bench_tc(options, folder, other):
    """All on the same packets. Mode 1: rebpf's classifier as it is loaded where there are entry hooks (classifier.c)."""
    print("tc: ns a packet over an empty classifier, small writes over veth")
    for what, rule in (("never retransmitted", "tcp dport 9 counter"),
                       ("one in 10,000 lost", "tcp dport 5201 numgen random mod 10000 == 0")):
        values = []
        for _ in range(options.rounds):
            with loss(other, rule), stats(), Tracer(inside(EMPTY, "tcx", "b0"), ("o", "ready")) as empty, \
                    Tracer(inside(CLASSIFIER, "b0"), ("o", "ready")) as entry, rebpf("-o", "none", inside=True) as tracer:
                iperf(other, "-l", "64", "-N")
                base = costs([empty.text().split()[1]])["bench_empty"][1]
                mode1 = costs([entry.text().split()[1]])["rebpf_tc_egress"][1]
                runs, mode2 = costs(tracer.programs())["rebpf_tc_egress"]
            values.append((base, mode1 - base, mode2 - base, runs, number(tracer.text(), "Attempts seen")))
        print("%-20s empty %.0f; mode 1 +%.0f, mode 2 +%.0f (%s)" % (
            what, *(statistics.median(v[i] for v in values) for i in range(3)),
            "; ".join("%.0f +%.0f +%.0f, %d runs, %d attempts" % v for v in values)))
    for args, what in (((), "iperf3"), (("-l", "64", "-N"), "64 bytes a write")):
        ratios, rates = [], []
        for _ in range(8 * options.rounds):
            rate = {}
            for name in random.sample(["traced", "untraced"], 2):
                with (rebpf("-o", "none", inside=True) if name == "traced" else Nothing()):
                    rate[name] = iperf(other, "-t", "1", *args)
            ratios.append(rate["traced"] / rate["untraced"])
            rates.append(rate["untraced"])
        low, middle, high = statistics.quantiles(ratios, n=4)
        print("%-20s %.2f Gbit/s untraced, traced / untraced %.3f, quartiles %.3f %.3f of %d pairs" % (
            what, statistics.median(rates), middle, low, high, len(ratios)))


# ---- user space ----


def bench_user(options, folder):
    path = os.path.join(folder, "drops.rebpf")
    with rebpf("-e", "drop", "-o", "none", "-w", path) as tracer:
        flood(options.packets)
        settled(tracer)
    user.bench_replay(path, number(tracer.text(), "Drops seen"))
    user.bench_start(rebpf)
    with rebpf("-o", "none") as tracer:
        settled(tracer)
        user.bench_idle(tracer)
        user.bench_memory(tracer)


def bench_scale(options, folder):
    user.bench_scale()


# ---- latency ----


def bench_latency(options, folder):
    read, write = os.pipe()
    found = []
    process = subprocess.Popen([REBPF, "-e", "drop", "-o", "text", "-P", "9"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    try:
        while "rebpf: ready" not in process.stderr.readline():
            pass
        for i in range(50):
            began = time.monotonic()
            run(*inside(FLOOD, "1", str(1000 + i)))
            sent = time.monotonic()
            if not select.select([read], [], [], 2)[0]:
                raise RuntimeError("no line")
            os.read(read, 65536)
            found.append(1000 * (time.monotonic() - (began + sent) / 2))
            time.sleep(random.random() / 10)
    finally:
        process.kill()
        process.wait()
        os.close(read)
    print("latency: a drop's line is in the pipe after %.1f ms (median), %.1f ms (worst of %d)" % (
        statistics.median(found), max(found), len(found)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--packets", type=int, default=500000)
    parser.add_argument("--only", default="flood,cost,retransmission,tc,user,scale,latency")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    if os.geteuid():
        sys.exit("bench.py: needs root")
    print("kernel %s, %d CPUs, load %.2f" % (os.uname().release, os.cpu_count(), os.getloadavg()[0]))
    with namespace() as other, tempfile.TemporaryDirectory(prefix="rebpf-bench-") as folder:
        for name in options.only.split(","):
            if name in ("tc", "retransmission"):
                globals()["bench_" + name](options, folder, other)
            else:
                globals()["bench_" + name](options, folder)


if __name__ == "__main__":
    main()
