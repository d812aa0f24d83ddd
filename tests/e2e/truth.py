# SPDX-License-Identifier: MIT
"""Where each retransmission's previous copy was lost, by the lab's taps, and what rebpf said of it.

The truth knows nothing of rebpf: the taps (wire.py) saw every packet at every point between two places of loss. A copy is
known by its sequence numbers, acknowledgement, time stamps and IP id, and was lost between the last tap that saw it and the
next. Scored is the first byte of what is retransmitted; its previous copy is the last one before at the sender's first tap.
What stays open (two equal copies of which one was lost; things within a moment of each other) is undecidable and counted.
"""
import bisect
import collections
import datetime
import re
import time

from lab import SLOW, kernel
from wire import ACK, DELAYED, DROPPED, FAILED, HELD, PLACES, RST, SYN, WIRE_AB, WIRE_BA, WIRE_OUT

# Neither lost nor delayed by the wire: this host was slower than TCP is patient.
LATE = "late on this host"

# Nearer to each other than this, two things that different threads do have no order.
MOMENT = int(0.7e6 * SLOW)

REASONS = {
    "nf_out": {"NETFILTER_DROP"}, "nf_in": {"NETFILTER_DROP"}, "forward": {"NETFILTER_DROP"}, "bridge": {"NETFILTER_DROP"},
    "tc": {"TC_EGRESS"},
    # By kernel: QDISC_DROP, QDISC_OVERLIMIT, or from 7.1 on QDISC's own, with or without that prefix.
    "qdisc": {"QDISC_DROP", "QDISC_OVERLIMIT", "QDISC_GENERIC", "QDISC_DROP_GENERIC", "QDISC_DROP_OVERLIMIT", "GENERIC",
              "OVERLIMIT"},
    "netem": {"QDISC_DROP", "QDISC_GENERIC", "QDISC_DROP_GENERIC", "GENERIC"},
    "socket": {"SOCKET_RCVBUFF", "PROTO_MEM", "TCP_ZEROWINDOW", "TCP_OVERWINDOW", "TCP_OFO_DROP", "TCP_OFO_QUEUE_PRUNE",
               "SOCKET_BACKLOG", "TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE", "TCP_LISTEN_OVERFLOW", "TCP_REQQ_FULL"},
}
FUNCTIONS = {
    "nf_out": r"nf_hook|nft_", "nf_in": r"nf_hook|nft_", "forward": r"nf_hook|nft_", "bridge": r"nf_hook|nft_|br_nf_",
    "tc": r"__dev_queue_xmit|sch_handle_egress|tc_run|tcf_",
    "qdisc": r"tbf_|fifo_|qdisc_|kfree_skb_list|__dev_queue_xmit|__dev_xmit_skb|tcf_",
    "netem": r"netem_|qdisc_|kfree_skb_list|__dev_queue_xmit|__dev_xmit_skb|tcf_",
    "socket": r"tcp_|__release_sock|sk_",
}


class Flow:
    """One direction of a connection: its packets at each tap."""

    def __init__(self):
        self.base = None
        self.taps = collections.defaultdict(list)
        self.where = collections.defaultdict(lambda: collections.defaultdict(list))
        self.exact = collections.defaultdict(lambda: collections.defaultdict(list))
        self.times = None

    def rel(self, seq):
        return ((seq - self.base + 0x80000000) & 0xffffffff) - 0x80000000

    def add(self, tap, rec):
        """Also for finding: the packets at a tap by 8 KiB of sequence space."""
        self.taps[tap].append(rec)
        self.exact[tap][rec.key()].append(rec)
        for bucket in range(rec.lo >> 13, max(rec.hi - 1, rec.lo) + 8192 >> 13):
            self.where[tap][bucket].append(rec)

    def covering(self, tap, byte):
        return [rec for rec in self.where[tap][byte >> 13] if rec.lo <= byte < rec.hi]


