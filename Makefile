# SPDX-License-Identifier: MIT
# gmem: KVM's guest_memfd in user space.
#
#   make                 the command and the preload object, in build/
#   make check           all tests
#   make bench           measurements (BENCH="--quick check-extension"); readme-speed puts them into README.md
#   make install PREFIX=/usr/local DESTDIR=
#   make O=build-asan SANITIZE=address,undefined check-unit
#
# Folders are parts (see docs/design.md); each .c in a part's folder belongs to it.

O ?= build
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
CFLAGS ?= -O2 -g
SANITIZE ?=

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wcast-qual -Wundef -Wvla -Wwrite-strings -Wno-unused-parameter
# What only one of the compilers says: ABI headers before their arrays are GNU C, and TSan does not follow fences.
CLANG := $(findstring clang,$(CC))
WARN += $(if $(CLANG),-Wno-gnu-variable-sized-type-not-at-end,$(if $(findstring thread,$(SANITIZE)),-Wno-tsan))
COMMON := -std=gnu11 -I. $(WARN) -MMD -MP
# Whatever CFLAGS say: what runs inside somebody else's process stands on its own.
FREESTANDING := -ffreestanding -fPIC -fvisibility=hidden -fno-stack-protector -U_FORTIFY_SOURCE \
	-fno-asynchronous-unwind-tables -fno-builtin -fcf-protection=none
HOSTED := -DRT_HOSTED -DRT_FAULTS -D_GNU_SOURCE $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) \
	$(if $(findstring undefined,$(SANITIZE)),-fno-sanitize-recover=undefined)

