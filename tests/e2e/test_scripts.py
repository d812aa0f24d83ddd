# SPDX-License-Identifier: MIT
"""scripts/netem.sh and tcp-chaos.sh: loss and delay for users, undone whatever happens."""
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time

import pytest

from lab import SLOW, wait_until
from tracer import TOP

NETEM = os.path.join(TOP, "scripts", "netem.sh")
CHAOS = os.path.join(TOP, "scripts", "tcp-chaos.sh")


class Script:
    """A script that runs in a namespace."""

    def __init__(self, ns, *args):
        self.process = subprocess.Popen(["nsenter", "--net=/run/netns/" + ns.name, "--", *args], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                                        start_new_session=True)
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
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait()
        one.process.stdout.close()


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


def arriving(net, count, back, wait=0.3):
    """How many of so many datagrams from a to b arrive, or from b to a."""
    ends = [net.keep(ns.socket(socket.AF_INET, socket.SOCK_DGRAM)) for ns in ((net.b, net.a) if back else (net.a, net.b))]
    ends[1].bind(("", 9))
    ends[1].setblocking(False)
    got = 0
    for i in range(count):
        ends[0].sendto(b"%d" % i, (net.addr[4][0 if back else 1], 9))
        while got < count and select.select([ends[1]], [], [], wait * SLOW if i == count - 1 else 0)[0]:
            got += bool(ends[1].recv(16))
    for end in ends:
        end.close()
    return got


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None], ids=str)
def test_loss_until_it_ends(net, script, how):
    """All is lost while it runs, and nothing afterwards; what was there before is there again."""
    before = state(net.a)
    ending = ["--time", "2"] if how is None else []
    one = script(net.a, NETEM, "--loss", "100", *ending, "a0").wait_for("ready")
    during = state(net.a)
    assert during != before
    assert ("netem 7eb0: " in during[0]) == ("nftables" not in one.said)
    if how:
        assert arriving(net, 20, "nftables" in one.said) == 0
    assert one.end(how) == (143 if how == signal.SIGHUP else 128 + how if how else 0), one.said
    assert state(net.a) == before
    assert arriving(net, 20, False) == arriving(net, 20, True) == 20
    assert "as it was" in one.said


def test_share(net, script):
    """About a tenth gets lost, and of the other direction nothing."""
    one = script(net.a, NETEM, "--loss", "10", "a0").wait_for("ready")
    back = "nftables" in one.said
    assert 840 <= arriving(net, 1000, back) <= 950
    assert arriving(net, 100, not back) == 100


def test_delay(net, script):
    if not has_netem(net):
        status, said = refused(net.a, NETEM, "--delay", "50ms", "a0")
        assert (status, len(said.splitlines())) == (1, 1) and "delay is not possible" in said
        return
    one = script(net.a, NETEM, "--delay", "60ms", "--jitter", "5ms", "a0").wait_for("ready")
    began = time.monotonic()
    assert arriving(net, 1, False, wait=5) == 1
    assert 0.05 <= time.monotonic() - began
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
    # netem loses what leaves a, which is requests and acknowledgements: that need not make the server send again.
    assert rise["TcpRetransSegs"] > 0 or "of what leaves it" in one.said, one.said
    assert state(net.a) == before


@pytest.mark.parametrize("args", [["nonsense"], ["--dev", "a0"], ["--transfers", "1001"], ["--size", "0"], ["--loss"],
                                  ["ftp://h/"]], ids=" ".join)
def test_chaos_bad_options(net, args):
    status, said = refused(net.a, CHAOS, *args)
    assert (status, len(said.splitlines())) == (2, 1), said
