# distilsst: sentiment inside PostgreSQL
#
#   make quickstart           see it work, on a server of its own
#   make check                run the quick tests, the same way; make check-all runs all
#   make && make install      for the server that PG_CONFIG names
#   make deb                  Debian packages of it; make dist a release's zip
#   make install-model        download, pack and install the official model
#   make installcheck         regression tests against the running server
#   make fuzz MINUTES=30      any bytes as texts, models and their sources, 30 CPU minutes each
#   make accuracy TSV=FILE    how well a model does on labelled texts
#   make bench                how fast it is; bench-batching what batches bring
#   make bench-peers TSV=FILE how fast and how right beside other engines

EXTENSION = distilsst
PG_CONFIG ?= pg_config
# "." in the source folder itself, whose path may have spaces; make cannot find a source folder elsewhere that has some.
TOP := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
ifeq (,$(wildcard $(TOP)/distilsst.control))
$(error distilsst can be built in another folder only where the source folder's path has no spaces)
endif

# Goals that install what is missing: before PGXS, whose server they may have to install first.
FRONT_GOALS = quickstart check check-all deb dist
ifneq (,$(filter $(FRONT_GOALS),$(MAKECMDGOALS)))
include $(addprefix $(TOP)/tools/,front.mk packages.mk)
else

# --- The extension ---

MODULE_big = distilsst
KERNELS = $(addprefix src/core/kernels/,c.o avx2.o avxvnni.o avx512.o avx512vnni.o amxint8.o neon.o neondot.o neoni8mm.o \
	dispatch.o)
CORE = $(addprefix src/core/,forward.o linear.o attention.o words.o packed.o vocab.o tokenizer.o) $(KERNELS)
OBJS = $(addprefix src/,distilsst.o settings.o functions.o answer.o document.o explain.o stats.o text.o classifier.o models.o \
	mapping.o installed.o dependents.o rows.o selftest.o table.o estimate.o bias.o \
	backfill/target.o backfill/progress.o backfill/backfill.o batch/calls.o batch/safe.o batch/plan.o batch/exec.o) $(CORE)
DATA = $(patsubst $(TOP)/%,%,$(wildcard $(TOP)/sql/$(EXTENSION)--*.sql))
REGRESS = $(filter-out $(EXTENSION)--%,$(patsubst $(TOP)/sql/%.sql,%,$(wildcard $(TOP)/sql/*.sql)))
REGRESS_OPTS = --load-extension=$(EXTENSION)

UTF8PROC_CFLAGS := $(shell pkg-config --cflags libutf8proc 2>/dev/null)
UTF8PROC_LIBS := $(shell pkg-config --libs libutf8proc 2>/dev/null || echo -lutf8proc)

# The same answer from every compiler: a * b + c is fused where we say fma, only.
# 32-bit x86 would compute it in wider registers. $(call core_cflags,COMPILER)
core_cflags = -std=gnu11 -ffp-contract=off \
	$(if $(filter i386 i486 i586 i686,$(firstword $(subst -, ,$(shell $(1) -dumpmachine)))),-msse2 -mfpmath=sse)
PG_CPPFLAGS = -Ihost $(UTF8PROC_CFLAGS)
PG_CFLAGS := $(call core_cflags,$(CC)) -Wno-declaration-after-statement
SHLIB_LINK = $(UTF8PROC_LIBS) -lm
EXTRA_CLEAN = $(PACK) host

# Calls of milliseconds gain nothing from the JIT, and clang is not needed.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq (,$(wildcard $(PGXS)))
$(error no PostgreSQL server headers found by "$(PG_CONFIG)": run tools/install-packages, or set PG_CONFIG)
endif
include $(PGXS)

# PGXS looks for everything in the source folder as well. In a build elsewhere what was built there must not count.
# Debian's pg_buildext gives VPATH, where PGXS then finds srcdir.
override VPATH =
srcdir = $(TOP)
vpath %.c $(TOP)
vpath %.control $(TOP)

# Debian compiles extensions with -fstack-protector-strong. In the kernels, whose
# arrays have constant sizes and indices, it costs 12 % of int8.
$(KERNELS): CFLAGS += -fno-stack-protector

# --- What is made beside it: each folder has its rules ---

HEADERS_ALL = $(wildcard $(addprefix $(TOP)/,src/*.h src/*/*.h src/core/kernels/*.h tools/pack/*.h tools/support/*.h \
	test/support/*.h))

include $(addprefix $(TOP)/,$(addsuffix /rules.mk,tools model test bench))

BUILT = $(OBJS) $(TOOL_OBJS) $(TEST_OBJS) $(BENCH_OBJS)

# A build elsewhere has no folders yet.
FOLDERS = $(sort $(dir $(BUILT)))
$(FOLDERS):
	mkdir -p $@

$(BUILT): $(HEADERS_ALL) | $(FOLDERS)

all: $(PACK)

install: install-pack
uninstall: uninstall-pack
.PHONY: install-pack uninstall-pack

install-pack: $(PACK)
	$(INSTALL) -d -m 755 '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(PACK) '$(DESTDIR)$(bindir)/$(PACK)'

uninstall-pack:
	rm -f '$(DESTDIR)$(bindir)/$(PACK)'

endif
