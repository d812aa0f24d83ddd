// SPDX-License-Identifier: MIT
/* The maps, the frozen configuration, the shared words, the licence. */
#include "rebpf.bpf.h"
#include "call.bpf.h"
#include "inject.bpf.h"

const volatile struct config cfg = {};
struct shared shared = {};

struct ring_control ring_control SEC(".maps");
struct ring_drops ring_drops SEC(".maps");
struct ring_wake ring_wake SEC(".maps");
struct map_lost lost SEC(".maps");
struct map_slots slots SEC(".maps");
struct map_sockets sockets SEC(".maps");
struct map_retransmitters retransmitters SEC(".maps");
struct map_connecting connecting SEC(".maps");
struct map_calls calls SEC(".maps");
struct map_inject inject_states SEC(".maps");
struct map_inject_totals inject_totals SEC(".maps");

char LICENSE[] SEC("license") = "Dual MIT/GPL";
