# SPDX-License-Identifier: MIT
"""The program around the events: filters, output, how it ends, what it leaves behind, whom it leaves alone."""
import datetime
import errno
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess

import pytest

import causes
import lab
from lab import BLOCK, DATA, SLOW, kernel, need, percent, receive_bytes, run, wait_until
from tracer import BINARY, FORCE, Rebpf, View, brief, check_truth, force, has_reasons, mode, need_failures, run_rebpf

# ---- flows that go on ----


def cgroup_root():
    """Where cgroup2 is mounted, if it is."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        found = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
    return found[0] if found else None


class Flows:
    """x: IPv4 in one network; y: IPv6 and z: IPv4 to another subnet, in a second network."""

    def __init__(self):
        self.nets = [lab.Net(), lab.Net()]
        self.cgroup = cgroup_root() and os.path.join(cgroup_root(), "rebpf-%d" % os.getpid())
        first, second = self.nets
        second.a.ip_batch("addr add 10.77.0.129/25 dev a0",
                          "neigh replace 10.77.0.130 lladdr %s dev a0 nud permanent" % (lab.MAC % 2))
        second.b.ip_batch("addr add 10.77.0.130/25 dev b0",
                          "neigh replace 10.77.0.129 lladdr %s dev b0 nud permanent" % (lab.MAC % 1))
        if self.cgroup:
            os.mkdir(self.cgroup)
        for net in self.nets:
            net.b.drop("input", DATA + " " + percent(20))
        self.x = causes.Flow(first, "x", 4, 6001, "10.77.0.1", "10.77.0.2", self.cgroup)
        self.y = causes.Flow(second, "y", 6, 6002, "fd77::1", "fd77::2")
        self.z = causes.Flow(second, "z", 4, 6003, "10.77.0.129", "10.77.0.130")
        self.inodes = {net.a.inode for net in self.nets}

    def names(self, events):
        """Which flows the events are of."""
        return {{6001: "x", 6002: "y", 6003: "z"}.get(e["dport"], "?") for e in events if e["netns"] in self.inodes}

    def words(self):
        """What filters have to be told of the flows."""
        return {"pid_y": str(self.y.worker.pid), "name_1": self.nets[0].a.name, "name_2": self.nets[1].a.name,
                "inode_2": str(self.nets[1].a.inode), "cgroup": self.cgroup}

    def close(self):
        for net in self.nets:
            net.close()
        if self.cgroup:
            wait_until(self.remove_cgroup, 10, "the control group to empty")

    def remove_cgroup(self):
        try:
            os.rmdir(self.cgroup)
        except OSError as error:
            return error.errno == errno.ENOENT
        return True


@pytest.fixture(scope="module")
def flows():
    made = Flows()
    yield made
    made.close()


# ---- filters ----

FILTERS = [
    ("-P 6001", "x"),
    ("-P 6002-6003", "yz"),
    ("-P 6001,6003", "xz"),
    ("-P 6001 -P 6002", "xy"),
    ("-P 7001", "x"),
    ("--sport 7002", "y"),
    ("--sport 6001,7003", "z"),
    ("--dport 6003", "z"),
    ("-a 10.77.0.2", "x"),
    ("-a 10.77.0.128/25", "z"),
    ("-a 10.77.0.0/24", "xz"),
    ("-a fd77::/64", "y"),
    ("-a fd77::2,10.77.0.2", "xy"),
    ("--saddr 10.77.0.129", "z"),
    ("--daddr 10.77.0.0/25", "x"),
    ("-4", "xz"),
    ("-6", "y"),
    ("-p {pid_y}", "y"),
    ("--comm rbflowx,rbflowz", "xz"),
    ("--netns {name_1}", "x"),
    ("--netns {inode_2}", "yz"),
    ("--netns {pid_y}", "yz"),
    ("--cgroup {cgroup}", "x"),
    ("-4 --netns {name_2}", "z"),
    ("-6 -P 6001-6003", "y"),
]


def check_filters(flows, shared, chosen):
    """Runs one rebpf per filter side by side: each sees its flows, and no other while those retransmit as well."""
    started = []
    try:
        for words, expected in chosen:
            started.append((words, set(expected), Rebpf(*words.format(**flows.words()).split())))
        seen = [View(shared.get(), net.a) for net in flows.nets]
        wait_until(lambda: all(len([e for view in seen for e in view.events(dport=port)]) >= 3
                               for port in (6001, 6002, 6003)), 30, "events of every flow")
        for words, expected, one in started:
            wait_until(lambda one=one, expected=expected: flows.names(one.events()) >= expected, 15,
                       lambda words=words, one=one: "%s to show its flows\n%s" % (words, one.story(one.events()[-5:])))
        for words, expected, one in started:
            assert one.stop() == 0
            assert flows.names(one.events()) == expected, words
    finally:
        for _, _, one in started:
            one.kill()


@pytest.mark.parametrize("first", range(0, len(FILTERS), 5), ids=lambda i: FILTERS[i][0])
def test_filters(flows, shared, first):
    chosen = [f for f in FILTERS[first:first + 5] if flows.cgroup or "{cgroup}" not in f[0]]
    check_filters(flows, shared, chosen)


def test_filter_without_a_match(flows, shared):
    check_filters(flows, shared, [("-4 -P 6002", ""), ("--sport 6001", ""), ("--comm rbflow", "")])


def test_filter_by_type(net, rebpf, watch):
    view = watch(net.a)
    chosen = [rebpf("--type", "syn", "--netns", net.a.name), rebpf("--type", "rto,fast", "--netns", net.a.name)]
    causes.stuck(net, port=5001)
    causes.stuck_syn(net, port=5002)
    view.wait(2, type="syn", timeout=20)
    view.wait(2, type="rto")
    assert {e["type"] for e in chosen[0].wait_events(n=2)} == {"syn"}
    assert {e["type"] for e in chosen[1].wait_events(n=2)} == {"rto"}


def test_filter_by_interface(net, rebpf):
    """Two devices in one namespace, which is rebpf's own."""
    add_device(net)
    one = rebpf("-i", "c0", ns=net.a)
    causes.stuck(net, port=5001)
    net.addr[4] = ("10.79.0.1", "10.79.0.2")
    causes.stuck(net, port=5002)
    events = one.wait_events(n=3)
    assert {e["dport"] for e in events} == {5002}
    assert all(e["tc"][0]["ifname"] == "c0" for e in events)


