# SPDX-License-Identifier: MIT
"""--inject: exactly the wanted retransmissions are dropped, and nothing else, by the kernel's and the firewall's counters."""
import contextlib
import json
import shutil
import signal
import urllib.request

import pytest

import causes
import lab
from lab import BARE_ACK, BLOCK, DATA, SYN, SYNACK, Background, nth, percent, receive_bytes, run, send_bytes, wait_until
from test_outcome import add_stack
from tracer import brief, counted_failures, counted_segs, force, has_entry_hooks, mode, need_failures, run_rebpf

PORT = 5001
VERDICTS = {"shot": ("TC_ACT_SHOT", "dropped", 1), "stolen": ("TC_ACT_STOLEN", "stolen", 0)}


def rungs():
    return ["tcx", "clsact"] if mode()["tc"] == "tcx" else ["clsact"]


@pytest.fixture
def inject(rebpf, net):
    """inject(how, *args, tc=None): a rebpf that drops what port 5001 of namespace a retransmits, unless told otherwise."""

    def start(how, *args, tc=None, ns=None):
        if tc and tc not in rungs():
            pytest.skip("this kernel has no %s" % tc)
        if how == "shot":
            need_failures()
        causes.steady(net)
        narrow = list(args)
        if not {"-P", "-p", "--sport", "--dport"} & set(args):
            narrow += ["-P", str(PORT)]
        if "--netns" not in args:
            narrow += ["--netns", (ns or net.a).name]  # this host may have traffic of others
        return rebpf("--inject", how, *narrow, ns=ns or net.a, force=force("tc=" + tc) if tc else None)

    return start


def injected(events):
    """Those that rebpf dropped by its own account."""
    return [e for e in events if e["tc"] and any(hop["by"] == "rebpf" for hop in e["tc"])]


def judged(events):
    """Those that the classifier saw: of these the share is taken."""
    return [e for e in events if e["tc"] and e["type"] != "synack"]


def finish(one):
    """Stops it; what the kernel side, the lines and the last words say must be one number.

    On this host a line may be missing: its kernel runs no tracing program while process 1 is current. That is told.
    """
    assert one.stop() == 0, one.errors
    count = one.stats()["injected"]
    assert 0 <= count - len(injected(one.events())) <= one.stats()["unseen"], brief(one.events())
    assert one.wait_error("injected loss: %d retransmissions dropped" % count)
    return count


def check_event(event, how, ifname="a0"):
    verdict, outcome, ret = VERDICTS[how]
    hop = event["tc"][-1]
    assert (hop["ifname"], hop["verdict"], hop["by"]) == (ifname, verdict, "rebpf"), brief([event])
    assert (event["outcome"], event["ret"]) == (outcome, ret), brief([event])
    assert bool(event["drop"]) == (how == "shot"), brief([event])
    assert how == "stolen" or event["drop"]["reason"] == "REBPF_INJECT", brief([event])


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tc", ["tcx", "clsact"])
@pytest.mark.parametrize("how", ["shot", "stolen"])
def test_count(inject, net, how, tc, version):
    """Three are dropped, the fourth arrives; TCP is told or not; the next one's cause names rebpf."""
    one = inject(how, "--inject-count", "3", tc=tc)
    client, server = net.connect(PORT, version)
    arrived = net.b.count("input", DATA)
    net.b.drop("input", DATA + " " + nth(0))
    with net.a.counting() as rise:
        client.sendall(BLOCK[:1000])
        receive_bytes(server, 1000)
        one.wait_events(lambda e: e["outcome"] == "sent")
    assert arrived.count() == 2
    assert finish(one) == 3
    events = one.events()
    assert [e["attempt"] for e in events] == [1, 2, 3, 4], brief(events)
    for event in events[:3]:
        check_event(event, how)
    assert (events[3]["outcome"], events[3]["tc"][0]["by"]) == ("sent", None), brief(events)
    assert counted_segs(events) == rise["TcpRetransSegs"] == 4
    assert counted_failures(events) == rise["TcpExtTCPRetransFail"] == (3 if how == "shot" else 0)
    assert events[0]["cause_drop"]["reason"] != "REBPF_INJECT"
    for event in events[1:]:
        assert event["cause"] == "local", brief(events)
        assert (event["cause_drop"]["reason"], event["cause_drop"]["ifname"]) == ("REBPF_INJECT", "a0"), brief(events)


