# SPDX-License-Identifier: MIT
"""--listen: what it counts against the kernel's own counters, what Prometheus makes of it, and what clients cannot do."""
import contextlib
import datetime
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest

import causes
import lab
from lab import BLOCK, SLOW, Capture, need, run, wait_until
from test_drop import flood
from tracer import BINARY, TOP, brief, has_reasons, run_rebpf

PORT = 2112
STANDING = ("TCP_LISTEN_OVERFLOW", "TCP_REQQ_FULL", "RETRIES_EXCEEDED")  # series that are there from the start
SAMPLE = re.compile(r'^(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def ask(ns, path="/metrics", method="GET", host="127.0.0.1", port=PORT, timeout=10, body=None):
    """One request from within a namespace: (status, headers, text)."""
    def go():
        connection = http.client.HTTPConnection(host, port, timeout=timeout * SLOW)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    return ns.inside(go)


class Page:
    """The samples of a page."""

    def __init__(self, text):
        self.text, self.samples = text, []
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            match = SAMPLE.match(line)
            assert match, line
            self.samples.append((match.group(1), dict(LABEL.findall(match.group(2) or "")), float(match.group(3))))

    def sum(self, name, **labels):
        """The sum of the samples with these labels."""
        return sum(value for other, theirs, value in self.samples
                   if other == name and all(theirs.get(key) == wanted for key, wanted in labels.items()))

    def labels(self, name):
        return [labels for other, labels, _ in self.samples if other == name]


def scrape(ns, **how):
    status, headers, text = ask(ns, **how)
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Page(text)


def listening(rebpf, net, *args, netns=True, **how):
    """rebpf in a, which counts what happens in a (and in b, if said so)."""
    filters = ["--netns", net.a.name if netns is True else netns] if netns else []
    return rebpf("--listen", str(PORT), *filters, *args, ns=net.a, **how)


def settle(net, rule, client):
    """Lets what is stuck through, and waits until all of it has arrived."""
    rule.remove()
    wait_until(lambda: not unacknowledged(client), 30, "the acknowledgements")
    time.sleep(0.3 * SLOW)


def unacknowledged(sock):
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[24:28], "little")


# ---- exactness ----


@pytest.mark.parametrize("version", [4, 6])
def test_counts_equal_the_kernels(net, rebpf, version):
    """What is counted is all that happens, though drops only are printed; and what JSON says of it elsewhere."""
    one = listening(rebpf, net, events="drop")
    other = rebpf("--netns", net.a.name)
    with net.a.counting() as rise:
        client, _, rule = causes.stuck(net, version)
        other.wait_events(n=4)
        settle(net, rule, client)
    page = wait_until(lambda: (lambda p: p.sum("rebpf_retransmitted_segments_total") >= rise["TcpRetransSegs"] and p)(
        scrape(net.a)), 10, "the segments")
    events = other.events()
    assert page.sum("rebpf_retransmitted_segments_total") == rise["TcpRetransSegs"] == sum(e["segs"] for e in events), (
        brief(events) + page.text)
    for event in events:
        alike = [e for e in events if all(e[key] == event[key] for key in ("type", "outcome", "cause"))]
        assert page.sum("rebpf_retransmits_total", type=event["type"], outcome=event["outcome"],
                        cause=event["cause"]) == len(alike), page.text
        assert page.sum("rebpf_retransmit_ret_total", ret=str(event["ret"])) == len(
            [e for e in events if e["ret"] == event["ret"]])
    source, target = net.addr[version]
    assert page.labels("tcp_retransmissions_total") == [
        {"ip_version": str(version), "src_ip": source, "src_port": "", "dst_ip": target, "dst_port": "5001"}]
    assert page.sum("tcp_retransmissions_total") == len(events)
    assert page.sum("rebpf_connects_total", result="established") >= 1
    assert page.sum("rebpf_netns_retransmitted_segments_total", netns=str(net.a.inode)) <= rise["TcpRetransSegs"]
    assert abs(page.sum("rebpf_start_time_seconds") - time.time()) < 300 * SLOW
    assert not one.events("retransmit")


