// SPDX-License-Identifier: MIT
/*
 * All programs as one unit: the linker of libbpf before 1.5 refuses a kernel function (compat.bpf.h) that two objects call
 * ("failed to resolve size of underlying type"), and gives maps wrong offsets that an object names before the one that has them.
 */
#include "core.bpf.c"

#include "connect.bpf.c"
#include "drop.bpf.c"
#include "egress.bpf.c"
#include "overflow.bpf.c"
#include "owner.bpf.c"
#include "retransmit.bpf.c"
#include "spurious.bpf.c"
