# SPDX-License-Identifier: MIT
"""Least privilege: a copy of rebpf with file capabilities, run by nobody, with and without each of them.

What is kept is read from /proc/PID/status; what each capability gives is shown by events with it and without.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.request

import pytest

import causes
import lab
import tracer
from lab import BARE_ACK, BLOCK, SLOW, need, receive_bytes, run, wait_until
from tracer import Rebpf, mode, run_rebpf

NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]

NUMBERS = {"cap_dac_override": 1, "cap_dac_read_search": 2, "cap_net_bind_service": 10, "cap_net_admin": 12,
           "cap_sys_ptrace": 19, "cap_sys_admin": 21, "cap_sys_resource": 24, "cap_syslog": 34, "cap_perfmon": 38,
           "cap_bpf": 39}
CORE = ["cap_bpf", "cap_perfmon", "cap_net_admin"]
OPTIONAL = ["cap_sys_admin", "cap_sys_ptrace", "cap_dac_read_search", "cap_syslog"]


def core():
    """What is needed on this kernel: maps count against RLIMIT_MEMLOCK before 5.11."""
    return CORE + (["cap_sys_resource"] if lab.kernel() < (5, 11) else [])


def bits(names):
    return sum(1 << NUMBERS[name] for name in names)


def names(value):
    return {name for name, number in NUMBERS.items() if value >> number & 1} | ({"others"} if value & ~bits(NUMBERS)
                                                                                 else set())


@pytest.fixture
def program(monkeypatch):
    """program(capabilities, flags="ep"): makes the tests run a copy of rebpf that has these file capabilities."""
    need("setpriv")
    need("setcap")
    where = tempfile.mkdtemp(prefix="rebpf-privilege-")
    os.chmod(where, 0o755)
    path = os.path.join(where, "rebpf")
    shutil.copyfile(tracer.BINARY, path)
    os.chmod(path, 0o755)

    def give(capabilities, flags="ep"):
        if capabilities:
            done = subprocess.run(["setcap", "%s+%s" % (",".join(capabilities), flags), path], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, universal_newlines=True, check=False)
            if done.returncode and "not supported" in done.stdout:
                pytest.skip("the file system of %s has no extended attributes" % where)
            assert not done.returncode, done.stdout
        monkeypatch.setattr(tracer, "BINARY", path)
        return path

    yield give
    shutil.rmtree(where)


def status_of(pid):
    """The sets of a process as numbers, and its other fields of this kind."""
    with open("/proc/%d/status" % pid, encoding="utf-8", errors="replace") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {key: int(fields[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, fields


def wait_dropped(pid):
    """Waits until the process has dropped what it does not need: the filter is the last thing that comes."""
    def dropped():
        sets, fields = status_of(pid)
        return (sets, fields) if fields.get("Seccomp", "2") == "2" else None

    return wait_until(dropped, 20, "rebpf to enter its sandbox")


def check_kept(pid, optional, as_root=False):
    """Of the optional ones all are kept; of the core CAP_NET_ADMIN, and CAP_BPF only where bpf(2) asks for it."""
    sets, fields = wait_dropped(pid)
    wanted = {"cap_net_admin", *optional}
    if lab.kernel() < (5, 19) and "cap_sys_admin" not in optional and unprivileged_bpf() != "0":
        wanted.add("cap_bpf")
    assert names(sets["CapPrm"]) == wanted
    assert sets["CapEff"] == sets["CapPrm"]
    assert sets["CapInh"] == sets["CapAmb"] == 0
    assert not as_root or sets["CapBnd"] == 0
    assert fields["NoNewPrivs"] == "1"


def unprivileged_bpf():
    with open("/proc/sys/kernel/unprivileged_bpf_disabled", encoding="ascii") as file:
        return file.read().strip()


def complaints(one):
    """Lines of stderr that tell of something that did not work.

    Not meant: the tests' pipe, which is root's ("stdout: Permission denied"), and namespaces of others on this machine.
    """
    return [line for line in one.errors if re.match("rebpf: .*(cannot|refused|Permission|not permitted)", line) and
            not re.match("rebpf: (kernel symbols|stdout:|network namespace)", line)]


# ---- what is kept ----


def test_root_before_and_after(rebpf):
    """Root has all capabilities while it attaches, and then what it needs, whatever is executed."""
    one = rebpf(ready=False)

    def loading():
        sets, fields = status_of(one.pid)
        return sets if fields["Name"] == "rebpf" else None

    before = wait_until(loading, 10, "rebpf to be executed")
    one.wait_ready()
    assert {*CORE, *OPTIONAL, "others"} <= names(before["CapEff"]) & names(before["CapBnd"])
    check_kept(one.pid, OPTIONAL, as_root=True)
    assert one.stop() == 0


def test_verbose_says_what_is_kept(rebpf):
    one = rebpf("-v")
    one.wait_error("capabilities kept: cap_net_admin,cap_sys_admin,cap_sys_ptrace,cap_dac_read_search,cap_syslog")


HOW = {
    "file": ("ep", []),
    "file, permitted only": ("p", []),
    "file and process, inheritable": ("ei", ["--inh-caps=-all,%s"]),
    "process, ambient": ("", ["--inh-caps=-all,%s", "--ambient-caps=-all,%s"]),
}


@pytest.mark.parametrize("how", HOW)
def test_ways_to_give(program, rebpf, how):
    """File capabilities, inherited ones and ambient ones (as of a systemd unit) are all the same to it."""
    flags, options = HOW[how]
    words = ",".join("+" + name[len("cap_"):] for name in core())
    program(core() if flags else [], flags)
    one = rebpf(prefix=[*AS_NOBODY, *[option % words for option in options]])
    assert os.stat("/proc/%d/task" % one.pid).st_uid in (0, NOBODY)
    assert status_of(one.pid)[1]["Uid"].split() == [str(NOBODY)] * 4
    check_kept(one.pid, [])
    assert one.stop() == 0 and not complaints(one), one.errors


def test_replay_has_nothing(program, tmp_path):
    """A recording is read without any capability, by whomever, and in the sandbox."""
    recording = record(tmp_path)
    program(CORE + OPTIONAL)
    for prefix in (AS_NOBODY, []):
        process = subprocess.Popen([*prefix, tracer.BINARY, "-r", "-", "-o", "json", "-e", "all"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            sets, fields = wait_dropped(process.pid)
            assert (sets["CapPrm"], sets["CapEff"], sets["CapInh"], sets["CapAmb"]) == (0, 0, 0, 0)
            assert fields["NoNewPrivs"] == "1"
            out, err = process.communicate(recording, timeout=30 * SLOW)
        finally:
            process.kill()
        assert process.returncode == 0, err
        assert json.loads(out.decode().splitlines()[-1])["event"] == "stats"


def test_replay_of_others_files(program, tmp_path):
    """The program's own capabilities do not open what its user may not; root's may."""
    program(CORE + OPTIONAL)
    path = os.path.join(os.path.dirname(tracer.BINARY), "recording")
    with open(path, "wb") as file:
        file.write(record(tmp_path))
    os.chmod(path, 0o600)
    status, out, err = run_rebpf("-r", path, prefix=AS_NOBODY, force=False)
    assert (status, out, len(err.splitlines())) == (1, "", 1) and "Permission denied" in err, err
    os.chown(path, NOBODY, NOBODY)
    assert run_rebpf("-r", path, force=False)[0] == 0
    assert run_rebpf("-r", path, prefix=AS_NOBODY, force=False)[0] == 0


def record(tmp_path):
    path = tmp_path / "recording"
    status, _, err = run_rebpf("-w", str(path), "-d", "1", "-q")
    assert status == 0, err
    return path.read_bytes()


# ---- what is missing ----


@pytest.mark.parametrize("lacking", [CORE, ["cap_bpf"], ["cap_perfmon"], ["cap_net_admin"], ["cap_bpf", "cap_perfmon"]],
                         ids=",".join)
def test_refusal(program, lacking):
    """Exactly what is missing, in one line with the command that gives it; exit status 3."""
    path = program([name for name in CORE if name not in lacking])
    status, out, err = run_rebpf("-d", "1", prefix=AS_NOBODY)
    assert (status, out) == (3, "")
    assert err == ("rebpf: missing capabilities: %s (run as root, or: setcap cap_bpf,cap_perfmon,cap_net_admin+ep %s)\n"
                   % (",".join(lacking), path))


def test_check_without_any(program):
    """--check tells what there would be and what not; the same one line."""
    program([])
    status, out, err = run_rebpf("--check", prefix=AS_NOBODY)
    assert status == 3 and len(err.splitlines()) == 1 and "missing capabilities: " + ",".join(CORE) in err, err
    assert "    nothing works without %s; " % ",".join(CORE) in out, out
    for name in ("cap_sys_admin", "cap_sys_ptrace", "cap_sys_ptrace,cap_dac_read_search", "cap_syslog"):
        assert "    not seen without %s: " % name in out, out


def test_check_with_all(program):
    program(CORE + OPTIONAL)
    status, out, err = run_rebpf("--check", prefix=AS_NOBODY)
    assert (status, err) == (0, "")
    assert "without cap_sys_admin" not in out and "    has cap_sys_admin: " in out, out
    assert "    has the kernel's symbols: " in out, out


def test_user_namespace():
    """Its root has all capabilities, and none that counts."""
    need("unshare")
    if subprocess.run(["unshare", "-Ur", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no user namespaces here")
    status, out, err = run_rebpf("-d", "1", prefix=["unshare", "-Ur"])
    assert (status, out, len(err.splitlines())) == (3, "", 1) and "user namespace" in err, err


def test_locked_memory(program):
    """Before 5.11, maps need CAP_SYS_RESOURCE or a limit that is high enough; it says so."""
    need("prlimit")
    program(CORE)
    status, out, err = run_rebpf("-d", "1", prefix=["prlimit", "--memlock=65536:65536", *AS_NOBODY])
    if lab.kernel() >= (5, 11):
        assert status == 0, err
        return
    assert (status, out) == (3, "") and "RLIMIT_MEMLOCK (65536 bytes)" in err.splitlines()[-1], err
    program(CORE + ["cap_sys_resource"])
    status, _, err = run_rebpf("-d", "1", prefix=["prlimit", "--memlock=65536:65536", *AS_NOBODY])
    assert status == 0, err


# ---- what the core does ----


def rungs():
    return ["tcx", "clsact"] if mode()["tc"] == "tcx" else ["clsact"]


def has_filter(ns, dev, pid):
    """Its handle is the pid of its rebpf; others' are none of our business."""
    return "handle 0x%x rebpf" % pid in ns.tc("filter", "show", "dev", dev, "egress", check=False)


