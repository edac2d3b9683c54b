# SPDX-License-Identifier: MIT
# make            build/mtr-packet
# make run        install what is missing, build, show the program at work; HOST=name adds the path to a host
# make check      install what the tests need, run all tests; make unit, make system: one group; make test: make unit
# make fuzz       run the fuzz targets with clang, two at a time; TIME=3600 seconds each, TARGET=name picks one
# make bench      install what it needs, measure beside the peer; ROUNDS=5, ONLY=3,5 picks targets of the table
# make kernels    rows of tests/system/test_uml.py, RFC 5837 and Jool in kernels of Debian, under qemu, and as root;
#                 SUITES='sid bullseye-security' picks kernels, ONLY='vrf links' rows; results in build/kernels
# make pictures   record the README's pictures of the tools; as root
# make soak       ten minutes of 20,000 probes a second, all of them checked, with faults of the host at random; TIME=600
#                 and RATE=20000 say how long and how many, TRANSPORT=plain sends them without privileges
# make dist       the source archive, with configure in it; make deb, make rpm: packages; all in build/packages
# make static     the daemon as one static file, build/static/mtr-packet: see scripts/packaging/Containerfile
# make packages   build the packages and install them in many orders, in systems of their own, and the static program's
#                 image; as root; SUITES='bookworm trixie sid'
# make install    prefix, bindir, mandir, docdir come from ./configure; DESTDIR is honoured; make uninstall takes it back
# make clean      remove the build directory; make distclean: also what configure made; make maintainer-clean: also
#                 configure itself
#
# Variables: V=1 shows the commands; CC, CPPFLAGS, CFLAGS, LDFLAGS, WARNINGS; BUILD=build/asan builds beside the usual.

BUILD ?= build
PYTHON ?= /usr/bin/python3
WARNINGS ?= -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
WERROR ?=
HARDEN_CFLAGS ?= -fstack-protector-strong -fPIE
HARDEN_LDFLAGS ?= -pie -Wl,-z,relro -Wl,-z,now
Q := $(if $(filter 1,$(V)),,@)

PROGRAM := $(BUILD)/mtr-packet
LIBRARY := $(BUILD)/libhopline.a
UNIT := $(BUILD)/tests/unit
VENV := build/venv

all: programs units completions

# These need no compiler yet: check and run install it first, then call make again for the rest.
UNCONFIGURED := configure run check bench kernels fuzz venv dist deb rpm packages clean distclean maintainer-clean
ifneq ($(filter-out $(UNCONFIGURED),$(or $(MAKECMDGOALS),all)),)
include config.mk
endif

# What the compiler is told

# Fortify needs an optimising build, and hides errors from the sanitizers. A distribution that names it has its reasons.
OPTIMISED := $(filter-out -O0,$(lastword $(filter -O%,$(CFLAGS))))
SANITIZED := $(findstring -fsanitize,$(CFLAGS))
FORTIFIED := $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))
FORTIFY := $(if $(SANITIZED)$(FORTIFIED),,$(if $(OPTIMISED),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3))

ALL_CPPFLAGS = -D_GNU_SOURCE -DHOPLINE_VERSION='"$(VERSION)"' $(if $(HAVE_LIBSECCOMP),-DHAVE_LIBSECCOMP=1) -Isrc -I$(BUILD) \
	$(LIBCAP_CFLAGS) $(if $(HAVE_LIBSECCOMP),$(LIBSECCOMP_CFLAGS)) $(FORTIFY) $(CPPFLAGS)
# What --program-prefix and the like make of a program's name.
renamed = $(foreach name,$1,$(shell echo '$(name)' | sed '$(program_transform_name)'))
BUILT_DAEMON := $(BUILT_DAEMONDIR)/$(call renamed,mtr-packet)
TOOL_CFLAGS = -DHOPLINE_BINDIR='"$(BUILT_BINDIR)"' -DHOPLINE_DAEMON='"$(BUILT_DAEMON)"' -fno-math-errno \
	-pthread $(CARES_CFLAGS) $(JANSSON_CFLAGS) $(IDN2_CFLAGS)
