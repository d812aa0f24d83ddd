# SPDX-License-Identifier: MIT
"""Recorded bytes in, exact text and JSON out: no root, no kernel. record.sh makes the recordings.

Those in OLD are by rebpfs that recorded neither drops nor what they knew of the host, and are never made anew.

UPDATE_GOLDEN=1 rewrites what is expected; look at the difference before you commit it.
"""
import ipaddress
import json
import os
import random
import re
import shutil
import struct
import subprocess
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.path.abspath(os.environ.get("REBPF", os.path.join(HERE, "..", "..", "build", "rebpf")))
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
NAMES = sorted(name[:-6] for name in os.listdir(HERE) if name.endswith(".rebpf"))

OLD = sorted(name for name in NAMES if name.split("-")[0] in (
    "busy", "early", "gso", "ipv6", "loss", "netem", "output", "qdisc", "shot", "stolen", "syn", "synack"))
NEW = sorted(set(NAMES) - set(OLD))

# bpf/event.h: struct rec_header, and enum record_kind in the order of event_kinds.h.
HEADER = struct.Struct("=QQHBBHH")
with open(os.path.join(HERE, "..", "..", "bpf", "event_kinds.h"), encoding="utf-8") as source:
    KINDS = ["NONE", *re.findall(r"X\((\w+), rec_\w+, \w+\)", source.read())]


# What is shown of them, in place of what is shown without -e.
CONNECTS = sorted(name for name in NAMES if name.split("-")[0] == "connect")


def shown(name):
    return ["-e", "connect"] if name in CONNECTS else []


def recording(name):
    return os.path.join(HERE, name + ".rebpf")


def read_bytes(name):
    with open(recording(name), "rb") as file:
        return file.read()


