# SPDX-License-Identifier: MIT
"""Ways to make the kernel retransmit, each for one reason, used by several tests."""
import os
import socket

from lab import BLOCK, DATA, SLOW, SYN, SYNACK, Background, before_nth, chatter, drain, nth, start_connect

MSS = 1448  # with time stamps over IPv4 and an MTU of 1500


def steady(net):
    """Retransmissions of a lone segment come by time-out only, and every 200 ms for a while."""
    net.sysctl("net.ipv4.tcp_early_retrans", 0)
    net.sysctl("net.ipv4.tcp_thin_linear_timeouts", 1)


def stuck(net, version=4, port=5001, size=1000):
    """A connection whose data never arrives. Returns (client, server, the rule that drops it)."""
    steady(net)
    client, server = net.connect(port, version)
    rule = net.b.drop("input", DATA)
    client.sendall(BLOCK[:size])
    return client, server, rule


def stuck_syn(net, version=4, port=5001):
    """A connection that never begins. Returns the client's socket."""
    net.b.drop("input", SYN)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    client = net.keep(net.a.socket(family))
    start_connect(client, (net.addr[version][1], port))
    return client


def stuck_synack(net, version=4, port=5001):
    """The answer to a SYN never arrives. Returns (client, listener)."""
    listener = net.listen(port, version)
    net.a.drop("input", SYNACK)
    client = net.keep(net.a.socket(socket.AF_INET if version == 4 else socket.AF_INET6))
    start_connect(client, (net.addr[version][1], port))
    return client, listener


def lose_middle(net, version=4, port=5001):
    """One segment in the middle of a flight is lost: fast retransmit. Returns (client, server, bytes sent)."""
    client, server = net.connect(port, version)
    net.b.drop("input", DATA + " " + nth(3))
    client.sendall(BLOCK[:10 * MSS])
    return client, server, 10 * MSS


def lose_tail(net, version=4, port=5001):
    """The last segment of a short answer is lost: tail loss probe. b answers, a receives."""
    client, server = net.connect(port, version)
    net.a.drop("input", DATA + " " + nth(4))
    client.sendall(b"?")
    server.recv(1)
    server.sendall(BLOCK[:5 * 1400])
    return client, server, 5 * 1400


def lose_flight(net, version=4, port=5001):
    """A whole flight is lost: the first segment by time-out, the others as the acknowledgements allow."""
    net.sysctl("net.ipv4.tcp_early_retrans", 0)
    net.sysctl("net.ipv4.tcp_frto", 0)
    client, server = net.connect(port, version)
    net.b.drop("input", DATA + " " + before_nth(10))
    client.sendall(BLOCK[:10 * MSS])
    return client, server, 10 * MSS


class Flow:
    """A process that sends all the time, to be tampered with."""

    def __init__(self, net, name, version, port, source, target, cgroup=None):
        self.net, self.port = net, port
        listener = net.listen(port, version)
        self.worker = net.worker(self.talk, (source, port + 1000), (target, port), version, cgroup, ns=net.a,
                                 comm="rbflow" + name)
        self.server = net.keep(listener.accept()[0])
        self.draining = Background(drain, self.server)

    @staticmethod
    def talk(control, source, target, version, cgroup):
        # What it inherits of other flows would be its own, too: where its process number is the lower, that of both.
        os.closerange(3, control.fileno())
        os.closerange(control.fileno() + 1, 4096)
        if cgroup:
            with open(cgroup + "/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")
        sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(source)
        sock.connect(target)
        control.sendall(b"connected\n")
        chatter(sock, 600 * SLOW)