TOOL_LIBS = $(CARES_LIBS) $(JANSSON_LIBS) -Wl,--as-needed -pthread -lm $(LIBS)
# Optimised as a whole the daemon takes 4 % less time; but not where somebody chose another compiler, or other flags.
WHOLE := $(if $(filter file,$(origin CC)),$(if $(filter file,$(origin CFLAGS)),$(LTO)))
# The program is made of the same bytes, wherever it is built.
SAME_BYTES = -ffile-prefix-map=$(CURDIR)=.
ALL_CFLAGS = -std=c11 $(SAME_BYTES) $(WARNINGS) $(HARDEN_CFLAGS) $(CFLAGS) $(WHOLE) $(WERROR)
ALL_LIBS = $(LIBCAP_LIBS) $(if $(HAVE_LIBSECCOMP),$(LIBSECCOMP_LIBS)) $(LIBS)
COMPILE = $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP
# gcc says, wrongly, of what it looks at only then, that bytes.h writes where there is no room.
LINK = $(CC) $(CFLAGS) $(if $(WHOLE),$(WHOLE) $(SAME_BYTES) -Wno-stringop-overflow) $(HARDEN_LDFLAGS) $(LDFLAGS)

# What is built from what: all but main.c is a library, for the tests to link

OTHER_SANDBOX := src/host/sandbox-$(if $(HAVE_LIBSECCOMP),null,seccomp).c
TOOL_SRC := $(wildcard src/tools/*.c)
LIB_SRC := $(filter-out src/main.c $(OTHER_SANDBOX) $(TOOL_SRC),$(wildcard src/*.c src/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
MAIN_OBJ := $(BUILD)/obj/src/main.o
UNIT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/unit/*.c))
FUZZ_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/fuzz/*.c))
FUZZ_ALL := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OF_TOOLS := $(BUILD)/fuzz_reply
FUZZ := $(filter-out $(if $(HAVE_TOOLS),,$(FUZZ_OF_TOOLS)),$(FUZZ_ALL))
FUZZ_SHARED := $(filter-out $(FUZZ_ALL:$(BUILD)/%=$(BUILD)/obj/tests/fuzz/%.o),$(FUZZ_OBJ))
# Each tool is a program of one file with main(); what they share is a library beside the daemon's.
TOOL_NAMES := $(patsubst src/tools/%.c,%,$(filter $(addprefix src/tools/,ping.c sweep.c trace.c pairs.c),$(TOOL_SRC)))
TOOL_OBJ := $(TOOL_SRC:%.c=$(BUILD)/obj/%.o)
TOOL_MAIN := $(TOOL_NAMES:%=$(BUILD)/obj/src/tools/%.o)
TOOL_ARCHIVE := $(BUILD)/libtools.a
# What unit tests try of it needs none of its libraries, so these are tested --without-tools as well.
TOOL_PURE := $(patsubst %,$(BUILD)/obj/src/tools/%.o,reply statistics target text service interface ecn their_clock)
TOOL_PURE += $(patsubst %,$(BUILD)/obj/src/tools/%.o,trace_hops trace_places trace_plan trace_mda trace_rounds trace_words)
TOOL_PROGRAMS := $(if $(HAVE_TOOLS),$(TOOL_NAMES:%=$(BUILD)/probe-%))
BENCH_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/*.c))
BENCH := $(BENCH_OBJ:$(BUILD)/obj/tests/%.o=$(BUILD)/%)

.PHONY: programs
programs: $(PROGRAM) $(TOOL_PROGRAMS)

$(PROGRAM): $(MAIN_OBJ) $(LIBRARY) $(BUILD)/link.flags
	@echo "  LD  $@"
	$(Q)$(LINK) -o $@ $(MAIN_OBJ) $(LIBRARY) $(ALL_LIBS)

$(LIBRARY): $(LIB_OBJ) $(BUILD)/objects.flags
	@echo "  AR  $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)

$(TOOL_ARCHIVE): $(filter-out $(TOOL_MAIN),$(TOOL_OBJ)) $(BUILD)/objects.flags
	@echo "  AR  $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

# Else make takes these for steps between, removes them, and builds them again the next time, with `make install`.
.SECONDARY: $(TOOL_MAIN)

$(BUILD)/probe-%: $(BUILD)/obj/src/tools/%.o $(TOOL_ARCHIVE) $(LIBRARY) $(BUILD)/link.flags
	@echo "  LD  $@"
	$(Q)$(LINK) -o $@ $< $(TOOL_ARCHIVE) $(LIBRARY) $(TOOL_LIBS)

$(UNIT): $(UNIT_OBJ) $(TOOL_PURE) $(LIBRARY) $(BUILD)/link.flags $(BUILD)/unit.flags
	@echo "  LD  $@"
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $(UNIT_OBJ) $(TOOL_PURE) $(LIBRARY) $(CHECK_LIBS) -lm $(ALL_LIBS)

$(BENCH): $(BUILD)/%: $(BUILD)/obj/tests/%.o $(BUILD)/link.flags
	@echo "  LD  $@"
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $<

$(FUZZ_OF_TOOLS): $(TOOL_ARCHIVE)

$(FUZZ): $(BUILD)/%: $(BUILD)/obj/tests/fuzz/%.o $(FUZZ_SHARED) $(LIBRARY) $(BUILD)/link.flags
	@echo "  LD  $@"
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $< $(FUZZ_SHARED) $(filter $(TOOL_ARCHIVE),$^) $(LIBRARY) \
		$(ALL_LIBS) $(if $(filter $(TOOL_ARCHIVE),$^),$(TOOL_LIBS))

$(BUILD)/obj/%.o: %.c $(BUILD)/compile.flags
	@echo "  CC  $<"
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(if $(filter tests/%,$<),$(CHECK_CFLAGS)) $(if $(findstring /tools/,$<)$(findstring fuzz_reply,$<),$(TOOL_CFLAGS)) -c -o $@ $<

$(BUILD)/obj/src/host/sandbox-seccomp.o: $(BUILD)/syscalls.inc

# The names of all system calls that the C library knows here.
$(BUILD)/syscalls.inc: $(BUILD)/compile.flags
	@echo "  GEN $@"
	$(Q)echo '#include <sys/syscall.h>' | $(CC) $(CPPFLAGS) $(CFLAGS) -E -dM - | \
		sed -n 's/^#define __NR_\([a-z0-9_]*\) .*/NAMED(\1),/p' | LC_ALL=C sort >$@

$(UNIT_OBJ): | have-check

.PHONY: have-check
have-check:
	@test -n "$(HAVE_CHECK)" || { echo >&2 "make: check not found: install the Debian package check," \
		"or run scripts/install-deps check, then ./configure"; exit 1; }

-include $(patsubst %.o,%.d,$(TOOL_OBJ) $(LIB_OBJ) $(MAIN_OBJ) $(UNIT_OBJ) $(BENCH_OBJ) $(FUZZ_OBJ))

# Other flags or another list of files than last time: build again. The files are written only when they change.
$(BUILD)/compile.flags: TEXT = $(COMPILE) $(TOOL_CFLAGS)
$(BUILD)/link.flags: TEXT = $(LINK) $(ALL_LIBS) $(TOOL_LIBS)
$(BUILD)/objects.flags: TEXT = $(AR) $(LIB_OBJ) $(TOOL_OBJ)
$(BUILD)/unit.flags: TEXT = $(UNIT_OBJ) $(TOOL_PURE) $(CHECK_CFLAGS) $(CHECK_LIBS)
$(BUILD)/service.flags: TEXT = $(UNIT_DAEMON)
$(BUILD)/completions.flags: TEXT = $(COMPLETED)
$(patsubst %,$(BUILD)/%.flags,compile link objects unit service completions): FORCE | $(BUILD)
	@$(file >$@.new,$(TEXT))cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD):
	@mkdir -p $@

