# SPDX-License-Identifier: MIT
"""The README's table of kernels is what the last runs of `make matrix` wrote down."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vm"))

import matrix


def test_readme_has_the_results():
    assert matrix.read_readme()[1] == matrix.table(matrix.read_results()), "run: python3 tests/vm/matrix.py readme"


def test_results_are_of_runs():
    rows = matrix.read_results()
    assert len({row["kernel"] for row in rows}) == len(rows) > 0
    for row in rows:
        assert int(row["passed"]) > 0 and int(row["failed"]) >= 0 and int(row["skipped"]) >= 0, row
        hooks = dict(hook.split("=") for hook in row["hooks"].split())
        assert set(matrix.ROLES) <= set(hooks) and row["release"] and row["date"], row


def test_parse():
    """A run's log, as matrix.sh makes it, and one of a guest that died."""
    log = ("release: 6.1.0-56-rt-arm64\nmachine: aarch64\nversion: #1 SMP PREEMPT_RT Debian\npage: 65536\n"
           "kernel: 6.1.0-56-rt-arm64\nattempt: kprobe  (retransmissions)\n    not fexit: refused\n"
           "synack: tracepoint  (SYN-ACKs)\n    not fexit: refused\n    not seen: failed ones\ndrop: none  (drops)\n"
           "    not seen: drops\nprivileges:\n    not seen without CAP_SYSLOG: names\n"
           "...F\n1 failed, 3 passed in 9.9s\ntotal: 3 passed, 1 failed, 2 skipped\nstatus: 1\n")
    row = matrix.parse("x-rt-arm64", "truth", log)
    assert (row["release"], row["machine"], row["page"], row["rt"]) == ("6.1.0-56-rt-arm64", "aarch64", "65536", "yes")
    assert (row["passed"], row["failed"], row["skipped"]) == ("3", "1", "2")
    assert row["hooks"] == "attempt=kprobe synack=tracepoint drop=none"
    assert row["unseen"] == "synack: failed ones | drop: drops"
    assert matrix.label(row) == "6.1, PREEMPT_RT, arm64, 64 KiB pages"
    assert "| 6.1, PREEMPT_RT, arm64, 64 KiB pages | kprobe | tracepoint |" in matrix.table([row])
    dead = matrix.parse("x", "truth", "guest.sh: x: the guest ended without a status\nstatus: 125\n")
    assert (dead["hooks"], dead["passed"]) == ("-", "-")
