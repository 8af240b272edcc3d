# imapfs: `make` builds, `make test` tests, `make help` lists the rest.
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
SAN     ?=
STRICT  ?=
FUZZ    ?=
VERSION ?= 0.1.0
# clang's sanitizers write all of their reports where log_path says; gcc's undefined-behaviour one does not.
ifeq ($(origin CC),default)
CC      := $(if $(SAN)$(FUZZ),clang,gcc)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

# ---- what must be installed: asked once, and only by goals that compile ----------------------------------------

PKGS    := fuse3 openssl sqlite3 libgsasl gmime-3.0 glib-2.0 jansson
debian_of_fuse3     := libfuse3-dev
debian_of_openssl   := libssl-dev
debian_of_sqlite3   := libsqlite3-dev
debian_of_libgsasl  := libgsasl-dev
debian_of_gmime-3.0 := libgmime-3.0-dev
debian_of_glib-2.0  := libglib2.0-dev
debian_of_jansson   := libjansson-dev
debian_of_check     := check

no_compiling := help clean format format-check layers man-lint dist uninstall lint strict strict-gcc strict-clang asan tsan analyze check \
  fuzz-smoke compdb
compiling    := $(if $(MAKECMDGOALS),$(filter-out $(no_compiling),$(MAKECMDGOALS)),all)
needs_check  := $(filter test tests unit-%,$(compiling))

ifneq (,$(compiling))
comma   := ,
missing := $(if $(shell command -v $(firstword $(CC))),,$(firstword $(CC)))
ifeq (,$(shell command -v pkg-config))
missing += pkg-config
else ifneq (yes,$(shell pkg-config --exists $(PKGS) $(if $(needs_check),check) && echo yes))
missing += $(foreach p,$(PKGS) $(if $(needs_check),check),\
  $(if $(shell pkg-config --exists $(p) && echo yes),,$(debian_of_$(p))))
endif
ifeq (,$(strip $(missing)))
ifneq (yes,$(shell printf '\043include <unistr.h>\n' | $(CC) -E -x c - >/dev/null 2>&1 && echo yes))
missing += libunistring-dev
endif
endif
ifneq (,$(strip $(missing)))
$(error Not installed: $(strip $(missing)) (Debian packages); `scripts/setup` installs all that imapfs needs)
endif
endif

# ---- how everything is compiled ---------------------------------------------------------------------------------

PKG_CFLAGS   := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
PKG_LIBS     := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lunistring -pthread
CHECK_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags check 2>/dev/null))
CHECK_LIBS   := $(shell pkg-config --libs check 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
  -Wmissing-prototypes -Wmissing-declarations -Wold-style-definition -Wredundant-decls -Wnested-externs \
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Walloca -Wnull-dereference \
  -Wswitch-enum -Wimplicit-fallthrough -Wdouble-promotion -Wunused-result
ifneq (,$(findstring clang,$(shell $(CC) --version 2>/dev/null)))
WARN += -Wthread-safety -Wcomma -Wconditional-uninitialized -Wunreachable-code-aggressive -Wassign-enum \
  -Wshift-sign-overflow -Wmissing-variable-declarations -Wextra-semi-stmt -Wheader-hygiene \
  -Wimplicit-int-conversion
else
WARN += -Wcast-align=strict -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wjump-misses-init \
  -Wformat-signedness -Wformat-overflow=2 -Wformat-truncation=2 -Wstringop-overflow=4 -Warray-bounds=2 \
  -Walloc-zero -Wtrampolines
ifeq (,$(SAN))
WARN += -Wstack-usage=16384
endif
endif
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -fno-common
ifeq (,$(SAN))
HARDEN += -D_FORTIFY_SOURCE=2
endif

# A sanitizer build stops at the first undefined operation instead of carrying on with a wrong value.
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer $(if $(findstring undefined,$(SAN)),-fno-sanitize-recover=undefined))
# FUZZ=1 (clang): edges are counted everywhere, and the fuzz programs get libFuzzer's main().
FUZZ_FLAGS := $(if $(FUZZ),-fsanitize=fuzzer-no-link)

CFLAGS      ?= -O2 -g
DEFS        := -std=c11 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -Isrc
ALL_CFLAGS  := $(DEFS) $(PKG_CFLAGS) $(WARN) $(HARDEN) $(CFLAGS) $(if $(STRICT),-Werror) $(SAN_FLAGS) $(FUZZ_FLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(LDFLAGS) $(SAN_FLAGS) $(FUZZ_FLAGS)
TEST_CFLAGS := $(ALL_CFLAGS) -Itests/lib

# ---- the rooms: one archive each, tests link their room and those below -------------------------------------------

ROOMS := base model store imap engine fs app
below_base   :=
below_model  := base
below_store  := model base
below_imap   := model base
below_engine := store imap model base
below_fs     := engine store imap model base
below_app    := fs engine store imap model base

libs = $(foreach r,$(1) $(below_$(1)),$(BUILD)/lib$(r).a)
srcs = $(filter-out src/app/%_main.c,$(wildcard src/$(1)/*.c))
objs = $(patsubst src/%.c,$(BUILD)/%.o,$(call srcs,$(1)))
PROGRAMS := $(BUILD)/imapfs $(BUILD)/imapfsctl

all: $(PROGRAMS) ## build imapfs and imapfsctl (the default)

# What the objects were made with: a change of compiler or flags makes them anew.
$(BUILD)/.flags: force
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))' | cmp -s - $@ \
	  || printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))' >$@

$(BUILD)/%.o: src/%.c $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Each tests/unit/ROOM/test_x.c is a program; the room's other .c files there are linked into all of them.
# The list of members is a prerequisite too, so that a source file that went away leaves the archive.
define room_rules
$(BUILD)/lib$(1).list: force
	@mkdir -p $$(@D)
	@echo '$(call objs,$(1))' | cmp -s - $$@ || echo '$(call objs,$(1))' >$$@
$(BUILD)/lib$(1).a: $(call objs,$(1)) $(BUILD)/lib$(1).list
	rm -f $$@ && $(AR) rcs $$@ $(call objs,$(1))
helpers_$(1) := $(patsubst tests/%.c,$(BUILD)/tests/%.o,$(filter-out tests/unit/$(1)/test_%,$(wildcard tests/unit/$(1)/*.c)))
$(BUILD)/tests/unit/$(1)/%.o: tests/unit/$(1)/%.c $(BUILD)/.flags
	@mkdir -p $$(@D)
	$(CC) $(TEST_CFLAGS) $(CHECK_CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/tests/unit/$(1)/%: $(BUILD)/tests/unit/$(1)/%.o $$(helpers_$(1)) $(call libs,$(1))
	$(CC) $(ALL_CFLAGS) -o $$@ $$< $$(helpers_$(1)) $(call libs,$(1)) $(ALL_LDFLAGS) $(PKG_LIBS) $(CHECK_LIBS)
units_$(1) := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/$(1)/test_*.c))
unit-$(1): $$(units_$(1))
	@scripts/run-programs $$(units_$(1))
endef
$(foreach r,$(ROOMS),$(eval $(call room_rules,$(r))))

$(BUILD)/imapfs: $(BUILD)/app/mount_main.o $(call libs,app)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LDFLAGS) $(PKG_LIBS)
$(BUILD)/imapfsctl: $(BUILD)/app/ctl_main.o $(call libs,app)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LDFLAGS) $(PKG_LIBS)

# ---- programs for tests -----------------------------------------------------------------------------------------

UNITS  := $(foreach r,$(ROOMS),$(units_$(r)))
FUZZES := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOLS  := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/lib/*.c tests/bench/*.c tests/fake/*.c tests/fs/*.c))

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/replay.c $(call libs,app)
	@mkdir -p $(@D)
ifeq (,$(FUZZ))
	$(CC) $(TEST_CFLAGS) -Wno-missing-prototypes -Wno-missing-declarations -MMD -MP -c -o $@.o $<
	$(CC) $(TEST_CFLAGS) -o $@ $@.o tests/fuzz/replay.c $(call libs,app) $(ALL_LDFLAGS) $(PKG_LIBS)
else
	$(CC) $(TEST_CFLAGS) -Wno-missing-prototypes -MMD -MP -fsanitize=fuzzer -o $@ $< $(call libs,app) $(ALL_LDFLAGS) $(PKG_LIBS)
endif
define tool_rule
$(BUILD)/tests/$(1)/%: tests/$(1)/%.c $(call libs,app)
	@mkdir -p $$(@D)
	$(CC) $(TEST_CFLAGS) -MMD -MP -o $$@ $$< $(call libs,app) $(ALL_LDFLAGS) $(PKG_LIBS)
endef
$(foreach d,lib bench fake fs,$(eval $(call tool_rule,$(d))))

# The leak report is left to the sanitizers: it does not follow what a struct takes over.
ANALYZER := -fanalyzer -Wno-analyzer-malloc-leak $(addprefix -Werror=analyzer-,double-free use-after-free \
  free-of-non-heap null-dereference use-of-uninitialized-value double-fclose file-leak mismatching-deallocation \
  use-of-pointer-in-stale-stack-frame unsafe-call-within-signal-handler write-to-const shift-count-overflow)

tests: $(PROGRAMS) $(UNITS) $(FUZZES) $(TOOLS) ## build the programs and all that the tests run
units: $(UNITS)
fuzzers: $(FUZZES)
test: $(UNITS) $(FUZZES) ## run the unit tests and replay the fuzz seeds
	@scripts/run-programs $(UNITS) $(FUZZES)
check: ## run every test and suite (scripts/test)
	scripts/test
asan: ## `make test` with address and undefined-behaviour sanitizers
	$(MAKE) SAN=address,undefined BUILD=$(BUILD)/asan test
tsan: ## `make test` with the thread sanitizer
	$(MAKE) SAN=thread BUILD=$(BUILD)/tsan test
strict: strict-gcc strict-clang ## build everything with gcc and with clang, warnings are errors
strict-gcc:
	$(MAKE) CC=gcc STRICT=1 BUILD=$(BUILD)/strict-gcc tests
strict-clang:
	$(MAKE) CC=clang STRICT=1 BUILD=$(BUILD)/strict-clang tests
analyze: ## compile with gcc's -fanalyzer; what it finds are errors
	$(MAKE) CC=gcc BUILD=$(BUILD)/analyze CFLAGS='-O1 -g $(ANALYZER)' objects
fuzz-smoke: ## fuzz each target for a short while (FUZZ_SECONDS=20)
	scripts/fuzz-smoke $(FUZZ_SECONDS)
bench: tests ## measure against bare clients and print the ratios
	@ran=; for b in tests/bench/bench*.sh; do if [ -x "$$b" ]; then ran=1; IMAPFS_BUILD=$(abspath $(BUILD)) "$$b" || exit 1; fi; done; \
	  test -n "$$ran" || echo 'tests/bench holds no bench*.sh yet: nothing was measured'

# ---- looking at the code ------------------------------------------------------------------------------------------

CLANG_FORMAT ?= $(shell command -v clang-format-14 || echo clang-format)
C_FILES = $(shell find src tests -name '*.[ch]' | sort)
lint: ## every static check (scripts/lint)
	scripts/lint
format: ## lay out all C files by .clang-format
	$(if $(C_FILES),$(CLANG_FORMAT) -i $(C_FILES))
format-check: ## say which C files `make format` would change
	$(if $(C_FILES),$(CLANG_FORMAT) --dry-run -Werror $(C_FILES))
layers: ## check the includes against src/LAYERS
	scripts/check-layers
man-lint: ## check the manual pages
	$(if $(wildcard man/*.[1-9]),mandoc -T lint -W warning $(wildcard man/*.[1-9]))
compdb: ## write compile_commands.json for editors and checkers
	bear --output compile_commands.json -- $(MAKE) -B BUILD=$(BUILD)/compdb CC=clang all
OBJECTS = $(foreach r,$(ROOMS),$(call objs,$(r))) $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/app/*_main.c))
objects: $(OBJECTS)
print-objects:
	@echo $(OBJECTS)
print-unit:
	@echo $(UNITS)
print-fuzz:
	@echo $(FUZZES)
print-cflags:
	@printf '%s\n' '$(subst ','\'',$(ALL_CFLAGS) -Itests/lib $(CHECK_CFLAGS))'

# ---- installing -----------------------------------------------------------------------------------------------------

install: all ## install the programs and the manual pages (PREFIX, DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	set -e; for p in $(wildcard man/*.[1-9]); do d=$(DESTDIR)$(PREFIX)/share/man/man$${p##*.}; \
	  install -d $$d; install -m 644 $$p $$d; done
uninstall: ## remove what `make install` put there
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(notdir $(PROGRAMS)))
	set -e; for p in $(notdir $(wildcard man/*.[1-9])); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${p##*.}/$$p; done
clean: ## remove everything built
	rm -rf $(BUILD) compile_commands.json
dist: ## write imapfs-VERSION.tar.gz from the last commit, the same bytes every time
	git archive --format=tar --prefix=imapfs-$(VERSION)/ HEAD | gzip -n9 >imapfs-$(VERSION).tar.gz
help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  unit-ROOM      run the unit tests of one room: $(ROOMS)'
	@echo '  Variables: BUILD=dir CC=clang SAN=address,undefined|thread STRICT=1 PREFIX=dir DESTDIR=dir'

-include $(foreach d,$(ROOMS) tests/unit/* tests/fuzz tests/lib tests/bench tests/fake tests/fs,$(wildcard $(BUILD)/$(d)/*.d))
.PHONY: all tests units fuzzers test check lint strict strict-gcc strict-clang asan tsan analyze bench fuzz-smoke format format-check layers \
  compdb objects print-objects print-unit print-fuzz print-cflags install uninstall man-lint clean dist help force $(addprefix unit-,$(ROOMS))
