# SPDX-License-Identifier: MIT
"""make install and uninstall, what the program is linked with, and the static program where there is nothing else."""
import json
import os
import re
import shutil
import socket
import subprocess
import urllib.request

import pytest
import yaml

from packages import BUILD, TOP, boot, kernel, make, run, tree

# The closed list of libraries, and what the C library consists of.
LIBRARIES = {"libbpf.so.1", "libelf.so.1", "libz.so.1", "libevent_core-2.1.so.7", "libevent_extra-2.1.so.7", "libc.so.6"}

INSTALLED = {
    "bin/rebpf", "lib/systemd/system/rebpf.service", "share/man/man8/rebpf.8",
    "share/bash-completion/completions/rebpf", "share/zsh/site-functions/_rebpf",
    "share/doc/rebpf/README.md", "share/doc/rebpf/LICENSE",
    *("share/doc/rebpf/examples/" + name for name in (
        "prometheus.yml", "rebpf-rules.yml", "grafana-dashboard.json", "kubernetes.yaml", "Containerfile", "vector.toml",
        "fluent-bit.conf", "fluent-bit-parsers.conf", "otel-collector.yaml")),
}


@pytest.fixture(scope="module")
def static():
    make("static")
    return os.path.join(BUILD, "rebpf-static")


@pytest.mark.parametrize("prefix", ["/usr/local", "/opt/rebpf"])
def test_install_and_uninstall(tmp_path, prefix):
    root = tmp_path / "root"
    args = ("DESTDIR=%s" % root, "PREFIX=" + prefix)
    make("install", *args)
    assert {path for path in tree(str(root) + prefix) if not path.endswith("/")} == INSTALLED
    assert all(os.path.getsize(str(root) + prefix + "/" + path) for path in INSTALLED)
    installed = str(root) + prefix + "/bin/rebpf"
    assert re.fullmatch(r"rebpf \d+\.\d+\.\d+\n", run(installed, "--version"))
    with open(str(root) + prefix + "/lib/systemd/system/rebpf.service", encoding="utf-8") as unit:
        assert re.findall(r"^ExecStart=(\S+)", unit.read(), re.M) == [prefix + "/bin/rebpf"]
    make("uninstall", *args)
    assert not {path for path in tree(root) if not path.endswith("/")}
    assert not any("rebpf/" in path.replace("opt/rebpf/", "") for path in tree(root))


def test_dynamic_needs_only_the_listed_libraries():
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", os.path.join(BUILD, "rebpf"))))
    assert "libbpf.so.1" in needed
    assert needed <= LIBRARIES


def test_static_is_static(static):
    done = subprocess.run(["ldd", static], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=30)
    assert "not a dynamic executable" in done.stdout.decode()
    assert run(static, "--version") == run(os.path.join(BUILD, "rebpf"), "--version")
    assert run(static, "--explain", "TCP_LISTEN_OVERFLOW").startswith("TCP_LISTEN_OVERFLOW\n")


def test_static_replays_the_same(static):
    recording = os.path.join("tests", "golden", "summary.rebpf")
    args = ("-r", recording, "--utc", "-o", "json", "-e", "all", "-q")
    lines = run(static, *args).splitlines()
    assert len(lines) > 5
    assert lines == run(os.path.join(BUILD, "rebpf"), *args).splitlines()


def sections(lines):
    """What the guest's init shows: {name: lines}, each section from "== NAME" to "== status N"."""
    found, name = {}, None
    for line in lines:
        if line.startswith("== "):
            words = line.split()
            if words[1] == "status":
                found[name].append(int(words[2]))
            else:
                name = words[1]
                found[name] = []
        elif name:
            found[name].append(line)
    return found


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    """The static program that causes listen overflows, and is the /init of a guest."""
    path = str(tmp_path_factory.mktemp("init") / "init")
    run("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-O2", "-static", "tests/packages/init.c", "-o", path)
    return path


