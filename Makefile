# imapfs: see `make help`
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
SAN     ?=
STRICT  ?=

PKGS    := fuse3 openssl sqlite3 libgsasl gmime-3.0 glib-2.0 jansson
PKG_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lunistring -pthread

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
  -Wmissing-prototypes -Wmissing-declarations -Wold-style-definition -Wredundant-decls -Wnested-externs \
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Walloca -Wnull-dereference \
  -Wswitch-enum -Wimplicit-fallthrough -Wdouble-promotion -Wunused-result
ifneq (,$(findstring clang,$(shell $(CC) --version 2>/dev/null)))
WARN += -Wthread-safety -Wcomma -Wconditional-uninitialized -Wunreachable-code-aggressive -Wassign-enum \
  -Wshift-sign-overflow -Wmissing-variable-declarations -Wextra-semi-stmt -Wheader-hygiene
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
CFLAGS  ?= -O2 -g
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -Isrc $(PKG_CFLAGS) $(WARN) $(HARDEN) $(CFLAGS) $(if $(STRICT),-Werror) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))

ROOMS := base model store imap engine fs app
below_base   :=
below_model  := base
below_store  := model base
below_imap   := model base
below_engine := store imap model base
below_fs     := engine store imap model base
below_app    := fs engine store imap model base

all: $(BUILD)/imapfs $(BUILD)/imapfsctl ## build both programs

objs = $(patsubst src/%.c,$(BUILD)/%.o,$(filter-out src/app/%_main.c,$(wildcard src/$(1)/*.c)))
define room_rules
$(BUILD)/lib$(1).a: $(call objs,$(1))
	rm -f $$@ && $(AR) rcs $$@ $$^
$(BUILD)/tests/unit/$(1)/%: tests/unit/$(1)/%.c $(BUILD)/lib$(1).a $(foreach d,$(below_$(1)),$(BUILD)/lib$(d).a)
	@mkdir -p $$(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -o $$@ $$< $(BUILD)/lib$(1).a $(foreach d,$(below_$(1)),$(BUILD)/lib$(d).a) $(ALL_LDFLAGS) $(PKG_LIBS) $(shell pkg-config --libs check)
unit-$(1): $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/$(1)/test_*.c)) ## (pattern) run one room's unit tests
	@set -e; for t in $$^; do case $$$$t in */test_*) CK_FORK=$(CK_FORK) $$$$t;; esac; done
endef
$(foreach r,$(ROOMS),$(eval $(call room_rules,$(r))))

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/imapfs: $(BUILD)/app/mount_main.o $(foreach r,app $(below_app),$(BUILD)/lib$(r).a)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LDFLAGS) $(PKG_LIBS)
$(BUILD)/imapfsctl: $(BUILD)/app/ctl_main.o $(foreach r,app $(below_app),$(BUILD)/lib$(r).a)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LDFLAGS) $(PKG_LIBS)
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
.PHONY: all help
.SECONDARY:
