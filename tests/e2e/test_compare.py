# SPDX-License-Identifier: MIT
"""scripts/compare.sh: short, and its numbers add up. How fast anything is, nothing here says."""
import csv
import os
import re
import shutil
import subprocess

import pytest

import tracer
from lab import SLOW

FLOOD = os.path.join(tracer.TOP, "build", "tests", "flood")
SCRIPT = os.path.join(tracer.TOP, "scripts", "compare.sh")


def compare(*args, **how):
    done = subprocess.run([SCRIPT, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, cwd=tracer.TOP, timeout=240 * SLOW, check=False, **how)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("reason", ["NETFILTER_DROP", "NO_SOCKET"])
def test_quick(reason, tmp_path, alone):
    if not os.access(FLOOD, os.X_OK) or not shutil.which("script") or not shutil.which("bash"):
        pytest.skip("no %s, script or bash" % FLOOD)
    status, out, err = compare("--quick", "--reason", reason, "--dir", str(tmp_path), tracer.BINARY)
    assert (status, err) == (0, "")
    with open(tmp_path / "results.tsv", encoding="ascii") as file:
        rows = {row["mode"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert list(sorted(rows)) == ["count", "file", "none", "off", "terminal"]
    for mode, row in rows.items():
        assert float(row["packets_per_s"]) > 0
        if mode == "off":
            continue
        produced, consumed, lost, wakeups = (int(row[key]) for key in ("produced", "consumed", "lost", "wakeups"))
        assert produced >= 20000
        if mode == "count":  # no record is written
            continue
        assert produced == consumed + lost and 0 < wakeups <= produced
        with open(tmp_path / ("%s-1.log" % mode), encoding="ascii") as log:
            assert "rebpf: ready" in log.read()
    with open(tmp_path / "file-1.out", encoding="ascii") as lines:
        assert all("drop=%s@" % reason in line for line in lines)
    for mode in rows:
        assert len(re.findall(r"^%s +[\d.]+" % mode, out, re.M)) == (3 if mode != "off" else 2)
    assert not [name for name in os.listdir("/run/netns") if name.startswith("rebpf-compare-")]


def test_usage():
    for args in (["--packets"], ["--packets", "x"], ["--reason", "OTHER"], ["--nope"], ["a", "b"]):
        status, out, err = compare(*args)
        assert (status, out) == (2, "") and "compare.sh [--quick]" in err
    status, out, err = compare("/no/such/rebpf")
    assert (status, out) == (1, "") and err.startswith("compare.sh: no /no/such/rebpf or ")
    status, out, err = compare("--quick", user=65534, group=65534, extra_groups=[])
    assert (status, out, err) == (1, "", "compare.sh: must run as root\n")