def test_filter_by_reason(net, rebpf, watch):
    need_failures()
    if not has_reasons():
        pytest.skip("this kernel gives no drop reasons")
    view = watch(net.a)
    one = rebpf("--reason", "TC_EGRESS", "--netns", net.a.name)
    causes.stuck(net)
    view.wait(2, outcome="sent")
    net.a.tc_verdict("a0", lab.TC_ACT_SHOT)
    events = one.wait_events(n=3)
    # Of the new copy, or of the one before.
    for event in events:
        assert "TC_EGRESS" in [drop["reason"] for drop in (event["drop"], event["cause_drop"]) if drop], brief([event])


def add_device(net):
    """A second link c0-c1 between a and b."""
    net.veth(net.a, "c0", 11, net.b, "c1", 12)
    for ns, dev, host, peer in ((net.a, "c0", 1, 2), (net.b, "c1", 2, 1)):
        ns.ip_batch("addr add 10.79.0.%d/24 dev %s" % (host, dev),
                    "neigh replace 10.79.0.%d lladdr %s dev %s nud permanent" % (peer, lab.MAC % (10 + peer), dev))


# ---- output ----

LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d{6} RETRANSMIT +(\d+|-) +(\S+) +(\S+:\d+) > (\S+:\d+) +state=\S+ type=\S+ "
                  r"attempt=\S+ cause=\S+ cause_drop=\S+ outcome=\S+ ret=\S+ tc=\S+ drop=\S+ seq=\d+ len=\d+ segs=\d+"
                  r"( \S+=\S+)*$")


def test_text_lines(flows, rebpf):
    """Into a pipe: no header, no colour, fixed columns and then words."""
    one = rebpf("--netns", flows.nets[1].a.name, output="text")
    # One that crossed its acknowledgement is SPURIOUS afterwards.
    lines = wait_until(lambda: len({line.split()[2] for line in one.text}) > 1 and
                       [line for line in one.text if line.split()[1] != "SPURIOUS"], 15, "lines of two flows")
    for line in lines:
        assert LINE.match(line), line
    assert {LINE.match(line).groups()[:4] for line in lines} == {
        (str(flows.y.worker.pid), "rbflowy", "[fd77::1]:7002", "[fd77::2]:6002"),
        (str(flows.z.worker.pid), "rbflowz", "10.77.0.129:7003", "10.77.0.130:6003")}