class Classes:
    """How many packets of each sort left a, and how many came to b; loss at b comes after the counting."""

    SORTS = {"data": DATA, "ack": BARE_ACK, "syn": SYN}

    def __init__(self, net, port):
        match = "tcp dport %d " % port
        self.sent = {sort: net.a.count("postrouting", match + what) for sort, what in self.SORTS.items()}
        self.came = {sort: net.b.count("prerouting", match + what) for sort, what in self.SORTS.items()}

    def lost(self):
        return {sort: self.sent[sort].count() - self.came[sort].count() for sort in self.SORTS}


def talk(net, ports, size):
    """Data in both directions of several connections at once: acknowledgements, too, come from a."""
    pairs = [net.connect(port) for port in ports]
    jobs = [Background(send_bytes, sock, size) for pair in pairs for sock in pair]
    jobs += [Background(receive_bytes, sock, size) for pair in pairs for sock in pair]
    for job in jobs:
        job.result()
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_nothing_else_is_touched(inject, net):
    """Between a's stack and b nothing is missing but what was injected; of another connection nothing at all."""
    for ns, dev in ((net.a, "a0"), (net.b, "b0")):
        ns.ip("link", "set", dev, "gso_max_segs", "1")  # one packet here is one packet there
    one = inject("stolen", "--inject-percent", "50")
    mine, other = Classes(net, PORT), Classes(net, PORT + 1)
    net.b.drop("input", DATA + " " + percent(4))
    net.a.drop("input", DATA + " " + percent(4))
    talk(net, [PORT, PORT + 1], 400000)
    wait_until(lambda: mine.lost()["data"] >= 3, 10, lambda: str(mine.lost()))
    count = finish(one)
    # The firewall tells by length: a segment of few bytes counts as a bare acknowledgement.
    short = sum(e["len"] + 52 <= 120 for e in injected(one.events()))
    assert count >= 3
    assert mine.lost() == {"data": count - short, "ack": short, "syn": 0}
    assert other.lost() == {"data": 0, "ack": 0, "syn": 0}
    assert mine.came["ack"].count() and mine.came["syn"].count()


@pytest.mark.parametrize("share", ["25", "33.33", "100"])
def test_percent(inject, net, share):
    """Of n that the classifier saw, n * percent / 100 rounded down, whatever CPU each was on."""
    limit = ["--inject-count", "40"] if share == "100" else []
    one = inject("stolen", "--inject-percent", share, *limit, "-P", "5001-5004")
    net.b.drop("input", DATA + " " + percent(5))
    talk(net, range(5001, 5005), 500000)
    count = finish(one)
    seen = len(judged(one.events()))
    hundredths = round(float(share) * 100)
    if limit:
        assert count == 40
    else:
        assert seen * hundredths // 10000 <= count <= (seen + one.stats()["unseen"]) * hundredths // 10000
    assert count >= 10


def test_count_on_all_cpus(inject, net):
    """Several connections at once: no one more than allowed, and no one less."""
    one = inject("shot", "--inject-count", "60", "-P", "5001-5006")
    net.b.drop("input", DATA + " " + percent(5))
    talk(net, range(5001, 5007), 400000)
    assert finish(one) == 60


def answer_stuck(net, port=PORT):
    """a's answers from the port never arrive. Returns (b's socket, a's socket)."""
    causes.steady(net)
    listener = net.listen(port, ns=net.a)
    asker = net.keep(net.b.socket())
    asker.connect((net.addr[4][0], port))
    answerer = net.keep(listener.accept()[0])
    net.b.drop("input", DATA)
    answerer.sendall(BLOCK[:1000])
    return asker, answerer


@pytest.mark.parametrize("option, drops", [("--dport", False), ("--sport", True), ("-P", True)])
def test_direction(inject, net, option, drops):
    """The kernel, too, tells the local from the remote end."""
    one = inject("stolen", option, str(PORT))
    answer_stuck(net)
    if drops:
        one.wait_events(lambda e: injected([e]), 2)
    else:
        arrived = net.b.count("prerouting", DATA)
        wait_until(lambda: arrived.count() >= 3, 15, "retransmissions to arrive")
    assert bool(finish(one)) == drops