def check_clean(ns, dev, pid):
    """Neither the filter nor the qdisc made for it is left, unless another rebpf on this machine uses that."""
    assert not has_filter(ns, dev, pid)
    if "rebpf" not in ns.tc("filter", "show", "dev", dev, "egress", check=False):
        assert "clsact" not in ns.tc("qdisc", "show", "dev", dev)


@pytest.mark.parametrize("number", [0, 1], ids=["best", "next"])
def test_core_in_its_own_namespace(program, net, rebpf, number):
    """nobody with the least: TC verdicts, owners that hooks saw, devices that come after the drop, and no trace of it."""
    if number >= len(rungs()):
        pytest.skip("this kernel has one way to attach to TC")
    rung = rungs()[number]
    program(core())
    one = rebpf("-v", ns=net.a, prefix=AS_NOBODY, force=tracer.force("tc=" + rung))
    check_kept(one.pid, [])
    net.a.ip("link", "add", "late0", "type", "veth", "peer", "name", "late1")
    net.a.ip("link", "set", "late0", "up")
    one.wait_error("attached to TC egress of late0 (%s)" % rung)
    causes.stuck(net)
    event = one.wait_events(lambda e: e["netns"] == net.a.inode and e["tc"])[0]
    assert event["tc"][0]["ifname"] == "a0" and event["tc"][0]["verdict"] == "TC_ACT_OK"
    assert event["pid"] == os.getpid()
    if rung == "clsact":
        assert has_filter(net.a, "a0", one.pid) and has_filter(net.a, "late0", one.pid)
    assert one.stop() == 0
    assert not complaints(one), one.errors
    for dev in ("a0", "late0"):
        check_clean(net.a, dev, one.pid)


