# SPDX-License-Identifier: MIT
"""-S and --interval on recordings: exact text and JSON, and every number that of the lines."""
import json
import re

import pytest

from test_golden import NAMES, compare, events, json_lines, recording, replay


def summary_text(path, *args, env=None):
    """The text of -S, and of each interval before it."""
    status, out, err = replay(path, "--utc", "-q", "-o", "none", "-S", *args, env={"LC_ALL": "C", **(env or {})})
    assert (status, out) == (0, "")
    return err


def summary_of(path, *args):
    return json.loads(json_lines(path, "-S", *args).splitlines()[-1])["summary"]


def test_summary():
    compare("summary-S.txt", summary_text(recording("summary"), "-e", "all", "--interval", "1"))
    assert max(map(len, summary_text(recording("summary"), "-e", "all", "--interval", "1").splitlines())) <= 80
    compare("summary-S.json", json_lines(recording("summary"), "-S", "-e", "all", "--interval", "1"))


def test_summary_goes_by_the_locale():
    ascii_text = summary_text(recording("summary"), "-e", "all")
    bars = summary_text(recording("summary"), "-e", "all", env={"LC_ALL": "", "LC_CTYPE": "", "LANG": "en_GB.utf8"})
    assert ascii_text.isascii() and "#" in ascii_text and "\u2588" in bars and "#" not in bars
    assert re.sub("[\u2588-\u258f]", "", bars) != bars
    assert [line[:62].rstrip() for line in bars.splitlines()] == [line[:62].rstrip() for line in ascii_text.splitlines()]
    assert summary_text(recording("summary"), "-e", "all", env={"LC_ALL": "C", "LANG": "C.UTF-8"}) == ascii_text


@pytest.mark.parametrize("args", [[], ["-e", "drop"], ["--class", "all"], ["--cause", "local"], ["-6"], ["-P", "1-1023"],
                                  ["-e", "all", "--sport", "7077"], ["--type", "rto"]], ids=" ".join)
def test_summary_is_of_what_is_shown(args):
    """Each number is that of the lines, whatever is filtered."""
    for name in NAMES:
        shown, summary = events(recording(name), *args), summary_of(recording(name), *args)
        of = {kind: [e for e in shown if e["event"] == kind] for kind in ("retransmit", "drop", "connect", "spurious")}
        retransmit, drop, connect = (summary[kind] for kind in ("retransmit", "drop", "connect"))
        assert [retransmit["count"], drop["count"], connect["count"], retransmit["spurious"]] == \
            [len(of[kind]) for kind in ("retransmit", "drop", "connect", "spurious")]
        for field, told in (("type", retransmit["by_type"]), ("cause", retransmit["by_cause"]),
                            ("outcome", retransmit["by_outcome"])):
            assert all(count == sum(e[field] == value for e in of["retransmit"]) for value, count in told.items())
        assert all(count == sum(e["class"] == value for e in of["drop"]) for value, count in drop["by_class"].items())
        for table, value in (("remotes", lambda e: e["daddr"]), ("ports", lambda e: min(e["sport"], e["dport"])),
                             ("processes", lambda e: e["pid"])):
            key = {"remotes": "addr", "ports": "port", "processes": "pid"}[table]
            told = {row[key]: row["count"] for row in retransmit[table]}
            assert told == {value(e): sum(value(x) == value(e) for x in of["retransmit"]) for e in of["retransmit"]}
        for told, picked in ((drop["places"], of["drop"]),
                             (retransmit["lost_at"], [e["cause_drop"] for e in of["retransmit"] if e["cause_drop"]])):
            assert sum(row["count"] for row in told) == len(picked)
            assert {(row["reason"], row["location"]) for row in told} == {(e["reason"], e["location"]) for e in picked}
        assert not any(row["error"] for part in (retransmit, drop) for rows in part.values() if isinstance(rows, list)
                       for row in rows)


def test_summary_of_intervals():
    """What came since the last adds up to the whole; the last is the same as without intervals."""
    path = recording("summary")
    *parts, last = [json.loads(line) for line in json_lines(path, "-S", "-e", "all", "--interval", "1").splitlines()
                    if '"event":"stats"' in line]
    assert len(parts) >= 2 and last["final"] and not any(part["final"] for part in parts)
    assert last == json.loads(json_lines(path, "-S", "-e", "all").splitlines()[-1])
    counts = [part["summary"]["retransmit"]["count"] for part in parts]
    assert counts == sorted(counts) and counts[0] < counts[-1] <= last["summary"]["retransmit"]["count"]
    text = summary_text(path, "-e", "all", "--interval", "1")
    assert text.count("Summary of ") == len(parts) + 1
    risen = [int(n) for n in re.findall(r"^Retransmissions +\d+  \+(\d+);", text, re.M)]
    assert [sum(risen[:n + 1]) for n in range(len(risen))] == counts


def test_traffic():
    """Of the recording with the kernel's counters; older ones have none."""
    told = summary_of(recording("summary"))["traffic"]
    assert told["out_segs"] > told["retrans_segs"] == summary_of(recording("summary"))["retransmit"]["count"] > 0
    assert told["retrans_ppm"] == told["retrans_segs"] * 1000000 // told["out_segs"]
    assert summary_of(recording("local"))["traffic"] is None
    spaces = {e["netns"] for e in events(recording("summary"), "-e", "retransmit")}
    one = summary_of(recording("summary"), "--netns", str(spaces.pop()))["traffic"]
    assert one["namespaces"] == 1 and one["retrans_segs"] == told["retrans_segs"] and one["out_segs"] < told["out_segs"]
