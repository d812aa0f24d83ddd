// SPDX-License-Identifier: MIT
/*
 * Functions whose return address shows up as the place of a drop, from sources of 5.10, 6.1 and 6.12. A row is for
 * those of its frees that carry no reason on some kernel. It claims `lost` only if all of them are losses.
 */
#include "meaning_table.h"
#include "util.h"

#define R MEANING_ROW

#define CHECK_QDISC "tc -s qdisc show dev IF: dropped, overlimits, backlog, limit"
#define CHECK_TC "tc -s qdisc show dev IF; tc -s filter show dev IF egress; bpftool net show"
#define CHECK_NF "nft list ruleset; iptables-save -c; conntrack -S"
#define CHECK_NEIGH "ip -s neigh show dev IF; does the next hop answer ARP or ND (tcpdump -ni IF arp or icmp6)?"
#define CHECK_ROUTE "ip route get ADDR from SRC iif IF; ip rule; nstat -az 'Ip*NoRoutes' IpInAddrErrors"
#define CHECK_IP_IN "nstat -az 'IpIn*' 'Ip6In*' 'IpExtIn*'; ip -s link show dev IF"
#define CHECK_IP_OUT "nstat -az 'IpOut*' 'Ip6Out*' 'Ip*Frag*'; ip route get ADDR; tracepath ADDR"
#define CHECK_FRAG "nstat -az 'Ip*Reasm*' 'Ip*Frag*'; sysctl net.ipv4.ipfrag_time net.ipv4.ipfrag_high_thresh"
#define CHECK_XFRM "nstat -az 'Xfrm*'; ip -s xfrm state; ip -s xfrm policy"
#define CHECK_TUNNEL "ip -d -s link show dev IF; ip route get ADDR of the remote end"
#define CHECK_BRIDGE "bridge -d link show; bridge fdb show; bridge vlan show"
#define CHECK_LINK "ip -d -s link show dev IF (state, MTU, dropped); dmesg"
#define CHECK_BACKLOG "/proc/net/softnet_stat (column 2); sysctl net.core.netdev_max_backlog; spread interrupts (RPS)"
#define CHECK_TUN "ip -s link show dev IF (TX dropped, qlen); CPU of the program or virtual machine behind it"
#define CHECK_DRIVER "ethtool -S IF; ip -s link show dev IF; dmesg"
#define CHECK_TCP "nstat -az 'TcpExt*'; ss -tnmi; rebpf --stack"
#define CHECK_REDIRECT "bpftool net show; bpftool prog; state of the device that the program redirects to"
#define CHECK_CAPTURE "the capturing program's own drop count; a larger buffer there"
#define CHECK_CGROUP "bpftool cgroup tree; systemd: IPAddressDeny= and the like of the unit"
#define CHECK_NOTHING "nothing to do; of interest only beside other drops of the same connection"
#define CHECK_OVS "ovs-appctl dpctl/show -s; ovs-appctl dpctl/dump-flows; ovs-vswitchd's log"

/* A qdisc's enqueue or dequeue; what they hand back to be freed shows as __dev_queue_xmit instead. */
#define QDISC(name) R(name, BAD, LOST, "the queueing discipline of the device dropped it", CHECK_QDISC)
#define QDISC_FLUSH(name) \
	R(name, BAD, LOST, "the queue was emptied: its qdisc was changed or its device went down", CHECK_TC)
#define NEIGH(name) R(name, BAD, LOST, "the next hop's MAC address could not be found, or not in time", CHECK_NEIGH)
#define IP_OUT(name, text) R(name, BAD, LOST, text, CHECK_IP_OUT)
#define XFRM(name) R(name, BAD, LOST, "IPsec could not process it (no state, policy, error or replay)", CHECK_XFRM)
#define TUNNEL(name) R(name, BAD, LOST, "a tunnel device could not take, send or unpack it", CHECK_TUNNEL)
#define FRAGMENT(name) \
	R(name, BAD, UNCLEAR, "reassembly of IP fragments dropped it: timeout, overlap or limit", CHECK_FRAG)
#define REDIRECT(name) R(name, BAD, LOST, "a BPF program's redirect failed", CHECK_REDIRECT)
#define CAPTURE(name) \
	R(name, EXPECTED, COPY, "the copy for a packet or raw socket was not wanted or did not fit", CHECK_CAPTURE)