.PHONY: FORCE
FORCE:

# Configuring

# A configuration that exists is renewed with the arguments it was made with.
config.mk: configure scripts/config.mk.in
	@echo "  GEN $@"
	$(Q)if test -x config.status; then \
		./config.status --quiet --recheck >/dev/null && ./config.status --quiet; \
	else ./configure --quiet; fi

configure: configure.ac
	@command -v autoconf >/dev/null || { echo >&2 "make: autoconf not found: install the Debian package autoconf," \
		"or run scripts/install-deps"; exit 1; }
	@echo "  GEN $@"
	$(Q)rm -f $@ && autoconf --output=$@ && rm -rf autom4te.cache

# What shells complete, from what the tools say themselves: run here, so where programs for another machine are built and
# can't be run, make COMPLETIONS=

COMPLETIONS ?= $(HAVE_TOOLS)
COMPLETED := $(if $(COMPLETIONS),$(call renamed,$(TOOL_NAMES:%=probe-%) probe-remote probe-fleet))

.PHONY: completions
completions: $(if $(COMPLETIONS),$(BUILD)/completions/.made)

$(BUILD)/completions/.made: scripts/completions $(TOOL_PROGRAMS) $(wildcard scripts/probe-*) $(BUILD)/completions.flags
	@echo "  GEN $(@D)"
	$(Q)scripts/completions '$(@D)' '$(program_transform_name)' $(TOOL_PROGRAMS) scripts/probe-remote \
		scripts/probe-fleet && touch $@

# One daemon for many clients

UNIT_DAEMON = $(call places,$(call named,,$(daemondir),$(PROGRAM)))
UNITS := scripts/packaging/systemd/hopline.socket $(BUILD)/hopline@.service

.PHONY: units
units: $(UNITS)

$(BUILD)/hopline@.service: scripts/packaging/systemd/hopline@.service.in $(BUILD)/service.flags
	@echo "  GEN $@"
	$(Q)sed 's|@DAEMON@|$(UNIT_DAEMON)|' '$<' >$@

# Running and testing

.PHONY: all run check test unit system bench bench-programs fuzz fuzz-build fuzz-programs venv install uninstall \
	clean distclean maintainer-clean

run:
	@scripts/install-deps run
	@$(MAKE) --no-print-directory all
	@scripts/demo $(PROGRAM) $(HOST)

check:
	@scripts/install-deps check
	@$(MAKE) --no-print-directory all venv
	+@$(TEST_ENV) tests/run

unit system: all
	+@$(TEST_ENV) tests/run $@

# Asks for no network and no rights: what a distribution runs when it builds a package.
test: unit

system: venv

bench:
	@scripts/install-deps bench
	@$(MAKE) --no-print-directory all bench-programs
	@BUILD='$(BUILD)' PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/bench/bench.py $(if $(ROUNDS),--rounds '$(ROUNDS)') \
		$(if $(ONLY),--only '$(ONLY)')

bench-programs: $(BENCH)
	@:

# A build of its own, for clang: libFuzzer with the address and the undefined behaviour sanitizer.
fuzz:
	@scripts/install-deps check
	@$(MAKE) --no-print-directory fuzz-build
	@tests/fuzz/run --keep '$(BUILD)/fuzz' $(or $(TIME),3600) $(TARGET)

fuzz-build:
	@$(MAKE) --no-print-directory BUILD='$(BUILD)/fuzz' CC=clang LDFLAGS= CFLAGS='-O1 -g -fno-omit-frame-pointer \
		-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' fuzz-programs

fuzz-programs: $(FUZZ)

kernels:
	@scripts/install-deps kernels
	@$(MAKE) --no-print-directory all
	@BUILD='$(BUILD)' MTR_PACKET='$(abspath $(PROGRAM))' PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/kernels/kernels.py \
		$(if $(ONLY),--only $(ONLY)) -- $(SUITES)

soak: all
	@MTR_PACKET='$(abspath $(PROGRAM))' PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/soak/soak.py --time '$(or $(TIME),600)' \
		--rate '$(or $(RATE),20000)' --transport '$(or $(TRANSPORT),raw)'

pictures: all
	@MTR_PACKET='$(abspath $(PROGRAM))' PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/pictures/record.py

.PHONY: kernels soak pictures

# Packages

dist deb rpm:
	@scripts/install-deps $@
	@$(MAKE) -s configure
	@env -u MAKEFLAGS -u MAKELEVEL scripts/packaging/build $@ '$(BUILD)/packages'

packages:
	@scripts/install-deps packages
	@$(MAKE) --no-print-directory static
	@tests/packages/image '$(BUILD)/static'
	@scripts/elsewhere $(addprefix packages@,$(or $(SUITES),bookworm trixie sid))

# With musl: ./configure CC=musl-gcc, where libcap and libseccomp are built for it.
static:
	@$(MAKE) --no-print-directory BUILD='$(BUILD)/static' HAVE_TOOLS= \
		HARDEN_LDFLAGS='-static-pie -s -Wl,-z,relro -Wl,-z,now' programs

.PHONY: dist deb rpm packages static

TEST_ENV = BUILD='$(BUILD)' PYTHON='$(PYTHON)' MAKE='$(MAKE)'

# Python packages for tests/system: mtrpacket, a real client, and readers of what the tools write. Tests that need one skip
# without it, so that a host without PyPI can run all the others.
venv: $(VENV)/.made
	@:

$(VENV)/.made: tests/system/requirements.txt
	@echo "  GEN $(VENV)"
	$(Q)rm -rf $(VENV); { $(PYTHON) -m venv $(VENV) && $(VENV)/bin/python -m pip install --quiet --no-input \
		--disable-pip-version-check --retries 1 --timeout 15 --require-hashes --no-deps --requirement $< && \
		touch $@; } || { rm -rf $(VENV); echo >&2 "make: warning: no Python packages from PyPI, their tests will skip"; }

# Installing