def test_several_filters(inject, net):
    """All of them have to match: port, address, and the IP version."""
    one = inject("stolen", "-P", "5001,5002", "--daddr", "10.77.0.2,fd77::1", "-4")
    seen = {}
    for port, version in ((5001, 4), (5002, 4), (5003, 4), (5004, 6)):
        client, _ = net.connect(port, version)
        seen[port] = net.b.count("prerouting", "tcp dport %d %s" % (port, DATA))
        net.b.drop("input", "tcp dport %d %s" % (port, DATA))
        client.sendall(BLOCK[:1000])
    wait_until(lambda: seen[5003].count() > 2 and seen[5004].count() > 2, 15, "others to arrive")
    one.wait_events(lambda e: e["dport"] == 5001 and injected([e]), 2)
    one.wait_events(lambda e: e["dport"] == 5002 and injected([e]), 2)
    finish(one)
    assert {e["dport"] for e in injected(one.events())} == {5001, 5002}


def test_other_namespace(inject, net):
    """A port that matches in a namespace that does not."""
    one = inject("stolen", "-P", str(PORT), "--netns", net.b.name)
    client, server = net.connect(PORT)
    net.b.drop("input", DATA + " " + nth(0, 1))
    client.sendall(BLOCK[:1000])
    receive_bytes(server, 1000)
    assert finish(one) == 0


def test_named_namespace(rebpf, net):
    """Of a namespace that --netns names, the very first one."""
    causes.steady(net)
    one = rebpf("--inject", "stolen", "--inject-count", "1", "--netns", net.a.name, "-P", str(PORT))
    client, server = net.connect(PORT)
    net.b.drop("input", DATA + " " + nth(0))
    client.sendall(BLOCK[:1000])
    receive_bytes(server, 1000)
    events = one.wait_events(n=2)
    assert injected(events) == events[:1], brief(events)
    assert finish(one) == 1


def test_pid(inject, net):
    """The owner's, as the kernel side knows it; another process, to the same port, is left alone."""
    workers = []
    listener = net.listen(PORT)
    for name in ("rbmine", "rbother"):
        worker = net.worker(send_when_told, net.addr[4][1], ns=net.a, comm=name)
        workers.append((worker, net.keep(listener.accept()[0]), int(worker.hear())))
    mine, other = workers
    one = inject("stolen", "-p", str(mine[0].pid))
    # Both wait for an answer, so that it is known whose they are though they are older than rebpf.
    arrived = [net.b.count("prerouting", "tcp sport %d %s" % (port, DATA)) for _, _, port in workers]
    for _, _, port in workers:
        net.b.drop("input", "tcp sport %d %s" % (port, DATA))
    for worker, _, _ in workers:
        worker.tell()
    events = one.wait_events(lambda e: e["sport"] == mine[2] and injected([e]), 2)
    wait_until(lambda: arrived[1].count() > 3, 15, "the other's retransmissions to arrive")
    mine_arrived = arrived[0].count()
    finish(one)
    assert {e["sport"] for e in injected(one.events())} == {mine[2]}, brief(events)
    assert all(e["pid"] == mine[0].pid for e in one.events()), brief(one.events())
    # Without entry hooks, the first retransmission of a socket older than rebpf is let go.
    assert mine_arrived == (1 if has_entry_hooks() else 2)


def send_when_told(control, address):
    sock = lab.socket.socket()
    sock.connect((address, PORT))
    control.sendall(b"%d\n" % sock.getsockname()[1])
    lab.read_line(control)
    sock.sendall(BLOCK[:1000])
    lab.select.select([], [], [], 600)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("how", ["shot", "stolen"])
def test_syn(inject, net, how, version):
    """The first SYN goes out, its retransmission does not."""
    arrived = net.b.count("prerouting", SYN)
    one = inject(how)
    causes.stuck_syn(net, version)
    event = one.wait_events(lambda e: injected([e]), timeout=30)[0]
    check_event(event, how)
    assert event["type"] == "syn"
    assert arrived.count() == 1
    finish(one)


def test_no_synack(inject, net):
    one = inject("stolen", ns=net.b)
    sent = net.b.count("postrouting", SYNACK)
    came = net.a.count("prerouting", SYNACK)
    causes.stuck_synack(net)
    one.wait_events(lambda e: e["type"] == "synack", 2, timeout=30)
    assert finish(one) == 0
    assert sent.count() == came.count() >= 3


