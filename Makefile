# SPDX-License-Identifier: MIT
# rebpf: make, make run, make demo, make test; make help lists the rest.

VERSION := 0.1.0
CLANG ?= clang
BPFTOOL ?= bpftool
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
B := build

HOST_ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
ARCH ?= $(HOST_ARCH)
ifneq ($(ARCH),$(HOST_ARCH))
# For another architecture: a build directory of its own, and in it Debian's libraries of that architecture.
B := build/$(ARCH)
DEBIAN_arm64 := arm64
DEBIAN_x86 := amd64
TRIPLET_arm64 := aarch64-linux-gnu
TRIPLET_x86 := x86_64-linux-gnu
ifndef TRIPLET_$(ARCH)
$(error ARCH=$(ARCH): not one of x86, arm64)
endif
CROSS_COMPILE ?= $(TRIPLET_$(ARCH))-
SYSROOT := $(B)/sysroot
CC := $(CROSS_COMPILE)gcc --sysroot=$(SYSROOT)
CROSS_LIBS := libc6-dev linux-libc-dev libbpf-dev libelf-dev zlib1g-dev libevent-dev
endif
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wundef
ifeq ($(DEVELOPER),1)
WARN += -Werror
endif
ALL_CFLAGS := -std=gnu11 $(WARN) -D_GNU_SOURCE -DREBPF_VERSION='"$(VERSION)"' -iquote $(B) -iquote src $(CFLAGS)

BPF_CFLAGS := -g -O2 -target bpf -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Werror -Wno-unused-parameter \
	 -Ivmlinux/$(ARCH) -Ibpf
LIBS := -lbpf -lelf -lz -levent_core -levent_extra

