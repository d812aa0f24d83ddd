# SPDX-License-Identifier: MIT
"""Filters that the kernel takes: what they are not on costs no record, unless it may be a packet under other addresses."""
import pytest

from lab import start_connect, wait_until

PORT, PACKETS = 5001, 20
TOLD = "recorded for causes: addresses"


def told(one):
    """What -v last said about drops outside the filter."""
    said = [line for line in one.errors if TOLD in line]
    return said[-1] if said else "drops outside the filter are %s" % TOLD


def syns_dropped(net):
    """New connections to a closed wall: each costs a drop at once."""
    rule = net.b.drop("input", "tcp dport %d" % PORT)
    for _ in range(PACKETS):
        start_connect(net.keep(net.a.socket()), (net.addr[4][1], PORT))
    wait_until(lambda: rule.count() >= PACKETS, what="the drops")
    rule.remove()


@pytest.fixture
def narrow(net, rebpf):
    """A tracer of another port, in a kernel that translates nothing, and its namespaces."""
    one = rebpf("-v", "-P", "1", events="drop")
    try:
        wait_until(lambda: "are not " + TOLD in told(one), 5)
    except AssertionError:
        pytest.skip("addresses may be translated on this host: " + told(one))
    return one


def test_nothing_is_recorded(net, narrow):
    syns_dropped(net)
    assert narrow.stop() == 0
    if "are not " + TOLD not in told(narrow):
        pytest.skip("another namespace began to translate")
    assert narrow.stats()["consumed"] == 0
    assert narrow.events("drop") == []


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_translation_begins(net, narrow, family):
    """As soon as a chain may translate, the dropped packet may be another under a new address: it is evidence."""
    net.b.run("nft", "-f", "-", text="table %s t {\n chain c {\n type nat hook postrouting priority 100;\n }\n}\n" % family)
    wait_until(lambda: "are " + TOLD in told(narrow), 20)
    syns_dropped(net)
    assert narrow.stop() == 0
    assert narrow.stats()["consumed"] >= PACKETS
    assert narrow.events("drop") == []
