# SPDX-License-Identifier: MIT
"""Fixtures: networks that are removed in any case, and the rebpf under test."""
import os
import shutil
import signal

import pytest

import lab
import tracer


def pytest_sessionstart(session):
    if os.geteuid():
        pytest.exit("these tests need root", 1)
    if not os.access(tracer.BINARY, os.X_OK):
        pytest.exit("no %s: run make" % os.path.relpath(tracer.BINARY), 1)
    for program in ("ip", "tc", "nft", "ethtool"):
        if not shutil.which(program):
            pytest.exit("%s is not installed" % program, 1)
    os.makedirs("/run/netns", exist_ok=True)
    # Terminated, by a time limit say, the finalizers run as after an interrupt; after a kill, the next run sweeps.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Where it is ignored (a shell's background job), what we start would ignore it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lab.remove_stale_namespaces()


@pytest.fixture
def make_net():
    """make_net(middle=None, mtu=1500, tso=False): a Net that lives as long as the test."""
    made = []

    def make(**how):
        made.append(lab.Net(**how))
        return made[-1]

    yield make
    for net in made:
        net.close()


@pytest.fixture
def net(make_net):
    return make_net()


@pytest.fixture
def rebpf():
    """rebpf(*args, output="json"): starts one and waits until it is ready; it ends with the test."""
    started = []

    def start(*args, **how):
        started.append(None)
        started[-1] = tracer.Rebpf(*args, **how)
        return started[-1]

    yield start
    for one in started:
        if one:
            one.kill()


class Shared:
    """One rebpf for many tests: loading its programs takes seconds on an emulated machine."""

    def __init__(self, *args, **how):
        self.rebpf, self.args, self.how = None, args, how

    def get(self):
        if self.rebpf and self.rebpf.process.poll() is not None:
            self.rebpf = None
        if not self.rebpf:
            self.rebpf = tracer.Rebpf(*self.args, **self.how)
        return self.rebpf

    def stop(self):
        if self.rebpf:
            assert self.rebpf.stop() == 0, self.rebpf.errors
            assert self.rebpf.stats()["event"] == "stats"
        self.rebpf = None

    def check(self):
        """It must not have died, lost a record or printed a broken line."""
        broken = self.rebpf.events("not JSON")
        assert not broken, broken[:3]
        assert self.rebpf.stopped or self.rebpf.process.poll() is None, "rebpf died:\n" + self.rebpf.story([])


@pytest.fixture(scope="session")
def shared():
    one = Shared()
    yield one
    one.stop()


@pytest.fixture
def alone(shared):
    """No other rebpf of ours: its filters would be on the same devices."""
    shared.stop()


@pytest.fixture
def watch(shared):
    """watch(ns, event="retransmit"): the events of a namespace from now on."""
    shared.get()
    yield lambda ns, event="retransmit": tracer.View(shared.get(), ns, event)
    shared.check()


def pytest_collection_modifyitems(config, items):
    """An emulated machine need not do with IPv6 what it does with IPv4, where it is about drops, or where a connect's hooks
    are not those of an IP version; nor try every filter, which is user space's: the host does."""
    if lab.SLOW == 1:
        return

    def is_left_to_host(item):
        if item.originalname in ("test_filters", "test_refused") or (item.originalname == "test_soak" and "REBPF_SOAK" not in os.environ):
            return True
        params = getattr(getattr(item, "callspec", None), "params", {})
        if params.get("version") != 6:
            return False
        return item.fspath.basename in ("test_drop.py", "test_extra.py", "test_inject.py") or item.originalname in (
            "test_lost_here", "test_lost_by_the_wire", "test_timeout", "test_aborted", "test_nonblocking")

    left = [item for item in items if is_left_to_host(item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