# What defines the maps comes first: libbpf 1.1's linker gives the others' a wrong offset if they are declared before.
BPF_SRC := bpf/core.bpf.c $(filter-out bpf/core.bpf.c,$(wildcard bpf/*.bpf.c))
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o)
SRC := $(wildcard src/*.c)
OBJ := $(SRC:src/%.c=$(B)/%.o)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
FUZZ := $(B)/fuzz/fuzz_replay_corpus
WIRE := $(B)/tests/wire
FLOOD := $(B)/tests/flood

ifeq ($(V),1)
Q =
msg =
else
Q = @
msg = @printf '  %-8s %s\n' "$(1)" "$(2)";
endif

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all build build-rebpf generate run demo deps test unit golden fuzz e2e lab vm guest matrix compare clean help

all: $(B)/rebpf

# ---- what the build needs ----

DEPS_STAMP := $(B)/.deps
deps:
	$(Q)rm -f $(DEPS_STAMP)
	$(Q)scripts/deps.sh build
	$(Q)mkdir -p $(B) && touch $(DEPS_STAMP)

$(DEPS_STAMP): scripts/deps.sh
	$(Q)scripts/deps.sh build
ifdef SYSROOT
	$(Q)scripts/deps.sh cross-$(ARCH)
	$(Q)scripts/debian-sysroot.sh $(SYSROOT) $(DEBIAN_$(ARCH)) $(CROSS_LIBS)
endif
	$(Q)mkdir -p $(B) && touch $@

# ---- the BPF object and its skeleton ----

$(B)/bpf/%.bpf.o: bpf/%.bpf.c | $(DEPS_STAMP)
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(B)/rebpf.bpf.o: $(BPF_OBJ)
	$(call msg,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(B)/rebpf.skel.h: $(B)/rebpf.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name rebpf > $@

generate: $(B)/rebpf.skel.h

# ---- the program ----

$(B)/probes.o: $(B)/rebpf.skel.h

$(B)/%.o: src/%.c | $(DEPS_STAMP)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/rebpf: $(OBJ)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

build build-rebpf: all

run: all
	$(Q)$(B)/rebpf $(ARGS)

demo: all
	$(Q)scripts/demo.sh $(B)/rebpf

# ---- tests ----

# The sources that a test in C needs stand in its line "links: ...".
TEST_CC = $(CC) $(ALL_CFLAGS) -O1 -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
	$< $$(sed -n 's,.*links: *\(.*[^ ]\) *\*/.*,\1,p' $<) -o $@

$(B)/unit/%: tests/unit/%.c $(SRC) $(wildcard src/*.h bpf/*.h tests/unit/*.h) | $(DEPS_STAMP)
	$(call msg,UNIT,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(TEST_CC) -lcmocka

# The fuzz target as a program that runs its corpus.
$(FUZZ): tests/fuzz/fuzz_replay.c $(SRC) $(wildcard src/*.h bpf/*.h) | $(DEPS_STAMP)
	$(call msg,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(TEST_CC)

unit: $(UNIT) $(FUZZ)
	$(Q)tests/run.sh unit $(UNIT)

fuzz: $(FUZZ)
	$(Q)tests/fuzz/run.sh $(SECONDS)

golden: all
	$(Q)tests/run.sh golden

# The wire of the lab: not sanitized, for it also runs in guests that are slow enough.
$(WIRE): tests/e2e/wire.c | $(DEPS_STAMP)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Werror $< -o $@

# ---- figures ----

$(FLOOD): tests/bench/flood.c | $(DEPS_STAMP)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Werror $< -o $@

$(B)/tests/empty: tests/bench/empty.c | $(DEPS_STAMP)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Werror $< -o $@ -lbpf

bench: all $(FLOOD) $(B)/tests/empty
	$(Q)tests/bench/bench.py $(BENCH)

compare: all $(FLOOD)
	$(Q)scripts/compare.sh $(ARGS)

e2e: all $(WIRE) $(FLOOD)
	$(Q)tests/run.sh e2e

lab: all $(WIRE)
	$(Q)REBPF_LAB_FACTOR=$${REBPF_LAB_FACTOR:-5} tests/run.sh lab

vm: all $(WIRE)
	$(Q)tests/run.sh vm

# What a guest of this architecture runs.
guest: all $(WIRE) $(FLOOD)

matrix: guest
	$(Q)scripts/deps.sh matrix
	$(Q)$(MAKE) ARCH=arm64 guest
	$(Q)tests/vm/matrix.sh $(KERNELS)

test: $(UNIT) $(FUZZ) all $(WIRE) $(FLOOD)
	$(Q)scripts/deps.sh test
	$(Q)tests/run.sh all $(UNIT)

clean:
	$(Q)rm -rf $(B)

help:
	@echo 'make             build build/rebpf (installs what the build needs on Debian)'
	@echo 'make run         build and run it; ARGS="..." are its options'
	@echo 'make demo        own namespaces, real loss, real lines, cleaned up afterwards'
	@echo 'make test        unit, golden, e2e and vm tests; ends with "N passed, N failed, N skipped"'
	@echo 'make unit|golden|e2e|vm   one tier'
	@echo 'make lab         loss at known places and the matrix of causes, longer; REBPF_LAB_FACTOR=5, REBPF_LAB_SEED=1'
	@echo 'make matrix      e2e on one kernel after the other, also arm64 and PREEMPT_RT, and the table in README.md; hours.'
	@echo '                 KERNELS="trixie sid-arm64" (tests/vm/kernels.sh), REBPF_MATRIX_TESTS="truth ..."'
	@echo '                 ARCH=arm64 before any target: cross-compiles into build/arm64'
	@echo 'make compare     what each output costs under a flood of drops, a minute, root; ARGS="--quick"'
	@echo 'make fuzz        libFuzzer on the replay; SECONDS=60'
	@echo 'make deps        install what is missing (Debian), or name the packages'
	@echo 'make clean       remove build/'
	@echo 'variables: V=1 shows commands, DEVELOPER=1 turns warnings into errors'

-include $(OBJ:.o=.d) $(BPF_OBJ:.o=.d)