def test_text_is_the_default(flows, rebpf):
    one = rebpf("-c", "1", output=None)
    assert one.wait_exit() == 0
    assert LINE.match(one.text[0])


def test_verbose_text(flows, rebpf):
    one = rebpf("-v", "-c", "1", "--netns", flows.nets[0].a.name, output="text")
    assert one.wait_exit() == 0
    assert " mss=1448 " in one.text[0] and " netns=%d " % flows.nets[0].a.inode in one.text[0] + " "


def test_terminal(flows):
    """On a terminal: a header at once, colour only if wanted, nothing that harms a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BINARY, *FORCE, "-e", "retransmit", "--color", "never", "-c", "3", "-q"],
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    output = b""
    try:
        while select.select([ours], [], [], 30 * SLOW)[0]:
            output += os.read(ours, 65536)
    except OSError:
        pass  # EIO: rebpf has closed it
    finally:
        os.close(ours)
        process.kill()
        process.communicate()
    lines = output.decode().replace("\r", "").splitlines()
    assert len(lines) == 4
    assert not LINE.match(lines[0]) and "TIME" in lines[0].upper()
    assert all(LINE.match(line) for line in lines[1:])
    assert b"\x1b" not in output


FIELDS = """time event netns pid comm uid cgroup task_pid task_comm ip_version saddr sport daddr dport state type attempt
    seq end_seq len segs skb tc ret ret_name outcome drop cause cause_drop cause_why ca_state srtt_us rto_us cwnd ssthresh
    mss total_retrans segs_out""".split()


def test_json_fields(flows, rebpf):
    """Every field of the design, in every event."""
    one = rebpf("--netns", flows.nets[0].a.name)
    for event in one.wait_events(n=5):
        assert not set(FIELDS) - set(event), event
        assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$", event["time"])
        for key in ("netns", "uid", "sport", "seq", "len", "segs", "cwnd", "mss"):
            assert isinstance(event[key], int), key
    assert one.stop() == 0
    assert json.loads(one.text[-1])["event"] == "stats"


def test_cgroup_of_a_flow(flows, rebpf):
    if not flows.cgroup:
        pytest.skip("no cgroup2 is mounted")
    one = rebpf("-P", "6001,6002")
    wait_until(lambda: flows.names(one.events()) == {"x", "y"}, 15, "both flows")
    cgroups = {e["dport"]: e["cgroup"] for e in one.events()}
    assert cgroups[6001] and cgroups[6001] != cgroups[6002]


def seconds_of(text):
    """RFC 3339 in UTC to seconds."""
    day = datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return day.timestamp() + float("0" + text[19:-1])


def test_events_reach_a_pipe_soon(net, rebpf):
    """Lone events, of which nothing else flushes the one before."""
    one = rebpf("--netns", net.a.name)
    causes.stuck(net)
    one.wait_events(n=5)
    delays = [at - seconds_of(json.loads(line)["time"]) for at, line in list(one.lines)]
    assert min(delays) > -0.01, delays
    assert statistics.median(delays) < 0.1 * SLOW, delays


def test_output_none(flows, rebpf):
    """The work without the output: a rate on stderr."""
    for output in ("none", "count"):
        one = rebpf(output=output)
        one.wait_error("rate:")
        assert one.stop() == 0
        assert not one.text


def test_statistics_in_text_mode(flows, rebpf):
    one = rebpf(output="text")
    wait_until(lambda: len(one.text) > 5, 15, "some lines")
    assert one.stop() == 0
    totals = [line for line in one.errors if line.startswith("Total: ")]
    assert len(totals) == 1 and int(totals[0].split()[1]) >= len(one.text)


def test_statistics_in_json(flows, rebpf):
    one = rebpf("--netns", flows.nets[0].a.name)
    one.wait_events(n=5)
    assert one.stop() == 0
    stats, events = one.stats(), one.events()
    assert stats["printed"] == len(events)
    assert stats["attempts"] >= len(events)
    assert stats["lost"] == {"control": 0, "drops": 0}
    assert stats["malformed"] == 0 and stats["output_lost"] == 0
    assert sum(stats["by_outcome"].values()) == sum(stats["by_type"].values()) == stats["attempts"]


def test_hint_when_nothing_comes(rebpf):
    one = rebpf("-P", "1", output="text")
    assert "-P" in one.wait_error("no events", 30)
    assert not one.text


# ---- how it ends ----


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_signals(rebpf, how):
    one = rebpf("-P", "1")
    assert one.stop(how) == 0
    assert one.stats()["printed"] == 0


def test_count(flows, rebpf):
    one = rebpf("-c", "3")
    assert one.wait_exit() == 0
    assert len(one.events()) == 3


def test_duration(rebpf):
    one = rebpf("-d", "1", "-P", "1")
    assert one.wait_exit() == 0
    assert 900000 <= one.stats()["duration_us"] <= 1000000 * (1 + 2 * SLOW)


def test_quiet():
    status, out, err = run_rebpf("-q", "-d", "1", "-P", "1")
    assert (status, out, err) == (0, "", "")


def test_closed_pipe(flows):
    """rebpf | head -1 ends by itself, quietly, and leaves nothing."""
    before = left_behind(flows.nets[0].a)
    command = "%s %s -e retransmit -o json 2>/dev/null | head -1; echo ${PIPESTATUS[0]}" % (BINARY, " ".join(FORCE))
    lines = run("bash", "-c", command).splitlines()
    assert json.loads(lines[0])["event"] == "retransmit"
    assert lines[1] == "0"
    wait_until(lambda: left_behind(flows.nets[0].a) == before, 10,
               lambda: "nothing to be left behind: %s" % left_behind(flows.nets[0].a))


def test_closed_pipe_without_events(rebpf):
    """The reader goes away before anything was written: noticed all the same."""
    ours, theirs = os.pipe()
    process = subprocess.Popen([BINARY, *FORCE, "-P", "1"], stdin=subprocess.DEVNULL, stdout=theirs,
                               stderr=subprocess.PIPE)
    os.close(theirs)
    try:
        assert process.stderr.readline().startswith(b"rebpf: ready")
        os.close(ours)
        assert process.wait(15 * SLOW) == 0
    finally:
        process.kill()
        process.communicate()


def test_reader_that_does_not_read(flows, shared):
    """stdout never blocks the pipeline: it still stops when told, and says what was lost."""
    process = subprocess.Popen([BINARY, *FORCE, "-e", "retransmit", "-o", "json"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        view = View(shared.get(), flows.nets[0].a)
        view.wait(100, timeout=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(20 * SLOW) == 0
    finally:
        process.kill()
        process.communicate()


def test_help_and_version():
    for option, part in (("--help", "--port"), ("-h", "--port"), ("--version", "rebpf"), ("-V", "rebpf")):
        status, out, err = run_rebpf(option, force=False)
        assert (status, err) == (0, "")
        assert part in out


def test_check():
    status, out, err = run_rebpf("--check")
    assert (status, err) == (0, "")
    for role in ("attempt", "synack", "tc", "queued", "drop", "connect", "scan"):
        assert re.search(r"^%s: \S+" % role, out, re.M), role
    assert re.search(r"^    not \S+: \S+", out, re.M) or kernel() >= (6, 12)


BAD = [
    (["--nonsense"], "--nonsense"),
    (["-P", "99999"], "99999"),
    (["-P", "20-10"], "20-10"),
    (["-P", ""], "-P"),
    (["--port"], "--port"),
    (["-a", "300.1.1.1"], "300.1.1.1"),
    (["-a", "10.0.0.0/33"], "10.0.0.0/33"),
    (["-a", "fd77::/129"], "fd77::/129"),
    (["--saddr", "nonsense"], "nonsense"),
    (["-p", "-1"], "-1"),
    (["-p", "abc"], "abc"),
    (["--type", "nonsense"], "nonsense"),
    (["--cause", "nonsense"], "nonsense"),
    (["-e", "nonsense"], "nonsense"),
    (["-o", "xml"], "xml"),
    (["--color", "maybe"], "maybe"),
    (["-d", "soon"], "soon"),
    (["-d", "0"], "0"),
    (["-c", "0"], "0"),
    (["-c", "-3"], "-3"),
    (["--netns", "no-such-namespace"], "no-such-namespace"),
    (["--cgroup", "/no/such/cgroup"], "/no/such/cgroup"),
    (["-i", "no-such-if0"], "no-such-if0"),
    (["stray"], "stray"),
]


@pytest.mark.parametrize("args, part", BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_options(args, part):
    """One line that names the option or the value, and exit status 2."""
    status, out, err = run_rebpf(*args, force=False)
    assert (status, out) == (2, ""), err
    assert len(err.splitlines()) == 1 and part in err, err


def test_unreadable_recording(tmp_path):
    status, out, err = run_rebpf("-r", str(tmp_path / "none"), force=False)
    assert (status, out, len(err.splitlines())) == (1, "", 1), err
    (tmp_path / "bad").write_bytes(b"not a recording\n" * 100)
    status, out, err = run_rebpf("-r", str(tmp_path / "bad"), "-q", force=False)
    assert (status, out, len(err.splitlines())) == (1, "", 1), err


def test_unwritable_recording(tmp_path):
    status, out, err = run_rebpf("-w", str(tmp_path / "no" / "dir"), "-d", "1", "-q")
    assert (status, out, len(err.splitlines())) == (1, "", 1), err


# ---- privileges ----


@pytest.mark.parametrize("dropped, name", [("-all", "cap_"), ("-net_admin", "cap_net_admin"),
                                           ("-bpf,-sys_admin", "cap_bpf"), ("-perfmon,-sys_admin", "cap_perfmon")])
def test_missing_privileges(dropped, name):
    """Root without a capability: one line that names it, and exit status 3."""
    need("setpriv")
    prefix = ["setpriv", "--bounding-set=" + dropped, "--inh-caps=" + dropped]
    probe = subprocess.run([*prefix, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if probe.returncode:
        pytest.skip("setpriv: %s" % probe.stderr.decode().strip())
    status, out, err = run_rebpf("-d", "1", prefix=prefix)
    assert (status, out) == (3, ""), err
    assert len(err.splitlines()) == 1 and name in err.lower(), err


def test_without_sys_admin(net, rebpf):
    """Enough for its own namespace; others cannot be entered, which is no error."""
    need("setpriv")
    one = rebpf(prefix=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
    causes.stuck(net)
    events = one.wait_events(lambda e: e["netns"] == net.a.inode, 3)
    assert all(e["tc"] is None for e in events)
    assert one.stop() == 0


# ---- what it leaves behind, and whom it leaves alone ----

OURS = re.compile("^(rebpf_|tcp_retrans_|tcp_synack_)")


def orphaned_programs():
    """BPF programs of rebpf that no process holds (where bpftool can tell who holds them)."""
    if not shutil.which("bpftool"):
        return []
    programs = json.loads(run("bpftool", "-j", "prog", "show", check=False) or "[]")
    if not any(p.get("pids") for p in programs):
        return []
    return sorted(p["id"] for p in programs if OURS.match(p.get("name", "")) and not p.get("pids"))


def left_behind(ns):
    """What a rebpf that is gone may have left: programs, and filters and qdiscs on a0."""
    return (orphaned_programs(), "rebpf" in ns.tc("filter", "show", "dev", "a0", "egress", check=False),
            "clsact" in ns.tc("qdisc", "show", "dev", "a0"))


def rungs():
    """The ways to attach to TC that this kernel has."""
    return ["tcx", "clsact"] if mode()["tc"] == "tcx" else ["clsact"]


def watched_start(rebpf, net, tc):
    """A rebpf in namespace a whose classifier sees retransmissions there."""
    one = rebpf("--netns", net.a.name, ns=net.a, force=force("tc=" + tc))
    causes.stuck(net)
    one.wait_events(lambda e: e["tc"])
    return one


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_nothing_is_left(alone, rebpf, net, tc, how):
    """A killed rebpf's clsact filter stays, does nothing, and is swept up at the next start."""
    if tc not in rungs():
        pytest.skip("this kernel has no %s" % tc)
    before = left_behind(net.a)
    one = watched_start(rebpf, net, tc)
    if how == signal.SIGINT:
        assert one.stop() == 0
    else:
        one.kill()
        if tc == "clsact":
            assert "rebpf" in net.a.tc("filter", "show", "dev", "a0", "egress")
            two = rebpf(ns=net.a, force=force("tc=clsact"))
            shown = net.a.tc("filter", "show", "dev", "a0", "egress")
            assert re.findall(r" handle (\w+) rebpf", shown) == ["0x%x" % two.pid]
            assert two.stop() == 0
    wait_until(lambda: left_behind(net.a)[:2] == before[:2], 10,
               lambda: "nothing to be left behind: %s" % (left_behind(net.a),))
    if how == signal.SIGINT:
        assert left_behind(net.a) == before


