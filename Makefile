# SPDX-License-Identifier: MIT
# rebpf: make, make run, make demo, make test; make help lists the rest.

VERSION := 0.1.0
CLANG ?= clang
BPFTOOL ?= bpftool
PYTHON ?= /usr/bin/python3
HOSTCC ?= cc
PREFIX ?= /usr/local
DESTDIR ?=
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
ALL_CFLAGS := -std=gnu11 $(WARN) -D_GNU_SOURCE -DREBPF_VERSION='"$(VERSION)"' -iquote $(B) -iquote src -pthread $(CFLAGS)

BPF_CFLAGS := -g -O2 -target bpf -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Werror -Wno-unused-parameter \
	 -Ivmlinux/$(ARCH) -Ibpf
LIBS := -lbpf -lelf -lz -levent_core -levent_extra -pthread

# The same source without and with bpf_rdonly_cast(): bpf/compat.bpf.h.
BPF_OBJ := $(B)/bpf/rebpf.bpf.o $(B)/bpf/rebpf_cast.bpf.o
# generate.c is a tool of the build.
SRC := $(filter-out src/generate.c,$(wildcard src/*.c))
OBJ := $(SRC:src/%.c=$(B)/%.o)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%_corpus)
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
.PHONY: all build build-rebpf generate run demo deps test unit golden fuzz e2e lab faults soak vm guest matrix compare clean help

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

$(B)/bpf/rebpf_cast.bpf.o: BPF_CFLAGS += -DREBPF_CAST -mcpu=v3
$(BPF_OBJ): bpf/rebpf.bpf.c | $(DEPS_STAMP)
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

# Without the debugger's sections.
$(B)/%.bpf.o: $(B)/bpf/%.bpf.o
	$(call msg,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $* > $@

SKEL := $(B)/rebpf.skel.h $(B)/rebpf_cast.skel.h
generate: $(SKEL)

# ---- the program ----

$(B)/probes.o: $(SKEL)

$(B)/%.o: src/%.c | $(DEPS_STAMP)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/rebpf: $(OBJ)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

build build-rebpf: all

# One program that needs no library. glibc's own warnings about getaddrinfo() and its kin do not matter: rebpf asks for
# no names.
STATIC_LIBS = -Wl,--start-group $(shell pkg-config --static --libs libbpf libelf zlib libevent_core libevent_extra) -Wl,--end-group

$(B)/rebpf-static: $(OBJ)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -static $^ $(STATIC_LIBS) -o $@

static: $(B)/rebpf-static

run: all
	$(Q)$(B)/rebpf $(ARGS)

demo: all
	$(Q)scripts/demo.sh $(B)/rebpf

# ---- manual page, completions, packages ----

DOCS := $(B)/docs/rebpf.8 $(B)/docs/rebpf.bash $(B)/docs/_rebpf
GENERATE_SRC := $(addprefix src/,generate.c option_table.c help.c parse.c meaning.c meaning_table.c meaning_places.c util.c log.c)

$(B)/generate: $(GENERATE_SRC) $(wildcard src/*.h bpf/*.h) | $(DEPS_STAMP)
	$(call msg,HOSTCC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu11 $(WARN) -D_GNU_SOURCE -iquote src $(GENERATE_SRC) -o $@

$(B)/docs/rebpf.8: src/rebpf.8.in $(B)/generate Makefile
	$(call msg,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/generate man | sed -e '/^@OPTIONS@$$/{r /dev/stdin' -e 'd}' src/rebpf.8.in > $@

$(B)/docs/rebpf.bash: $(B)/generate
	$(call msg,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$< bash > $@

$(B)/docs/_rebpf: $(B)/generate
	$(call msg,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$< zsh > $@

docs: $(DOCS)

INSTALLED_BASH = $(PREFIX)/share/bash-completion/completions
ZSH_DIR ?= $(PREFIX)/share/zsh/site-functions
UNIT_DIR ?= $(PREFIX)/lib/systemd/system
DOC_DIR = $(PREFIX)/share/doc/rebpf
EXAMPLES := $(addprefix scripts/,prometheus.yml rebpf-rules.yml grafana-dashboard.json kubernetes.yaml Containerfile vector.toml \
	fluent-bit.conf fluent-bit-parsers.conf otel-collector.yaml)

install: all docs
	$(Q)install -D -m 755 $(B)/rebpf $(DESTDIR)$(PREFIX)/bin/rebpf
	$(Q)install -D -m 644 $(B)/docs/rebpf.8 $(DESTDIR)$(PREFIX)/share/man/man8/rebpf.8
	$(Q)install -D -m 644 $(B)/docs/rebpf.bash $(DESTDIR)$(INSTALLED_BASH)/rebpf
	$(Q)install -D -m 644 $(B)/docs/_rebpf $(DESTDIR)$(ZSH_DIR)/_rebpf
	$(Q)install -d $(DESTDIR)$(UNIT_DIR) $(DESTDIR)$(DOC_DIR)/examples
	$(Q)sed 's,/usr/bin/rebpf,$(PREFIX)/bin/rebpf,' scripts/rebpf.service > $(DESTDIR)$(UNIT_DIR)/rebpf.service
	$(Q)chmod 644 $(DESTDIR)$(UNIT_DIR)/rebpf.service
	$(Q)install -m 644 README.md LICENSE $(DESTDIR)$(DOC_DIR)/
	$(Q)install -m 644 $(EXAMPLES) $(DESTDIR)$(DOC_DIR)/examples/

uninstall:
	$(Q)rm -f $(DESTDIR)$(PREFIX)/bin/rebpf $(DESTDIR)$(PREFIX)/share/man/man8/rebpf.8 \
		$(DESTDIR)$(INSTALLED_BASH)/rebpf $(DESTDIR)$(ZSH_DIR)/_rebpf $(DESTDIR)$(UNIT_DIR)/rebpf.service
	$(Q)rm -rf $(DESTDIR)$(DOC_DIR)

deb: all docs
	$(Q)scripts/deps.sh deb
	+$(Q)scripts/deb/build.sh $(VERSION) $(B)/deb

# Installing, also into a clean Debian and a guest that has nothing else; minutes.
test-packages: all static deb
	$(Q)scripts/deps.sh packages
	$(Q)tests/run.sh packages

test golden: docs
test: static

.PHONY: docs static install uninstall deb test-packages

# ---- tests ----

# The sources that a test in C needs stand in its line "links: ...".
TEST_CC = $(CC) $(ALL_CFLAGS) -O1 -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
	$< $$(sed -n 's,.*links: *\(.*[^ ]\) *\*/.*,\1,p' $<) -o $@

$(B)/unit/%: tests/unit/%.c $(SRC) $(wildcard src/*.h bpf/*.h tests/unit/*.h) | $(DEPS_STAMP)
	$(call msg,UNIT,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(TEST_CC) -lcmocka

# The fuzz targets as programs that run their corpora. Their line "flags: ..." is for the linker.
$(B)/fuzz/%_corpus: tests/fuzz/%.c $(wildcard tests/fuzz/*.h tests/unit/*.h) tests/fuzz/fuzz.c tests/fuzz/check.c tests/fuzz/few.c \
		$(SRC) $(wildcard src/*.h bpf/*.h) | $(DEPS_STAMP)
	$(call msg,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(TEST_CC) $$(sed -n 's,.*flags: *\(.*[^ ]\) *\*/.*,\1,p' $<)

unit: $(UNIT) $(FUZZ)
	$(Q)tests/run.sh unit $(UNIT)

fuzz: | $(DEPS_STAMP)
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

$(B)/tests/empty $(B)/tests/paradox: $(B)/tests/%: tests/bench/%.c | $(DEPS_STAMP)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Werror $< -o $@ -lbpf

$(B)/tests/classifier: tests/bench/classifier.c $(SKEL) | $(DEPS_STAMP)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Werror $< -o $@ -lbpf

$(B)/tests/stream: tests/bench/stream.c tests/unit/records.h bpf/event.h | $(DEPS_STAMP)
	$(call msg,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Werror $< -o $@

bench: all $(FLOOD) $(B)/tests/empty $(B)/tests/classifier $(B)/tests/stream
	$(Q)tests/bench/bench.py $(BENCH)

compare: all $(FLOOD)
	$(Q)scripts/compare.sh $(ARGS)

e2e: all $(WIRE) $(FLOOD)
	$(Q)tests/run.sh e2e

lab: all $(WIRE)
	$(Q)REBPF_LAB_FACTOR=$${REBPF_LAB_FACTOR:-5} tests/run.sh lab

faults: all $(FLOOD)
	$(Q)REBPF_FAULTS=$${REBPF_FAULTS:-100} tests/run.sh faults

soak: all
	$(Q)REBPF_SOAK=$(or $(SECONDS),600) tests/run.sh soak

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
	@echo 'make test-packages   the Debian package in a clean Debian, which a guest boots; the static program alone'
	@echo 'make lab         loss at known places and the matrix of causes, longer; REBPF_LAB_FACTOR=5, REBPF_LAB_SEED=1'
	@echo 'make faults      what goes wrong around it, longer than in make test: 100 kills, 1,000 interfaces, a pager stopped for a minute'
	@echo 'make soak        loss and churn; memory flat, counters equal at the end; SECONDS=600'
	@echo 'make matrix      e2e on one kernel after the other, also arm64 and PREEMPT_RT, and the table in README.md; hours.'
	@echo '                 KERNELS="trixie sid-arm64" (tests/vm/kernels.sh), REBPF_MATRIX_TESTS="truth ..."'
	@echo '                 ARCH=arm64 before any target: cross-compiles into build/arm64'
	@echo 'make compare     what each output costs under a flood of drops, a minute, root; ARGS="--quick"'
	@echo 'make fuzz        libFuzzer on all that reads bytes from outside; SECONDS=60 in all'
	@echo 'make deps        install what is missing (Debian), or name the packages'
	@echo 'make static      build/rebpf-static: one program that needs no library'
	@echo 'make install     program, manual page, completions, systemd unit; PREFIX=/usr/local, DESTDIR=; make uninstall'
	@echo 'make deb         build/deb/rebpf_*.deb'
	@echo 'make docs        build/docs: manual page and completions'
	@echo 'make clean       remove build/'
	@echo 'variables: V=1 shows commands, DEVELOPER=1 turns warnings into errors'

-include $(OBJ:.o=.d) $(BPF_OBJ:.o=.d)