def test_core_finds_needless_ones(program, net, rebpf):
    """What it asks of its own maps and iterators all the time goes on after the drop."""
    if mode()["dsack"] == "none":
        pytest.skip("this kernel has no way to see DSACKs")
    rung = "iterator" if lab.kernel() >= (5, 9) else mode()["dsack"]
    program(core())
    one = rebpf(ns=net.a, prefix=AS_NOBODY, force=tracer.force("dsack=" + rung))
    check_kept(one.pid, [])
    causes.steady(net)
    client, server = net.connect()
    rule = net.b.drop("output", BARE_ACK)
    before = net.a.counters()
    client.sendall(BLOCK[:1000])
    receive_bytes(server, 1000)
    wait_until(lambda: net.a.counters()["TcpRetransSegs"] > before["TcpRetransSegs"], 10, "a retransmission")
    rule.remove()
    wait_until(lambda: net.a.counters()["TcpExtTCPDSACKRecv"] > before["TcpExtTCPDSACKRecv"], 10, "its DSACK")
    one.wait_events(lambda e: e["netns"] == net.a.inode and e["evidence"] == "dsack", event="spurious")
    assert one.stop() == 0 and not complaints(one), one.errors


@pytest.mark.parametrize("allowed", [True, False], ids=["bind", "no-bind"])
def test_low_port(program, net, rebpf, allowed):
    """A port below 1024 is bound before the capability for it goes."""
    program(core() + (["cap_net_bind_service"] if allowed else []))
    if not allowed:
        inside = ["nsenter", "--net=/run/netns/" + net.a.name]
        status, out, err = run_rebpf("--listen", "127.0.0.1:81", prefix=[*inside, *AS_NOBODY])
        assert (status, out) == (3, "") and "--listen: cannot listen on 127.0.0.1:81: Permission denied" in err, err
        return
    one = rebpf("--listen", "127.0.0.1:81", ns=net.a, prefix=AS_NOBODY)
    check_kept(one.pid, [])
    page = net.a.inside(lambda: urllib.request.urlopen("http://127.0.0.1:81/metrics", timeout=10 * SLOW).read())
    assert b"rebpf_build_info" in page
    assert one.stop() == 0