#define COPY(name) R(name, EXPECTED, COPY, "a copy for one more receiver (flood or multicast)", CHECK_NOTHING)
#define BRIDGE(name) \
	R(name, BAD, UNCLEAR, "a bridge did not pass it on (port state, VLAN, MTU, nowhere to go)", CHECK_BRIDGE)
#define XDP(name) R(name, POLICY, LOST, "an XDP program dropped it", "ip link show dev IF (xdp); bpftool net show")
#define READ(name) \
	R(name, EXPECTED, DELIVERED, "received in full, but the socket was closed before all was read", CHECK_NOTHING)
#define TCP(name) R(name, BAD, UNCLEAR, "TCP's receive path; this kernel does not say why", CHECK_TCP)
#define DRIVER(name) \
	R(name, BAD, DRIVER, "a network driver freed it in its transmit path, before or after sending", CHECK_DRIVER)
#define TUN(name) R(name, BAD, LOST, "a tun/tap device: ring full, nobody attached, or an invalid packet", CHECK_TUN)

static const struct drop_meaning rows[] = {
	/* TC and qdiscs: net/core/dev.c, net/sched */
	R("__dev_queue_xmit", BAD, LOST, "not accepted for sending: device down, a loop of devices, TC or a full queue",
	  CHECK_TC),
	R("__dev_xmit_skb", BAD, LOST, "the queueing discipline of the device refused it", CHECK_QDISC),
	R("__dev_direct_xmit", BAD, LOST, "the device did not take it (packet or XDP socket)", CHECK_LINK),
	R("dev_qdisc_enqueue", BAD, LOST, "the queueing discipline of the device refused it", CHECK_QDISC),
	R("sch_handle_egress", POLICY, LOST, "a TC filter or BPF program on the way out dropped it", CHECK_TC),
	R("sch_handle_ingress", POLICY, LOST, "a TC filter or BPF program on the way in dropped it",
	  "tc -s filter show dev IF ingress; bpftool net show"),
	R("tcf_qevent_handle", POLICY, LOST, "a TC filter on an event of a qdisc dropped it", CHECK_TC),
	R("tcf_ct_handle_fragments", BAD, UNCLEAR, "TC's connection tracking: reassembly of fragments", CHECK_FRAG),
	R("validate_xmit_skb", BAD, LOST,
	  "could not be made fit for the device (segmentation, checksum, VLAN, IPsec)",
	  "ethtool -k IF; ip -s link show dev IF; dmesg"),
	R("validate_xmit_skb_list", BAD, LOST,
	  "could not be made fit for the device (segmentation, checksum, VLAN, IPsec)",
	  "ethtool -k IF; ip -s link show dev IF; dmesg"),
	QDISC("netem_enqueue"), QDISC("netem_dequeue"), QDISC("tbf_enqueue"), QDISC("tbf_dequeue"),
	QDISC("pfifo_fast_enqueue"), QDISC("pfifo_enqueue"), QDISC("bfifo_enqueue"),
	QDISC("pfifo_tail_enqueue"), QDISC("fq_enqueue"), QDISC("fq_dequeue"), QDISC("fq_codel_enqueue"),
	QDISC("fq_codel_dequeue"), QDISC("fq_codel_drop"), QDISC("codel_dequeue"),
	QDISC("codel_qdisc_enqueue"), QDISC("codel_qdisc_dequeue"), QDISC("cake_enqueue"),
	QDISC("cake_dequeue"), QDISC("cake_drop"), QDISC("htb_enqueue"), QDISC("htb_dequeue"),
	QDISC("hfsc_enqueue"), QDISC("hfsc_dequeue"), QDISC("drr_enqueue"), QDISC("ets_qdisc_enqueue"),
	QDISC("prio_enqueue"), QDISC("multiq_enqueue"), QDISC("qfq_enqueue"), QDISC("red_enqueue"),
	QDISC("gred_enqueue"), QDISC("sfb_enqueue"), QDISC("sfq_enqueue"), QDISC("sfq_drop"),
	QDISC("choke_enqueue"), QDISC("choke_drop_by_idx"), QDISC("pie_qdisc_enqueue"),
	QDISC("pie_qdisc_dequeue"), QDISC("fq_pie_qdisc_enqueue"), QDISC("fq_pie_qdisc_dequeue"),
	QDISC("hhf_drop"), QDISC("hhf_enqueue"), QDISC("plug_enqueue"), QDISC("skbprio_enqueue"),
	QDISC("taprio_enqueue"), QDISC("taprio_enqueue_one"), QDISC("etf_enqueue_timesortedlist"),
	QDISC("etf_dequeue_timesortedlist"), QDISC("timesortedlist_drop"), QDISC("teql_enqueue"),
	QDISC("teql_master_xmit"), QDISC("blackhole_enqueue"), QDISC("noop_enqueue"),
	QDISC("dualpi2_qdisc_enqueue"), QDISC("dualpi2_qdisc_dequeue"),
	QDISC("sch_fragment"), QDISC("sch_frag_xmit"),
	QDISC_FLUSH("qdisc_reset"), QDISC_FLUSH("__qdisc_destroy"), QDISC_FLUSH("pfifo_fast_reset"),
	QDISC_FLUSH("fq_flow_purge"), QDISC_FLUSH("fq_reset"), QDISC_FLUSH("fq_change"),
	QDISC_FLUSH("fq_codel_reset"), QDISC_FLUSH("fq_codel_change"), QDISC_FLUSH("fq_codel_flow_purge"),
	QDISC_FLUSH("tfifo_reset"), QDISC_FLUSH("netem_reset"), QDISC_FLUSH("sfq_change"),
	QDISC_FLUSH("sfq_reset"), QDISC_FLUSH("codel_change"), QDISC_FLUSH("pie_change"),
	QDISC_FLUSH("cake_clear_tin"), QDISC_FLUSH("timesortedlist_clear"),

	/* Netfilter */
	R("nf_hook_slow", POLICY, LOST, "a netfilter rule or module (nftables, iptables, conntrack) dropped it",
	  CHECK_NF),
	R("nf_hook_slow_list", POLICY, LOST, "a netfilter rule or module (nftables, iptables, conntrack) dropped it",
	  CHECK_NF),
	R("nf_queue", BAD, LOST, "could not be handed to a program's NFQUEUE",
	  "/proc/net/netfilter/nfnetlink_queue (dropped); is the program running?"),
	R("nf_reinject", POLICY, LOST, "the program behind an NFQUEUE decided to drop it",
	  "/proc/net/netfilter/nfnetlink_queue; the program's own log"),
	R("nfqnl_reinject", POLICY, LOST, "the program behind an NFQUEUE decided to drop it, or went away",
	  "/proc/net/netfilter/nfnetlink_queue; the program's own log"),
	R("nfqnl_enqueue_packet", BAD, LOST, "the NFQUEUE is full or its program does not take more",
	  "/proc/net/netfilter/nfnetlink_queue (dropped, user_dropped)"),
	R("__nfqnl_enqueue_packet", BAD, LOST, "the NFQUEUE is full or its program does not take more",
	  "/proc/net/netfilter/nfnetlink_queue (dropped, user_dropped)"),
	R("nf_fwd_netdev_egress", BAD, LOST, "a netfilter forward to another device failed", CHECK_NF),
	R("nf_do_netdev_egress", BAD, UNCLEAR, "a netfilter forward or duplicate to another device failed", CHECK_NF),
	FRAGMENT("nf_ct_frag6_gather"), FRAGMENT("nf_ct_frag6_expire"),

	/* Reception: net/core/dev.c */
	R("__netif_receive_skb_core", BAD, UNCLEAR,
	  "nobody takes it here (protocol, VLAN), memory reserve, or TC ingress",
	  "tc -s filter show dev IF ingress; ip -d link (VLANs); bpftool net show"),
	R("enqueue_to_backlog", BAD, LOST, "the input queue of a CPU is full", CHECK_BACKLOG),
	R("netif_rx_internal", BAD, LOST, "the input queue of a CPU is full", CHECK_BACKLOG),
	R("netif_rx", BAD, LOST, "the input queue of a CPU is full", CHECK_BACKLOG),
	R("flush_gro_hash", BAD, LOST, "its device went away while it waited to be merged (GRO)", CHECK_LINK),
	R("flush_backlog", BAD, LOST, "its device went away while it waited in a CPU's input queue", CHECK_LINK),
	R("net_tx_action", BAD, DRIVER, "freed from an interrupt, mostly by a driver, before or after sending",
	  CHECK_DRIVER),
	R("skb_vlan_untag", BAD, LOST, "a damaged VLAN header", CHECK_LINK),
	R("vlan_do_receive", BAD, UNCLEAR, "a VLAN device could not take it", CHECK_LINK),
	XDP("do_xdp_generic"), XDP("netif_receive_generic_xdp"), XDP("bpf_prog_run_generic_xdp"),
	XDP("veth_xdp_rcv_skb"),
	R("run_lwt_bpf", POLICY, LOST, "the BPF program of a route dropped it", "ip route show (encap bpf)"),
	R("bpf_input", POLICY, LOST, "the BPF program of a route dropped it", "ip route show (encap bpf)"),
	R("bpf_output", POLICY, LOST, "the BPF program of a route dropped it", "ip route show (encap bpf)"),
	R("bpf_xmit", POLICY, LOST, "the BPF program of a route dropped it", "ip route show (encap bpf)"),
	R("generic_xdp_tx", BAD, LOST, "an XDP program sent it back and the device did not take it", CHECK_REDIRECT),
	CAPTURE("dev_queue_xmit_nit"), CAPTURE("packet_rcv"), CAPTURE("tpacket_rcv"),
	CAPTURE("packet_rcv_spkt"), CAPTURE("packet_rcv_fanout"), CAPTURE("packet_sock_destruct"),
	CAPTURE("packet_release"), CAPTURE("packet_set_ring"), CAPTURE("raw_rcv"), CAPTURE("raw_rcv_skb"),
	CAPTURE("rawv6_rcv"), CAPTURE("rawv6_rcv_skb"),
	REDIRECT("skb_do_redirect"), REDIRECT("__bpf_redirect"), REDIRECT("__bpf_redirect_common"),
	REDIRECT("__bpf_redirect_no_mac"), REDIRECT("__bpf_redirect_neigh"),
	REDIRECT("__bpf_redirect_neigh_v4"), REDIRECT("__bpf_redirect_neigh_v6"), REDIRECT("bpf_out_neigh_v4"),
	REDIRECT("bpf_out_neigh_v6"), REDIRECT("__bpf_tx_skb"),
	R("bpf_clone_redirect", BAD, COPY, "the copy that a BPF program wanted to send elsewhere", CHECK_REDIRECT),

	/* IP, in and forwarding */
	R("ip_rcv_core", BAD, UNCLEAR, "for another host's MAC address, or its IP header is damaged", CHECK_IP_IN),
	R("ip6_rcv_core", BAD, UNCLEAR, "for another host's MAC address, or its IP header is damaged, or IPv6 is off",
	  CHECK_IP_IN),
	R("ip_rcv_finish", BAD, LOST, "no route, reverse path filter, or bad options on the way in", CHECK_ROUTE),
	R("ip_rcv_finish_core", BAD, LOST, "no route, reverse path filter, or bad options on the way in",
	  CHECK_ROUTE),
	R("ip_error", BAD, LOST, "the destination cannot be reached from here", CHECK_ROUTE),
	R("ip_rt_bug", BAD, LOST, "an input route was used for output: a kernel bug", "dmesg; the kernel version"),
	R("ip_forward", BAD, LOST, "not forwarded: TTL used up, larger than the MTU, IPsec policy or options",
	  "nstat -az 'Ip*' | grep -e Hdr -e Frag -e Any; ip link (MTUs); tracepath ADDR"),
	R("ip6_forward", BAD, LOST, "not forwarded: hop limit used up, larger than the MTU, IPsec policy or address",
	  "nstat -az 'Ip6In*'; ip link (MTUs); tracepath6 ADDR"),
	R("ip_protocol_deliver_rcu", BAD, LOST, "no handler for its protocol, or an IPsec policy against it",
	  CHECK_IP_IN),
	R("ip6_protocol_deliver_rcu", BAD, LOST, "no handler for its protocol, or an IPsec policy against it",
	  CHECK_IP_IN),
	R("ip_local_deliver_finish", BAD, LOST, "no handler for its protocol, or no memory", CHECK_IP_IN),
	R("ipv6_destopt_rcv", BAD, LOST, "a bad IPv6 extension header", CHECK_IP_IN),
	R("ipv6_rthdr_rcv", BAD, LOST, "a bad or forbidden IPv6 routing header", CHECK_IP_IN),
	R("ip6_parse_tlv", BAD, LOST, "a bad IPv6 option", CHECK_IP_IN),
	R("ip6_tlvopt_unknown", BAD, LOST, "an unknown IPv6 option that forbids to pass it on", CHECK_IP_IN),
	R("ipv6_parse_hopopts", BAD, LOST, "bad IPv6 hop-by-hop options", CHECK_IP_IN),
	R("ip6_pkt_drop", BAD, LOST, "no route, or a route that forbids it", CHECK_ROUTE),
	R("ip6_pkt_discard", BAD, LOST, "no route", CHECK_ROUTE),
	R("ip6_pkt_prohibit", POLICY, LOST, "a prohibit route", CHECK_ROUTE),
	R("dst_discard", BAD, LOST, "a blackhole route, or one whose device is gone", CHECK_ROUTE),
	R("dst_discard_out", BAD, LOST, "a blackhole route, or one whose device is gone", CHECK_ROUTE),
	R("blackhole_netdev_xmit", BAD, LOST, "the device of its route is gone", CHECK_ROUTE),
	R("blackhole_neigh_output", BAD, LOST, "the device of its route is gone", CHECK_ROUTE),
	FRAGMENT("ip_defrag"), FRAGMENT("ip_frag_queue"), FRAGMENT("ip_expire"), FRAGMENT("ip_check_defrag"),
	FRAGMENT("ipv6_frag_rcv"), FRAGMENT("ip6_frag_queue"), FRAGMENT("inet_frag_rbtree_purge"),
	FRAGMENT("inet_frag_reasm_finish"), FRAGMENT("ip6frag_expire_frag_queue"),
	COPY("ip_mc_output"), COPY("ip_mc_finish_output"), COPY("ip6_mc_input"),

	/* IP, out */
	IP_OUT("__ip_queue_xmit", "no route to the destination"),
	IP_OUT("ip_queue_xmit", "no route to the destination"),
	IP_OUT("ip6_xmit", "larger than the MTU, or no memory for its headers"),
	IP_OUT("ip_finish_output", "could not be cut or fragmented to fit the MTU, or had no neighbour entry"),
	IP_OUT("ip6_finish_output", "could not be cut or fragmented to fit the MTU, or had no neighbour entry"),
	IP_OUT("ip6_output", "could not be cut or fragmented to fit the MTU, or had no neighbour entry"),
	IP_OUT("ip_finish_output2", "no neighbour entry for the next hop, or no memory"),
	IP_OUT("ip6_finish_output2", "no neighbour entry for the next hop, or no memory"),
	IP_OUT("ip_finish_output_gso", "could not be cut into segments that fit the MTU"),
	IP_OUT("ip6_finish_output_gso_slowpath_drop", "could not be cut into segments that fit the MTU"),
	IP_OUT("ip_fragment", "larger than the MTU and not to be fragmented"),
	IP_OUT("ip_do_fragment", "could not be fragmented"),
	IP_OUT("ip6_fragment", "larger than the MTU, or could not be fragmented"),
	IP_OUT("inet6_csk_xmit", "no route to the destination"),
	IP_OUT("tcp_v6_send_response", "no route for a reset or ACK without socket"),
	IP_OUT("skb_expand_head", "no memory for its headers"),
	NEIGH("neigh_resolve_output"), NEIGH("neigh_connected_output"), NEIGH("__neigh_event_send"),
	NEIGH("neigh_invalidate"), NEIGH("neigh_timer_handler"), NEIGH("neigh_flush_dev"),
	NEIGH("neigh_destroy"), NEIGH("__neigh_update"), NEIGH("neigh_blackhole"), NEIGH("neigh_xmit"),
	NEIGH("arp_error_report"), NEIGH("ndisc_error_report"),
	XFRM("xfrm_input"), XFRM("xfrm_output"), XFRM("xfrm_output_one"), XFRM("xfrm_output_resume"),
	XFRM("xfrm_output_gso"), XFRM("xfrm_policy_queue_process"), XFRM("xdst_queue_output"),
	XFRM("xfrm_policy_kill"), XFRM("xfrm_trans_reinject"), XFRM("validate_xmit_xfrm"), XFRM("xfrmi_xmit"),
	XFRM("xfrmi_input"), XFRM("xfrm4_rcv_encap"), XFRM("xfrm4_rcv_encap_finish"),
	XFRM("xfrm4_udp_encap_rcv"), XFRM("xfrm4_esp_rcv"), XFRM("xfrm4_ah_rcv"), XFRM("xfrm6_esp_rcv"),
	XFRM("esp_output_done"), XFRM("esp_output_tcp_finish"),

	/* TCP */
	R("tcp_v4_rcv", EXPECTED, UNCLEAR,
	  "of TIME_WAIT or a handshake: answered, a duplicate, or the accept queue is full",
	  "nstat -az TcpExtListenOverflows TcpExtTW; ss -tln; TCP_LISTEN_OVERFLOW events tell overflows"),
	R("tcp_v6_rcv", EXPECTED, UNCLEAR,
	  "of TIME_WAIT or a handshake: answered, a duplicate, or the accept queue is full",
	  "nstat -az TcpExtListenOverflows TcpExtTW; ss -tln; TCP_LISTEN_OVERFLOW events tell overflows"),
	R("tcp_v4_do_rcv", BAD, UNCLEAR, "answered with a reset, or an ACK with an invalid SYN cookie",
	  "nstat -az TcpOutRsts TcpExtSyncookiesFailed; ss -tln"),
	R("tcp_v6_do_rcv", BAD, UNCLEAR, "answered with a reset, or an ACK with an invalid SYN cookie",
	  "nstat -az TcpOutRsts TcpExtSyncookiesFailed; ss -tln"),
	R("tcp_rcv_state_process", EXPECTED, DELIVERED,
	  "an ACK of a closing connection, freed after it was processed",
	  CHECK_NOTHING),
	/* Of 5.18 to 6.0 also SYN-ACKs that were processed. */
	R("tcp_rcv_synsent_state_process", EXPECTED, UNCLEAR, "came while connecting, without SYN or reset", CHECK_TCP),
	R("tcp_ofo_queue", EXPECTED, DELIVERED, "in the out-of-order queue, but by now received another way",
	  CHECK_NOTHING),
	R("tcp_prune_ofo_queue", BAD, LOST, "thrown out of the out-of-order queue because the receive buffer is full",
	  "nstat -az TcpExtOfoPruned TcpExtRcvPruned; ss -tnmi; sysctl net.ipv4.tcp_rmem"),
	TCP("tcp_rcv_established"), TCP("tcp_validate_incoming"), TCP("tcp_data_queue"),
	TCP("tcp_data_queue_ofo"), TCP("tcp_add_backlog"), TCP("tcp_child_process"), TCP("tcp_conn_request"),
	READ("tcp_v4_destroy_sock"), READ("inet_sock_destruct"), READ("sk_stream_kill_queues"),
	READ("tcp_disconnect"), READ("__tcp_close"),
	R("sk_psock_verdict_apply", POLICY, UNCLEAR,
	  "a sockmap's BPF program dropped it, or its target could not take it",
	  "bpftool prog; bpftool map"),
	R("skb_drop_list", EXPECTED, UNCLEAR, "part of a larger packet that was freed as a whole; says nothing of that",
	  CHECK_NOTHING),
	R("skb_release_data", EXPECTED, UNCLEAR,
	  "part of a larger packet that was freed as a whole; says nothing of that",
	  CHECK_NOTHING),
	R("__mptcp_move_skb", EXPECTED, DELIVERED, "MPTCP: received before on another path", CHECK_NOTHING),
	R("__mptcp_ofo_queue", EXPECTED, DELIVERED, "MPTCP: received before on another path", CHECK_NOTHING),

	/* Bridges and Open vSwitch */
	COPY("br_multicast_flood"),
	/* Frees the flooded packet itself, if no port took it; copies end in the functions that they reach. */
	BRIDGE("br_flood"), BRIDGE("br_forward"), BRIDGE("__br_forward"), BRIDGE("br_dev_xmit"),
	BRIDGE("br_dev_queue_push_xmit"), BRIDGE("br_handle_frame"), BRIDGE("br_handle_frame_finish"),
	BRIDGE("br_pass_frame_up"),
	BRIDGE("br_handle_vlan"), BRIDGE("__allowed_ingress"), BRIDGE("br_nf_dev_queue_xmit"),
	BRIDGE("br_nf_pre_routing_finish"), BRIDGE("br_nf_pre_routing_finish_ipv6"),
	BRIDGE("br_nf_pre_routing_finish_bridge"), BRIDGE("br_nf_forward_finish"),
	R("ovs_vport_send", BAD, LOST, "Open vSwitch: larger than the MTU of the port, or the port is down",
	  CHECK_OVS),
	R("ovs_dp_process_packet", BAD, LOST, "Open vSwitch: no flow, and ovs-vswitchd could not be asked",
	  CHECK_OVS),
	R("ovs_execute_actions", BAD, LOST, "Open vSwitch: a loop of flows, or too many deferred actions", CHECK_OVS),
	R("do_execute_actions", POLICY, UNCLEAR, "Open vSwitch: the flow's actions end without an output", CHECK_OVS),

	/* Virtual devices, which may also be built in */
	TUN("tun_net_xmit"), TUN("tun_get_user"), TUN("tun_xdp_one"), TUN("tun_do_read"),
	TUN("tun_queue_purge"), TUN("tun_ptr_free"), TUN("tap_handle_frame"), TUN("tap_get_user"),
	TUN("tap_get_user_xdp"), TUN("tap_do_read"),
	R("veth_xmit", BAD, LOST, "the other end of the veth pair is gone or down", CHECK_LINK),
	R("__dev_forward_skb", BAD, LOST, "the device that it was handed to is down, or its MTU is smaller",
	  CHECK_LINK),
	R("__dev_forward_skb2", BAD, LOST, "the device that it was handed to is down, or its MTU is smaller",
	  CHECK_LINK),
	R("dev_forward_skb", BAD, LOST, "the device that it was handed to is down, or its MTU is smaller",
	  CHECK_LINK),
	R("netkit_xmit", POLICY, LOST, "the BPF program of a netkit device dropped it, or its peer is down",
	  CHECK_REDIRECT),
	R("macvlan_handle_frame", BAD, UNCLEAR, "a macvlan device could not take it", CHECK_LINK),
	COPY("macvlan_broadcast_enqueue"), COPY("macvlan_broadcast"), COPY("ipvlan_multicast_enqueue"),
	COPY("ipvlan_process_multicast"),
	R("ipvlan_queue_xmit", BAD, LOST, "an ipvlan device could not send it", CHECK_LINK),
	R("ipvlan_process_outbound", BAD, LOST, "no route for what an ipvlan device sends", CHECK_ROUTE),
	R("ipvlan_process_v4_outbound", BAD, LOST, "no route for what an ipvlan device sends", CHECK_ROUTE),
	R("ipvlan_process_v6_outbound", BAD, LOST, "no route for what an ipvlan device sends", CHECK_ROUTE),
	R("ipvlan_rcv_frame", BAD, UNCLEAR, "an ipvlan device could not take it", CHECK_LINK),
	R("bond_start_xmit", BAD, LOST, "the bond has no usable member",
	  "/proc/net/bonding/IF; ip -d -s link show dev IF"),
	R("__bond_start_xmit", BAD, LOST, "the bond has no usable member",
	  "/proc/net/bonding/IF; ip -d -s link show dev IF"),
	R("bond_xmit_broadcast", BAD, UNCLEAR, "a member of the bond did not take its copy", "/proc/net/bonding/IF"),
	R("vxlan_xmit", BAD, UNCLEAR, "no remote end for it in the VXLAN", "bridge fdb show dev IF; " CHECK_TUNNEL),
	R("vxlan_xmit_one", BAD, UNCLEAR, "could not be sent through the VXLAN; may be a flooded copy", CHECK_TUNNEL),
	TUNNEL("vxlan_rcv"), TUNNEL("ip_tunnel_xmit"), TUNNEL("ip_md_tunnel_xmit"), TUNNEL("iptunnel_xmit"),
	TUNNEL("ip_tunnel_rcv"), TUNNEL("ipgre_xmit"), TUNNEL("gre_tap_xmit"), TUNNEL("gre_fb_xmit"),
	TUNNEL("erspan_xmit"), TUNNEL("gre_rcv"), TUNNEL("ipip_tunnel_xmit"), TUNNEL("ipip_tunnel_rcv"),
	TUNNEL("tunnel4_rcv"), TUNNEL("sit_tunnel_xmit"), TUNNEL("ipip6_rcv"), TUNNEL("ip6_tnl_start_xmit"),
	TUNNEL("__ip6_tnl_rcv"), TUNNEL("ip6gre_tunnel_xmit"), TUNNEL("vti_tunnel_xmit"),
	TUNNEL("vti6_tnl_xmit"), TUNNEL("geneve_xmit"), TUNNEL("wg_xmit"), TUNNEL("wg_packet_create_data"),
	TUNNEL("wg_packet_purge_staged_packets"),

	/* Drivers that kernels for virtual machines have built in: no module tells them */
	DRIVER("start_xmit"), DRIVER("xennet_start_xmit"), DRIVER("ena_start_xmit"),
	DRIVER("netvsc_start_xmit"), DRIVER("netvsc_xmit"), DRIVER("vmxnet3_xmit_frame"), DRIVER("gve_tx"),
	DRIVER("gve_start_xmit"), DRIVER("mana_start_xmit"), DRIVER("e1000_xmit_frame"),
	DRIVER("igb_xmit_frame"), DRIVER("ixgbe_xmit_frame"),
};