def packets_of(ns, text):
    """How many packets the filters of a0 have counted."""
    return sum(int(n) for n in re.findall(r"Sent \d+ bytes (\d+) pkt", ns.tc(*text)))


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
def test_another_program_keeps_running(alone, rebpf, net, tc):
    """A filter that was there before still sees every packet, and stays with its clsact qdisc."""
    if tc not in rungs():
        pytest.skip("this kernel has no %s" % tc)
    net.a.ip("link", "add", "sink0", "type", "veth", "peer", "name", "sink1")
    net.a.ip_batch("link set sink0 up", "link set sink1 up")
    net.a.tc_filter("a0", "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev", "sink0",
                    prio="10")
    show = ("-s", "filter", "show", "dev", "a0", "egress")
    one = watched_start(rebpf, net, tc)
    before = packets_of(net.a, show)
    seen = len(one.events())
    one.wait_events(n=seen + 2)
    wait_until(lambda: packets_of(net.a, show) >= before + 2, 10, "the other filter to count")
    assert one.stop() == 0
    assert "mirred" in net.a.tc(*show)
    assert "rebpf" not in net.a.tc(*show)
    before = packets_of(net.a, show)
    wait_until(lambda: packets_of(net.a, show) > before, 20, "the other filter to count on")


def test_filter_that_cannot_be_preceded(rebpf, net):
    """Nothing comes before priority 1: said once; the other filter works on, and nothing is made up."""
    net.a.tc_verdict("a0", lab.TC_ACT_OK, prio="1")
    one = rebpf("--netns", net.a.name, ns=net.a, force=force("tc=clsact"))
    causes.stuck(net)
    events = one.wait_events(n=3)
    assert all(e["tc"] is None and e["outcome"] == "sent" for e in events), brief(events)
    assert one.stop() == 0
    assert len([line for line in one.errors if "priority 1 " in line]) == 1, one.errors
    assert "1,6 0 0 0" in net.a.tc("filter", "show", "dev", "a0", "egress")