PURE := rt core cpu host device
PARTS := $(PURE) overlay
src = $(sort $(wildcard $(1)/*.c))

PURE_SRC := $(foreach p,$(PURE),$(call src,$(p)))
PRELOAD_SRC := $(PURE_SRC) $(call src,overlay)
CLI_SRC := $(foreach p,cli check diff,$(call src,$(p)))
# What the command itself needs of the parts: tables and probes, hosted.
UNIT_SRC := $(wildcard tests/unit_*.c)
FUZZ_SRC := $(wildcard tests/fuzz_*.c)
HARNESS_SRC := $(wildcard tests/harness_*.c)
RUN_SRC := $(wildcard tests/run_*.c) $(wildcard examples/*.c)
BENCH_SRC := $(wildcard bench/*.c)

PRELOAD_OBJ := $(PRELOAD_SRC:%.c=$(O)/free/%.o) $(O)/free/overlay/exports.o
# For tests/run_sweep.c: with fault points (rt/fault.h).  core/ and cpu/ call nothing that can fail but through the others.
FAULTS_OBJ := $(patsubst %.c,$(O)/faults/%.o,$(filter-out core/% cpu/%,$(PRELOAD_SRC))) \
	$(patsubst %.c,$(O)/free/%.o,$(filter core/% cpu/%,$(PRELOAD_SRC))) $(O)/free/overlay/exports.o
# servable.c decides what preload can serve: of the overlay, the command and its tests need this.
HOSTED_OBJ := $(PURE_SRC:%.c=$(O)/hosted/%.o) $(O)/hosted/overlay/servable.o
CLI_OBJ := $(CLI_SRC:%.c=$(O)/hosted/%.o)
UNIT_BIN := $(UNIT_SRC:tests/%.c=$(O)/tests/%)
FUZZ_BIN := $(FUZZ_SRC:tests/%.c=$(O)/tests/%)
HARNESS_BIN := $(HARNESS_SRC:tests/%.c=$(O)/tests/%)
RUN_BIN := $(RUN_SRC:%.c=$(O)/%)
BENCH_BIN := $(BENCH_SRC:%.c=$(O)/%)

all: $(O)/gmem $(O)/libgmem-preload.so $(O)/tests/libgmem-preload-faults.so $(RUN_BIN) $(BENCH_BIN)

$(O)/free/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CFLAGS) $(FREESTANDING) -c -o $@ $<

$(O)/free/%.o: %.S overlay/symbol.def
	@mkdir -p $(@D)
	$(CC) -I. -c -o $@ $<

# Wrappers are reached from exports.S alone, by name.
$(O)/free/overlay/%.o $(O)/faults/overlay/%.o: COMMON += -Wno-missing-prototypes

$(O)/faults/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CFLAGS) $(FREESTANDING) -DRT_FAULTS -c -o $@ $<

# Guests race as they like, and the interpreter leaves functions by a jump: nothing for TSan to watch.
$(O)/hosted/cpu/%.o: HOSTED += -fno-sanitize=thread

$(O)/hosted/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CFLAGS) $(HOSTED) -c -o $@ $<

# No library: its undefined symbols are weak, and overlay/exports.S alone exports.
$(O)/libgmem-preload.so: $(PRELOAD_OBJ)
$(O)/tests/libgmem-preload-faults.so: $(FAULTS_OBJ)
$(O)/libgmem-preload.so $(O)/tests/libgmem-preload-faults.so:
	@mkdir -p $(@D)
	$(CC) -shared -nostdlib -Wl,-z,initfirst -Wl,-z,now -Wl,-z,noexecstack -Wl,-Bsymbolic -o $@ $^

$(O)/gmem: $(CLI_OBJ) $(HOSTED_OBJ)
	$(CC) $(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -o $@ $^

# Unit tests and fuzzers link the hosted parts; run_* programs know nothing of gmem.
$(O)/tests/unit_%: tests/unit_%.c $(HOSTED_OBJ)
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CFLAGS) $(HOSTED) -o $@ $< $(HOSTED_OBJ) -lpthread $(ZYDIS)
# A disassembler to compare the decoder with, where there is one.
$(O)/tests/unit_cpu_length: ZYDIS := $(if $(wildcard /usr/include/Zydis/Zydis.h),-lZydis -lZycore)
$(O)/tests/fuzz_%: tests/fuzz_%.c $(HOSTED_OBJ)
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CFLAGS) $(HOSTED) -o $@ $< $(HOSTED_OBJ) -lpthread
# Harnesses for fuzzers: each with a main() of its own, or (FUZZER_LIB=1) with the fuzzer's.
$(O)/tests/harness_%: tests/harness_%.c $(O)/cli.a $(HOSTED_OBJ)
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CFLAGS) $(HOSTED) $(if $(FUZZER_LIB),-DFUZZER_LIB -fsanitize=fuzzer) -o $@ $< $(O)/cli.a $(HOSTED_OBJ) -lpthread
# An archive: a harness may include a source of the command, and the linker then leaves that one out.
$(O)/cli.a: $(filter-out $(O)/hosted/cli/main.o,$(CLI_OBJ))
	rm -f $@
	$(AR) rcs $@ $^

$(O)/tests/run_% $(O)/examples/% $(O)/bench/%: CPPFLAGS += -D_GNU_SOURCE
$(O)/tests/run_%: tests/run_%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CPPFLAGS) $(CFLAGS) -o $@ $< -lpthread
# The variable `environ` in the executable itself: the case that a shared object easily misses.
$(O)/tests/run_environ: CPPFLAGS += -no-pie -fno-pic
$(O)/examples/%: examples/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CPPFLAGS) $(CFLAGS) -o $@ $< -lpthread
$(O)/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(CPPFLAGS) $(CFLAGS) -o $@ $< -lpthread

# Tests: one command runs all; check-unit and check-sanitizers are parts of it.
SANITIZED := asan tsan
asan := address,undefined
tsan := thread
# check runs the fuzzers from one seed, so that it says the same twice; fuzz takes new ones.
FUZZ_SECONDS ?= 60

sanitized-%:
	$(MAKE) O=$(O)-$* SANITIZE=$($*) CFLAGS="-O1 -g" unit-tests
unit-tests: $(UNIT_BIN)
check: all unit-tests $(FUZZ_BIN) $(HARNESS_BIN) $(SANITIZED:%=sanitized-%)
	-@tests/kselftest.sh >/dev/null 2>&1 # once, and not in the time of the tests that want them
	tests/check.sh $(O) $(FUZZ_BIN:%=%:--seconds:$(FUZZ_SECONDS):--seed:1) $(HARNESS_BIN) $(UNIT_BIN) $(wildcard tests/*.t) \
		$(foreach s,$(SANITIZED),$(UNIT_BIN:$(O)/%=$(O)-$(s)/%))
check-unit: unit-tests
	tests/check.sh $(O) $(UNIT_BIN)
check-sanitizers: $(SANITIZED:%=sanitized-%)
	tests/check.sh $(O) $(foreach s,$(SANITIZED),$(UNIT_BIN:$(O)/%=$(O)-$(s)/%))
# Whole programs with every call of gmem's failing in turn, of which tests/sweep.t alone takes a few (docs/testing.md).
sweep: all
	SWEEP_SAMPLES=0 tests/check.sh $(O) tests/sweep.t
# The protocol between processes in sizes that tests/protocol.t has no time for (docs/testing.md): minutes, and MODEL_MEMORY MiB.
model: all
	for size in $(or $(MODEL),-DWORK=1 "-DFIRST_WORK=2 -DDEATHS=0" "-DPROCS=3 -DWORK=0"); do \
		GMEM_BUILD=$(O) MODEL_MEMORY=$(or $(MODEL_MEMORY),6000) MODEL_SECONDS=$(or $(MODEL_SECONDS),14400) \
			tests/protocol.t "$$size" || exit; done
fuzz: $(FUZZ_BIN)
	tests/check.sh $(O) -t $$(($(FUZZ_SECONDS) + 60)) $(FUZZ_BIN:%=%:--seconds:$(FUZZ_SECONDS))
# The harnesses for libFuzzer and for AFL++ (docs/testing.md says how they are run).
FUZZERS := $(HARNESS_BIN)
fuzzers: $(FUZZERS)
fuzzers-libfuzzer:
	$(MAKE) O=$(O)-libfuzzer CC=clang FUZZER_LIB=1 SANITIZE=address,undefined CFLAGS="-O1 -g -fsanitize=fuzzer-no-link" fuzzers
fuzzers-afl:
	$(MAKE) O=$(O)-afl CC="afl-clang-fast" FUZZER_LIB=1 CFLAGS="-O1 -g" fuzzers
COVERAGE_FUZZ := fuzz_store fuzz_ioctl
# What of core/ the unit tests run, and which rules they meet; and whether they would notice if it were otherwise.
coverage:
	$(MAKE) O=$(O)-cov CFLAGS="-O0 -g --coverage" coverage-tests
	find $(O)-cov -name '*.gcda' -delete
	-tests/check.sh $(O)-cov $(COVERAGE_FUZZ:%=$(O)-cov/tests/%:--seconds:10:--seed:1) $(UNIT_BIN:$(O)/%=$(O)-cov/%)
	tests/coverage.pl $(O)-cov
coverage-tests: $(UNIT_BIN) $(COVERAGE_FUZZ:%=$(O)/tests/%)
mutate:
	tests/mutate.pl --verbose $(O) $(MUTATE)

bench: all
	$(O)/gmem bench $(BENCH)

# The README's tables are never typed: measured now, or taken from RESULT= (of gmem bench --json).
readme-speed: all
	$(O)/gmem bench $(if $(RESULT),--result $(RESULT)) --markdown > $(O)/speed.md
	awk -v made=$(O)/speed.md '/^<!-- end of what is made -->/ { skip = 0 } !skip; \
		/^<!-- made by: make readme-speed -->/ { while ((getline line < made) > 0) print line; skip = 1 }' \
		README.md > $(O)/README.md
	cp $(O)/README.md README.md

# Real kernels, in QEMU, are asked what gmem is to answer (docs/oracle.md); tests/golden.t replays it.
$(O)/oracle/gmem: $(CLI_OBJ) $(HOSTED_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -static -o $@ $^
$(O)/oracle/init: tests/guest/oracle.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) -D_GNU_SOURCE $(CFLAGS) -static -o $@ $<
oracle: all $(O)/oracle/gmem $(O)/oracle/init
	tests/oracle.sh $(O) debian
oracle-host: all
	tests/oracle.sh $(O) host
oracle-kernel: all $(O)/oracle/gmem $(O)/oracle/init
	tests/oracle.sh $(O) built $(SERIES)

# Guests on the real KVM of a kernel in QEMU: minutes (docs/real-cpu.md).
check-real-cpu: all
	tests/real_cpu_qemu.sh $(O)

# Manual pages: two are written, two are made from the tables in the command.
MAN := man/gmem.1 man/gmem.7 $(O)/man/gmem-rules.7 $(O)/man/gmem-profiles.7
man: $(MAN)
$(O)/man/gmem-rules.7: $(O)/gmem
	@mkdir -p $(@D)
	$(O)/gmem explain --man > $@
$(O)/man/gmem-profiles.7: $(O)/gmem
	@mkdir -p $(@D)
	$(O)/gmem profiles --man > $@

VERSION := $(shell sed -n 's/.define GMEM_VERSION "\(.*\)"/\1/p' cli/cli.h)
$(O)/gmem.pc: gmem.pc.in cli/cli.h FORCE
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' gmem.pc.in > $@

# The command finds the preload object and what gmem bench runs in ../lib/gmem of its own directory.
install: $(O)/gmem $(O)/libgmem-preload.so $(BENCH_BIN) $(O)/gmem.pc man
	install -D -m 755 $(O)/gmem $(DESTDIR)$(PREFIX)/bin/gmem
	install -D -m 755 $(O)/libgmem-preload.so $(DESTDIR)$(PREFIX)/lib/gmem/libgmem-preload.so
	install -d $(DESTDIR)$(PREFIX)/lib/gmem/bench
	install -m 755 $(BENCH_BIN) $(DESTDIR)$(PREFIX)/lib/gmem/bench
	install -D -m 644 $(O)/gmem.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/gmem.pc
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 $(filter %.1,$(MAN)) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(filter %.7,$(MAN)) $(DESTDIR)$(PREFIX)/share/man/man7

clean:
	rm -rf $(O)

.PHONY: all man install FORCE unit-tests check check-unit check-sanitizers fuzz fuzzers fuzzers-libfuzzer fuzzers-afl model sweep coverage coverage-tests \
	mutate bench check-real-cpu readme-speed oracle oracle-host oracle-kernel clean
-include $(shell find $(O) -name '*.d' 2>/dev/null)