def replay(path, *args, data=None, env=None):
    """Runs rebpf -r: (status, stdout, stderr). What it says on stderr at the end of a run is left out by -q."""
    done = subprocess.run([BINARY, "-r", path, *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, check=False, env={**os.environ, "NO_COLOR": "", **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def text(path, *args):
    status, out, err = replay(path, "--utc", "-q", *args)
    assert (status, err) == (0, "")
    return out


def json_lines(path, *args):
    status, out, err = replay(path, "-q", "-o", "json", *args)
    assert (status, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["event"] == "stats"
    return out


def events(path, *args):
    return [json.loads(line) for line in json_lines(path, *args).splitlines()][:-1]


def attempts(path, *args):
    return [e for e in events(path, *args) if e["event"] == "retransmit"]


def drops(path, *args):
    return [e for e in events(path, *args) if e["event"] == "drop"]


def split_records(data):
    """Each record's bytes."""
    at = 0
    while at < len(data):
        size = HEADER.unpack_from(data, at)[2]
        yield data[at:at + size]
        at += size


def kind_of(record):
    return KINDS[HEADER.unpack_from(record)[3]]


def resized(record, size):
    """The record cut, or completed with bytes that nobody knows."""
    fields = list(HEADER.unpack_from(record))
    fields[2] = size
    return (HEADER.pack(*fields) + record[HEADER.size:] + b"\xa5" * size)[:size]


@pytest.fixture
def file(tmp_path):
    """Writes bytes into a file and returns its path."""
    def write(data):
        path = tmp_path / "some.rebpf"
        path.write_bytes(data)
        return str(path)

    return write


# ---- the recordings ----


def compare(name, got):
    path = os.path.join(HERE, name)
    if UPDATE:
        with open(path, "w", encoding="utf-8") as out:
            out.write(got)
    with open(path, encoding="utf-8") as expected:
        assert got == expected.read()


def test_there_are_recordings():
    assert {"loss", "shot", "output", "syn", "ipv6", "synack", "loss-trixie", "shot-bullseye"} <= set(OLD)
    assert {"local", "ack", "wire", "wire6", "overflow", "local-bookworm", "wire-bookworm"} <= set(NEW)


def test_old_recordings_are_old():
    """Nobody made them anew, by mistake."""
    for name in NAMES:
        kinds = {kind_of(record) for record in split_records(read_bytes(name))}
        assert (name in OLD) == (not kinds & {"DROP", "SURVEY", "LINK", "ADDR", "SPURIOUS", "SOCKET"}), name


@pytest.mark.parametrize("name", NAMES)
def test_text(name):
    compare(name + ".txt", text(recording(name), *shown(name)))


@pytest.mark.parametrize("name", ["shot", "output", "ipv6", "synack"])
def test_verbose_text(name):
    """-v adds words to a line, and the device to a drop; all else stays in its place."""
    status, out, _ = replay(recording(name), "--utc", "-v")
    assert status == 0
    short = text(recording(name))
    assert len(out.splitlines()) == len(short.splitlines())
    for line, longer, event in zip(short.splitlines(), out.splitlines(), events(recording(name))):
        assert re.sub(r"( drop=[^ ]*):(a0|-) ", r"\1 ", longer).startswith(line + " ")
        assert " netns=%d " % event["netns"] in longer
        assert " skb=%s" % event["skb"] in longer or not event["skb"]
    compare(name + "-v.txt", out)


@pytest.mark.parametrize("name", ["sender", "ack", "given_up", "late", "stack"])
def test_more_text(name):
    """All that a line can say."""
    status, out, _ = replay(recording(name), "--utc", "-v", "--stack", "--class", "all")
    assert status == 0
    short = text(recording(name), "--class", "all").splitlines()
    assert len(out.splitlines()) == len(short)
    for line, longer in zip(short, out.splitlines()):
        assert longer.split()[:6] == line.split()[:6]
    compare(name + "-v.txt", out)


@pytest.mark.parametrize("name", CONNECTS)
def test_more_text_of_connects(name):
    """Words are added behind the others, and to the drop."""
    status, out, _ = replay(recording(name), "--utc", "-v", "-e", "connect")
    assert status == 0
    short = text(recording(name), "-e", "connect").splitlines()
    for line, longer in zip(short, out.splitlines()):
        assert re.sub(r" cause_drop=\S+", "", longer).startswith(re.sub(r" cause_drop=\S+", "", line) + " netns=")
    compare(name + "-v.txt", out)


@pytest.mark.parametrize("name", NAMES)
def test_json(name):
    compare(name + ".json", json_lines(recording(name), *shown(name)))


@pytest.mark.parametrize("name", NAMES)
def test_fit_to_keep(name):
    """Small, nothing lost, and nothing in it that names this machine's other programs."""
    data = read_bytes(name)
    assert len(data) < 65536
    assert kind_of(next(split_records(data))) == "HOST"
    stats = json.loads(json_lines(recording(name)).splitlines()[-1])
    assert stats["lost"] == {"control": 0, "drops": 0}
    assert (stats["missed"], stats["malformed"], stats["incomplete"]) == (0, 0, 0)
    every = events(recording(name), "--class", "all", "-e", "all")
    assert stats["attempts"] == sum(e["event"] == "retransmit" for e in every)
    assert stats["drops"] == sum(e["event"] == "drop" for e in every)
    assert stats["spurious"] == sum(e["event"] == "spurious" for e in every)
    assert stats["connects"] == sum(e["event"] == "connect" for e in every)
    assert every
    assert {e["task_comm"].split("/")[0] for e in every if e.get("task_comm")} <= {"python3", "swapper", "ksoftirqd"}
    assert {e["comm"] for e in every} <= {"python3", None}


DROP_SIZE = 448  # of a whole rec_drop


# Of each kind: (offset of an address, offset of its version, 0 for none). bpf/event.h: rec_flow, rec_tuple, rec_addr.
ADDRESSES_AT = {"RTX_ENTRY": ((24, 60), (40, 60)), "SPURIOUS": ((24, 60), (40, 60)), "CONNECT": ((24, 60), (40, 60)),
                "ADDR": ((24, 44),),
                "DROP": ((40, 76), (56, 76), (272, 308), (288, 308), (312, 348), (328, 348))}
NETWORKS = [ipaddress.ip_network(net)
            for net in ("10.77.0.0/16", "fd77::/16", "127.0.0.0/8", "::1/128", "fe80::ff:fe00:0/120",
                        "0.0.0.0/32", "::/128")]  # the last two: a connect that came to no address of its own


@pytest.mark.parametrize("name", NAMES)
def test_no_address_from_elsewhere(name):
    """rebpf records the addresses of every namespace and the ends of every dropped packet: here, only the lab's."""
    found = set()
    for record in split_records(read_bytes(name)):
        for at, version in ADDRESSES_AT.get(kind_of(record), ()):
            if version < len(record) and record[version]:
                found.add(ipaddress.ip_address(record[at:at + (4 if record[version] == 4 else 16)]))
    assert found
    assert not [address for address in found if not any(address in network for network in NETWORKS)]


SITUATIONS = {
    "loss": lambda e: e["type"] == "fast" and e["outcome"] == "sent" and e["tc"][0]["verdict"] == "TC_ACT_OK",
    "ipv6": lambda e: e["ip_version"] == 6 and e["saddr"] == "fd77::1" and e["outcome"] == "sent",
    "gso": lambda e: e["segs"] > 1 and e["len"] > 1448,
    "shot": lambda e: e["outcome"] == "dropped" and e["ret_name"] == "NET_XMIT_DROP" and
    (e["tc"][0]["verdict"], e["tc"][0]["by"]) == ("TC_ACT_SHOT", "other"),
    "early": lambda e: e["outcome"] == "dropped" and e["tc"][0]["verdict"] == "TC_ACT_SHOT",
    "stolen": lambda e: e["outcome"] == "stolen" and e["ret"] == 0 and e["tc"][0]["verdict"] == "TC_ACT_STOLEN",
    "output": lambda e: e["outcome"] == "dropped" and e["ret_name"] == "EPERM" and e["tc"] == [] and e["drop"],
    "qdisc": lambda e: e["outcome"] == "dropped" and e["ret"] == 1 and e["tc"][0]["verdict"] == "TC_ACT_OK",
    "netem": lambda e: e["outcome"] == "dropped" and e["ret"] == 0 and e["tc"][0]["verdict"] == "TC_ACT_OK",
    "busy": lambda e: e["outcome"] == "refused" and e["ret_name"] == "EBUSY" and e["cause"] == "host_queue",
    "syn": lambda e: e["type"] == "syn" and e["attempt"] == 2 and e["state"] == "SYN_SENT" and e["len"] == 0,
    "local": lambda e: e["cause"] == "local" and e["cause_drop"]["reason"] == "NETFILTER_DROP",
    "mapped": lambda e: e["ip_version"] == 4 and e["cause"] == "local",
    "stack": lambda e: "nf_hook_slow" in " ".join(e["stack"]),
    "sender": lambda e: e["cause"] == "local" and e["cause_drop"]["reason"] == "QDISC_DROP" and e["outcome"] == "dropped",
    "ack": lambda e: e["cause"] == "ack_local" and e["saddr"] == "fd77::1",
    "wire": lambda e: e["cause"] == "network" and e["cause_drop"] is None and e["saddr"] == "10.77.0.1",
    "wire6": lambda e: e["cause"] == "network" and e["cause_drop"] is None and e["saddr"] == "fd77::1",
    "late": lambda e: e["cause_was"] == "network",
    "overflow": lambda e: e["reason"] == "TCP_LISTEN_OVERFLOW" and e["synthetic"],
    "given_up": lambda e: e["reason"] == "RETRIES_EXCEEDED" and e["synthetic"],
    "summary": lambda e: e["cause"] == "local" and e["outcome"] == "sent",
    "synack": lambda e: e["type"] == "synack" and e["attempt"] == 2 and e["sport"] == 7077 and e["cwnd"] is None,
    "connect": lambda e: e["result"] == "timeout" and e["syn_retrans"] == 1 and e["cause_drop"]["reason"] == "NETFILTER_DROP",
}


@pytest.mark.parametrize("name", CONNECTS)
def test_shows_all_results(name):
    """What happened in record.py's connect(), in its order."""
    found = [(e["result"], e["ip_version"], e["syn_sent"], e["syn_retrans"], e["cause_drop"] is not None)
             for e in events(recording(name), "-e", "connect")]
    assert found == [
        ("refused", 6, True, 0, True), ("established", 6, True, 0, False), ("established", 4, True, 0, False),
        ("established", 4, True, 1, True), ("timeout", 4, True, 1, True), ("aborted", 4, True, 0, True),
        ("established", 4, True, 0, False), ("failed", 4, False, 0, False)]


@pytest.mark.parametrize("name", NAMES)
def test_shows_its_situation(name):
    """The expectations below are what rebpf said; this is what it has to say, whatever was recorded."""
    what = name.split("-")[0]
    kind = {"late": "spurious", "stack": "drop", "overflow": "drop", "given_up": "drop", "connect": "connect"}.get(what, "retransmit")
    assert any(SITUATIONS[what](e) for e in events(recording(name), "--stack", *shown(name)) if e["event"] == kind)


def test_sums():
    """The statistics are the sums of the events."""
    for name in NAMES:
        lines = [json.loads(line) for line in json_lines(recording(name)).splitlines()]
        stats, rest = lines[-1], [e for e in lines[:-1] if e["event"] == "retransmit"]
        for field in ("type", "outcome", "cause"):
            for value, count in stats["by_" + field].items():
                assert count == sum(e[field] == value for e in rest), (name, field, value)
        sent = [e for e in rest if e["outcome"] != "refused" and (e["type"] != "synack" or e["ret"] == 0)]
        assert stats["segs"] == sum(e["segs"] for e in sent)
        assert stats["segs_failed"] == sum(e["segs"] for e in sent if e["ret"] not in (0, None))


def test_zone():
    """Text says local time, and --utc does not ask where that is."""
    path = recording("loss")
    utc = text(path)
    assert replay(path, "-q", env={"TZ": "UTC0"})[1] == utc
    assert replay(path, "--utc", "-q", env={"TZ": "XYZ-5:30"})[1] == utc
    local = replay(path, "-q", env={"TZ": "XYZ-5:30"})[1]
    assert local != utc
    for one, other in zip(utc.splitlines(), local.splitlines()):
        minutes = [int(line[:2]) * 60 + int(line[3:5]) for line in (one, other)]
        assert (minutes[1] - minutes[0]) % 1440 == 330
        assert one[5:] == other[5:] or one[6:] == other[6:]


# ---- filters and formats on a replay ----



def reasons(e):
    """What --reason goes by: of the drop, of the copy just sent, or of the one that was lost."""
    return {e.get("reason"), *(e[key]["reason"] for key in ("drop", "cause_drop") if e.get(key))}


FILTERS = [
    (["-P", "7077"], lambda e: 7077 in (e["sport"], e["dport"])),
    (["--sport", "7077"], lambda e: e["sport"] == 7077),
    (["--dport", "7000-7100"], lambda e: 7000 <= e["dport"] <= 7100),
    (["-P", "1-1023"], lambda e: False),
    (["--saddr", "10.77.0.1"], lambda e: e["saddr"] == "10.77.0.1"),
    (["-a", "10.77.0.0/31"], lambda e: "10.77.0.1" in (e["saddr"], e["daddr"])),
    (["-a", "fd77::/16"], lambda e: e["ip_version"] == 6),
    (["--daddr", "fd77::2"], lambda e: e["daddr"] == "fd77::2"),
    (["-4"], lambda e: e["ip_version"] == 4),
    (["-6"], lambda e: e["ip_version"] == 6),
    (["--type", "rto"], lambda e: e.get("type") == "rto"),
    (["--type", "synack,tlp"], lambda e: e.get("type") in ("synack", "tlp")),
    (["--type", "fast", "--type", "syn"], lambda e: e.get("type") in ("fast", "syn")),
    (["--cause", "host_queue"], lambda e: e.get("cause") == "host_queue"),
    (["--cause", "local,ack_local"], lambda e: e.get("cause") in ("local", "ack_local")),
    (["--cause", "network"], lambda e: e.get("cause") == "network"),
    (["-e", "drop"], lambda e: e["event"] == "drop"),
    (["-e", "retransmit"], lambda e: e["event"] != "drop"),  # what was needless belongs to them
    (["-e", "drop,retransmit", "--cause", "local"], lambda e: e["event"] == "drop" or e.get("cause") == "local"),
    (["--class", "bad"], lambda e: e.get("class", "bad") == "bad"),
    (["-e", "drop", "--class", "policy"], lambda e: e["event"] == "drop" and e["class"] == "policy"),
    (["--reason", "TC_EGRESS,netfilter_drop"],
     lambda e: reasons(e) & {"TC_EGRESS", "NETFILTER_DROP"}),
    (["--reason", "TCP_LISTEN_OVERFLOW"], lambda e: "TCP_LISTEN_OVERFLOW" in reasons(e)),
    (["--comm", "python3"], lambda e: e["comm"] == "python3"),
    (["--comm", "python"], lambda e: False),
    (["--type", "rto", "-4", "--sport", "1-65535", "--reason", "QDISC_DROP"],
     lambda e: e.get("type") == "rto" and "QDISC_DROP" in reasons(e)),
]


@pytest.mark.parametrize("args, wanted", FILTERS, ids=[" ".join(args) for args, _ in FILTERS])
def test_filter(args, wanted):
    """What is printed is what the recording gives without a filter, less what is not wanted, in both formats."""
    kept = left_out = 0
    for name in NAMES:
        every = list(zip(text(recording(name)).splitlines(), events(recording(name))))
        want = [(line, e) for line, e in every if wanted(e)]
        assert text(recording(name), *args).splitlines() == [line for line, _ in want], name
        assert events(recording(name), *args) == [e for _, e in want], name
        kept, left_out = kept + len(want), left_out + len(every) - len(want)
    assert kept or args[1] in ("1-1023", "python")
    assert left_out or args[1] in ("7077", "python3") and args[0] != "--sport"


CONNECT_FILTERS = [
    (["--min-latency", "900ms"], lambda e: (e["duration_us"] or 0) >= 900000),
    (["--min-latency", "250us"], lambda e: (e["duration_us"] or 0) >= 250),
    (["--min-latency", "1h"], lambda e: False),
    (["--reason", "netfilter_drop"], lambda e: "NETFILTER_DROP" in reasons(e)),
    (["-6"], lambda e: e["ip_version"] == 6),
    (["--daddr", "10.77.0.2", "--sport", "40000"], lambda e: e["sport"] == 40000),
    (["-i", "a0"], lambda e: False),
    (["--type", "rto"], lambda e: True),
]


@pytest.mark.parametrize("args, wanted", CONNECT_FILTERS, ids=[" ".join(args) for args, _ in CONNECT_FILTERS])
def test_filter_of_connects(args, wanted):
    for name in CONNECTS:
        every = events(recording(name), "-e", "connect")
        want = [e for e in every if wanted(e)]
        assert events(recording(name), "-e", "connect", *args) == want, name
        assert want or args[1] in ("1h", "a0")
        if args[0] == "--min-latency":
            assert events(recording(name), *args) == want


def test_filter_by_netns_and_pid():
    for key, option in (("netns", "--netns"), ("pid", "-p")):
        name = "synack"
        values = sorted({e[key] for e in events(recording(name))})
        for value in values:
            assert events(recording(name), option, str(value)) == \
                [e for e in events(recording(name)) if e[key] == value]
        assert events(recording(name), option, str(max(values) + 1)) == []
    assert len({e["netns"] for e in events(recording("synack"))}) == 2


def test_filters_do_not_change_what_is_known():
    """The number of an attempt, and the statistics, count what is not printed too."""
    path = recording("shot")
    every = events(path)
    shown = events(path, "--reason", "TC_EGRESS")
    assert [e["attempt"] for e in shown] == [e["attempt"] for e in every if e["drop"]]
    assert shown[0]["attempt"] > 1
    stats = json.loads(json_lines(path, "--type", "syn").splitlines()[-1])
    assert (stats["attempts"], stats["printed"]) == (len(every), 0)


CHOICES = [["-e", "retransmit"], ["-e", "drop"], ["--class", "all"], ["--class", "expected"], ["--cause", "local"],
           ["--cause", "network"], ["--cause", "ack_local,unknown"], ["--type", "rto,syn"], ["--reason", "NETFILTER_DROP"],
           ["--reason", "QDISC_DROP,TC_EGRESS"], ["--sport", "7077"], ["--dport", "7077"], ["-4"], ["-6"], ["-P", "1-1023"],
           ["--saddr", "10.77.0.2"], ["--comm", "python3"], ["-p", "1"], ["-i", "a0"], ["-i", "b0"], ["--stack"], ["-v"],
           ["--all-protocols"]]


@pytest.mark.parametrize("args", CHOICES, ids=" ".join)
def test_filter_changes_no_verdict(args):
    """Filters choose what is printed, never what is evidence: what remains is word for word what it was."""
    for name in NEW:
        stack = [arg for arg in args if arg == "--stack"]
        every = json_lines(recording(name), "--class", "all", *stack).splitlines()[:-1]
        rest = iter(every)
        for line in json_lines(recording(name), *args).splitlines()[:-1]:
            assert line in rest, (name, line)  # in this order


def test_events_option():
    """-e chooses the kinds; needless retransmissions go with the retransmissions."""
    for name in NEW:
        path = recording(name)
        assert {e["event"] for e in events(path, "-e", "drop")} <= {"drop"}
        assert {e["event"] for e in events(path, "-e", "retransmit")} <= {"retransmit", "spurious"}
        assert text(path, "-e", "drop,retransmit") == text(path)
        assert text(path, "-e", "all") == text(path, "-e", "drop,connect,retransmit")
        assert {e["event"] for e in events(path, "-e", "connect")} == ({"connect"} if name in [*CONNECTS, "summary"] else set())
        assert "".join(sorted(text(path).splitlines(True))) == "".join(sorted(
            (text(path, "-e", "drop") + text(path, "-e", "retransmit")).splitlines(True)))


def test_class():
    """Expected drops are hidden unless they are asked for, and counted all the same."""
    path = recording("ack")
    assert {e["class"] for e in drops(path, "--class", "all")} == {"policy", "expected"}
    assert {e["class"] for e in drops(path)} == {"policy"}
    assert {e["reason"] for e in drops(path, "--class", "expected")} == {"TCP_OLD_DATA"}
    every = drops(path, "--class", "all")
    stats = json.loads(json_lines(path).splitlines()[-1])
    assert stats["drops_by_class"] == {name: sum(e["class"] == name for e in every)
                                       for name in ("bad", "policy", "expected")}


def test_drop_reasons():
    """Where the sender's own host lost it: netfilter, a queue, another program; each is the cause of the next attempt."""
    path = recording("sender")
    found = attempts(path)
    own = [e["drop"] and e["drop"]["reason"] for e in found]
    assert own == [None, "NETFILTER_DROP", "QDISC_DROP", "TC_EGRESS", None]
    assert [e["cause_drop"]["reason"] for e in found] == ["NETFILTER_DROP"] + [reason or "NETFILTER_DROP"
                                                                               for reason in own[:-1]]
    assert [e["attempt"] for e in found] == [1, 2, 3, 4, 5]
    assert {e["cause"] for e in found} == {"local"}
    assert [e["attempt"] for e in attempts(path, "--reason", "QDISC_DROP")] == [3, 4]
    assert [e["reason"] for e in drops(path, "--reason", "qdisc_drop")] == ["QDISC_DROP"]


def test_cause_is_a_drop_that_was_told():
    """cause_drop names a drop event of the same bytes, before the retransmission."""
    for name in ("local", "mapped", "sender", "given_up", "stack", "local-bookworm", "given_up-bookworm", "local-trixie"):
        found = drops(recording(name), "--class", "all")
        for e in attempts(recording(name)):
            assert e["cause"] == "local"
            assert any((d["seq"], d["reason"], d["location"], d["netns"]) == (
                e["seq"], e["cause_drop"]["reason"], e["cause_drop"]["location"], e["cause_drop"]["netns"]) and
                d["time"] < e["time"] for d in found), (name, e)


def test_synthetic():
    """Conclusions of rebpf have no function, and the listener's owner."""
    for name in ("overflow", "overflow-bookworm"):
        found = drops(recording(name))
        assert len(found) == 4
        for e in found:
            assert (e["reason"], e["location"], e["state"], e["comm"]) == ("TCP_LISTEN_OVERFLOW", None, "LISTEN", "python3")
        assert {e["cause_drop"]["reason"] for e in attempts(recording(name))} == {"TCP_LISTEN_OVERFLOW"}
    for name in ("given_up", "given_up-bookworm"):
        last = drops(recording(name))[-1]
        assert (last["reason"], last["synthetic"], last["seq"]) == ("RETRIES_EXCEEDED", True, None)


def test_stack():
    found = drops(recording("stack"), "--stack", "--class", "all")
    assert [e["reason"] for e in found] == ["NETFILTER_DROP"] * 2 + ["NO_SOCKET"]
    for e in found:
        assert e["location"] in e["stack"]
    assert not any(e["stack"] for e in drops(recording("local"), "--stack"))  # none was recorded
    for line in text(recording("stack"), "--stack", "-e", "drop").splitlines():
        assert re.search(r" stack=\S+<nft_do_chain\+0x\w+<nft_do_chain_inet\+0x\w+<nf_hook_slow\+0x\w+<", line)


def test_count():
    path = recording("loss")
    lines = text(path).splitlines(True)
    assert len(lines) > 3
    for n in (1, 2, len(lines), len(lines) + 1):
        assert text(path, "-c", str(n)) == "".join(lines[:n])
    path = recording("synack")
    syn = [line for line in text(path).splitlines(True) if " type=syn " in line]
    assert not text(path).startswith(syn[0])
    assert text(path, "-c", "1", "--type", "syn") == syn[0]


def test_duration_of_a_replay():
    """-d: so much of the recording's time."""
    path = recording("summary")
    whole, part = text(path, "-e", "all"), text(path, "-e", "all", "-d", "1")
    assert whole.startswith(part) and 0 < len(part) < len(whole)


def test_stack_only_if_asked_for():
    assert all(e["stack"] is None for e in drops(recording("stack"), "--class", "all"))


def test_no_output():
    assert replay(recording("loss"), "-o", "none", "-q") == (0, "", "")


def test_report():
    """Without -q the end of a replay is the same report as that of a run."""
    status, out, err = replay(recording("shot"), "--utc")
    assert status == 0
    assert out == text(recording("shot"))
    rows = dict(re.findall(r"^ *([^\d\n]*?) +([\d.]+)$", err, re.M))
    every = events(recording("shot"))
    dropped = sum(e["outcome"] == "dropped" for e in every)
    assert (rows["Attempts seen"], rows["dropped"], rows["rto"]) == (str(len(every)), str(dropped), str(len(every)))
    assert err.endswith("Total: %d\n" % len(every))


def test_slow_reader(file):
    """A replay waits for whoever reads it, beyond what a live run keeps for a slow reader, and also at its end."""
    data = read_bytes("sender")
    path = file(data * 2500)
    with open(path + ".all", "wb") as whole:
        subprocess.run([BINARY, "-r", path, "-q", "-o", "json"], stdout=whole, timeout=60, check=True)
    process = subprocess.Popen([BINARY, "-r", path, "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(2)
    assert process.poll() is None
    out, err = process.communicate(timeout=60)
    with open(path + ".all", "rb") as whole:
        expected = whole.read()
    assert len(expected) > 3 * (8 << 20) // 2 and out == expected
    assert re.search(rb"^Output lines lost +0$", err, re.M) and process.returncode == 0


def test_standard_input():
    data = read_bytes("shot")
    status, out, err = replay("-", "--utc", "-q", data=data)
    assert (status, err) == (0, "")
    assert out == text(recording("shot"))


@pytest.mark.parametrize("name", NAMES)
def test_recording_of_a_replay(name, tmp_path):
    """-w on a replay writes the same bytes."""
    copy = str(tmp_path / "copy")
    text(recording(name), "-w", copy)
    with open(copy, "rb") as written:
        assert written.read() == read_bytes(name)


# ---- other rebpfs' recordings ----


def grown(record):
    """As a newer rebpf would write it; a DROP grows behind what it need not hold."""
    short = kind_of(record) == "DROP" and len(record) < DROP_SIZE
    return record if short else resized(record, len(record) + 24)


@pytest.mark.parametrize("name", ["loss", "shot", "output-bullseye", "local", "ack", "wire", "late", "stack", "overflow"])
def test_newer_records(name, file):
    """Records that have grown, and kinds that this rebpf does not know: what it knows is shown as ever."""
    data = b"".join(map(grown, split_records(read_bytes(name))))
    assert text(file(data)) == text(recording(name))
    unknown = HEADER.pack(1, 0, 64, 200, 0, 0, 0).ljust(64, b"\xff")
    host, *rest = split_records(read_bytes(name))
    mixed = file(host + b"".join(unknown + record for record in rest))
    assert text(mixed) == text(recording(name))
    assert json.loads(json_lines(mixed).splitlines()[-1])["malformed"] == len(rest)


def test_older_records(file):
    """Records that were shorter: what they do not say is zero."""
    cut = {"HOST": 32, "SYMBOL": 64, "RTX_DROP": 12 * 8, "TICK": 8}
    data = b"".join(resized(record, len(record) - cut.get(kind_of(record), 0))
                    for record in split_records(read_bytes("shot")))
    assert text(file(data)) == text(recording("shot"))


def test_other_format(file):
    host = bytearray(next(split_records(read_bytes("loss"))))
    struct.pack_into("=I", host, HEADER.size, 4711)
    path = file(host + read_bytes("loss"))
    assert replay(path) == (1, "", "rebpf: --read: '%s' has format 4711, this rebpf reads formats 1 to 2\n" % path)


# ---- what is no recording, or only half of one ----


@pytest.mark.parametrize("data", [b"", b"\0", b"x" * 23, b"\0" * 24, b"\xff" * 100, b"#!/bin/sh\nexit 0\n" * 10],
                         ids=["empty", "one", "short", "zeros", "ones", "script"])
def test_foreign_bytes(data, file):
    path = file(data)
    what = "is not a recording of rebpf" if data else "is empty"
    assert replay(path) == (1, "", "rebpf: --read: '%s' %s\n" % (path, what))


def test_other_byte_order(file):
    """What a big-endian machine would write: its HOST record, and more of the same."""
    host = bytearray(next(split_records(read_bytes("loss"))))
    size = struct.unpack_from("=H", host, 16)[0]
    struct.pack_into(">QQH", host, 0, 1, 0, size)
    struct.pack_into(">I", host, HEADER.size, 1)
    for data in (host, host * 1000):
        path = file(bytes(data))
        assert replay(path) == (1, "", "rebpf: --read: '%s' is of a machine with the other byte order\n" % path)


def test_records_on_standard_output():
    """-w -: the bytes, and nothing else; not to a terminal, and not together with events."""
    path = recording("shot")
    done = subprocess.run([BINARY, "-r", path, "-q", "-o", "none", "-w", "-"], stdout=subprocess.PIPE, timeout=60, check=True)
    assert done.stdout == read_bytes("shot")
    for args in ([], ["-o", "json"]):
        status, out, err = replay(path, "-w", "-", *args)
        assert (status, out) == (2, "")
        assert err == "rebpf: --write -: stdout takes the records, so there can be no events: add --output none\n"


def test_foreign_files(tmp_path):
    assert replay(BINARY) == (1, "", "rebpf: --read: '%s' is not a recording of rebpf\n" % BINARY)
    missing = str(tmp_path / "missing")
    assert replay(missing) == (1, "", "rebpf: --read: cannot open '%s': No such file or directory\n" % missing)
    status, out, err = replay(str(tmp_path))
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "Is a directory" in err


@pytest.mark.parametrize("kind", [kind for kind in KINDS[1:] if kind != "HOST"])
def test_begins_with_another_record(kind, file):
    found = [record for name in NAMES for record in split_records(read_bytes(name)) if kind_of(record) == kind]
    record = found[0] if found else HEADER.pack(1, 0, 64, KINDS.index(kind), 0, 0, 0).ljust(64, b"\0")
    path = file(record + read_bytes("loss"))
    assert replay(path) == (1, "", "rebpf: --read: '%s' is not a recording of rebpf\n" % path)


def check_cut(data, whole, path):
    """Cut within a record: the one line says after how many, and what is before the cut is printed."""
    status, out, err = replay(path, "--utc", "-q")
    assert (status, err) == (1, "rebpf: --read: '%s' is cut or damaged after %d records\n" % (path, whole))
    return out


@pytest.mark.parametrize("name", ["loss", "output-bullseye"])
def test_truncated(name, file):
    records = list(split_records(read_bytes(name)))
    full = text(recording(name))
    lengths = set()
    picked = [n for n, record in enumerate(records) if n and kind_of(record) not in ("REASON", "TICK")]
    for n in picked:
        before = b"".join(records[:n])
        at_border = text(file(before))
        assert full.startswith(at_border)
        lengths.add(len(at_border))
        for more in (1, HEADER.size - 1, HEADER.size, len(records[n]) - 1):
            assert check_cut(before, n, file(before + records[n][:more])) == at_border
    assert len(lengths) == len(full.splitlines())  # each event but the last, and none, was the end of some


@pytest.mark.parametrize("name", ["local", "ack", "late", "overflow-bookworm"])
def test_truncated_with_drops(name, file):
    """The same with drops and surveys; a verdict that waited for what was cut off may be another."""
    records = list(split_records(read_bytes(name)))
    for n in [n for n, record in enumerate(records) if n and kind_of(record) not in ("REASON", "TICK")]:
        before = b"".join(records[:n])
        at_border = text(file(before))
        for more in (1, HEADER.size, len(records[n]) - 1):
            assert check_cut(before, n, file(before + records[n][:more])) == at_border
    ends = [text(file(b"".join(records[:n + 1]))) for n, record in enumerate(records) if kind_of(record) == "TICK"]
    assert ends[-1] == text(recording(name))


def rewritten(data, kind, change):
    """The recording with each record of a kind changed."""
    out = bytearray()
    for record in split_records(data):
        record = bytearray(record)
        if kind_of(record) == kind:
            change(record)
        out += record
    return bytes(out)


NEW_KINDS = ["DROP", "SPURIOUS", "LINK", "ADDR", "SURVEY", "SOCKET"]


@pytest.mark.parametrize("fill", [0x00, 0x7f, 0xff])
@pytest.mark.parametrize("kind", NEW_KINDS)
def test_overwritten(kind, fill, file):
    """A whole kind of records says nonsense: the rest is printed, and no control byte with it."""
    def spoil(record):
        record[HEADER.size:] = bytes([fill]) * (len(record) - HEADER.size)

    met = 0
    for name in NEW:
        data = rewritten(read_bytes(name), kind, spoil)
        met += data != read_bytes(name)
        status, out, err = replay(file(data), "-q", "-o", "json", "--class", "all", "--stack", "--all-protocols")
        assert (status, err) == (0, "")
        kinds = [json.loads(line)["event"] for line in out.splitlines()]
        assert kinds.count("retransmit") == len(attempts(recording(name)))
        out = replay(file(data), "-v", "--stack", "--class", "all", "--all-protocols")[1]
        assert re.fullmatch(r"([ -~]*\n)*", out)
    assert met


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_left_out(kind, file):
    """A kind of records is missing: no attempt is lost with it, and without drops none is the cause."""
    for name in NEW:
        data = b"".join(record for record in split_records(read_bytes(name)) if kind_of(record) != kind)
        found = attempts(file(data))
        assert [(e["seq"], e["attempt"], e["outcome"]) for e in found] == \
            [(e["seq"], e["attempt"], e["outcome"]) for e in attempts(recording(name))], name
        if kind == "DROP":
            assert "local" not in {e["cause"] for e in found}, name


def test_damaged_size(file):
    """A record that says that it is shorter than its header: nothing after it can be found."""
    records = list(split_records(read_bytes("shot")))
    for size in (0, 23):
        broken = bytearray(records[-2])
        struct.pack_into("=H", broken, 16, size)
        data = b"".join(records[:-2]) + broken + records[-1]
        check_cut(data, len(records) - 2, file(data))


@pytest.mark.parametrize("seed", range(60))
def test_damaged_anywhere(seed, file):
    """Whatever a file says, the program ends by itself and prints JSON, or text without control bytes."""
    rng = random.Random(seed)
    data = bytearray(read_bytes(rng.choice(NAMES)))
    for _ in range(rng.choice((1, 10, 200))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path = file(data)
    status, out, err = replay(path, "-o", "json", "-q")
    assert status in (0, 1) and err.count("\n") == (status == 1)
    for line in out.splitlines():
        json.loads(line)
    out = replay(path, "-v")[1]
    assert re.fullmatch(r"([ -~]*\n)*", out)


# ---- drop reasons on the command line ----

def run(*args):
    done = subprocess.run([BINARY, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_explain():
    """--explain needs no root, no kernel and no recording."""
    status, out, err = run("--explain", "netfilter_drop")
    assert (status, err) == (0, "") and "NETFILTER_DROP" in out
    status, out, err = run("--explain", "NETFILTER_DORP\033")
    assert (status, out) == (2, "")
    assert err.startswith("rebpf: --explain: unknown drop reason 'NETFILTER_DORP\\x1b'") and err.count("\n") == 1


def test_unknown_reason():
    """A reason that nobody knows is no error, for a module may bring it, but it is said."""
    for name, known in (("NETFILTER_DROP", True), ("QDISC_DROP_SOME_DAY", True), ("NETFILTER_DORP", False)):
        status, out, err = replay(recording("loss"), "-q", "--reason", name)
        assert (status, out) == (0, "")
        assert err == ("" if known else "rebpf: --reason: no drop reason is known as 'NETFILTER_DORP'\n")


def test_quiet_and_verbose():
    """One is about stderr, the other about the lines."""
    assert " end_seq=" in text(recording("loss"), "-v")


def test_report_has_a_heading():
    err = replay(recording("loss"))[2]
    assert err.splitlines()[0] == "Statistics" and "Drops seen" in err


@pytest.mark.parametrize("name, args", [("local", ["-o", "json", "-S"]), ("stack", ["-v", "-S", "--stack", "-e", "all", "--class", "all"])])
def test_valgrind(name, args):
    """What the sanitizers of the unit tests do not see: values that nobody has set, and memory lost in the program as it is built."""
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    done = subprocess.run(["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all",
                           "--errors-for-leak-kinds=all", BINARY, "-r", recording(name), *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"==" not in done.stderr and done.stdout
    assert done.stdout.decode() == replay(recording(name), *args)[1]