def test_metrics_ports_and_folding(net, rebpf):
    """Every port is a label if asked for; flows beyond the bound are one series, and the known ones go on."""
    listening(rebpf, net, "--metrics-ports", "--metrics-max-series", "2")
    client, _, rule = causes.stuck(net)
    port = client.getsockname()[1]
    wait_until(lambda: scrape(net.a).sum("tcp_retransmissions_total", src_port=str(port)) >= 1, 15, "the first flow")
    clients = [client]
    for _ in range(4):
        more = net.keep(net.a.socket())
        more.connect((net.addr[4][1], 5001))
        more.sendall(BLOCK[:1000])
        clients.append(more)
    page = wait_until(lambda: (lambda p: p.sum("rebpf_metrics_folded_total") >= 3 and p)(scrape(net.a)), 15, "folding")
    assert page.sum("rebpf_metrics_series") == 2
    assert page.sum("tcp_retransmissions_total", src_port="other") == page.sum("rebpf_metrics_folded_total")
    before = page.sum("tcp_retransmissions_total", src_port=str(port))
    page = wait_until(lambda: (lambda p: p.sum("tcp_retransmissions_total", src_port=str(port)) > before and p)(
        scrape(net.a)), 15, "the known flow")
    assert len(page.labels("tcp_retransmissions_total")) == 3
    settle(net, rule, client)


def test_drops_and_filters(net, rebpf):
    """A drop by its reason and place; and with a filter nothing of another port."""
    listening(rebpf, net, "-P", "5001", netns=net.b.name)
    flood(net, 50)
    page = wait_until(lambda: (lambda p: p.sum("rebpf_drops_total") >= 50 and p)(scrape(net.a)), 10, "the drops")
    assert page.sum("rebpf_drops_total") == 50
    label = next(one for one in page.labels("rebpf_drops_total") if one["reason"] not in STANDING)
    assert label["class"] == "policy" and re.match(r"^\w+\+0x[0-9a-f]+(\[\w+\])?$", label["location"]), label
    if has_reasons():
        assert label["reason"] == "NETFILTER_DROP"


def test_connects(net, rebpf):
    listening(rebpf, net)
    net.connect()
    refused = net.keep(net.a.socket())
    with pytest.raises(ConnectionRefusedError):
        refused.connect((net.addr[4][1], 5999))
    page = wait_until(lambda: (lambda p: p.sum("rebpf_connects_total", result="refused") and p)(scrape(net.a)), 10,
                      "the connects")
    assert page.sum("rebpf_connects_total", result="refused") == 1
    # Those of the scrapes are among them.
    established = page.sum("rebpf_connects_total", result="established")
    assert established >= 2
    assert page.sum("rebpf_connect_latency_seconds_count") == established
    assert page.sum("rebpf_connect_latency_seconds_bucket", le="+Inf") == established


def inject_resets(net, port, count):
    """Resets from nowhere to a port."""
    one = Capture(net.a, "a0")
    try:
        macs = bytes.fromhex("020000000002" "020000000001")
        source, target = (socket.inet_aton(address) for address in net.addr[4])
        for i in range(count):
            one.inject(lab.build_frame(macs, source, target, 6000, port, i, 0, 4))
    finally:
        one.close()


def test_overflow_stays_exact(net, rebpf):
    """Rings that overflow while rebpf does not get the CPU: events are lost, counts are not.

    What no program sees (where this machine runs none) is far less than what is lost. Lost ones are filtered by address and
    port only, so the port is one that no other test uses.
    """
    port = 20000 + os.getpid() % 10000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
                                                max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    one = rebpf("--listen", str(PORT), "-P", str(port), ns=net.a, output="none", events=None)
    causes.steady(net)
    listener = net.listen(port)
    listener.listen(4096)
    with net.a.counting() as rise:
        clients = []
        for _ in range(1600):
            clients.append(net.keep(net.a.socket()))
            clients[-1].connect((net.addr[4][1], port))
            net.keep(listener.accept()[0])
        rules = [net.b.drop("input", "tcp dport %d %s" % (port, match)) for match in (lab.DATA, "tcp flags & rst == rst")]
        os.kill(one.pid, signal.SIGSTOP)
        try:
            for client in clients:
                client.sendall(BLOCK[:500])
            inject_resets(net, port, 40000)
            time.sleep(3 * SLOW)
        finally:
            os.kill(one.pid, signal.SIGCONT)
        wait_until(lambda: rules[1].count() == 40000, 30, "the resets")
        drops = sum(rule.count() for rule in rules)
        rules[0].remove()
        wait_until(lambda: not any(unacknowledged(client) for client in clients), 60, "the acknowledgements")
    time.sleep(2 * SLOW)
    page = scrape(net.a)
    lost = {ring: page.sum("rebpf_records_lost_total", ring=ring) for ring in ("control", "drops")}
    segments, dropped = page.sum("rebpf_retransmitted_segments_total"), page.sum("rebpf_drops_total", **{"class": "policy"})
    attempts = page.sum("rebpf_retransmits_total")
    print("%d of %d segments, %d of %d drops, lost records %r" % (segments, rise["TcpRetransSegs"], dropped, drops, lost))
    assert lost["control"] > 5000 and lost["drops"] > 5000, lost
    assert rise["TcpRetransSegs"] * 0.998 <= segments <= rise["TcpRetransSegs"]
    assert drops * 0.998 <= dropped <= drops + 100  # some are of the moment between count() and remove()
    assert page.sum("rebpf_retransmits_total", type="unknown", cause="unknown") > 1000
    assert attempts == page.sum("rebpf_retransmit_ret_total")
    assert attempts - page.sum("rebpf_retransmits_total", outcome="refused") == page.sum("tcp_retransmissions_total")


# ---- Prometheus ----


@contextlib.contextmanager
def prometheus(ns, directory, interval="1s"):
    """A real server in the namespace, with the configuration and the rules that are shipped."""
    need("prometheus")
    with open(os.path.join(TOP, "scripts", "prometheus.yml"), encoding="ascii") as file:
        config = file.read().replace("_interval: 15s", "_interval: " + interval)
    config = config.replace("rebpf-rules.yml", os.path.join(TOP, "scripts", "rebpf-rules.yml"))
    path = os.path.join(str(directory), "prometheus.yml")
    with open(path, "w", encoding="ascii") as file:
        file.write(config)
    with open(os.path.join(str(directory), "log"), "w", encoding="ascii") as log:
        process = subprocess.Popen(
            ["nsenter", "--net=/run/netns/" + ns.name, "prometheus", "--config.file=" + path,
             "--storage.tsdb.path=" + os.path.join(str(directory), "tsdb"), "--web.listen-address=127.0.0.1:9090",
             "--log.level=warn"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: is_up(ns) or process.poll() is not None, 60, "Prometheus")
            assert process.poll() is None, "see " + log.name
            yield
        finally:
            process.terminate()
            process.wait(30)


def is_up(ns):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(ns, "/-/ready", port=9090)[0] == 200
    return False


def query(ns, text):
    """The value of a PromQL query with one result; None: it has none."""
    status, _, answer = ask(ns, "/api/v1/query?" + urllib.parse.urlencode({"query": text}), port=9090)
    assert status == 200, answer
    result = json.loads(answer)["data"]["result"]
    assert len(result) <= 1, result
    return float(result[0]["value"][1]) if result else None


def test_prometheus_scrapes_what_nstat_counts(net, rebpf, tmp_path):
    need("prometheus")
    listening(rebpf, net)
    with prometheus(net.a, tmp_path), net.a.counting() as rise:
        wait_until(lambda: query(net.a, "rebpf_build_info") == 1, 30, "the first scrape")
        assert query(net.a, "sum(rebpf_retransmitted_segments_total)") == 0
        client, _, rule = causes.stuck(net)
        wait_until(lambda: (query(net.a, "sum(rebpf_retransmitted_segments_total)") or 0) >= 5, 30, "retransmissions")
        settle(net, rule, client)
        wanted = net.a.counters()["TcpRetransSegs"]
        kernel = 'rebpf_netns_retransmitted_segments_total{netns="%d"}' % net.a.inode
        wait_until(lambda: query(net.a, kernel) == wanted, 30, "the kernel's count")
        wait_until(lambda: query(net.a, "sum(rebpf_retransmitted_segments_total)") >= wanted, 10, "rebpf's count")
        assert query(net.a, "sum(rebpf_retransmitted_segments_total)") == wanted
        assert query(net.a, "sum(tcp_retransmissions_total)") >= 5
        assert query(net.a, 'up{job="rebpf"}') == 1
        # What the alert of 2 % is about.
        ratio = query(net.a, "sum(rebpf_netns_retransmitted_segments_total) / sum(rebpf_netns_out_segments_total)")
        assert 0 < ratio < 1
        status, _, rules = ask(net.a, "/api/v1/rules", port=9090)
        found = [rule for group in json.loads(rules)["data"]["groups"] for rule in group["rules"]]
        assert status == 200 and len(found) >= 5 and all(rule["health"] != "err" for rule in found), found
    assert rise["TcpRetransSegs"] == wanted


def test_promtool(net, rebpf):
    """Prometheus' own linters find nothing to say of the page and of the rules."""
    promtool = need("promtool")
    listening(rebpf, net, netns=None)
    client, _, rule = causes.stuck(net)
    page = wait_until(lambda: (lambda p: p.sum("tcp_retransmissions_total") >= 2 and p)(scrape(net.a)), 15, "retransmissions")
    settle(net, rule, client)
    done = subprocess.run([promtool, "check", "metrics"], input=page.text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, timeout=30, check=False)
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout
    assert "SUCCESS" in run(promtool, "check", "rules", os.path.join(TOP, "scripts", "rebpf-rules.yml"))
    assert "SUCCESS" in run(promtool, "check", "config", os.path.join(TOP, "scripts", "prometheus.yml"))


def test_dashboard_queries(net, rebpf, tmp_path):
    """Every query of the dashboard is one that the server understands."""
    need("prometheus")
    with open(os.path.join(TOP, "scripts", "grafana-dashboard.json"), encoding="utf-8") as file:
        board = json.load(file)
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(queries) >= 8
    listening(rebpf, net)
    with prometheus(net.a, tmp_path):
        for text in queries:
            text = text.replace("$__rate_interval", "1m").replace("$instance", ".*")
            status, _, answer = ask(net.a, "/api/v1/query?" + urllib.parse.urlencode({"query": text}), port=9090)
            assert status == 200, (text, answer)


def test_run_prometheus_script(net, tmp_path):
    """It starts rebpf and Prometheus, and leaves nothing of them."""
    need("prometheus")
    script = os.path.join(TOP, "scripts", "run-prometheus.sh")
    process = subprocess.Popen(["nsenter", "--net=/run/netns/" + net.a.name, script, "60"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
                               env=dict(os.environ, REBPF=BINARY, INTERVAL="1s", TMPDIR=str(tmp_path)))
    try:
        wait_until(lambda: is_up(net.a) and query(net.a, "rebpf_build_info") == 1, 60, "a scrape")
        process.terminate()
        assert process.wait(30) == 130
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stderr.close()
    wait_until(lambda: not run("ip", "netns", "pids", net.a.name).split(), 10, "its processes to end")
    assert os.listdir(str(tmp_path)) == []


# ---- clients ----


def delays(one, since):
    """How long after they happened events were printed, in seconds, by the clock."""
    found = []
    for arrived, line in list(one.lines):
        if arrived >= since and '"event":"retransmit"' in line:
            text = json.loads(line)["time"][:26]
            happened = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=datetime.timezone.utc)
            found.append(arrived - happened.timestamp())
    return found


class Attack:
    """Clients that mean no good, for some seconds each."""

    def __init__(self, ns):
        self.ns, self.sockets = ns, []

    def connect(self):
        sock = self.ns.socket()
        sock.settimeout(1)
        self.sockets.append(sock)
        with contextlib.suppress(OSError):
            sock.connect(("127.0.0.1", PORT))
        return sock

    def send(self, sock, data):
        with contextlib.suppress(OSError):
            sock.sendall(data)

    def many_idle(self):
        for _ in range(100):
            self.connect()

    def byte_by_byte(self):
        sock = self.connect()
        for byte in b"GET /metrics HT":
            self.send(sock, bytes([byte]))
            time.sleep(0.2)

    def huge_header(self):
        for _ in range(20):
            self.send(self.connect(), b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 1000000)

    def endless_line(self):
        for _ in range(20):
            self.send(self.connect(), b"y" * 1000000)

    def wrong_methods(self):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
            with contextlib.suppress(OSError, http.client.HTTPException):
                assert ask(self.ns, method=method)[0] == 405

    def never_reads(self):
        for _ in range(20):
            sock = self.connect()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            self.send(sock, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)

    def scrapes_without_end(self):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                ask(self.ns)

    def resets(self):
        for _ in range(100):
            sock = self.connect()
            self.send(sock, b"GET /metrics HTTP/1.1\r\n\r\n")
            lab.reset(sock)

    def close(self):
        for sock in self.sockets:
            lab.reset(sock)


ATTACKS = ["many_idle", "never_reads", "byte_by_byte", "huge_header", "endless_line", "wrong_methods",
           "scrapes_without_end", "resets"]


@pytest.mark.parametrize("how", ATTACKS if SLOW == 1 else ATTACKS[:2])
def test_hostile_clients_delay_nothing(net, rebpf, how):
    one = listening(rebpf, net)
    causes.stuck(net)
    for port in range(5002, 5006):
        causes.stuck(net, port=port)
    one.wait_events(n=5)
    attack = Attack(net.a)
    began = time.time()
    try:
        getattr(attack, how)()
        wait_until(lambda: time.time() > began + 2 and len(delays(one, began)) >= 5, 20, "events during the attack")
        # Still there, for those who ask as they should.
        assert scrape(net.a, timeout=20).sum("rebpf_retransmitted_segments_total") > 0
    finally:
        attack.close()
    late = sorted(delays(one, began))
    # An event may wait for a look at all of this host's namespaces, a second at most; a client that is waited for has ten.
    assert late[len(late) // 2] < 0.3 * SLOW and late[-1] < 1.5 * SLOW, late
    assert one.stop() == 0


# ---- what it listens on ----


def test_scrape_beside_idle_clients(net, rebpf):
    """Seventy clients that say nothing are in front of it, and it comes through in a second or two."""
    listening(rebpf, net)
    attack = Attack(net.a)
    try:
        for _ in range(70):
            attack.connect()
        began = time.monotonic()
        assert scrape(net.a, timeout=20).sum("rebpf_build_info") == 1
        assert time.monotonic() - began < 4 * SLOW
    finally:
        attack.close()


def test_ipv6_and_methods(net, rebpf):
    rebpf("--listen", "[::1]:%d" % PORT, ns=net.a)
    assert scrape(net.a, host="::1").sum("rebpf_build_info") == 1
    status, headers, text = ask(net.a, method="HEAD", host="::1")
    assert (status, text) == (200, "") and int(headers["Content-Length"]) > 1000
    assert ask(net.a, "/", host="::1")[0] == 200
    assert ask(net.a, "/nothing", host="::1")[0] == 404
    status, headers, _ = ask(net.a, method="POST", host="::1", body="x")
    assert status == 405 and headers["Allow"] == "GET, HEAD"
    with pytest.raises(OSError):
        ask(net.a)


@pytest.mark.parametrize("output", ["text", "none", "count"])
def test_with_every_output(net, rebpf, output):
    one = rebpf("--listen", str(PORT), ns=net.a, output=output, events=None)
    causes.stuck(net)
    wait_until(lambda: scrape(net.a).sum("rebpf_retransmitted_segments_total") > 1, 15, "retransmissions")
    assert one.stop() == 0


def test_busy_port(net):
    busy = net.a.inside(socket.create_server, ("127.0.0.1", PORT))
    try:
        status, out, err = run_rebpf("--listen", str(PORT), prefix=["nsenter", "--net=/run/netns/" + net.a.name])
    finally:
        busy.close()
    assert (status, out) == (1, "")
    assert err == "rebpf: --listen: cannot listen on 127.0.0.1:%d: Address already in use\n" % PORT


@pytest.mark.parametrize("value", ["", "0", "70000", "localhost:2112", "::1:2112", "1.2.3.4:"])
def test_bad_values(value):
    status, out, err = run_rebpf("--listen", value, force=False)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and "--listen: invalid value '%s'" % value in err