def test_first_copy_behind_a_neighbour(inject, net):
    """What waits for ARP leaves after snd_nxt has gone on: it looks like a retransmission and is none."""
    one = inject("stolen")
    net.a.ip("neigh", "del", net.addr[4][1], "dev", "a0")
    net.b.ip("neigh", "del", net.addr[4][0], "dev", "b0")
    arrived = net.b.count("prerouting", SYN)
    with net.a.counting() as rise:
        net.connect(PORT)
    assert finish(one) == 0
    assert (rise["TcpRetransSegs"], arrived.count()) == (0, 1)


@pytest.mark.parametrize("kind", ["vlan", "macvlan"])
def test_first_copies_behind_a_queue(inject, net, kind):
    """An upper device's queue hands first copies to the lower device late. Retransmissions meanwhile are dropped."""
    add_stack(net, kind)
    net.a.ip("link", "set", "up0", "gso_max_segs", "1")
    net.a.qdisc("up0", "tbf", "rate", "4mbit", "burst", "3000", "limit", "200000")
    client, server = net.connect(PORT)
    one = inject("stolen", "--inject-percent", "50")
    sent, came = net.a.count("postrouting", DATA), net.b.count("prerouting", "iifname up0 " + DATA)
    net.b.drop("input", DATA + " " + percent(3))
    lab.transfer(client, server, 300000)
    assert finish(one) == sent.count() - came.count()


@pytest.mark.parametrize("tc", ["tcx", "clsact"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM], ids=lambda s: s.name)
def test_ends_with_the_program(inject, net, tc, how):
    """Killed, stopped or told to end: within a few seconds, what is retransmitted arrives again."""
    one = inject("stolen", tc=tc)
    client, server = net.connect(PORT)
    net.b.drop("input", DATA + " " + nth(0))
    client.sendall(BLOCK[:1000])
    one.wait_events(lambda e: injected([e]), 2)
    one.process.send_signal(how)
    with contextlib.ExitStack() as stack:
        if how == signal.SIGSTOP:
            stack.callback(one.process.send_signal, signal.SIGCONT)
        server.settimeout(20 * lab.SLOW)
        receive_bytes(server, 1000)


@pytest.mark.parametrize("kind", ["vlan", "macvlan", "vxlan"])
def test_stacked_devices(inject, net, kind):
    """Dropped at the first device, once: the share is of retransmissions, not of devices."""
    add_stack(net, kind)
    one = inject("stolen", "--inject-percent", "50", "-P", str(PORT))
    causes.stuck(net)
    events = one.wait_events(lambda e: e["tc"], 6)[:6]
    assert [len(e["tc"]) for e in events] == [2, 1] * 3, brief(events)
    for event in events[1::2]:
        check_event(event, "stolen", "up0")
    finish(one)


def test_many_segments_in_one_buffer(make_net, rebpf):
    """A buffer of several segments is one retransmission: all of it goes."""
    need_failures()
    net = make_net(tso=True)
    one = rebpf("--inject", "shot", "--inject-count", "2", "-P", str(PORT), "--netns", net.a.name, ns=net.a)
    client, server, rule = causes.stuck(net)
    sending = Background(client.sendall, BLOCK[:60000])
    events = one.wait_events(lambda e: injected([e]), 2)
    rule.remove()
    receive_bytes(server, 61000)
    sending.result()
    assert all(e["drop"] and e["ret"] == 1 for e in events), brief(events)
    assert finish(one) == 2


def test_announced_even_if_quiet():
    status, _, err = run_rebpf("-q", "--inject", "shot", "-a", "192.0.2.1", "--inject-percent", "12.5", "--inject-count",
                               "7", "-d", "0.2")
    assert status == 0, err
    assert err.splitlines() == [
        "rebpf: INJECTING LOSS: drops 12.50 % of the retransmissions, but no more than 7, of flows that match -a "
        "192.0.2.1; "
        "TCP is told (ret 1); until rebpf ends",
        "rebpf: injected loss: 0 retransmissions dropped"]


def test_metrics(inject, net):
    one = inject("stolen", "--inject-count", "2", "--listen", "21120")
    client, server = net.connect(PORT)
    net.b.drop("input", DATA + " " + nth(0))
    client.sendall(BLOCK[:1000])
    receive_bytes(server, 1000)

    def page():
        with urllib.request.urlopen("http://127.0.0.1:21120/metrics", timeout=10 * lab.SLOW) as answer:
            return answer.read().decode().splitlines()

    wait_until(lambda: "rebpf_injected_total 2" in net.a.inside(page), 10, "the counter")
    finish(one)