def test_clsact_that_another_one_uses(alone, rebpf, net):
    """rebpf made the qdisc, but another program came to use it: it stays."""
    one = watched_start(rebpf, net, "clsact")
    net.a.tc_verdict("a0", lab.TC_ACT_OK, prio="60000")
    assert one.stop() == 0
    shown = net.a.tc("filter", "show", "dev", "a0", "egress")
    assert "1,6 0 0 0" in shown and "rebpf" not in shown


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
def test_interfaces_come_and_go(alone, rebpf, net, tc):
    """In its own namespace, rebpf follows interfaces from their first packet to their end."""
    if tc not in rungs():
        pytest.skip("this kernel has no %s" % tc)
    one = rebpf("--netns", net.a.name, ns=net.a, force=force("tc=" + tc))
    add_device(net)
    net.addr[4] = ("10.79.0.1", "10.79.0.2")
    client, _, _ = causes.stuck(net)
    event = one.wait_events()[0]
    assert event["tc"] and event["tc"][0]["ifname"] == "c0", brief([event])
    lab.reset(client)
    net.a.ip("link", "del", "c0")
    net.addr[4] = ("10.77.0.1", "10.77.0.2")
    causes.stuck(net, port=5002)
    events = one.wait_events(lambda e: e["dport"] == 5002, 2)
    assert all(e["tc"] and e["tc"][0]["ifname"] == "a0" for e in events), brief(events)
    assert one.stop() == 0
    assert not [line for line in one.errors if "cannot" in line or "error" in line], one.errors