# A page in a folder of its section; a script knows its library by the line `lib=`.
MAN_PAGES := $(wildcard man/*.1 man/*.5 man/*.7 man/*.8)
SCRIPTS := $(filter-out %.sh %.awk $(TOOL_NAMES:%=scripts/probe-%),$(wildcard scripts/probe-*))
SCRIPT_LIBRARY := $(wildcard scripts/probe-*.sh scripts/probe-*.awk)
pkgdatadir = $(datarootdir)/hopline

# put MODE, FOLDER, FILES: words MODE:FILE:PLACE. named: the same, with what --program-prefix makes of the names.
put = $(foreach file,$3,$1:$(file):$2/$(notdir $(file)))
named = $(foreach file,$3,$1:$(file):$2/$(call renamed,$(notdir $(file))))
places = $(foreach row,$1,$(lastword $(subst :, ,$(row))))

# All that is installed. A line or a word more here is a file more, which `make uninstall` then knows too.
define INSTALLED
$(call named,0755,$(daemondir),$(PROGRAM))
$(call named,0755,$(bindir),$(TOOL_PROGRAMS) $(SCRIPTS) scripts/hopline-connect)
$(call put,0644,$(prefix)/lib/systemd/system,$(UNITS))
$(call put,0644,$(prefix)/lib/sysusers.d,scripts/packaging/systemd/hopline.conf)
$(call put,0644,$(sysconfdir)/apparmor.d,scripts/packaging/apparmor/hopline)
$(call put,0644,$(datarootdir)/bash-completion/completions,$(COMPLETED:%=$(BUILD)/completions/bash/%))
$(call put,0644,$(datarootdir)/zsh/site-functions,$(COMPLETED:%=$(BUILD)/completions/zsh/_%))
$(call put,0644,$(datarootdir)/fish/vendor_completions.d,$(COMPLETED:%=$(BUILD)/completions/fish/%.fish))
$(call put,0644,$(pkgdatadir),$(SCRIPT_LIBRARY))
$(call put,0644,$(docdir),README.md LICENSE scripts/packaging/NEWS man/probe-json.schema.json)
$(call put,0644,$(docdir)/examples,$(wildcard scripts/examples/*.py))
$(foreach page,$(MAN_PAGES),$(call named,0644,$(mandir)/man$(subst .,,$(suffix $(page))),$(page))$(call section,$(page)))
endef

# mtr has the page of its own mtr-packet in section 8, wherever it has the program.
section = $(if $(filter $(bindir),$(daemondir)),,$(if $(filter man/mtr-packet.8,$1),hopline))

# Folders that are nobody else's: removed with the last file in them.
OWN_FOLDERS = $(docdir)/examples $(docdir) $(pkgdatadir) $(filter-out $(bindir),$(daemondir))

DAEMON_INSTALLED = $(DESTDIR)$(call places,$(call named,,$(daemondir),$(PROGRAM)))

# A package is staged with DESTDIR by an ordinary user, and its own scripts set the capability: nothing to say then.
# +p, not +ep: with +ep the exec itself fails in a container that lacks cap_net_raw.
install: all
	$(Q)set -e; for row in $(foreach row,$(INSTALLED),'$(row)'); do \
		mode=$${row%%:*} row=$${row#*:}; install -D -m "$$mode" "$${row%%:*}" '$(DESTDIR)'"$${row#*:}"; done
	$(Q)sed -i 's|^lib=.*|lib=$(pkgdatadir)|' \
		$(foreach file,$(call places,$(call named,,$(bindir),$(SCRIPTS))),'$(DESTDIR)$(file)')
	$(Q)PATH="$$PATH:/usr/sbin:/sbin"; setcap cap_net_raw+p '$(DAEMON_INSTALLED)' 2>/dev/null || \
		test -n '$(DESTDIR)' -a "$$(id -u)" != 0 || \
		echo 'To let every user probe, run as root: setcap cap_net_raw+p $(DAEMON_INSTALLED)'

uninstall:
	$(Q)rm -f $(foreach file,$(call places,$(INSTALLED)),'$(DESTDIR)$(file)')
	$(Q)for folder in $(OWN_FOLDERS); do rmdir '$(DESTDIR)'"$$folder" 2>/dev/null || :; done

clean:
	$(Q)rm -rf $(BUILD)

distclean: clean
	$(Q)rm -rf build config.mk config.log config.status configure~ autom4te.cache

maintainer-clean: distclean
	$(Q)rm -f configure

.DELETE_ON_ERROR:
