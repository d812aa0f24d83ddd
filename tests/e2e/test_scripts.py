# SPDX-License-Identifier: MIT
"""scripts/netem.sh and tcp-chaos.sh: loss and delay for users, undone whatever happens."""
import os
import re
import signal
import subprocess

import pytest

from lab import SLOW, wait_until
from tracer import TOP

NETEM = os.path.join(TOP, "scripts", "netem.sh")
CHAOS = os.path.join(TOP, "scripts", "tcp-chaos.sh")


class Script:
    """A script that runs in a namespace."""

    def __init__(self, ns, *args):
        self.process = subprocess.Popen(["nsenter", "--net=/run/netns/" + ns.name, "--", *args], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        self.said = ""

    def wait_for(self, text):
        for line in self.process.stdout:
            self.said += line
            if text in line:
                return self
        raise AssertionError("it ended with %d: %s" % (self.process.wait(), self.said))

    def end(self, how=None):
        if how:
            self.process.send_signal(how)
        self.said += self.process.communicate(timeout=60 * SLOW)[0]
        return self.process.returncode


@pytest.fixture
def script():
    """script(ns, *args): ends with the test."""
    started = []

    def start(ns, *args):
        started.append(Script(ns, *args))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def refused(ns, *args):
    """(exit status, the one line that it says)."""
    done = subprocess.run(["nsenter", "--net=/run/netns/" + ns.name, "--", *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=60 * SLOW,
                          check=False)
    return done.returncode, done.stdout


def state(ns):
    """What netem.sh may change."""
    return ns.tc("qdisc", "show", "dev", "a0"), ns.run("nft", "list", "ruleset")


def has_netem(net):
    done = subprocess.run(["tc", "-n", net.b.name, "qdisc", "add", "dev", "b0", "root", "netem"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        net.b.no_qdisc("b0")
    return done.returncode == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None], ids=str)
def test_loss_until_it_ends(net, script, how):
    """All is lost while it runs, and nothing afterwards; what was there before is there again."""
    before = state(net.a)
    ending = ["--time", "2"] if how is None else []
    one = script(net.a, NETEM, "--loss", "100", *ending, "a0").wait_for("ready")
    during = state(net.a)
    assert during != before
    assert ("netem 7eb0: " in during[0]) == has_netem(net)
    ping = ["ping", "-c", "1", "-W", "1", net.addr[4][1]]
    assert net.a.run(*ping, check=False).count("bytes from") == 0
    assert one.end(how) == (128 + how if how else 0), one.said
    assert state(net.a) == before
    assert net.a.run(*ping).count("bytes from") == 1
    assert "as it was" in one.said


def test_share(net, script):
    """About a tenth of what is sent gets lost."""
    script(net.a, NETEM, "--loss", "10", "a0").wait_for("ready")
    came = net.a.count("input", "icmp type echo-reply") if not has_netem(net) else net.b.count("input", "icmp type echo-request")
    net.a.run("ping", "-q", "-f", "-c", "1000", "-w", str(int(20 * SLOW)), net.addr[4][1], check=False)
    assert 820 <= came.count() <= 970


def test_delay(net, script):
    if not has_netem(net):
        status, said = refused(net.a, NETEM, "--delay", "50ms", "a0")
        assert (status, len(said.splitlines())) == (1, 1) and "delay is not possible" in said
        return
    one = script(net.a, NETEM, "--delay", "60ms", "--jitter", "5ms", "a0").wait_for("ready")
    took = float(re.search(r"time=([\d.]+)", net.a.run("ping", "-c", "1", net.addr[4][1])).group(1))
    assert 50 <= took <= 1000 * SLOW
    assert one.end(signal.SIGTERM) == 143


def test_refuses_to_replace(net):
    """A queueing discipline of somebody else stays."""
    net.a.tc("qdisc", "add", "dev", "a0", "root", "handle", "1:", "pfifo", "limit", "77")
    before = state(net.a)
    status, said = refused(net.a, NETEM, "--loss", "1", "a0")
    assert (status, len(said.splitlines())) == (1, 1) and "limit 77" in said
    assert state(net.a) == before


def test_default_route(net, script):
    """Its device is the default, and protected."""
    net.a.ip("route", "add", "default", "via", net.addr[4][1], "dev", "a0")
    before = state(net.a)
    for args in (["--loss", "20.01"], ["--loss", "100", "a0"]):
        status, said = refused(net.a, NETEM, *args)
        assert (status, len(said.splitlines())) == (2, 1) and "--force" in said
    assert state(net.a) == before
    for args in (["--loss", "20"], ["--loss", "90", "--force"]):
        one = script(net.a, NETEM, *args).wait_for("ready: a0")
        assert one.end(signal.SIGTERM) == 143
    assert state(net.a) == before


@pytest.mark.parametrize("args", [[], ["--loss"], ["--loss", "0", "a0"], ["--loss", "101", "a0"], ["--loss", "1.234", "a0"],
                                  ["--loss", "x", "a0"], ["--delay", "5", "a0"], ["--jitter", "5ms", "--loss", "1", "a0"],
                                  ["--time", "0", "--loss", "1", "a0"], ["--loss", "1", "none0"], ["--loss", "1"],
                                  ["--loss", "1", "a0", "a0"], ["--loss", "1", "--nonsense", "a0"]], ids=" ".join)
def test_bad_options(net, args):
    before = state(net.a)
    status, said = refused(net.a, NETEM, *args)
    assert status == 2 and said and "ready" not in said, said
    assert state(net.a) == before


def chaos_namespaces(pid):
    return [name for name in os.listdir("/run/netns") if re.match(r"rebpf-chaos-[cs]%d$" % pid, name)]


def test_chaos_in_its_own_network(net, script):
    """Real transfers lose packets, arrive whole all the same, and nothing is left."""
    one = script(net.a, CHAOS, "--loss", "5", "--transfers", "5", "--size", "200000")
    assert one.end() == 0, one.said
    done = re.search(r"^5 of 5 transfers of 200000 bytes complete; segments retransmitted: (\d+)$", one.said, re.M)
    assert done and int(done.group(1)) >= 5, one.said
    assert not chaos_namespaces(one.process.pid)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_chaos_interrupted(net, script, how):
    one = script(net.a, CHAOS, "--loss", "1", "--transfers", "1000", "--size", "10000000").wait_for("ready")
    wait_until(lambda: len(chaos_namespaces(one.process.pid)) == 2, 10, "its namespaces")
    assert one.end(how) == 128 + how, one.said
    wait_until(lambda: not chaos_namespaces(one.process.pid), 10, "its namespaces to go")


SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes(300000))
print("serving", flush=True)
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""


def test_chaos_against_a_server(net, script):
    """A URL, over a device with loss, which is then as it was."""
    before = state(net.a)
    script(net.b, "python3", "-u", "-c", SERVER).wait_for("serving")
    with net.b.counting() as rise:
        one = script(net.a, CHAOS, "--loss", "3", "--transfers", "3", "--dev", "a0", "http://%s:8000/" % net.addr[4][1])
        assert one.end() == 0, one.said
    assert "3 of 3 transfers of http://" in one.said
    assert rise["TcpRetransSegs"] > 0
    assert state(net.a) == before


@pytest.mark.parametrize("args", [["nonsense"], ["--dev", "a0"], ["--transfers", "1001"], ["--size", "0"], ["--loss"],
                                  ["ftp://h/"]], ids=" ".join)
def test_chaos_bad_options(net, args):
    status, said = refused(net.a, CHAOS, *args)
    assert (status, len(said.splitlines())) == (2, 1), said
