# SPDX-License-Identifier: MIT
"""Names that a process, a device or a control group may have, and what comes of them in every output: nothing but text."""
import contextlib
import errno
import json
import os
import re
import shutil
import socket
import struct
import subprocess

import pytest

import lab
from lab import DATA, SLOW, libc, wait_until
from test_metrics import Page, ask
from test_program import cgroup_root
from tracer import BINARY, FORCE, run_rebpf

PR_SET_NAME = 15
MS_BIND, MNT_DETACH = 4096, 2

# Fifteen bytes at most: TASK_COMM_LEN. Every byte that is not printable ASCII is among them, all but NUL.
COMMS = [b'q"uo\'te\\', b"new\nline\r\ttab", b"\x1b[2J\x1b]0;own\x07", b"\xff\xfe\xc3(\xa0\xa1", "l\u2028s\u2029x".encode(),
         "\u202erevers".encode(), b"=a b= c,d:(e)", b"%s%n%99999d", b" ", b"-", b'","pid":1,"x":"', b"$(reboot)`x`", b"\\x1b\\u0041",
         *(bytes(range(1, 256))[at:at + 15] for at in list(range(0, 32, 15)) + list(range(125, 255, 15)))]
# What dev_valid_name() of net/core/dev.c lets pass: no "/", ":", "%" and white space (0xa0 is some, too).
IFNAMES = [b'q"uo\'te\\', b"\x1b[2J\x1b]0;o\x07", b"\xff\xfe\xc3(", b"=a,d(e)@x", b"\x01\x02\x7f\x80", "l\u2028".encode()]


def strict(line):
    """One JSON object, by the rules: no duplicate keys, no NaN, nothing but ASCII."""
    def pairs(found):
        keys = [key for key, _ in found]
        assert len(set(keys)) == len(keys), line
        return dict(found)

    def constant(word):
        raise AssertionError("%s in %r" % (word, line))

    assert re.fullmatch(rb"[\x20-\x7e]+", line), line
    return json.loads(line.decode("ascii"), object_pairs_hook=pairs, parse_constant=constant)


def as_json(name):
    """A name as JSON has it: each byte as the character of that number."""
    return name.decode("latin-1")


def as_word(name):
    """A name as a line of text has it."""
    return "".join(chr(c) if 0x20 < c < 0x7f and c != 0x5c else "\\x%02x" % c for c in name)


class Outputs:
    """rebpf in every format at once, each into a file; their bytes after the end."""

    def __init__(self, directory, port, *args):
        self.runs = {}
        for name, options in (("json", ["-o", "json"]), ("text", ["-v", "--stack", "-S", "--utc", "--color", "never"]),
                              ("colour", ["--color", "always"])):
            paths = [str(directory / (name + end)) for end in (".out", ".err")]
            with open(paths[0], "wb") as out, open(paths[1], "wb") as err:
                process = subprocess.Popen([BINARY, *FORCE, "-e", "all", "-P", str(port), *options, *args],
                                           stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                           env={**os.environ, "LC_ALL": "C"})
            self.runs[name] = process, paths
        for process, paths in self.runs.values():
            wait_until(lambda: b"rebpf: ready" in read(paths[1]) or process.poll() is not None, 30, "readiness")

    def read(self, name):
        return read(self.runs[name][1][0]).splitlines(keepends=True)

    def stop(self):
        """{name: (lines of stdout, stderr)}"""
        found = {}
        for name, (process, paths) in self.runs.items():
            process.terminate()
            assert process.wait(30 * SLOW) == 0, read(paths[1])
            found[name] = read(paths[0]).split(b"\n")[:-1], read(paths[1])
        return found

    def kill(self):
        for process, _ in self.runs.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def read(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.fixture
def outputs(tmp_path):
    made = []

    def start(*args):
        made.append(Outputs(tmp_path, *args))
        return made[-1]

    yield start
    for one in made:
        one.kill()


def check_jq(lines):
    """Another parser agrees, if there is one."""
    if shutil.which("jq"):
        done = subprocess.run(["jq", "-c", ".comm"], input=b"\n".join(lines) + b"\n", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=30 * SLOW, check=False)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == len(lines)


def check_outputs(found):
    """The events as JSON, and the words of the text, of events that have the formats' form. No control byte anywhere."""
    lines, _ = found["json"]
    events = [strict(line) for line in lines]
    check_jq(lines)
    for name in ("json", "text"):
        for part in (b"\n".join(found[name][0]), found[name][1]):
            assert re.fullmatch(rb"[\x20-\x7e\n]*", part), part
    for line in found["colour"][0]:
        plain = re.sub(rb"\x1b\[[0-9;]*m", b"", line)
        assert re.fullmatch(rb"[\x20-\x7e]+", plain), line
    words = []
    for line in found["text"][0]:
        # The sentence at the end is the only thing with spaces in it.
        head = line.decode("ascii").split(' why="')[0].split()
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6}", head[0]) and head[1] in ("RETRANSMIT", "DROP", "CONNECT", "SPURIOUS")
        assert re.fullmatch(r"\d+|-", head[2]) and head[5] == ">", line
        assert all(re.fullmatch(r"[a-z_]+=\S+", word) for word in head[7:]), line
        words.append(head)
    return events, words


