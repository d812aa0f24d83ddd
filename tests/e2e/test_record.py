# SPDX-License-Identifier: MIT
"""-w and -r, -S and --interval on real traffic: a replay by nobody, elsewhere, says to the byte what was said live."""
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import tracer
from lab import DATA, SLOW, nth, percent, reset, transfer, wait_until

NOBODY = 65534
PORT = 7077


@pytest.fixture
def place():
    """A directory where nobody finds a copy of the program, and recordings."""
    path = tempfile.mkdtemp(prefix="rebpf-record-")
    os.chmod(path, 0o755)
    shutil.copy(tracer.BINARY, os.path.join(path, "rebpf"))
    os.chmod(os.path.join(path, "rebpf"), 0o755)
    yield path
    shutil.rmtree(path)


def nobody(place, *args, **how):
    """Starts the copy in that directory, without any privilege."""
    return subprocess.Popen(["./rebpf", *args], cwd=place, user=NOBODY, group=NOBODY, extra_groups=[],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def replay(place, *args):
    """(status, stdout, stderr) of a replay by nobody of the recording there."""
    process = nobody(place, "-r", "rec", *args, stdin=subprocess.DEVNULL)
    out, err = process.communicate(timeout=60 * SLOW)
    return process.returncode, out.decode(), err.decode()


def give(place):
    """Whoever recorded hands it on: until then only root may read it."""
    path = os.path.join(place, "rec")
    assert os.stat(path).st_mode & 0o777 == 0o600
    os.chmod(path, 0o644)


def traffic(net, seconds=0):
    """Losses in the receiver's and in the sender's firewall, refused and established connects."""
    net.b.drop("input", DATA + " " + nth(3, 7, 30))
    net.a.drop("output", DATA + " " + nth(11))
    listener = net.listen(PORT)
    for version in (4, 4):
        client, server = net.connect(PORT, version, listener=listener)
        transfer(client, server, 20 * 1448)
        time.sleep(seconds / 2 * SLOW)
        reset(client)
    refused = net.keep(net.a.socket())
    with pytest.raises(ConnectionRefusedError):
        refused.connect((net.addr[4][1], PORT + 1))


def without_messages(err):
    """stderr without what is about this run: readiness, say."""
    return "".join(line for line in err.splitlines(True) if not line.startswith("rebpf: "))


def said(rebpf):
    """What it wrote to stdout and stderr."""
    return "".join(line + "\n" for line in rebpf.text), without_messages("".join(line + "\n" for line in rebpf.errors))


# A flood elsewhere on this machine must not fill the output: live, what its reader is too slow for is lost.
OURS = ["-P", "%d-%d" % (PORT, PORT + 1)]
LIVE = [
    ("text", [*OURS, "-v", "-S", "--interval", "0.5", "--class", "all"]),
    ("json", [*OURS, "-S", "--interval", "0.5"]),
    ("none", [*OURS, "-S"]),
    ("text", [*OURS, "-e", "drop", "--stack", "--reason", "NETFILTER_DROP"]),
    ("text", ["-S", "-P", str(PORT), "--type", "rto,fast,tlp", "--cause", "local"]),
    ("json", [*OURS, "-S", "-e", "connect", "-4"]),
]


@pytest.mark.parametrize("output, args", LIVE, ids=[" ".join([output, *args]) for output, args in LIVE])
def test_replay_is_the_live_run(output, args, make_net, rebpf, place, alone):
    net = make_net()
    events = None if "-e" in args or "--type" in args else "all"
    live = rebpf("-w", os.path.join(place, "rec"), "--utc", *args, output=output, events=events)
    traffic(net, 1.2 if "--interval" in args else 0)
    time.sleep(0.5 * SLOW)
    assert live.stop() == 0
    out, err = said(live)
    give(place)
    kinds = ["-e", events] if events else []
    status, again, err_again = replay(place, "--utc", "-o", output, *kinds, *args)
    assert status == 0
    assert again == out
    assert without_messages(err_again) == err
    assert output == "none" or out.count("\n") > 1
    if output == "json":
        assert "Summary of " not in err and out.count('"event":"stats"') > ("--interval" in args)
    elif "-S" in args:
        assert "\nRecords lost      0 of " in err and err.startswith("Summary of ")
        assert err.count("Summary of ") > ("--interval" in args)


def test_filters_on_a_recording(make_net, rebpf, place, alone):
    """One recording of everything: each filter shows a selection of it, and the sums are those of what it shows."""
    net = make_net()
    live = rebpf("-w", os.path.join(place, "rec"), events="all")
    traffic(net)
    time.sleep(0.5 * SLOW)
    assert live.stop() == 0
    give(place)
    every = live.text[:-1]
    for args in (["-e", "drop"], ["--cause", "local", "-e", "retransmit"], ["--netns", str(net.a.inode), "-e", "all"],
                 ["-p", str(os.getpid()), "-e", "all"], ["-e", "connect"]):
        status, out, _ = replay(place, "-o", "json", "-S", *args)
        *lines, stats = out.splitlines()
        assert status == 0 and lines and set(lines) <= set(every)
        summary = json.loads(stats)["summary"]
        for kind in ("retransmit", "drop", "connect"):
            assert summary[kind]["count"] == sum(json.loads(line)["event"] == kind for line in lines)
    cgroup = next(json.loads(line)["cgroup"] for line in every if json.loads(line).get("cgroup"))
    status, out, _ = replay(place, "-o", "json", "-e", "all", "--cgroup", str(cgroup))
    assert status == 0 and {json.loads(line)["cgroup"] for line in out.splitlines()[:-1]} == {cgroup}


def test_stacks_only_if_asked_for(make_net, rebpf, place, alone):
    net = make_net()
    live = rebpf("-w", os.path.join(place, "rec"), "--stack", events="drop")
    traffic(net)
    live.wait_events(lambda e: e["stack"], event="drop")
    live.stop()
    give(place)
    assert " stack=" in replay(place, "--stack", "-e", "drop")[1]
    assert " stack=" not in replay(place, "-e", "drop")[1]


def test_killed(make_net, rebpf, place, alone):
    """SIGKILL: up to its last whole record the recording is what was printed."""
    net = make_net()
    live = rebpf("-w", os.path.join(place, "rec"), events="retransmit,drop")
    traffic(net)
    live.wait_events(lambda e: e["type"], n=3)
    live.stop(signal.SIGKILL)
    give(place)
    status, out, err = replay(place, "-o", "json", "-q", "-e", "retransmit,drop")
    assert (status, err) == (0, "") or re.fullmatch("rebpf: --read: 'rec' is cut or damaged after \\d+ records\n", err)
    whole = [line for line in live.text if line.endswith("}")]
    assert out.splitlines()[:len(whole)] == whole
    with open(os.path.join(place, "rec"), "r+b") as file:
        file.truncate(os.path.getsize(file.name) - 5)
    status, cut, err = replay(place, "-o", "json", "-q", "-e", "retransmit,drop")
    assert status == 1 and re.fullmatch("rebpf: --read: 'rec' is cut or damaged after \\d+ records\n", err)
    assert json.loads(cut.splitlines()[-1])["event"] == "stats"


def test_not_ones_own(place):
    with open(os.path.join(place, "rec"), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
    assert replay(place) == (1, "", "rebpf: --read: cannot open 'rec': Permission denied\n")


def test_through_a_pipe(make_net, place, alone):
    """rebpf -o none -w - | rebpf -r -: as over ssh. Who reads sees events as they happen."""
    net = make_net()
    writer = subprocess.Popen([tracer.BINARY, *tracer.FORCE, "-q", "-o", "none", "-w", "-"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE)
    reader = nobody(place, "-r", "-", "-q", "-S", "--utc", "-P", str(PORT), stdin=writer.stdout)
    writer.stdout.close()
    try:
        os.set_blocking(reader.stdout.fileno(), False)
        listener = net.listen(PORT)
        seen = b""

        def has_lines():
            nonlocal seen
            seen += reader.stdout.read() or b""
            if not seen:
                client, server = net.connect(PORT, listener=listener)  # until it watches
                transfer(client, server, 5 * 1448)
            return b" RETRANSMIT " in seen

        net.b.drop("input", DATA + " " + percent(20))
        wait_until(has_lines, 30, "a line")
        writer.send_signal(signal.SIGINT)
        assert writer.wait(20 * SLOW) == 0
        assert reader.wait(20 * SLOW) == 0
        assert reader.stderr.read().startswith(b"Summary of ")
    finally:
        for process in (writer, reader):
            process.kill()
            process.wait()


def test_end_of_the_reader(make_net, alone):
    """Nobody reads the records any more: a quiet end."""
    writer = subprocess.Popen([tracer.BINARY, *tracer.FORCE, "-q", "-o", "none", "-w", "-"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert writer.stdout.read(24)
        writer.stdout.close()
        assert writer.wait(20 * SLOW) == 0
        assert writer.stderr.read() == b""
    finally:
        writer.kill()
        writer.wait()


def test_interrupted_replay(place):
    """Ctrl-C on a replay that waits for its input: it ends with its statistics."""
    golden = os.path.join(tracer.TOP, "tests", "golden", "shot.rebpf")
    with open(golden, "rb") as file:
        data = file.read()
    process = nobody(place, "-r", "-", "-o", "json", stdin=subprocess.PIPE)
    process.stdin.write(data)
    process.stdin.flush()
    wait_until(lambda: process.stdout.read1(1), 20, "output")
    process.send_signal(signal.SIGINT)
    assert process.wait(20 * SLOW) == 0
    assert process.stderr.read().startswith(b"Statistics\n")
    process.stdin.close()


# ---- the summary's truth ----


def test_traffic_is_the_kernels(make_net, rebpf, alone):
    """Segments sent and retransmitted of a namespace, and of one that is younger than rebpf."""
    old = make_net()
    # Asked for at once, so that the namespaces that come later are known to be younger.
    live = rebpf("-S", events="all")
    young = make_net()
    for net in (old, young):
        traffic(net)
    live.stop()
    counters = [ns.counters() for net in (old, young) for ns in (net.a, net.b)]
    told = live.stats()["summary"]["traffic"]
    if not told["complete"]:
        pytest.skip("not all namespaces of this machine can be looked into")
    # Other programs of this machine may have traffic of their own.
    assert told["retrans_segs"] >= sum(c["TcpRetransSegs"] for c in counters) > 0
    assert told["out_segs"] >= sum(c["TcpOutSegs"] for c in counters) > 0
    assert told["retrans_ppm"] == told["retrans_segs"] * 1000000 // told["out_segs"]


def test_traffic_of_one_namespace(make_net, rebpf, alone):
    net = make_net()
    live = rebpf("-S", "--netns", net.a.name, events="all")
    traffic(net)
    live.stop()
    told, counters = live.stats()["summary"]["traffic"], net.a.counters()
    assert told["namespaces"] == 1
    assert (told["retrans_segs"], told["out_segs"]) == (counters["TcpRetransSegs"], counters["TcpOutSegs"])
    stats = live.stats()
    assert stats["produced"] == stats["consumed"] + sum(stats["lost"].values()) > 0
    assert 0 < stats["wakeups"] <= stats["consumed"]


# ---- on a terminal ----


def on_terminal(*args, stdout_too):
    """What rebpf writes to a terminal within 2 s."""
    ours, its = pty.openpty()
    process = subprocess.Popen([tracer.BINARY, *tracer.FORCE, "-q", "-d", "2", "--interval", "0.5", *args],
                               stdin=subprocess.DEVNULL, stdout=its if stdout_too else subprocess.DEVNULL, stderr=its,
                               env={**os.environ, "LC_ALL": "C.UTF-8"})
    os.close(its)
    text = b""
    try:
        while True:
            text += os.read(ours, 65536)
    except OSError:  # EIO: it has closed its end
        pass
    finally:
        os.close(ours)
        assert process.wait(20 * SLOW) == 0
    return text.decode()


@pytest.mark.parametrize("args, stdout_too, redrawn", [
    (["-o", "none"], True, True), (["-o", "count"], True, True), (["-o", "text"], False, True), (["-o", "text"], True, False)])
def test_redrawn(args, stdout_too, redrawn, alone):
    """In place where no events go to the same terminal."""
    text = on_terminal(*args, stdout_too=stdout_too)
    assert text.count("Summary of ") > 2
    assert ("\033[H\033[J" in text) == redrawn
