# SPDX-License-Identifier: MIT
"""What became of the new copy: every way to lose, take or refuse it, each made for real (kernel.md 2.3)."""
import socket

import pytest

import causes
from lab import BLOCK, DATA, TC_ACT_SHOT, TC_ACT_STOLEN, receive_bytes
from tracer import brief, has_reasons, mode, need_failures, need_refusals

QDISC_REASONS = ("QDISC_DROP", "QDISC_OVERLIMIT")


@pytest.fixture
def stuck(net, watch):
    """stuck(version=4): a connection whose segment is lost at b, and whose retransmissions rebpf sees at TC."""

    def start(version=4):
        view = watch(net.a)
        stuck.client, stuck.server, stuck.rule = causes.stuck(net, version)
        view.watched()
        view.restart()
        return view

    stuck = start
    return start


def check_hops(event, *names):
    """TC saw the copy at these devices, in this order."""
    assert event["tc"] is not None, brief([event])
    assert [hop["ifname"] for hop in event["tc"]] == list(names), brief([event])
    assert all(hop["skb"] for hop in event["tc"])


def check_drop(event, reasons, location):
    """The copy was freed for one of these reasons, where the kernel gives any, in this function."""
    assert event["outcome"] == "dropped", brief([event])
    assert event["drop"], brief([event])
    if has_reasons():
        assert event["drop"]["reason"] in reasons, brief([event])
    else:
        assert event["drop"]["reason"] is None
    assert event["drop"]["location"].split("+")[0] in location, brief([event])


def later(view, **fields):
    """The second such event: the first may have begun before its cause was complete."""
    return view.wait(2, **fields)[1]


@pytest.mark.parametrize("version", [4, 6])
def test_sent(stuck, version):
    event = later(stuck(version), outcome="sent")
    assert (event["ret"], event["ret_name"], event["drop"]) == (0, "OK", None)
    check_hops(event, "a0")
    assert event["tc"][0]["verdict"] == "TC_ACT_OK"
    assert event["skb"] and event["skb"] != event["tc"][0]["skb"]


@pytest.mark.parametrize("version", [4, 6])
def test_shot_by_another_program(stuck, net, version):
    need_failures()
    view = stuck(version)
    net.a.tc_verdict("a0", TC_ACT_SHOT)
    event = later(view, outcome="dropped")
    assert (event["ret"], event["ret_name"]) == (1, "NET_XMIT_DROP")
    check_hops(event, "a0")
    assert event["tc"][0]["verdict"] == "TC_ACT_SHOT"
    assert event["tc"][0]["by"] == "other"
    check_drop(event, ["TC_EGRESS"], ["__dev_queue_xmit", "sch_handle_egress", "tc_run"])
    assert event["drop"]["ifname"] == "a0"


def test_shot_by_an_earlier_filter(stuck, net):
    """Where TC is clsact, a filter may run before ours: then rebpf knows the drop's place, or says nothing of TC."""
    need_failures()
    view = stuck()
    net.a.tc_verdict("a0", TC_ACT_SHOT, prio="1")
    event = later(view, outcome="dropped")
    assert event["ret"] == 1
    if event["tc"] is not None:
        check_hops(event, "a0")
        assert (event["tc"][0]["verdict"], event["tc"][0]["by"]) == ("TC_ACT_SHOT", "other")


def test_shot_recurs_without_backoff(stuck, net):
    """The kernel takes a local drop for congestion: it tries again every 500 ms, and counts all attempts."""
    need_failures()
    view = stuck()
    net.a.tc_verdict("a0", TC_ACT_SHOT)
    events = view.wait(3, outcome="dropped")
    assert len({e["seq"] for e in events}) == 1
    attempts = [e["attempt"] for e in events]
    assert attempts == list(range(attempts[0], attempts[0] + len(events)))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("hook", ["output", "postrouting"])
def test_netfilter(stuck, net, version, hook):
    need_failures()
    view = stuck(version)
    net.a.drop(hook, DATA)
    event = later(view, outcome="dropped")
    assert (event["ret"], event["ret_name"]) == (-1, "EPERM")
    assert event["tc"] == []
    # By 6.7 nftables frees the packet itself, to be found.
    check_drop(event, ["NETFILTER_DROP"], ["nf_hook_slow", "nft_do_chain"])