CONTAINER = """
mount -t tmpfs none "$1" && cp "$2" "$1/rebpf" && mkdir "$1/proc" "$1/sys" "$1/tmp" &&
mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && mount -o remount,bind,ro "$1/sys" &&
mount -o remount,ro "$1" && caps=$3 && cd "$1" && shift 3 &&
exec setpriv --bounding-set "-all,$caps" --inh-caps -all --no-new-privs chroot . /rebpf "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_static_as_the_daemonset_runs_it(static, init, tmp_path):
    """The manifest's arguments and capabilities, a read-only root with nothing else in it, a read-only /sys."""
    with open(os.path.join(TOP, "scripts", "kubernetes.yaml"), encoding="utf-8") as file:
        pod = list(yaml.safe_load_all(file))[1]["spec"]["template"]["spec"]
    container, = pod["containers"]
    # chroot() is the test's, not the program's.
    caps = ",".join("+" + name.lower() for name in [*container["securityContext"]["capabilities"]["add"], "SYS_CHROOT"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    args = [arg.replace("$(HOST_IP):2112", "127.0.0.1:%d" % port) for arg in container["args"] if arg != "-q"]
    process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", CONTAINER, "sh", str(tmp_path), static,
                                caps, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said = b""
        for line in process.stderr:
            said += line
            if line.startswith(b"rebpf: ready"):
                break
        assert b"rebpf: ready" in said, said
        run(init, "overflow")
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=30) as answer:
            page = answer.read().decode()
    finally:
        process.terminate()
        out = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 0
    drops, = re.findall(r'^rebpf_drops_total\{reason="TCP_LISTEN_OVERFLOW",class="bad",[^}]*\} (\d+)', page, re.M)
    assert int(drops) >= 4
    events = [json.loads(line) for line in out.splitlines()]
    again = [event for event in events if event["event"] == "retransmit" and event["dport"] == 8081]
    # On a host where others cause floods meanwhile, records may be lost.
    assert again and (any(event["cause"] in ("local", "ack_local") for event in again) or events[-1]["lost"]["drops"])
    assert any(event["event"] == "connect" and event["comm"] == "init" for event in events)


def test_static_where_there_is_nothing_else(static, init, tmp_path):
    """The guest's files are the program and an /init that causes listen overflows: no library, no shell, no module."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("no qemu-system-x86_64")
    suite = kernel("bookworm")
    if not suite:
        pytest.skip("no Debian kernel to be had")
    root = tmp_path / "guest"
    root.mkdir()
    shutil.copy(static, root / "rebpf")
    shutil.copy(init, root / "init")
    (root / "dev").mkdir()
    run("mknod", str(root / "dev" / "console"), "c", "5", "1")
    assert {path for path in tree(root) if not path.endswith("/")} == {"init", "rebpf", "dev/console"}

    shown = sections(boot(suite, root, 512, 240, tmp_path))
    assert "end" in shown, shown
    assert shown["--version"][-1] == 0 and re.fullmatch(r"rebpf \S+", shown["--version"][0])
    assert shown["--check"][-1] == 0
    assert any(line.startswith("attempt: fexit") for line in shown["--check"][:-1]), shown["--check"]
    *lines, status = shown["watch"]
    assert status == 0, lines
    events = [json.loads(line) for line in lines if line.startswith("{")]
    overflows = [event for event in events if event["event"] == "drop" and event["reason"] == "TCP_LISTEN_OVERFLOW"]
    # SYNs that were dropped, or SYN-ACKs whose acknowledgements were: that depends on how slowly the guest runs.
    again = [event for event in events if event["event"] == "retransmit" and event["cause"] in ("local", "ack_local")]
    assert overflows and all(event["dport"] == 8081 and event["comm"] == "init" for event in overflows)
    assert again and {event["cause_drop"]["reason"] for event in again} == {"TCP_LISTEN_OVERFLOW"}
    assert events[-1]["event"] == "stats" and events[-1]["lost"] == {"control": 0, "drops": 0}
