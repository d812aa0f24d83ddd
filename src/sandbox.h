/* SPDX-License-Identifier: MIT */
/*
 * A seccomp filter for good: from then on no program is executed, no file opened for writing, changed, moved or removed, no
 * BPF program or map created, no module loaded, nothing mounted, no process traced, whatever capabilities and user are left.
 * A list of what is denied, not of what is allowed: other system calls of another C library or version do not break rebpf.
 * What is denied fails with EPERM. By seccomp(2): libseccomp is not among the dependencies.
 */
#ifndef REBPF_SANDBOX_H
#define REBPF_SANDBOX_H

/*
 * After all files for writing are open and all programs loaded; needs no_new_privs (privileges_drop). 0; -ENOTSUP: not this
 * processor; other negative errno: this kernel, or the filter that we run under, does not allow it. No message.
 */
int sandbox_enter(void);

#endif