def fill(net):
    """Datagrams that use up the qdisc's tokens."""
    udp = net.keep(net.a.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for _ in range(4):
        udp.sendto(BLOCK[:1400], (net.addr[4][1], 9))


@pytest.mark.parametrize("qdisc", ["pfifo", "bfifo", "tbf"])
def test_qdisc_over_limit(stuck, net, qdisc):
    need_failures()
    view = stuck()
    if qdisc == "tbf":
        net.a.qdisc("a0", "tbf", "rate", "8kbit", "burst", "1600", "limit", "2000")
        fill(net)
    else:
        net.a.qdisc("a0", qdisc, "limit", "0")
    event = later(view, outcome="dropped")
    assert (event["ret"], event["ret_name"]) == (1, "NET_XMIT_DROP")
    check_hops(event, "a0")
    assert event["tc"][0]["verdict"] == "TC_ACT_OK"
    check_drop(event, QDISC_REASONS, ["kfree_skb_list_reason", "kfree_skb_list", "__dev_queue_xmit", "__dev_xmit_skb",
                                      "dev_qdisc_enqueue", "tcf_kfree_skb_list"])


def test_netem_loss(stuck, net):
    """netem says that all is well and drops at once: success for TCP, loss in truth."""
    view = stuck()
    net.a.qdisc("a0", "netem", "loss", "100%")
    event = later(view, outcome="dropped")
    assert event["ret"] == 0
    check_hops(event, "a0")
    assert event["tc"][0]["verdict"] == "TC_ACT_OK"
    check_drop(event, QDISC_REASONS, ["kfree_skb_list_reason", "kfree_skb_list", "__dev_queue_xmit", "__dev_xmit_skb"])


def busy_queue(net, watch, *qdisc):
    """A connection that rebpf watches and whose next segment waits in a's queue for seconds."""
    view = watch(net.a)
    client, server, rule = causes.stuck(net)
    view.watched()
    rule.remove()
    receive_bytes(server, 1000)
    net.a.qdisc("a0", *qdisc)
    fill(net)
    view.restart()
    client.sendall(BLOCK[:1000])
    return view


@pytest.mark.parametrize("qdisc", [("tbf", "rate", "4kbit", "burst", "1600", "limit", "50000"),
                                   ("netem", "delay", "8s")], ids=["tbf", "netem"])
def test_still_in_the_host_queue(net, watch, qdisc):
    need_refusals()
    view = busy_queue(net, watch, *qdisc)
    event = view.wait(1, outcome="refused")[0]
    assert (event["ret"], event["ret_name"], event["drop"]) == (-16, "EBUSY", None)
    assert event["tc"] == []
    assert event["cause"] == "host_queue"
    assert event["type"] == "rto"


def redirect(net):
    net.a.ip("link", "add", "sink0", "type", "veth", "peer", "name", "sink1")
    net.a.ip_batch("link set sink0 up", "link set sink1 up")
    net.a.tc_redirect("a0", "sink0")


@pytest.mark.parametrize("how", ["stolen", "mirred"])
def test_taken_by_another_program(stuck, net, how):
    """Another program keeps the packet: TCP believes that it was sent."""
    view = stuck()
    if how == "stolen":
        net.a.tc_verdict("a0", TC_ACT_STOLEN)
    else:
        redirect(net)
    event = later(view, outcome="stolen")
    assert (event["ret"], event["drop"]) == (0, None)
    check_hops(event, "a0")
    assert event["tc"][0]["verdict"] in ("TC_ACT_STOLEN", "TC_ACT_REDIRECT")
    assert event["tc"][0]["by"] == "other"


def test_no_route(stuck, net):
    need_refusals()
    view = stuck()
    net.a.ip("route", "del", "10.77.0.0/24", "dev", "a0")
    event = later(view, outcome="refused")
    assert (event["ret"], event["ret_name"]) == (-113, "EHOSTUNREACH")
    assert event["tc"] == []


def test_device_down(stuck, net):
    """The device goes down: its routes go too."""
    need_refusals()
    view = stuck()
    net.a.ip("link", "set", "a0", "down")
    event = later(view, outcome="refused")
    assert event["ret"] == -113


def add_stack(net, kind):
    """A device above a0 and one above b0, with addresses of their own; returns b's, and the device's name in a."""
    for ns, dev, host, peer in ((net.a, "a0", 1, 2), (net.b, "b0", 2, 1)):
        if kind == "vlan":
            args = ["link", dev, "type", "vlan", "id", "5"]
        elif kind == "macvlan":
            args = ["link", dev, "type", "macvlan", "mode", "bridge"]
        else:
            args = ["type", "vxlan", "id", "7", "remote", "10.77.0.%d" % peer, "dstport", "4789", "dev", dev]
        try:
            ns.ip("link", "add", "up0", "address", "02:00:00:00:01:%02x" % host, *args)
        except AssertionError as error:
            pytest.skip("no %s devices: %s" % (kind, str(error).splitlines()[0]))
        ns.ip("link", "set", "up0", "up")
        ns.ip_batch("addr add 10.78.0.%d/24 dev up0" % host,
                    "neigh replace 10.78.0.%d lladdr 02:00:00:00:01:%02x dev up0 nud permanent" % (peer, peer))
    net.addr[4] = ("10.78.0.1", "10.78.0.2")


@pytest.mark.parametrize("kind", ["vlan", "macvlan", "vxlan"])
def test_stacked_devices(net, watch, kind):
    """TC runs at the upper device and again at the lower one."""
    add_stack(net, kind)
    view = watch(net.a)
    causes.stuck(net)
    event = view.wait(2, lambda e: e["tc"] and len(e["tc"]) > 1)[1]
    check_hops(event, "up0", "a0")
    assert [hop["verdict"] for hop in event["tc"]] == ["TC_ACT_OK", "TC_ACT_OK"]
    assert (event["ret"], event["outcome"], event["drop"]) == (0, "sent", None)


@pytest.mark.parametrize("kind", ["vlan", "macvlan", "vxlan"])
def test_shot_at_the_lower_device(net, watch, kind):
    """An upper device that reports its own success, or the lower one's verdict: the drop is seen either way."""
    need_failures()
    add_stack(net, kind)
    view = watch(net.a)
    causes.stuck(net)
    view.wait(1, lambda e: e["tc"] and len(e["tc"]) > 1)
    net.a.tc_verdict("a0", TC_ACT_SHOT)
    event = later(view, outcome="dropped")
    check_hops(event, "up0", "a0")
    assert [hop["verdict"] for hop in event["tc"]] == ["TC_ACT_OK", "TC_ACT_SHOT"]
    check_drop(event, ["TC_EGRESS"], ["__dev_queue_xmit", "sch_handle_egress", "tc_run"])


def test_drop_of_many_segments(make_net, watch):
    """A retransmission of several segments in one buffer is shot: one drop, all segments failed."""
    need_failures()
    net = make_net(tso=True)
    view = watch(net.a)
    client, _, _ = causes.stuck(net)
    view.watched()
    client.sendall(BLOCK[:60000])
    net.a.tc_verdict("a0", TC_ACT_SHOT)
    events = view.wait(2, outcome="dropped")
    assert all(e["ret"] == 1 and e["tc"][0]["verdict"] == "TC_ACT_SHOT" for e in events)


def test_synack_sent(net, watch):
    view = watch(net.b)
    causes.stuck_synack(net)
    sees_tc = mode()["synack"] != "tracepoint"
    event = view.wait(1, lambda e: e["tc"] or not sees_tc, type="synack", timeout=20)[0]
    assert (event["ret"], event["outcome"]) == (0, "sent")
    if sees_tc:
        check_hops(event, "b0")


def test_synack_that_fails(net, watch):
    if mode()["synack"] == "tracepoint":
        pytest.skip("failing SYN-ACKs are not visible with synack=%s" % mode()["synack"])
    view = watch(net.b)
    causes.stuck_synack(net)
    view.wait(1, type="synack")
    net.b.drop("output", causes.SYNACK)
    event = view.wait(1, lambda e: e["ret"] != 0, type="synack", timeout=20)[0]
    assert (event["ret"], event["ret_name"], event["outcome"]) == (-1, "EPERM", "refused")
    assert event["drop"]["reason"] == ("NETFILTER_DROP" if has_reasons() else None)


@pytest.mark.parametrize("version", [4, 6])
def test_syn_shot(net, watch, version):
    need_failures()
    view = watch(net.a)
    causes.stuck_syn(net, version)
    view.wait(1, type="syn")
    net.a.tc_verdict("a0", TC_ACT_SHOT)
    event = view.wait(1, type="syn", outcome="dropped", timeout=20)[0]
    assert (event["ret"], event["state"]) == (1, "SYN_SENT")


def test_buffer_of_an_older_copy(net, watch):
    """An older copy that is dropped late, from the queue, is no drop of the new one."""
    need_refusals()
    view = busy_queue(net, watch, "tbf", "rate", "4kbit", "burst", "1600", "limit", "50000")
    event = view.wait(1, outcome="refused")[0]
    net.a.no_qdisc("a0")  # drops what it holds
    event = view.wait(1, outcome="sent")[0]
    assert event["drop"] is None
