# SPDX-License-Identifier: MIT
"""make deb: the package in a clean Debian of the release that it was built on, and in a guest that boots that. Root; minutes.

The clean Debian has no more than what Debian calls essential, systemd, kmod, and the packages that this one depends on.
"""
import json
import os
import re
import shutil
import subprocess

import pytest

from packages import BUILD, TOP, boot, kernel, make, run, tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# What the guest does once it is up; the console has what it prints.
SCRIPT = """#!/bin/bash
exec > /dev/ttyS0 2>&1
echo "== check"; rebpf --check; echo "== status $?"
echo 'REBPF_OPTIONS="-o none --listen 127.0.0.1:2112"' > /etc/default/rebpf
echo "== start"; systemctl start rebpf; echo "== status $?"
for i in {1..300}; do journalctl -u rebpf -o cat | grep -q '^rebpf: ready' && break; sleep 0.2; done
/overflow overflow
echo "== page"; exec 3<> /dev/tcp/127.0.0.1/2112; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; timeout 10 cat <&3
echo "== service"; systemctl show rebpf -p ActiveState -p User -p DynamicUser
pid=$(systemctl show rebpf -p MainPID --value); grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status
echo "== journal"; journalctl -u rebpf -o cat --no-pager
echo "== remove"; dpkg --purge rebpf; echo "== status $?"
systemctl is-active rebpf; ls /proc/$pid/exe 2>&1
echo "== end"
systemctl poweroff -f -f
"""


@pytest.fixture(scope="module")
def deb():
    return os.path.join(TOP, make("deb").splitlines()[-1])


@pytest.fixture(scope="module")
def clean_root(deb, tmp_path_factory):
    """A Debian without the package, with what it depends on. Kept in build/packages as long as that stays the same."""
    if not shutil.which("mmdebstrap"):
        pytest.skip("no mmdebstrap")
    depends = re.sub(r" *\([^)]*\)", "", run("dpkg-deb", "-f", deb, "Depends").strip()).replace(" ", "")
    with open("/etc/os-release", encoding="utf-8") as file:
        suite = re.search(r"^VERSION_CODENAME=(\S+)", file.read(), re.M).group(1)
    kept = os.path.join(BUILD, "packages", "%s.%s.tar" % (suite, re.sub(r"[^\w,.-]", "", depends)))
    if not os.path.exists(kept):
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        mirrors = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
        mirror = next((uri for uri in mirrors if "security" not in uri), None)
        if not mirror:
            pytest.skip("apt knows no mirror")
        run("mmdebstrap", "--quiet", "--mode=root", "--variant=essential", "--include=%s,systemd-sysv,kmod" % depends,
            suite, kept + ".new.tar", "deb %s %s main" % (mirror, suite), timeout=900)
        os.rename(kept + ".new.tar", kept)
    root = tmp_path_factory.mktemp("debian") / "root"
    root.mkdir()
    run("tar", "-C", str(root), "-xf", kept)
    return str(root)


def in_root(root, *argv):
    """A command in that Debian, with /proc, /sys and this host's kernel; (status, output)."""
    script = 'mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && exec chroot "$0" "$@"'
    done = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", script, root, *argv],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=120, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
    return done.returncode, done.stdout.decode(errors="replace")


def files(root):
    """All but what dpkg itself writes."""
    return {path for path in tree(root) if not path.startswith(("proc/", "sys/", "dev/", "tmp/", "var/log/", "var/cache/"))
            and not re.match(r"var/lib/dpkg/(info/|status|lock|triggers|available|updates)", path)}


def test_lintian(deb):
    if not shutil.which("lintian"):
        pytest.skip("no lintian")
    done = subprocess.run(["lintian", "--allow-root", deb], stdout=subprocess.PIPE, check=False, timeout=300)
    assert not re.findall(r"^[EW]: .*", done.stdout.decode(), re.M), done.stdout.decode()


def test_depends_on_the_listed_libraries_only(deb):
    names = re.findall(r"([a-z][\w.+-]+)(?: \([^)]*\))?(?:,|$)", run("dpkg-deb", "-f", deb, "Depends"))
    assert names and all(re.match(r"libc6|libbpf1|libelf1|zlib1g|libevent-(core|extra)-", name) for name in names), names


def test_installs_runs_and_is_removed(deb, clean_root):
    before = files(clean_root)
    assert in_root(clean_root, "rebpf", "--version")[0] == 127
    shutil.copy(deb, os.path.join(clean_root, "tmp", "rebpf.deb"))
    shutil.copy(os.path.join(TOP, "tests", "golden", "summary.rebpf"), os.path.join(clean_root, "tmp"))
    status, said = in_root(clean_root, "dpkg", "-i", "/tmp/rebpf.deb")
    assert status == 0, said
    assert files(clean_root) > before

    status, said = in_root(clean_root, "rebpf", "--version")
    assert status == 0 and re.fullmatch(r"rebpf [\d.]+\n", said)
    status, said = in_root(clean_root, "rebpf", "--check")
    assert status == 0 and re.search(r"^attempt: \S+", said, re.M), said
    status, said = in_root(clean_root, "rebpf", "-q", "-r", "/tmp/summary.rebpf", "-o", "json", "-c", "5")
    assert status == 0 and len([json.loads(line) for line in said.splitlines()]) == 6
    status, said = in_root(clean_root, "rebpf", "-d", "1")
    assert status == 0 and "rebpf: ready" in said, said
    status, said = in_root(clean_root, "dpkg", "--verify", "rebpf")
    assert status == 0 and not said, said

    status, said = in_root(clean_root, "dpkg", "--remove", "rebpf")
    assert status == 0, said
    assert files(clean_root) - before == {"etc/default/rebpf"}, "a conffile stays until the purge"
    status, said = in_root(clean_root, "dpkg", "--purge", "rebpf")
    assert status == 0, said
    assert files(clean_root) == before


def add_modules(suite_dir, root):
    """The classifier of kernels before 6.6 are modules."""
    with open(os.path.join(suite_dir, "release"), encoding="ascii") as file:
        release = file.read().strip()
    target = os.path.join(root, "usr/lib/modules", release)
    for path in ("kernel/net/sched/sch_ingress.ko", "kernel/net/sched/cls_bpf.ko"):
        os.makedirs(os.path.dirname(os.path.join(target, path)), exist_ok=True)
        shutil.copy(os.path.join(suite_dir, "modules", path), os.path.join(target, path))
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(os.path.join(suite_dir, "modules", name), target)
    run("depmod", "-b", root, release)


def test_in_a_guest_that_boots_it(deb, clean_root, tmp_path):
    """The service of the package, by systemd, on Debian's own kernel: not root, and it counts what happens."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("no qemu-system-x86_64")
    suite = kernel("bookworm")
    if not suite:
        pytest.skip("no Debian kernel to be had")
    root = str(tmp_path / "guest")
    run("cp", "-a", clean_root, root)
    shutil.rmtree(os.path.join(root, "usr/share/doc"))
    shutil.copy(deb, root + "/tmp/rebpf.deb")
    status, said = in_root(root, "dpkg", "-i", "/tmp/rebpf.deb")
    assert status == 0, said
    run("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-O2", "-static", "tests/packages/init.c",
        "-o", root + "/overflow")
    add_modules(suite, root)
    with open(root + "/test.sh", "w", encoding="ascii") as file:
        file.write(SCRIPT)
    os.chmod(root + "/test.sh", 0o755)
    with open(root + "/etc/systemd/system/test.service", "w", encoding="ascii") as file:
        file.write("[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nExecStart=/test.sh\n")
    os.makedirs(root + "/etc/systemd/system/multi-user.target.wants", exist_ok=True)
    os.symlink("/etc/systemd/system/test.service", root + "/etc/systemd/system/multi-user.target.wants/test.service")
    os.symlink("/lib/systemd/system/multi-user.target", root + "/etc/systemd/system/default.target")
    os.symlink("/sbin/init", root + "/init")

    text = "\n".join(boot(suite, root, 1536, 400, tmp_path))
    assert "== end" in text, text[-5000:]
    part = dict(re.findall(r"^== (\w+)\n(.*?)(?=^== (?!status)|\Z)", text, re.M | re.S))
    assert re.search(r"^attempt: fexit", part["check"], re.M) and "== status 0" in part["check"]
    assert "== status 0" in part["start"]
    page = part["page"]
    drops = re.search(r'^rebpf_drops_total\{reason="TCP_LISTEN_OVERFLOW",class="bad",[^}]*\} (\d+)', page, re.M)
    # Of which type depends on how slowly the guest runs.
    again = re.findall(r'^rebpf_retransmits_total\{type="\w+",outcome="sent",cause="local"\} (\d+)', page, re.M)
    assert drops and int(drops.group(1)) >= 4, page
    assert sum(map(int, again)) >= 1, page
    assert "ActiveState=active" in part["service"] and "DynamicUser=yes" in part["service"]
    uid = int(re.search(r"^Uid:\s+(\d+)", part["service"], re.M).group(1))
    assert uid >= 61184, "the range of dynamic users"
    assert re.search(r"^NoNewPrivs:\s+1$", part["service"], re.M) and re.search(r"^Seccomp:\s+2$", part["service"], re.M)
    assert re.search(r"^rebpf: ready", part["journal"], re.M)
    assert not re.search(r"^rebpf: (?!ready|metrics|rate|no events yet)", part["journal"], re.M), part["journal"]
    assert "== status 0" in part["remove"] and "inactive" in part["remove"] and "No such file" in part["remove"]