const struct meaning_table meaning_places = { rows, ARRAY_SIZE(rows) };

#define TCP_RCV(name)                                                                                         \
	R(name, BAD, UNCLEAR, "no socket, checksum, socket filter, full backlog, MD5, handshake or TIME_WAIT", \
	  "nstat -az TcpInErrs 'TcpExt*Drop' 'TcpExtListen*' TcpExtTW; ss -tlnp")
#define TCP_AFTER(name)                                                                                     \
	R(name, BAD, UNCLEAR, "freed after it was processed, or not acceptable in this state of the socket", \
	  CHECK_TCP)

static const struct drop_meaning rows_no_reasons[] = {
	R("__dev_queue_xmit", BAD, LOST, "TC dropped it, the qdisc refused it, or the device is down", CHECK_TC),
	R("__netif_receive_skb_core", BAD, UNCLEAR, "TC ingress dropped it, or nobody takes it here (protocol, VLAN)",
	  "tc -s filter show dev IF ingress; ip -d link (VLANs); bpftool net show"),
	TCP_RCV("tcp_v4_rcv"), TCP_RCV("tcp_v6_rcv"),
	R("tcp_v4_do_rcv", BAD, UNCLEAR, "answered with a reset, wrong checksum, or a handshake that failed",
	  "nstat -az TcpOutRsts TcpInCsumErrors TcpExtSyncookiesFailed; ss -tln"),
	R("tcp_v6_do_rcv", BAD, UNCLEAR, "answered with a reset, wrong checksum, or a handshake that failed",
	  "nstat -az TcpOutRsts TcpInCsumErrors TcpExtSyncookiesFailed; ss -tln"),
	/* Fragmenting and finding the neighbour are inlined here in some builds: lost as well. */
	R("ip_finish_output", POLICY, LOST,
	  "a BPF program of the sender's cgroup dropped it, or it did not fit the MTU", CHECK_CGROUP),
	R("ip6_finish_output", POLICY, LOST,
	  "a BPF program of the sender's cgroup dropped it, or it did not fit the MTU", CHECK_CGROUP),
	R("ip6_output", POLICY, LOST, "IPv6 is turned off on the device, or a cgroup's BPF program dropped it",
	  "sysctl net.ipv6.conf.IF.disable_ipv6; bpftool cgroup tree"),
	TCP_AFTER("tcp_rcv_state_process"), TCP_AFTER("tcp_rcv_synsent_state_process"),
};

const struct meaning_table meaning_places_no_reasons = { rows_no_reasons, ARRAY_SIZE(rows_no_reasons) };