class Fate:
    """How far a packet came: reached[i] is its record at the i-th tap of its way; place: where it was lost, or None."""

    def __init__(self, reached, place=None, why=None):
        self.reached, self.place, self.why = reached, place, why


class Verdict:
    """kind: local, ack_local, network, or undecidable; place(s) of loss; why undecidable; row of the matrix."""

    def __init__(self, kind, places=(), row=None, why=None, also=()):
        self.kind, self.places, self.why, self.also = kind, tuple(places), why, tuple(also)
        self.row = row or (kind if kind == "undecidable" else "+".join(sorted(set(places))))


class Truth:
    """Everything that the taps of one run saw."""

    def __init__(self, net, records, ports):
        self.net, self.ports, self.tso = net, ports, net.tso
        self.flows = {"ab": collections.defaultdict(Flow), "ba": collections.defaultdict(Flow)}
        self.chains = {way: net.chain(way) for way in ("ab", "ba")}
        self.resets = 0
        ordered = [(rec.at, rec.tap, rec) for rec in records if rec.tap < WIRE_OUT]
        ordered += [(rec.out, WIRE_OUT, rec) for rec in records if rec.tap < WIRE_OUT and rec.out and rec.verdict != FAILED]
        ordered.sort(key=lambda one: (one[0], one[2].i))
        for rec in records:
            if rec.tap >= WIRE_OUT:
                self.put(rec, rec.tap)
        for _, tap, rec in ordered:
            self.put(rec, tap)

    def put(self, rec, tap):
        way = "ab" if rec.dport in self.ports else "ba" if rec.sport in self.ports else None
        if not way:
            return
        flow = self.flows[way][(rec.sport, rec.dport)]
        if rec.flags & RST:
            self.resets += rec.tap >= 16 and rec.tap & 15 == 0
            return
        if flow.base is None:
            flow.base = rec.seq
        rec.lo, rec.hi = flow.rel(rec.seq), flow.rel(rec.end)
        flow.add(tap, rec)

    @staticmethod
    def other(way):
        return "ba" if way == "ab" else "ab"

    # -- the fate of one packet --

    def fate(self, way, flow, rec, byte):
        """byte: which the copy must cover; None: the packet as a whole (acknowledgements)."""
        chain, reached = self.chains[way], [rec]
        wanted = rec.key()

        def equal(tap):
            if byte is None or not self.tso:
                return flow.exact[tap].get(wanted, ())
            return [one for one in flow.covering(tap, byte) if
                    (one.ack, one.tsval, one.tsecr) == (rec.ack, rec.tsval, rec.tsecr)]

        twins = equal(chain[0])
        number, count = twins.index(rec), len(twins)
        for i in range(1, len(chain)):
            here = equal(chain[i])
            if len(here) == 1 < count and i <= 2:
                # Sent again so soon, with the same time stamp, because sending had failed: the last one went.
                if number < count - 1:
                    here = []
                number, count = 0, 1
            if not here:
                return Fate(reached, self.place(way, i, reached[-1]))
            if len(here) != count:
                return Fate(reached, why="twins")
            reached.append(here[number])
        return Fate(reached)

    def place(self, way, i, last):
        """The place of loss between tap i - 1, where it was last seen, and tap i."""
        before, after = self.chains[way][i - 1], self.chains[way][i]
        if before in (WIRE_AB, WIRE_BA):
            return "wire_" + way if last.verdict in (DROPPED, HELD) else "?failed"
        points = {(0, 1): "nf_out", (2, 3): "nf_in", (2, 1): "forward", (4, 5): "bridge"}
        if before >= 16 and after >= 16 and before >> 4 == after >> 4:
            kind = points.get((before & 15, after & 15))
            return "%s_%s" % (kind, way) if "%s_%s" % (kind, way) in self.net.losses else "?%s" % kind
        name = way[0]
        if before == self.chains[way][1]:  # the sender's device
            tc_hash = self.net.tc_hash.get(way)
            if tc_hash and tc_hash.drops(last):
                return "tc_" + way
            for kind in ("qdisc", "netem"):
                if "%s_%s" % (kind, way) in self.net.losses:
                    return "%s_%s" % (kind, way)
        return "?%s between %d and %d" % (name, before, after)

    def losses(self):
        """How many packets of all kinds were lost where: to be compared with the counters of what dropped them."""
        found = collections.Counter()
        for way, flows in self.flows.items():
            for flow in flows.values():
                for rec in flow.taps[self.chains[way][0]]:
                    fate = self.fate(way, flow, rec, None if rec.lo == rec.hi or not self.tso else rec.lo)
                    found[fate.place or ("?" + fate.why if fate.why else "arrived")] += 1
        return found

    # -- retransmissions --

    def retransmissions(self, way):
        """The sender's copies of what it had sent before: (flow key, flow, rec, copies of its first byte, its index, sure).

        Not sure is one where only the return code of an overfull qdisc tells whether TCP took its first copy as sent: from
        6.19 on that may be success.
        """
        found = []
        first = self.chains[way][0]
        vague = "qdisc_" + way in self.net.losses and kernel() >= (6, 19)
        for key, flow in self.flows[way].items():
            sent = maybe = None
            for rec in flow.taps[first]:
                if rec.hi == rec.lo:
                    continue
                sure = sent is not None and rec.lo < sent
                if sure or (maybe is not None and rec.lo < maybe):
                    copies = flow.covering(first, rec.lo)
                    found.append((key, flow, rec, copies, copies.index(rec), sure))
                # What could not be sent, and was new, is new again when it is sent next.
                if rec.flags & SYN or not self.failed(way, rec, flow):
                    sent = rec.hi if sent is None else max(sent, rec.hi)
                elif vague:
                    maybe = rec.hi if maybe is None else max(maybe, rec.hi)
        return found

    def failed(self, way, rec, flow):
        """Did the call that sent it return an error?"""
        fate = self.fate(way, flow, rec, None if not self.tso else rec.lo)
        return bool(fate.place) and fate.place[:-3] in ("nf_out", "tc", "qdisc")

    def failed_synack(self, way, rec, flow):
        """A SYN-ACK whose sending failed at once is neither counted nor traced."""
        return rec.flags & (SYN | ACK) == SYN | ACK and self.failed(way, rec, flow)

    def covers(self, flow, rec, byte):
        """Does this packet of the other direction acknowledge the byte of flow?"""
        if not rec.flags & ACK:
            return False
        return flow.rel(rec.ack) > byte or any(flow.rel(lo) <= byte < flow.rel(hi) for lo, hi in rec.sacks)

    def duplicate(self, flow, rec, byte):
        """Does its DSACK say that the byte arrived twice?"""
        if not rec.sacks:
            return False
        lo, hi = (flow.rel(edge) for edge in rec.sacks[0])
        return lo <= byte < hi and (hi <= flow.rel(rec.ack) or
                                    any(flow.rel(s) <= lo and hi <= flow.rel(e) for s, e in rec.sacks[1:]))

    def answers(self, way, key, flow, byte, since, until):
        """The other end's packets at its first tap that acknowledge the byte, in (since, until)."""
        back = self.other(way)
        reverse = self.flows[back].get((key[1], key[0]))
        if not reverse:
            return None, []
        sent = reverse.taps[self.chains[back][0]]
        if reverse.times is None:
            reverse.times = [rec.at for rec in sent]
        at = bisect.bisect_right(reverse.times, since)
        end = bisect.bisect_left(reverse.times, until)
        return reverse, [rec for rec in sent[at:end] if self.covers(flow, rec, byte)]

    @staticmethod
    def is_on_host(fate):
        return bool(fate.place) and fate.place[0] != "?" and not fate.place.startswith("wire")

    def is_lost_at(self, way, key, flow, byte, *times):
        """Was an acknowledgement lost on this host so near to one of these times that before and after are one?"""
        for at in times:
            reverse, near = self.answers(way, key, flow, byte, at - MOMENT, at + MOMENT)
            if any(self.is_on_host(self.fate(self.other(way), reverse, one, None)) for one in near):
                return True
        return False

    def judge(self, way, key, flow, rec, copies, index):
        """The truth about one retransmission."""
        if index == 0:
            return Verdict("undecidable", why="first copy unseen")
        byte, previous = rec.lo, copies[index - 1]
        fate = self.fate(way, flow, previous, byte)
        if fate.why:
            return Verdict("undecidable", why=fate.why)
        back = self.other(way)
        reverse, covering = self.answers(way, key, flow, byte, previous.at, rec.at)
        fates = [(one, self.fate(back, reverse, one, None)) for one in covering]
        on_host = [f.place for _, f in fates if self.is_on_host(f) and previous.at + MOMENT < f.reached[-1].at < rec.at - MOMENT]
        if not on_host and self.is_lost_at(way, key, flow, byte, previous.at, rec.at) and \
                (not fate.place or fate.place.startswith("wire")):
            return Verdict("undecidable", why="acknowledged at that very moment")
        if fate.place:
            if fate.place[0] == "?":
                return Verdict("undecidable", why="lost at " + fate.place)
            if fate.place.startswith("wire"):
                # By the rules, an acknowledgement lost on this host comes first.
                return Verdict("network", [fate.place], also=on_host)
            last = fate.reached[-1]
            if last.i > rec.i if last.tap >> 4 == rec.tap >> 4 else last.at > rec.at - MOMENT:
                return Verdict("undecidable", why="lost later")
            return Verdict("local", [fate.place])
        arrived = fate.reached[-1]
        if arrived.at > rec.at - MOMENT:
            # No answer can have been back in time. One that was lost at that very moment leaves it open.
            _, answers = self.answers(way, key, flow, byte, rec.at - 3 * MOMENT, rec.at + MOMENT)
            if any((self.fate(back, reverse, one, None).place or "wire")[:4] != "wire" for one in answers):
                return Verdict("undecidable", why="arriving")
            on_wire = fate.reached[self.chains[way].index(WIRE_OUT)]
            # What leaves the queue has what was refused meanwhile sent at once.
            if on_wire.at > rec.at + MOMENT and any("%s_%s" % (kind, way) in self.net.losses for kind in ("queue", "qdisc")):
                return Verdict("undecidable", why="still in a queue")
            return self.late(way, fate, also=on_host)
        if not [one for one in covering if one.i > arrived.i]:
            return self.judge_receiver(way, key, flow, rec, copies, index, arrived)
        if any(not f.place and not f.why and f.reached[-1].at < rec.at - MOMENT for _, f in fates):
            return Verdict("undecidable", why="acknowledged")
        if on_host:
            return Verdict("ack_local", on_host, row="ack:" + "+".join(sorted(set(on_host))))
        if any(f.why or (f.place and f.place[:4] != "wire") for _, f in fates):
            return Verdict("undecidable", why="acknowledgement's fate")
        # All of them met the wire only: lost there, or late.
        lost = [f.place for _, f in fates if f.place]
        return Verdict("network", lost[:1], row="ack:" + lost[0]) if lost else self.late(back, fates[0][1], row="ack:")

    def late(self, way, fate, also=(), row=""):
        """What was not lost but came after the retransmission: held by the wire in a spike, or by this slow host."""
        if fate.reached[self.chains[way].index(WIRE_OUT)].verdict != DELAYED:
            return Verdict("undecidable", why=LATE)
        return Verdict("network", ["spike_" + way], also=also, row=row and row + "spike_" + way)

    def judge_receiver(self, way, key, flow, rec, copies, index, arrived):
        """It passed the receiver's last tap, and nothing acknowledged it before it was sent again."""
        last = self.chains[way][-1]
        again = [one for one in flow.covering(last, rec.lo) if one.i > arrived.i]
        _, later = self.answers(way, key, flow, rec.lo, arrived.at - 1, float("inf"))
        later = [one for one in later if one.i > arrived.i]
        if later and (not again or later[0].i < again[0].i or self.duplicate(flow, later[0], rec.lo)):
            return Verdict("undecidable", why="acknowledged late")
        if "socket_" + way not in self.net.losses:
            return Verdict("undecidable", why="ignored by the receiver")
        return Verdict("local", ["socket_" + way])


# ---- the comparison ----


class Case:
    """One retransmission: what is true and what rebpf said."""

    def __init__(self, scenario, verdict, event, result, column):
        self.scenario, self.verdict, self.event, self.result, self.column = scenario, verdict, event, result, column

    def __str__(self):
        e = self.event
        return "%s: truth %s %s %s, rebpf %s; event %r" % (
            self.scenario, self.verdict.kind, "+".join(self.verdict.places), self.verdict.why or "", self.column,
            {k: e.get(k) for k in ("time", "netns", "type", "attempt", "seq", "end_seq", "outcome", "sport", "dport",
                                   "cause_drop")})


def place_matches(net, place, drop, has_reasons):
    """Has a cause_drop the right namespace, reason and function?"""
    kind, name = place[:-3], PLACES[place][1]
    if not drop:
        return False
    # Before rx_sk (6.11) nothing leads from a buffer that TCP has taken its device from to the namespace: then it is null.
    unknown = kind == "socket" and kernel() < (6, 11) and not drop.get("netns")
    if drop.get("netns") != net.ns[name].inode and not unknown:
        return False
    if has_reasons and drop.get("reason") not in REASONS[kind]:
        return False
    return bool(re.match(FUNCTIONS[kind], drop.get("location") or ""))


def compare(net, verdict, event, has_reasons):
    """(result, column): right, wrong, unknown, exempt or open (undecidable)."""
    cause, why = event.get("cause"), event.get("cause_why")
    column = "unknown(%s)" % why if cause == "unknown" else str(cause)
    if verdict.kind == "undecidable":
        return "open", column
    accepted = {"local": ["local"], "ack_local": ["ack_local"], "host_queue": ["host_queue"],
                "network": ["network"] + ["ack_local"] * bool(verdict.also)}[verdict.kind]
    if cause == "unknown":
        # Without drop reasons: a peer on this host, or packets that the sender's own socket dropped (cause.md).
        blind = why == "receiver_blind" and not has_reasons
        consumed = why == "tc_consumed" and verdict.kind == "network" and net.tc_hash
        # The bar is for runs without lost records; on an emulated machine hooks interrupt each other more often.
        lost = why == "records_lost" and SLOW > 1
        return ("exempt" if blind or consumed or lost else "unknown"), column
    if cause not in accepted:
        return "wrong", column
    if cause in ("local", "ack_local"):
        places = verdict.places if cause == verdict.kind else verdict.also
        if not any(place_matches(net, place, event.get("cause_drop"), has_reasons) for place in places):
            return "wrong", column + " elsewhere"
    return "right", column


def happened(event):
    """When, on the clock of the taps."""
    seconds = datetime.datetime.strptime(event["time"][:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()
    return int(seconds) * 10**9 + int(event["time"][20:29]) - time.time_ns() + time.monotonic_ns()


def beyond_bpf(witness, case, sport, dport, previous, rec):
    """Is what rebpf did not know something that no BPF program could see on this machine (blind.py)?"""
    if case.result not in ("wrong", "unknown"):
        return False
    if case.event.get("cause_why") == "records_lost":
        return witness.flow(sport, dport) > 0
    return case.verdict.kind in ("local", "ack_local") and witness.dropped(previous.at, rec.at)


def score(scenario, net, truth, events, has_reasons, witness):
    """Joins the events (by side, "a" and "b") with the truth: (cases, retransmissions without an event, and vice versa).

    What happened where this machine runs no BPF program is exempt.
    """
    cases, unseen, extra = [], [], []
    for way, side in (("ab", "a"), ("ba", "b")):
        left = collections.defaultdict(collections.deque)
        for event in events[side]:
            if event["outcome"] == "refused":
                if event.get("ret_name") == "EBUSY":
                    verdict = Verdict("host_queue", row="host_queue")
                    cases.append(Case(scenario, verdict, event, *compare(net, verdict, event, has_reasons)))
                continue
            left[(event["sport"], event["dport"], event["seq"])].append(event)
        for key, flow, rec, copies, index, sure in truth.retransmissions(way):
            if truth.failed_synack(way, rec, flow):
                continue
            found = left.get((*key, rec.seq))
            # Where it is not sure that it was a retransmission, the event's time decides.
            if found and not sure and abs(happened(found[0]) - rec.at) > 30e6 * SLOW:
                continue
            if not found:
                if sure:
                    unseen.append(rec)
                continue
            verdict = truth.judge(way, key, flow, rec, copies, index)
            event = found.popleft()
            case = Case(scenario, verdict, event, *compare(net, verdict, event, has_reasons))
            # One thread emulates all CPUs in turn: another one may have run for a tenth of a second between TCP and the first tap.
            if SLOW > 1 and case.result == "wrong" and abs(happened(event) - rec.at) > MOMENT:
                verdict = Verdict("undecidable", why=LATE)
                case = Case(scenario, verdict, event, *compare(net, verdict, event, has_reasons))
            if index and beyond_bpf(witness, case, *key, copies[index - 1], rec):
                case.result, case.column = "exempt", "(no BPF in pid 1)"
            cases.append(case)
        extra += [event for one in left.values() for event in one]
    return cases, unseen, extra


class Matrix:
    """Rows: the truth; columns: rebpf's verdict."""

    def __init__(self):
        self.cases = []

    def add(self, cases):
        self.cases += cases

    def share(self, kind, result):
        """How many of a kind have this result, and how many there are that count."""
        mine = [case for case in self.cases if case.verdict.kind == kind and case.result not in ("open", "exempt")]
        return sum(case.result == result for case in mine), len(mine)

    def forbidden(self):
        """Verdicts that must never be: network for what this host dropped, local for what only the wire did."""
        return [case for case in self.cases if
                (case.verdict.kind == "local" and case.column == "network") or
                (case.verdict.kind == "ack_local" and case.column == "network") or
                (case.verdict.kind == "network" and case.column.startswith("local"))]

    def text(self):
        columns = sorted({case.column for case in self.cases})
        rows = collections.defaultdict(collections.Counter)
        for case in self.cases:
            row = case.verdict.row if case.verdict.kind != "undecidable" else "undecidable: %s" % case.verdict.why
            rows[("0" if case.verdict.kind != "undecidable" else "1", case.verdict.kind, row)][case.column] += 1
        width = max([len(row[2]) for row in rows] + [10])
        lines = ["%-10s %-*s %s" % ("truth", width, "place", " ".join("%*s" % (max(len(c), 6), c) for c in columns))]
        for row in sorted(rows):
            lines.append("%-10s %-*s %s" % (
                row[1] if row[0] == "0" else "-", width, row[2],
                " ".join("%*s" % (max(len(c), 6), rows[row][c] or ".") for c in columns)))
        counts = collections.Counter(case.result for case in self.cases)
        lines.append("%d retransmissions: %s" % (
            len(self.cases), ", ".join("%d %s" % (counts[name], name) for name in
                                       ("right", "wrong", "unknown", "exempt", "open"))))
        for kind in ("local", "ack_local", "network", "host_queue"):
            right, all_of = self.share(kind, "right")
            if all_of:
                lines.append("%s: %d of %d right, %.2f %%" % (kind, right, all_of, 100 * right / all_of))
        return "\n".join(lines)