def talk(control, names, address, server):
    """Under each name: a connect that is refused, one that succeeds, and data that is lost, and lost again."""
    for name in names:
        assert libc.prctl(PR_SET_NAME, name + b"\0", 0, 0, 0) == 0
        with socket.socket() as sock:
            try:
                sock.connect((address, 1))
            except ConnectionRefusedError:
                pass
        sock = socket.create_connection((address, server))
        sock.sendall(b"x" * 500)
        control.sendall(b"sent\n")
        control.recv(3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    control.sendall(b"done\n")
    control.recv(3)


def test_names_of_processes(net, outputs, rebpf):
    """Whatever a process calls itself, in all kinds of events: JSON is JSON, a line is a line, and the name comes back."""
    one = outputs("1,5001", "--netns", net.a.name)
    listener = net.listen(5001)
    metrics = rebpf("--listen", "2112", "--netns", net.a.name, ns=net.a, output="none", events=None)
    net.b.drop("input", DATA)
    worker = net.worker(talk, COMMS, net.addr[4][1], 5001, ns=net.a)

    def events():
        # The last line may be half written.
        return [json.loads(line) for line in one.read("json") if line.endswith(b"\n")]

    for name in COMMS:
        assert worker.hear() == "sent"
        net.keep(listener.accept()[0])
        wait_until(lambda: any(e["event"] == "retransmit" and e["comm"] == as_json(name) for e in events()), 15,
                   lambda: "a retransmission of %r: %r" % (name, [(e["event"], e["comm"]) for e in events()][-9:]))
        worker.tell("go")
    assert worker.hear() == "done"
    page = ask(net.a)[2]
    assert metrics.stop() == 0
    found, words = check_outputs(one.stop())
    for name in COMMS:
        mine = [e for e in found if e["event"] != "stats" and e["comm"] == as_json(name)]
        assert {e["event"] for e in mine} >= {"retransmit", "connect"}, name
        assert {e["pid"] for e in mine} == {worker.pid}
        assert as_word(name) in {head[3] for head in words if head[2] == str(worker.pid)}, name
    assert len(words) == len([e for e in found if e["event"] != "stats"])
    check_page(page)


def check_page(text):
    """Prometheus' own rules: test_metrics' pattern, and no byte that would end a label."""
    assert Page(text).sum("rebpf_retransmitted_segments_total") > 0
    assert re.fullmatch(r"[\x20-\x7e\n]*", text)


def attr(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def ask_route(ns, kind, body, flags=5):
    """One request to rtnetlink, for what ip(8) would not say as it is."""
    def go():
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
            sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
            return struct.unpack_from("=i", sock.recv(4096), 16)[0]

    err = ns.inside(go)
    assert err == 0, (os.strerror(-err), body)


def rename(net, index, name):
    """A device that is up can be renamed by 6.4 only, so it goes down first, and loses its neighbour."""
    def link(flags, attrs=b""):
        ask_route(net.a, 16, struct.pack("=BxHiII", 0, 0, index, flags, 1 if not attrs else 0) + attrs)

    link(0)
    link(0, attr(3, name + b"\0"))
    link(1)
    ask_route(net.a, 28, struct.pack("=BxxxiHBB", socket.AF_INET, index, 0x80, 0, 0) +
              attr(1, socket.inet_aton(net.addr[4][1])) + attr(2, bytes.fromhex((lab.MAC % 2).replace(":", ""))), 0x505)


def test_names_of_devices(net, outputs, rebpf):
    """Packets dropped, and copies sent, on devices of such names; what is asked of a device by its name finds it."""
    one = outputs("6001", "--netns", net.a.name, "--all-protocols")
    index = net.a.inside(socket.if_nametoindex, "a0")
    rename(net, index, IFNAMES[0])
    chosen = rebpf("-i", os.fsdecode(IFNAMES[0]), ns=net.a)
    rebpf("--listen", "2112", "--netns", net.a.name, ns=net.a, output="none", events=None)
    listener = net.listen(6001)
    net.b.drop("input", DATA)
    for name in IFNAMES:
        rename(net, index, name)
        client = net.keep(net.a.socket())
        client.connect((net.addr[4][1], 6001))
        net.keep(listener.accept()[0])
        client.sendall(b"x" * 500)
        wait_until(lambda: any(line.endswith(b"\n") and as_json(name) in tc_names(json.loads(line))
                               for line in one.read("json")), 15, lambda: "a segment on %r" % name)
        lab.reset(client)
    wait_until(lambda: chosen.events(), 10, "an event of the chosen device")
    page = ask(net.a)[2]
    status, out, err = run_rebpf("--check", prefix=["nsenter", "--net=/run/netns/" + net.a.name])
    assert status == 0 and re.fullmatch(r"[\x20-\x7e\n]*", out + err)
    found, words = check_outputs(one.stop())
    assert {name for e in found for name in tc_names(e)} >= {as_json(name) for name in IFNAMES}
    assert {name for e in chosen.events() for name in tc_names(e)} == {as_json(IFNAMES[0])}
    said = " ".join(word for head in words for word in head if word.startswith("tc="))
    for name in IFNAMES:
        assert "tc=%s:" % as_word(name) in said
    check_page(page)


def tc_names(event):
    return {hop["ifname"] for hop in event.get("tc") or []}


def send(control, cgroup, address):
    """Joins the control group and sends what is lost."""
    with open(cgroup + b"/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")
    with socket.create_connection(address) as sock:
        sock.sendall(b"x" * 500)
        control.recv(3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_names_of_places(net, rebpf):
    """A network namespace and a control group of any name are found by it, and none of it reaches the terminal as it is."""
    if not cgroup_root():
        pytest.skip("no cgroup2 file system is mounted")
    name = b"rebpf-%d-\x1b[2J q\"\xff\n" % os.getpid()
    netns = b"/run/netns/" + name
    cgroup = os.fsencode(cgroup_root()) + b"/" + name.rstrip(b"\n")  # the one byte that the kernel refuses
    worker = None
    try:
        os.mkdir(cgroup)
        os.close(os.open(netns, os.O_CREAT | os.O_WRONLY, 0o444))
        assert libc.mount(b"/run/netns/" + net.a.name.encode(), netns, None, MS_BIND, None) == 0
        one = rebpf("--netns", os.fsdecode(name), "--cgroup", os.fsdecode(os.path.basename(cgroup)), "-vv")
        listener = net.listen(7001)
        net.b.drop("input", DATA)
        worker = net.worker(send, cgroup, (net.addr[4][1], 7001), ns=net.a)
        event = one.wait_events()[0]
        assert (event["pid"], event["netns"], event["cgroup"]) == (worker.pid, net.a.inode, os.stat(cgroup).st_ino)
        assert one.stop() == 0
        assert all(re.fullmatch(r"[\x20-\x7e]*", line) for line in one.errors), one.errors
        for option in ("--netns", "--cgroup"):
            status, out, err = run_rebpf(option, os.fsdecode(name) + "x")
            assert (status, out) == (2, "")
            assert re.fullmatch(r"[\x20-\x7e]+\n", err) and option in err and r"\x1b[2J q" in err
        listener.close()
    finally:
        if worker:
            worker.kill()
        libc.umount2(netns, MNT_DETACH)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(netns)
        wait_until(lambda: remove(cgroup), 10, "the control group to empty")


def remove(cgroup):
    try:
        os.rmdir(cgroup)
    except OSError as error:
        return error.errno == errno.ENOENT
    return True