# ---- what each of the others gives ----

UNSEEN = {
    "cap_sys_admin": "not seen without cap_sys_admin: what happens in other network namespaces",
    "cap_sys_ptrace": "not seen without cap_sys_ptrace: network namespaces that only other users' processes lead to",
    "cap_dac_read_search": "not seen without cap_dac_read_search: owners among other users' processes",
    "cap_syslog": "kernel symbols cannot be read",
}


def start_with(rebpf, program, lacking, *args, **how):
    """nobody's rebpf with all but one of the optional capabilities; it has said what that means, and no more."""
    had = [name for name in OPTIONAL if name != lacking]
    program(core() + had)
    one = rebpf(*args, prefix=AS_NOBODY, **how)
    check_kept(one.pid, had)
    said = {name for name, text in UNSEEN.items() if any(text in line for line in one.errors)}
    assert said == ({lacking} if lacking else set()), one.errors
    return one


@pytest.mark.parametrize("lacking", [None, "cap_sys_admin"])
def test_other_namespaces(program, net, rebpf, lacking):
    """TC verdicts of another namespace; its clsact filters go with rebpf."""
    one = start_with(rebpf, program, lacking, force=tracer.force("tc=clsact"))
    causes.stuck(net)
    if lacking:
        events = one.wait_events(lambda e: e["netns"] == net.a.inode, 3)
        assert all(e["tc"] is None for e in events)
    else:
        one.wait_events(lambda e: e["netns"] == net.a.inode and e["tc"])
        assert has_filter(net.a, "a0", one.pid)
    assert one.stop() == 0 and not complaints(one), one.errors
    check_clean(net.a, "a0", one.pid)


@pytest.mark.parametrize("lacking", [None, "cap_sys_ptrace"])
def test_nameless_namespaces(program, net, rebpf, lacking):
    """A namespace that only processes of another user lead to."""
    causes.steady(net)

    def talk(control, target):
        sock = socket.create_connection(target, 10 * SLOW)
        control.sendall(b"connected\n")
        assert control.recv(3)
        sock.sendall(BLOCK[:1000])
        assert control.recv(3)

    listener = net.listen()
    worker = net.worker(talk, (net.addr[4][1], 5001), ns=net.a)
    net.keep(listener.accept()[0])
    assert worker.hear() == "connected"
    rule = net.b.drop("input", lab.DATA)
    one = start_with(rebpf, program, lacking)
    run("umount", "/run/netns/" + net.a.name)
    try:
        worker.tell()
        events = one.wait_events(lambda e: e["netns"] == net.a.inode and (lacking or e["tc"]), 3 if lacking else 1)
        assert not lacking or all(e["tc"] is None for e in events)
    finally:
        run("mount", "--bind", "/proc/%d/ns/net" % worker.pid, "/run/netns/" + net.a.name)
    assert rule.count() and one.stop() == 0 and not complaints(one), one.errors


@pytest.mark.parametrize("lacking", [None, "cap_sys_ptrace", "cap_dac_read_search"])
def test_owners_of_old_sockets(program, net, rebpf, lacking):
    """An idle socket of another user's, older than rebpf: only /proc tells whose it is."""
    causes.steady(net)
    client, _ = net.connect()
    net.b.drop("input", lab.DATA)
    one = start_with(rebpf, program, lacking, force=tracer.force("scan=search"))
    client.sendall(BLOCK[:1000])
    events = one.wait_events(lambda e: e["netns"] == net.a.inode, 3)
    assert {e["pid"] for e in events} == {None if lacking else os.getpid()}
    assert one.stop() == 0 and not complaints(one), one.errors


@pytest.mark.parametrize("lacking", [None, "cap_syslog"])
def test_symbols(program, net, rebpf, lacking):
    """Names of functions, or their addresses."""
    with open("/proc/sys/kernel/kptr_restrict", encoding="ascii") as file:
        if file.read().strip() == "2":
            pytest.skip("kernel.kptr_restrict is 2: nobody sees symbols")
    one = start_with(rebpf, program, lacking, events="drop")
    causes.stuck(net)
    events = one.wait_events(lambda e: e["netns"] == net.b.inode, 1, event="drop")
    assert all(bool(re.match("0x[0-9a-f]+$", e["location"])) == bool(lacking) for e in events), events
    assert one.stop() == 0