def test_recorded(inject, net, tmp_path):
    """A replay shows the same, and drops nothing."""
    path = str(tmp_path / "injected.rebpf")
    one = inject("stolen", "--inject-count", "2", "-w", path)
    client, server = net.connect(PORT)
    net.b.drop("input", DATA + " " + nth(0))
    client.sendall(BLOCK[:1000])
    receive_bytes(server, 1000)
    assert one.wait_events(n=3)
    finish(one)
    status, out, err = run_rebpf("-r", path, "-e", "retransmit", "-o", "json", "--netns",
                               str(net.a.inode), "-P", str(PORT), force=False)
    assert status == 0, err
    again = [json.loads(line) for line in out.splitlines()]
    assert again[:-1] == one.events()
    assert again[-1]["injected"] == 2


def test_drop_lines_name_it(rebpf, net):
    """What the kernel frees for it is told as what it is: somebody's policy."""
    causes.steady(net)
    one = rebpf("--inject", "stolen", "--inject-count", "2", "-P", str(PORT), "--netns", net.a.name, ns=net.a,
                events="drop")
    client, server = net.connect(PORT)
    net.b.drop("input", DATA + " " + nth(0))
    client.sendall(BLOCK[:1000])
    receive_bytes(server, 1000)
    drops = one.wait_events(lambda e: e["reason"] == "REBPF_INJECT", 2, event="drop")
    assert all((e["class"], e["synthetic"], e["ifname"]) == ("policy", False, "a0") for e in drops), brief(drops)
    assert one.stop() == 0


def test_costs_nothing_when_off(rebpf, net):
    """The verifier has taken it out."""
    if not shutil.which("bpftool"):
        pytest.skip("no bpftool to look at the program with")

    def code(*args):
        one = rebpf(*args, "-P", str(PORT), "--netns", net.a.name, ns=net.a)
        programs = json.loads(run("bpftool", "-j", "prog", "show"))
        mine = [p["id"] for p in programs if p.get("name", "").startswith("rebpf_tc_egr") and
                any(holder["pid"] == one.pid for holder in p.get("pids", []))]
        dumped = [run("bpftool", "prog", "dump", "xlated", "id", str(number)) for number in mine]
        assert one.stop() == 0
        return dumped

    on, off = code("--inject", "stolen"), code()
    if not on or not off:
        pytest.skip("bpftool does not show whose programs are whose")
    assert any("spin_lock" in text for text in on)
    assert not any("spin_lock" in text or "bpf_redirect" in text for text in off)


REFUSED = [
    (["--inject", "shot"], "address"),
    (["--inject", "shot", "--netns", "/proc/self/ns/net"], "address"),
    (["--inject", "shot", "-i", "lo"], "address"),
    (["--inject", "shot", "--comm", "nginx"], "--comm"),
    (["--inject", "shot", "-P", "443", "--comm", "nginx"], "--comm"),
    (["--inject", "shot", "-P", "443", "--type", "rto"], "--type"),
    (["--inject", "shot", "-P", "443", "--cause", "local"], "--cause"),
    (["--inject", "shot", "-P", "443", "--reason", "TC_EGRESS"], "--reason"),
    (["--inject", "shot", "-P", "443", "-r", "file"], "--read"),
    (["--inject", "shot", "-P", "443", "--check"], "--check"),
    (["--inject", "gone", "-P", "443"], "gone"),
    (["--inject-percent", "10", "-P", "443"], "--inject"),
    (["--inject-count", "10", "-P", "443"], "--inject"),
    (["--inject", "shot", "-P", "443", "--inject-percent", "0"], "0"),
    (["--inject", "shot", "-P", "443", "--inject-percent", "100.01"], "100.01"),
    (["--inject", "shot", "-P", "443", "--inject-percent", "0.001"], "0.001"),
    (["--inject", "shot", "-P", "443", "--inject-count", "0"], "0"),
]


@pytest.mark.parametrize("args, part", REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_refused(args, part):
    status, out, err = run_rebpf(*args, force=False)
    assert (status, out) == (2, ""), err
    assert len(err.splitlines()) == 1 and part in err, err


def test_without_a_classifier():
    status, _, err = run_rebpf("--inject", "shot", "-P", "443", *force("tc=none"), force=False)
    assert status == 3 and "--inject" in err, err