def test_interfaces_of_another_namespace(net, watch):
    """A namespace that rebpf looks into: its new interfaces are found as their retransmissions are missed."""
    view = watch(net.a)
    causes.stuck(net)
    view.watched()
    add_device(net)
    net.addr[4] = ("10.79.0.1", "10.79.0.2")
    causes.stuck(net, port=5002)
    event = view.wait(1, lambda e: e["tc"], dport=5002)[0]
    assert event["tc"][0]["ifname"] == "c0"


def test_namespace_that_ends(make_net, watch):
    """A namespace goes, and another one comes, perhaps with its inode number."""
    for _ in range(3):
        net = make_net()
        view = watch(net.a)
        causes.stuck(net)
        assert view.watched()["tc"][0]["ifname"] == "a0"
        net.close()


def identity(event):
    return tuple(event[key] for key in ("netns", "sport", "dport", "seq", "attempt", "type", "segs", "ret", "outcome"))


def test_two_at_once(net, rebpf):
    """Both see every attempt, with the same verdicts."""
    one, two = rebpf("--netns", net.a.name), rebpf("--netns", net.a.name)
    net.b.drop("input", DATA + " " + percent(5))
    with net.a.counting() as rise:
        client, server = net.connect()
        lab.transfer(client, server, 1 << 20)
        lab.reset(client)
    for each in (one, two):
        wait_until(lambda each=each: sum(e["segs"] for e in each.events()) >= rise["TcpRetransSegs"], 10, "all events")
    assert [identity(e) for e in one.events()] == [identity(e) for e in two.events()]
    assert one.stop() == 0 and two.stop() == 0


