# SPDX-License-Identifier: MIT
"""rebpf under test: started, read without blocking, stopped; and what `rebpf --check` says it can see."""
import datetime
import functools
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from lab import SLOW, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get("REBPF", os.path.join(TOP, "build", "rebpf")))


def force(*rungs):
    """The option that forces these rungs, and those of REBPF_FORCE."""
    chosen = [*rungs, *filter(None, [os.environ.get("REBPF_FORCE")])]
    return ["--force", ",".join(chosen)] if chosen else []


FORCE = force()
READY = "rebpf: ready"


class Rebpf:
    """A running rebpf. Its output is collected by two threads, each line with the time of its arrival.

    It prints retransmissions only, unless the caller wants other events (None: what rebpf shows by itself).
    """

    def __init__(self, *args, output="json", events="retransmit", prefix=(), ns=None, force=None, ready=True):
        self.lines, self.parsed, self.errors, self.stopped = [], [], [], False
        command = ["nsenter", "--net=/run/netns/" + ns.name] if ns else []
        command += [*prefix, BINARY, *(FORCE if force is None else force), *(["-o", output] if output else []),
                    *(["-e", events] if events else []), *args]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.pid = self.process.pid
        self.readers = [threading.Thread(target=self.read_output, daemon=True),
                        threading.Thread(target=self.read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()
        if ready:
            self.wait_ready()

    def read_output(self):
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            if line.startswith("{"):
                self.parsed.append(parse(line))
            self.lines.append((time.time(), line))

    def read_errors(self):
        for raw in self.process.stderr:
            self.errors.append(raw.decode(errors="replace").rstrip("\n"))

    def wait_ready(self):
        wait_until(lambda: self.is_ready() or self.process.poll() is not None, 30,
                   lambda: "readiness; stderr: %r" % self.errors)
        if not self.is_ready():
            self.join_readers()
            raise AssertionError("rebpf ended with %d: %s" % (self.process.returncode, "\n".join(self.errors)))

    def is_ready(self):
        return any(line.startswith(READY) for line in list(self.errors))

    @property
    def text(self):
        """The lines of stdout so far."""
        return [line for _, line in list(self.lines)]

    def events(self, event="retransmit"):
        """The events of one kind so far, as parsed JSON."""
        return [e for e in list(self.parsed) if e["event"] == event]

    def wait_events(self, predicate=lambda e: True, n=1, timeout=15, event="retransmit"):
        """Waits for n events of a kind that satisfy the predicate and returns them."""
        def enough():
            found = [e for e in self.events(event) if predicate(e)]
            return found if len(found) >= n else None

        return wait_until(enough, timeout, lambda: "%d events\n%s" % (n, self.story(self.events(event)[-8:])))

    def wait_error(self, part, timeout=15):
        """Waits for a line of stderr that contains the text."""
        return wait_until(lambda: [line for line in list(self.errors) if part in line], timeout,
                          lambda: "%r on stderr: %r" % (part, self.errors))[0]

    def story(self, events):
        return (brief(events) or "  (none)") + "\nstderr: %r\nexit status: %r" % (self.errors[-5:], self.process.poll())

    def wait_exit(self, timeout=15):
        """Waits until it ends by itself; returns the exit status."""
        wait_until(lambda: self.process.poll() is not None, timeout,
                   lambda: "rebpf to end; stderr: %r" % self.errors)
        self.join_readers()
        return self.process.returncode

    def stop(self, how=signal.SIGINT):
        """Stops it and returns the exit status."""
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.wait_exit()

    def join_readers(self):
        for reader in self.readers:
            reader.join(10 * SLOW)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.join_readers()

    def stats(self):
        """The last statistics (JSON output)."""
        return self.events("stats")[-1]


def parse(line):
    try:
        return json.loads(line)
    except ValueError as error:
        return {"event": "not JSON", "line": line, "error": str(error)}


RETRANSMIT_BRIEF = ("time", "netns", "pid", "sport", "dport", "state", "type", "attempt", "seq", "len", "segs", "tc",
                    "ret", "outcome", "drop", "cause", "cause_drop", "cause_why")
DROP_BRIEF = ("time", "netns", "ifname", "pid", "comm", "saddr", "sport", "daddr", "dport", "state", "reason", "class",
              "location", "protocol", "flags", "seq", "len", "received")
CONNECT_BRIEF = ("time", "netns", "pid", "comm", "saddr", "sport", "daddr", "dport", "result", "error", "latency_us",
                 "duration_us", "syn_sent", "syn_retrans", "cause_drop")
BRIEF = {"drop": DROP_BRIEF, "connect": CONNECT_BRIEF}


def brief(events):
    """Events as a person reads them in a failed assertion."""
    return "\n".join("  " + " ".join("%s=%s" % (key, e.get(key)) for key in BRIEF.get(e["event"], RETRANSMIT_BRIEF))
                     for e in events)


def rfc3339(seconds):
    """As rebpf prints it: such strings compare as the times do."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class View:
    """The events of a kind and of one namespace in a Rebpf that runs for longer than one test, from now on."""

    def __init__(self, rebpf, ns, event="retransmit"):
        self.rebpf, self.ns, self.event = rebpf, ns, event
        self.restart()
        # A namespace that has just ended, whose inode number this one has, may still have events under way.
        self.since = rfc3339(time.time() - 0.01)

    def events(self, **fields):
        """The events so far with these values of their fields."""
        return [e for e in self.rebpf.parsed[self.start:] if e["event"] == self.event and
                e["netns"] == self.ns.inode and e["time"] >= self.since and
                all(e[key] == value for key, value in fields.items())]

    def wait(self, n=1, predicate=lambda e: True, timeout=15, **fields):
        """Waits for n such events that also satisfy the predicate."""
        def enough():
            found = [e for e in self.events(**fields) if predicate(e)]
            return found if len(found) >= n else None

        return wait_until(enough, timeout, lambda: "%d events with %r\nof:\n%s" % (
            n, fields, self.rebpf.story(self.events()[-8:])))

    def watched(self, timeout=15):
        """Waits for an event with TC observed: rebpf may start to watch a namespace at its first retransmission."""
        return self.wait(1, lambda e: e["tc"], timeout)[0]

    def restart(self):
        """Forgets the events so far."""
        self.start = len(self.rebpf.parsed)

    def wait_quiet(self, seconds=0.4):
        """Waits until no event has come for so long, and returns all."""
        last = [len(self.rebpf.parsed), time.monotonic()]

        def quiet():
            count = len(self.events())
            if count != last[0]:
                last[:] = [count, time.monotonic()]
            return time.monotonic() - last[1] > seconds * SLOW

        wait_until(quiet, 30, "the events to end")
        return self.events()


# ---- truth ----


def counted_segs(events):
    """What the events say of TcpRetransSegs."""
    return (sum(e["segs"] for e in events if e["type"] != "synack" and e["outcome"] != "refused") +
            sum(1 for e in events if e["type"] == "synack" and e["ret"] == 0))


def counted_failures(events):
    """What the events say of TcpExtTCPRetransFail."""
    return sum(e["segs"] for e in events if e["type"] != "synack" and e["outcome"] != "refused" and
               e["ret"] not in (None, 0, -16))


def check_truth(view, rise):
    """Both counter equalities, once all traffic of the namespace has ended."""
    wanted, failed = rise["TcpRetransSegs"], rise["TcpExtTCPRetransFail"]
    try:
        wait_until(lambda: counted_segs(view.events()) >= wanted, 5)
    except AssertionError:
        pass  # the comparison below says it better
    events = view.wait_quiet()
    if (counted_segs(events), counted_failures(events)) != (wanted, failed):
        raise AssertionError(
            "events say %d segments, %d failed; the kernel counted %d (TcpRetransSegs), %d (TCPRetransFail); of the "
            "records of all namespaces %s\n%s" % (counted_segs(events), counted_failures(events), wanted, failed,
                                                  last_words(view.rebpf), view.rebpf.story(events[-60:])))
    return events


def last_words(rebpf):
    """Stops it, and says what it knows to be missing from its output."""
    try:
        rebpf.stop()
        stats = rebpf.stats()
    except (AssertionError, IndexError) as error:
        return "nothing is known (%s)" % error
    return ", ".join("%s=%s" % (key, stats[key]) for key in ("missed", "lost", "malformed", "incomplete", "output_lost"))


# ---- what this kernel lets rebpf see ----


def run_rebpf(*args, force=True, prefix=(), timeout=30):
    """Runs rebpf to its end: (status, stdout, stderr)."""
    done = subprocess.run([*prefix, BINARY, *(FORCE if force else []), *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                          timeout=timeout * SLOW, check=False)
    return done.returncode, done.stdout, done.stderr


@functools.lru_cache(maxsize=None)
def mode():
    """{role: chosen candidate} as `rebpf --check` prints it."""
    status, out, err = run_rebpf("--check")
    assert status == 0, err
    return dict(re.findall(r"^(\w+): (\S+)", out, re.M))


def has_entry_hooks():
    return mode()["attempt"] in ("fexit", "kprobe")


def sees_failures():
    """Are attempts that fail after the transmission step visible?"""
    return mode()["attempt"] in ("fexit", "kprobe", "tracepoint-err", "sockops")


def sees_refusals():
    """Are attempts that are refused before it visible?"""
    return mode()["attempt"] in ("fexit", "kprobe", "tracepoint-err")


def need_failures():
    if not sees_failures():
        pytest.skip("failed attempts are not visible with attempt=%s on this kernel" % mode()["attempt"])


def need_refusals():
    if not sees_refusals():
        pytest.skip("refused attempts are not visible with attempt=%s on this kernel" % mode()["attempt"])


def has_reasons():
    return mode()["drop"] in ("tracepoint-sk", "tracepoint-reason")
