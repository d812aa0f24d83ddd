# SPDX-License-Identifier: MIT
"""What goes wrong around rebpf, really caused: kills, churn, no memory, full disks, readers that stop, stops under a flood.

REBPF_FAULTS=N (make faults: 100) makes the repeated ones longer; a plain `make test` repeats them a few times.
"""
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import time

import pytest

import bpfobj
import causes
import truth
import lab
from lab import BLOCK, DATA, SLOW, percent, run, wait_until
from test_program import add_device, packets_of, rungs, seconds_of, watched_start
from tracer import BINARY, Rebpf, View, check_truth, force, run_rebpf

FAULTS = int(os.environ.get("REBPF_FAULTS", "15"))
FLOOD = os.path.join(os.path.dirname(BINARY), "tests", "flood")
SHOW = ("filter", "show", "dev", "a0", "egress")


def memory(pid, key="VmRSS"):
    """KiB of /proc/PID/status."""
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return int(re.search(r"^%s:\s+(\d+) kB" % key, file.read(), re.M).group(1))


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


class Flood:
    """SYNs through a namespace's loopback as fast as they go, each dropped."""

    def __init__(self, ns, count=500000000):
        ns.drop("input", "tcp dport 9")
        self.process = subprocess.Popen(["ip", "netns", "exec", ns.name, FLOOD, str(count)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE)

    def is_over(self):
        return self.process.poll() is not None

    def stop(self):
        if not self.process.stdout.closed:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def flood(net):
    """flood(count): runs in namespace a until the end of the test."""
    if not os.access(FLOOD, os.X_OK):
        pytest.skip("build/tests/flood is not built")
    made = []

    def start(**how):
        made.append(Flood(net.a, **how))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def need_rung(tc):
    if tc not in rungs():
        pytest.skip("this kernel has no %s" % tc)


def busy(net, port=6001):
    """A flow that loses a fifth of its segments for as long as the test goes."""
    net.b.drop("input", DATA + " " + percent(20))
    return causes.Flow(net, "busy", 4, port, *net.addr[4])


# For rebpfs that shall not follow other tests' flows into their namespaces: what a killed one leaves there is swept up when
# the next one comes to look there, not before.
OWN_PORT = 20000 + os.getpid() % 10000


# ---- killed ----


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
def test_killed_at_random_moments(alone, rebpf, net, tc):
    """While it loads, attaches, runs or ends: nothing stays, but for clsact filters, which the next one sweeps up."""
    need_rung(tc)
    busy(net, OWN_PORT)
    seed = int(os.environ.get("REBPF_FAULTS_SEED", time.time()))
    chance = random.Random(seed)
    print("seed %d" % seed)
    before = net.a.tc("qdisc", "show", "dev", "a0")
    held, stages = set(), {"attached": 0, "before": 0}
    began = time.monotonic()
    assert rebpf("-q", "-d", "0.001", ns=net.a, force=force("tc=" + tc), ready=False).wait_exit() == 0
    whole = time.monotonic() - began
    for _ in range(max(FAULTS // 2, 1)):
        one = Rebpf("-q", "-P", str(OWN_PORT), ns=net.a, events="all", force=["--force", "tc=" + tc], ready=False)
        until = time.monotonic() + chance.uniform(0, 2 * whole)
        while time.monotonic() < until:
            select.select([], [], [], min(0.02, max(until - time.monotonic(), 0)))
            held |= bpfobj.objects_of(one.pid)
        if chance.random() < 0.2:
            one.process.send_signal(signal.SIGINT)
        held |= bpfobj.objects_of(one.pid)
        stages["attached" if any(kind == "link" for kind, _ in bpfobj.objects_of(one.pid)) else "before"] += 1
        one.kill()
        if tc == "tcx":
            wait_until(lambda: not bpfobj.left_of(held), 15,
                       lambda: "BPF objects to go: %s" % bpfobj.left_of(held))
            held = set()
        assert all("rebpf_tc_egress" in line for line in net.a.tc(*SHOW).splitlines() if " handle " in line)
    print("%s: killed %r" % (tc, stages))
    assert FAULTS < 100 or all(stages.values()), stages
    # The next start sweeps, its end takes its own.
    last = rebpf("-P", str(OWN_PORT), ns=net.a, force=force("tc=" + tc))
    last.wait_events(lambda e: e["tc"])
    held |= bpfobj.objects_of(last.pid)
    assert last.stop() == 0
    wait_until(lambda: not bpfobj.left_of(held), 15, lambda: "BPF objects to go: %s" % bpfobj.left_of(held))
    assert "rebpf" not in net.a.tc(*SHOW)
    assert net.a.tc("qdisc", "show", "dev", "a0") == before


def test_orphan_does_nothing(alone, rebpf, net):
    """The classifier that a killed rebpf leaves on clsact runs on, but changes nothing once its heartbeat is old."""
    busy(net, OWN_PORT)
    one = rebpf("-P", str(OWN_PORT), ns=net.a, force=force("tc=clsact"))
    one.wait_events(lambda e: e["tc"])
    held = bpfobj.objects_of(one.pid)
    first = bpfobj.read_shared(held)
    wait_until(lambda: bpfobj.read_shared(held) != first, 10, "the living one to count")
    one.kill()
    assert "rebpf" in net.a.tc(*SHOW)
    time.sleep(6)  # the heartbeat's 5 s, by the clock of the kernel: nothing to wait for can be seen
    idle = bpfobj.read_shared(held)
    assert idle
    with net.a.counting() as rise:
        before = net.a.counters()["TcpRetransSegs"]
        wait_until(lambda: net.a.counters()["TcpRetransSegs"] > before + 5, 30, "retransmissions")
    assert rise["TcpRetransSegs"] > 5
    assert bpfobj.read_shared(held) == idle
    assert rebpf(ns=net.a, force=force("tc=clsact")).stop() == 0
    wait_until(lambda: not bpfobj.left_of(held), 15, lambda: "BPF objects to go: %s" % bpfobj.left_of(held))


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
def test_others_survive(alone, rebpf, net, tc):
    """Another tool's filters on both sides, and its tcx program, through start, run, crash, sweep and end."""
    need_rung(tc)
    net.a.ip("link", "add", "sink0", "type", "veth", "peer", "name", "sink1")
    net.a.ip_batch("link set sink0 up", "link set sink1 up")
    net.a.tc_filter("a0", "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev", "sink0", prio="10")
    net.a.tc("filter", "add", "dev", "a0", "ingress", "prio", "20", "bpf", "da", "bytecode", "1,6 0 0 0")
    foreign = None
    if "tcx" in rungs():
        index = int(net.a.ip("-o", "link", "show", "dev", "a0").split(":")[0])
        foreign = bpfobj.ForeignTcx(net.a, index)
    receiver = net.keep(net.b.socket(kind=socket.SOCK_DGRAM))
    receiver.bind((net.addr[4][1], 6009))
    sender = net.keep(net.a.socket(kind=socket.SOCK_DGRAM))
    sender.connect((net.addr[4][1], 6009))

    def send(mark, text):
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        sender.send(text)

    def check(step):
        before = packets_of(net.a, ("-s",) + SHOW)
        send(bpfobj.ForeignTcx.MARK if foreign else 0, b"marked " + step)
        send(0, b"plain " + step)
        if not foreign:
            assert receiver.recv(100) == b"marked " + step
        assert receiver.recv(100) == b"plain " + step
        wait_until(lambda: packets_of(net.a, ("-s",) + SHOW) > before, 10, "the other filter to count")
        assert "mirred" in net.a.tc(*SHOW)
        assert "1,6 0 0 0" in net.a.tc("filter", "show", "dev", "a0", "ingress")

    try:
        check(b"before")
        one = watched_start(rebpf, net, tc)
        check(b"run")
        one.kill()
        check(b"crash")
        two = rebpf(ns=net.a, force=force("tc=" + tc))
        check(b"sweep")
        assert two.stop() == 0
        check(b"end")
        assert "rebpf" not in net.a.tc(*SHOW)
    finally:
        if foreign:
            foreign.close()


# ---- two at once, pauses ----


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
def test_two_do_not_sweep_each_other(alone, rebpf, net, tc):
    """Both see all; each start, kill and end leaves the other one's classifier alone."""
    need_rung(tc)
    one, two = (rebpf("--netns", net.a.name, ns=net.a, force=force("tc=" + tc)) for _ in range(2))
    net.b.drop("input", DATA + " " + percent(5))

    def both_exact(port):
        views = [View(each, net.a) for each in (one, two)]
        with net.a.counting() as rise:
            client, server = net.connect(port)
            lab.transfer(client, server, 1 << 20)
            lab.reset(client)
            lab.reset(server)
        for view in views:
            events = check_truth(view, rise)
            assert all(e["tc"] is not None for e in events if e["outcome"] == "sent")

    both_exact(5001)
    third = rebpf(ns=net.a, force=force("tc=" + tc))
    third.kill()
    fourth = rebpf(ns=net.a, force=force("tc=" + tc))
    both_exact(5002)
    assert fourth.stop() == 0
    both_exact(5003)
    assert one.stop() == 0
    if tc == "clsact":
        assert re.findall(r" handle (\w+) rebpf", net.a.tc(*SHOW)) == ["0x%x" % two.pid]
    assert two.stop() == 0


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
def test_paused(alone, rebpf, net, tc):
    """SIGSTOP for longer than the heartbeat: the classifier rests (clsact), then all is well again."""
    need_rung(tc)
    one = rebpf("--netns", net.a.name, ns=net.a, force=force("tc=" + tc))
    busy(net)
    one.wait_events(lambda e: e["tc"], 3)
    one.process.send_signal(signal.SIGSTOP)
    time.sleep(6.5)  # the pause itself
    seen = len(one.events())
    one.process.send_signal(signal.SIGCONT)
    events = one.wait_events(lambda e: e["tc"], n=len([e for e in one.events() if e["tc"]]) + 5)
    assert len(events) > seen
    assert one.stop() == 0
    stats = one.stats()
    assert stats["printed"] == len(one.events())
    assert stats["consumed"] + sum(stats["lost"].values()) == stats["produced"]


def test_paused_under_a_flood(rebpf, flood):
    """More comes than the rings hold: what is lost is said and counted, nothing else is wrong, and it goes on."""
    one = rebpf(events="drop", output="none")
    running = flood()
    one.wait_error("rate:")
    one.process.send_signal(signal.SIGSTOP)
    time.sleep(2 * SLOW)
    one.process.send_signal(signal.SIGCONT)
    line = one.wait_error("lost ")
    assert re.search(r"lost \d+ records: the ring buffer was full \(\d+ so far\)", line), line
    running.stop()
    rates = len([e for e in one.errors if "rate:" in e])
    wait_until(lambda: len([e for e in one.errors if "rate:" in e]) > rates + 1, 15, "it to go on")
    assert one.stop() == 0
    numbers = {word: int(number) for word, number in re.findall(
        r"^\s*(Records of the kernel|read from the rings|drops|control)\s+(\d+)$", "\n".join(one.errors), re.M)}
    assert numbers["Records of the kernel"] == numbers["read from the rings"] + numbers["drops"] + numbers["control"]
    assert numbers["drops"] > 0


# ---- readers that stop ----


class Blocked:
    """A rebpf whose output nobody reads until resume(); stderr too, if wanted."""

    def __init__(self, *args, stderr_too=False):
        self.process = subprocess.Popen([BINARY, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT if stderr_too else subprocess.PIPE)
        self.pid, self.text, self.errors = self.process.pid, [], []
        self.error_reader = None if stderr_too else lab.Background(self.read, self.process.stderr, self.errors)
        self.reader = None

    @staticmethod
    def read(stream, lines):
        for raw in stream:
            lines.append(raw.decode(errors="replace").rstrip("\n"))

    def resume(self):
        self.reader = lab.Background(self.read, self.process.stdout, self.text)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30 * SLOW) == 0
        self.reader.result()
        if self.error_reader:
            self.error_reader.result()

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("stderr_too", [False, True], ids=["stdout", "both"])
def test_stopped_pager(flood, net, stderr_too):
    """Nobody reads for a while under a flood: memory has a bound, the pipeline goes on, and afterwards it says what it cost."""
    seconds = 60 if FAULTS >= 100 else 6
    one = Blocked("-e", "drop,retransmit", "-o", "json", "-v", "--netns", net.a.name, stderr_too=stderr_too)
    try:
        wait_until(lambda: any(k == "link" for k, _ in bpfobj.objects_of(one.pid)), 30, "it to attach")
        running = flood()
        levels = []
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            time.sleep(0.5)
            levels.append(memory(one.pid))
        running.stop()
        assert one.process.poll() is None
        # 8 MiB of lines, and as much again while they are moved; and the history of drops, 180 MB once it is full
        # (MAX_EVIDENCE, correlate.c). The lines of such a flood would be more.
        assert levels[-1] < levels[0] + 24 * 1024 + 180000, levels
        assert not running.is_over() or running.process.returncode == -signal.SIGKILL
        one.resume()
        wait_until(lambda: one.text, 15, "the reader to get something")
        client, _, _ = causes.stuck(net, port=5004)
        wait_until(lambda: any('"dport":5004' in line for line in list(one.text)), 20, "an event of afterwards")
        lab.reset(client)
        one.stop()
    finally:
        one.kill()
    lines = [json.loads(line) for line in one.text if line.startswith("{")]
    stats = lines[-1]
    assert stats["event"] == "stats" and stats["final"]
    events = len([e for e in lines if e["event"] in ("drop", "retransmit", "spurious")])
    assert stats["output_lost"] > 0 and stats["printed"] == events + stats["output_lost"]
    # The rings were read all the time: whatever was lost, it was not for the reader.
    assert stats["consumed"] + sum(stats["lost"].values()) == stats["produced"]
    errors = one.text if stderr_too else one.errors
    assert any(re.search(r"lost \d+ lines: the reader of stdout is too slow", line) for line in errors), errors[-5:]


def test_closed_stderr(net):
    """2>&-, and a stderr whose reader has gone: no reason to end, or to write elsewhere."""
    client, _, _ = causes.stuck(net)
    for redirect in ("2>&-", "2> >(true)"):
        out = run("bash", "-c", "%s -c 2 -e retransmit -o json --netns %s %s" % (BINARY, net.a.name, redirect))
        events = [json.loads(line)["event"] for line in out.splitlines()]
        assert events == ["retransmit", "retransmit", "stats"], out
    lab.reset(client)


def test_full_disk(rebpf, net, tmp_path):
    """A recording ends with its disk, the run goes on; what was recorded can be replayed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=256k", "rebpf-test", str(disk))
    try:
        path = str(disk / "records")
        one = rebpf("-w", path, "--netns", net.a.name)
        busy(net)
        line = one.wait_error("cannot write to " + path, 60)
        assert "No space left on device" in line
        one.wait_events(n=len(one.events()) + 3)
        assert one.stop() == 0
        assert len([e for e in one.errors if path in e]) == 1, one.errors
        status, out, err = run_rebpf("-r", path, "-o", "json", "-e", "retransmit", force=False)
        replayed = [json.loads(text) for text in out.splitlines()]
        assert status in (0, 1), err
        events = [e for e in replayed if e["event"] == "retransmit" and e["netns"] == net.a.inode]
        live = [e for e in one.parsed if e["event"] == "retransmit"]
        # What would have settled the causes of the last second is not on the disk.
        whole = [e for e in events if truth.happened(events[-1]) - truth.happened(e) > 1.2e9]
        assert whole and whole == live[:len(whole)]
        assert [(e["time"], e["seq"], e["outcome"]) for e in events] == [(e["time"], e["seq"], e["outcome"]) for e in live[:len(events)]]
    finally:
        run("umount", str(disk), check=False)


# ---- stops ----


@pytest.mark.parametrize("args", [["-o", "json"], ["-o", "text"], ["-S"]], ids=lambda a: " ".join(a))
def test_stop_under_a_flood(flood, args):
    """From the signal to the end, without a reader's share: 100 to 200 ms on an idle machine, a few seconds on any."""
    process = subprocess.Popen([BINARY, "-e", "all", *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(k == "link" for k, _ in bpfobj.objects_of(process.pid)), 30, "it to attach")
        flood()
        time.sleep(1.5)  # the flood itself
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30 * SLOW) == 0
        took = time.monotonic() - began
    finally:
        process.kill()
        process.wait()
    print("ended after %.0f ms" % (took * 1000))
    assert took < 5 * SLOW


# ---- churn ----


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
def test_interface_churn(alone, rebpf, net, tc):
    """Interfaces come and go by the hundred in its own namespace: it keeps up, without growing or shouting."""
    need_rung(tc)
    pairs, batch = (1000 if FAULTS >= 100 else 150), 50
    one = rebpf("--netns", net.a.name, ns=net.a, force=force("tc=" + tc))

    def churn(count):
        for first in range(0, count, batch):
            names = ["v%d" % i for i in range(first, min(first + batch, count))]
            net.a.ip_batch(*("link add %s type veth peer name p%s" % (name, name) for name in names))
            net.a.ip_batch(*("link set %s up" % name for name in names))
            net.a.ip_batch(*("link del %s" % name for name in names))

    def settle():
        # It also follows devices of other namespaces that happen to be busy, and looks into /proc now and then.
        return wait_until(lambda: descriptors(one.pid) <= before[0] + 20, 20,
                          lambda: "%d descriptors to be %d again" % (descriptors(one.pid), before[0]))

    before = [descriptors(one.pid)]
    churn(batch)  # memory that is kept for later
    settle()
    resident, began = memory(one.pid), time.monotonic()
    churn(pairs)
    settle()
    print("%d pairs in %.1f s, %d KiB more" % (pairs, time.monotonic() - began, memory(one.pid) - resident))
    assert memory(one.pid) - resident < 2048
    add_device(net)
    net.addr[4] = ("10.79.0.1", "10.79.0.2")
    causes.stuck(net)
    event = one.wait_events(lambda e: e["tc"])[0]
    assert event["tc"][0]["ifname"] == "c0"
    assert one.stop() == 0
    assert len(one.errors) < 60, one.errors[:80]


def overflow_once(name, address="127.0.0.1"):
    """In a namespace that ends then: a full listener, so that a SYN is sent twice."""
    def body():
        listener = socket.socket()
        listener.bind((address, 5001))
        listener.listen(0)
        clients = [socket.socket() for _ in range(3)]
        for client in clients:
            client.settimeout(0)
            client.connect_ex((address, 5001))
        wait_until(lambda: lab.read_counters()["TcpRetransSegs"], 15, "a SYN to be sent again")
        for sock in [listener, *clients]:
            sock.close()

    lab.inside(name, body)


def test_namespace_churn(rebpf):
    """Namespaces come, retransmit and go by the hundred: each is seen, none is held on to."""
    total, batch = (300 if FAULTS >= 100 else 40), 20
    one = rebpf()
    before, seen = None, 0
    for _ in range(0, total, batch):
        spaces = [lab.Namespace("n") for _ in range(batch)]
        running = [lab.Background(overflow_once, ns.name) for ns in spaces]
        for each in running:
            each.result()
        inodes = {ns.inode for ns in spaces}
        wait_until(lambda inodes=inodes: inodes <= {e["netns"] for e in one.events()}, 15, "events of each namespace")
        seen += len(inodes)
        for ns in spaces:
            ns.close()
        if not before:
            before = descriptors(one.pid), memory(one.pid)
    print("%d namespaces, %d descriptors, then %d; %d KiB, then %d" % (
        seen, before[0], descriptors(one.pid), before[1], memory(one.pid)))
    assert descriptors(one.pid) <= before[0] + 8
    assert memory(one.pid) <= before[1] + 4096
    assert one.stop() == 0
    assert len(one.errors) < 60, one.errors[:80]


# ---- no memory ----


def cgroup_with(limit):
    """An own control group with a limit of memory, or a skip. Version 1 or 2."""
    for root, key in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"),
                      ("/sys/fs/cgroup/unified", "memory.max")):
        path = os.path.join(root, "rebpf-mem-%d" % os.getpid())
        if not os.path.exists(os.path.join(root, "cgroup.procs")):
            continue
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            with open(os.path.join(path, key), "r+", encoding="ascii") as file:
                file.write(str(limit))
            return path
        except OSError:
            os.rmdir(path)
    pytest.skip("no control group with a memory limit can be made here")
    return None


def test_no_memory_for_maps():
    """A limit that the process fits into, but not its maps: one line says so, and nothing stays."""
    path = cgroup_with(24 << 20)
    try:
        process = subprocess.Popen(["sh", "-c", "echo 0 > %s/cgroup.procs; exec %s -q -d 1 -P 1" % (path, BINARY)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        held = set()
        while process.poll() is None:
            held |= bpfobj.objects_of(process.pid)
        out, err = process.communicate()
        err = err.decode()
        if process.returncode in (-signal.SIGKILL, 137):
            pytest.skip("the kernel killed it instead of refusing the memory")
        assert (process.returncode, out) == (1, b""), err
        assert "memory" in err.lower() and len([e for e in err.splitlines() if e.startswith("rebpf:")]) == 1, err
        wait_until(lambda: not bpfobj.left_of(held), 15, "its BPF objects to go")
    finally:
        wait_until(lambda: not os.path.exists(path) or not os.rmdir(path), 15, "the control group to go")


def test_no_descriptors(net):
    """A hard limit of open files that its objects do not fit into."""
    for limit in (20, 40, 60):
        status, out, err = run_rebpf("-q", "-d", "1", "-P", "1", prefix=["prlimit", "--nofile=%d:%d" % (limit, limit)])
        lines = [e for e in err.splitlines() if e.startswith("rebpf:")]
        assert out == "" and status in (0, 1, 3), err
        assert status == 0 or any("open files" in e for e in lines), err
    assert "rebpf" not in net.a.tc(*SHOW)


@pytest.mark.skipif(lab.kernel() >= (5, 11), reason="since 5.11 maps count for the control group, not for RLIMIT_MEMLOCK")
def test_locked_memory_limit():
    """Before 5.11, without CAP_SYS_RESOURCE, which would raise the limit."""
    prefix = ["prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
    status, out, err = run_rebpf("-q", "-d", "1", prefix=prefix)
    assert (status, out) == (3, "") and "locked memory" in err, err


# ---- the clock ----


def test_clock_steps(rebpf, net):
    """Only in a guest: the wall clock is set by an hour, forth and back; event times follow within a second or two."""
    with open("/proc/cmdline", encoding="ascii") as file:
        if "rebpf.guest" not in file.read():
            pytest.skip("the clock of this machine is not ours to set")
    one = rebpf("--netns", net.a.name)
    causes.stuck(net)
    one.wait_events(n=2)
    for step in (3600, -7200, 3600):
        time.clock_settime(time.CLOCK_REALTIME, time.time() + step)
        time.sleep(0.3 * SLOW)  # its clock is looked at ten times a second
        seen, since = len(one.lines), time.time()
        wait_until(lambda seen=seen: len(one.lines) > seen + 1, 30, "events after the step")
        for at, line in one.lines[seen:]:
            stamp = seconds_of(json.loads(line)["time"])
            assert since - 2 * SLOW < stamp <= at + 0.01, (step, line)
    assert one.stop() == 0