# ---- records ----


@pytest.fixture
def recorded(flows, tmp_path):
    """recorded(output): the lines of a live run, and the file of its records."""

    def record(output):
        path = str(tmp_path / ("records." + output))
        one = Rebpf("-w", path, "--netns", flows.nets[1].a.name, output=output)
        try:
            wait_until(lambda: len(one.text) > 30, 30, "thirty lines")
            assert one.stop() == 0
        finally:
            one.kill()
        return [line for line in one.text if '"stats"' not in line], path

    return record


@pytest.mark.parametrize("output", ["text", "json"])
def test_replay(recorded, output):
    """The recording gives the lines of the live run, byte by byte, without privileges."""
    live, path = recorded(output)
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if shutil.which("setpriv") else []
    inode = re.search(r'"netns":(\d+)', live[0])
    filters = ["--netns", inode.group(1)] if inode else ["-P", "6002-6003"]
    status, out, err = run_rebpf("-r", path, "-e", "retransmit", "-o", output, *filters, force=False, prefix=prefix)
    assert status == 0, err
    assert [line for line in out.splitlines() if '"stats"' not in line] == live


def test_replay_filters(recorded):
    """Filters apply to a recording as they do to a live run."""
    live, path = recorded("json")
    status, out, err = run_rebpf("-r", path, "-e", "retransmit", "-o", "json", "-6", "-P", "6002", force=False)
    assert status == 0, err
    expected = [line for line in live if json.loads(line)["dport"] == 6002]
    assert expected and [line for line in out.splitlines() if '"stats"' not in line] == expected


def test_damaged_recording(recorded, tmp_path):
    """A recording that was cut: what there is, and one line."""
    live, path = recorded("json")
    with open(path, "rb") as file:
        content = file.read()
    cut = tmp_path / "cut"
    cut.write_bytes(content[:len(content) // 2 + 3])
    status, out, err = run_rebpf("-r", str(cut), "-e", "retransmit", "-o", "json", "-q", force=False)
    assert status == 1 and len(err.splitlines()) == 1, err
    assert all(json.loads(line) for line in out.splitlines())
    assert live


def test_many_short_flows(flows, net, rebpf):
    """Sockets come and go, with their addresses, while others retransmit: nothing is lost, nothing is left open."""
    one = rebpf()
    view = View(one, net.a)
    net.b.drop("input", DATA + " " + percent(10))
    listener = net.listen()

    def once():
        client = net.a.socket()
        client.connect((net.addr[4][1], 5001))
        server, _ = listener.accept()
        client.sendall(BLOCK[:20000])
        receive_bytes(server, 20000)
        lab.reset(client)
        lab.reset(server)

    with net.a.counting() as rise:
        for _ in range(50):
            once()
    check_truth(view, rise)
    assert one.stop() == 0
    stats = one.stats()
    assert stats["lost"] == {"control": 0, "drops": 0}
    # The kernel may skip a nested run of a hook; then the statistics say so.
    assert stats["malformed"] == 0 and flows
