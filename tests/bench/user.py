# SPDX-License-Identifier: MIT
"""What rebpf costs in user space: the rows `user` and `scale` of bench.py."""
import os
import re
import statistics
import subprocess
import tempfile
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
REBPF = os.environ.get("REBPF", os.path.join(TOP, "build", "rebpf"))
STREAM = os.path.join(TOP, "build", "tests", "stream")
TMPFS = "/dev/shm"
ROUNDS = 5
STARTS = 7


def replay(path, form, out, events="drop"):
    """(seconds of CPU, user and system; KiB of memory at most)"""
    with open(out, "wb") as file:
        process = subprocess.Popen([REBPF, "-q", "-e", events, "-r", path, "-o", form], stdout=file)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError("the replay of %s ended with %d" % (path, process.returncode))
    return used.ru_utime + used.ru_stime, used.ru_maxrss


def stream(kind, flows, count, folder):
    path = os.path.join(folder, "%s-%d.rebpf" % (kind, flows))
    with open(path, "wb") as file:
        subprocess.run([STREAM, kind, str(flows), str(count)], stdout=file, check=True)
    return path


def tmpfs_folder():
    """A recording read from a disk, or lines written to it, would measure that."""
    return tempfile.TemporaryDirectory(prefix="rebpf-bench-", dir=TMPFS if os.path.isdir(TMPFS) else None)


def replay_rates(what, path, count, events, folder):
    for form in ("text", "json", "none"):
        for name, out in (("/dev/null", os.devnull), ("a file on tmpfs", os.path.join(folder, "out"))):
            if form == "none" and out != os.devnull:
                continue
            found = [replay(path, form, out, events)[0] for _ in range(ROUNDS)]
            print("%-18s %6.2f million a second of CPU, %4.0f ns each (best %.2f), to %s" % (
                "%s, %s" % (what, form), count / statistics.median(found) / 1e6, 1e9 * statistics.median(found) / count,
                count / min(found) / 1e6, name))


def bench_replay(drops, shown):
    """@drops: a recording of so many drops as they came."""
    print("user: replays, CPU time of the whole process, medians of %d" % ROUNDS)
    with tmpfs_folder() as folder:
        copy = os.path.join(folder, "drops.rebpf")
        with open(drops, "rb") as source, open(copy, "wb") as target:
            target.write(source.read())
        replay_rates("drops", copy, shown, "drop", folder)
        os.unlink(copy)
        count = 400000
        replay_rates("retransmissions", stream("retransmits", 1000, count, folder), count, "retransmit", folder)


def bench_start(rebpf):
    """From exec() to the line that says that every hook is attached. @rebpf: makes a tracer (bench.py)."""
    started, used = [], []
    for _ in range(STARTS):
        with rebpf("-o", "none") as tracer:
            started.append(tracer.started)
            used.append(tracer.cpu())
    print("%-18s %6.0f ms (%s), %.2f s of CPU" % ("start to ready", 1000 * statistics.median(started),
                                                 " ".join("%.0f" % (1000 * v) for v in started), statistics.median(used)))


def ring_kib(pid):
    """Resident KiB of the mappings of the rings. (The kernel's ring buffers, before Linux 6.2, are mapped twice.)"""
    with open("/proc/%d/smaps" % pid, encoding="ascii", errors="replace") as file:
        parts = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", file.read())
    return sum(int(re.search(r"^Rss:\s+(\d+)", part, re.M).group(1)) for part in parts
               if "anon_inode:bpf-map" in part.split("\n", 1)[0])


def bench_memory(tracer):
    with open("/proc/%d/status" % tracer.process.pid, encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    total, rings = int(status["VmRSS"].split()[0]), ring_kib(tracer.process.pid)
    print("%-18s %.1f MiB beside the rings, of which anonymous %.1f; the rings %.1f" % (
        "memory", (total - rings) / 1024, int(status["RssAnon"].split()[0]) / 1024, rings / 1024))


def bench_idle(tracer, seconds=10):
    before = tracer.cpu()
    time.sleep(seconds)
    print("%-18s %6.3f s of CPU in %d s" % ("idle", tracer.cpu() - before, seconds))


def bench_scale():
    print("scale: ns of CPU an event (a drop; a retransmission, its five records and its drop), and memory, by flows")
    count = 400000
    with tmpfs_folder() as folder:
        for kind in ("drops", "retransmits", "lost"):
            cells = []
            for flows in (10, 1000, 100000):
                path = stream(kind, flows, count, folder)
                found = [replay(path, "text", os.devnull, "all") for _ in range(ROUNDS)]
                cells.append("%d: %4.0f ns, %3.0f MiB" % (flows, 1e9 * statistics.median(f[0] for f in found) / count,
                                                         max(f[1] for f in found) / 1024))
                os.unlink(path)
            print("%-18s %s" % (kind, "   ".join(cells)))
        path = stream("drops", 1000, 1000000, folder)
        print("%-18s %.0f MiB" % ("a million drops", replay(path, "none", os.devnull)[1] / 1024))
