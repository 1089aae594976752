# distilsst: sentiment inside PostgreSQL
#
#   make quickstart           see it work, on a server of its own
#   make check                run the quick tests, the same way; make check-all runs all
#   make && make install      for the server that PG_CONFIG names
#   make install-model        download, pack and install the official model
#   make installcheck         regression tests against the running server
#   make fuzz MINUTES=30      any bytes as texts, models and their sources, 30 CPU minutes each
#   make accuracy TSV=FILE    how well a model does on labelled texts
#   make bench, bench-ort     how fast it is, alone and beside ONNX Runtime
#   make bench-batching       what batches of several sizes bring

EXTENSION = distilsst
EXTVERSION = 1.0
PG_CONFIG ?= pg_config
# "." in the source folder itself, whose path may have spaces; make cannot find a source folder elsewhere that has some.
TOP := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
ifeq (,$(wildcard $(TOP)/distilsst.control))
$(error distilsst can be built in another folder only where the source folder's path has no spaces)
endif

# These goals come before everything else: they install what is
# missing, so they cannot include PGXS, and PGXS has a "check" of its own.
# Other goals of the same command line are made first.
FRONT_GOALS = quickstart check check-all
ifneq (,$(filter $(FRONT_GOALS),$(MAKECMDGOALS)))

OTHER_GOALS := $(filter-out $(FRONT_GOALS),$(MAKECMDGOALS))
.PHONY: $(MAKECMDGOALS)
.NOTPARALLEL:
export PG_CONFIG
export BUILD_DIR = $(CURDIR)
MAKE_AGAIN = $(MAKE) -s --no-print-directory -f $(firstword $(MAKEFILE_LIST))

quickstart: $(OTHER_GOALS)
	@$(TOP)/tools/install-packages build
	@echo "Building distilsst."
	@$(MAKE_AGAIN) all
	@$(TOP)/tools/quickstart

check check-all: $(OTHER_GOALS)
	@$(TOP)/tools/install-packages check
	@[ $@ = check ] || $(TOP)/tools/install-packages cross || echo "Other compilers and CPUs are not tested."
	@echo "Building distilsst and its tests."
	@$(MAKE_AGAIN) all test-programs
	@$(TOP)/test/run $(if $(filter check-all,$@),all)

ifneq (,$(OTHER_GOALS))
$(OTHER_GOALS):
	@$(MAKE_AGAIN) $@
endif

else

# --- The extension ---

MODULE_big = distilsst
KERNELS = $(addprefix src/core/kernels/,c.o avx2.o avx512.o avx512vnni.o neon.o neondot.o dispatch.o)
CORE = $(addprefix src/core/,forward.o linear.o attention.o packed.o vocab.o tokenizer.o) $(KERNELS)
OBJS = $(addprefix src/,distilsst.o settings.o functions.o answer.o text.o classifier.o models.o mapping.o installed.o dependents.o \
	rows.o selftest.o batch/safe.o batch/plan.o batch/exec.o) $(CORE)
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
override VPATH =
vpath %.c $(TOP)
vpath %.control $(TOP)

# Debian compiles extensions with -fstack-protector-strong. In the kernels, whose
# arrays have constant sizes and indices, it costs 12 % of int8.
$(KERNELS): CFLAGS += -fno-stack-protector

# --- Programs for this machine: the packer and the tests ---

# Their copy of the core is compiled without the server's flags and headers. In a cross build HOST_CC is this machine's
# compiler; then there are two packers, one to run here and one to install.
HOST_CC ?= $(CC)
PACK = distilsst-pack
PACK_HERE = $(if $(subst =$(CC),,=$(HOST_CC)),host/)$(PACK)
PACK_OBJS = $(addprefix host/,$(addprefix tools/pack/,main.o source.o build.o output.o config.o safetensors.o vocab_table.o) \
	$(CORE))
HOST_OPTIMIZE = -O2
HOST_CORE_CFLAGS := $(call core_cflags,$(HOST_CC))
HOST_CFLAGS = $(HOST_OPTIMIZE) -g -Wall -Wextra $(HOST_CORE_CFLAGS) -I$(TOP)/src -I$(TOP)/tools/pack -I$(TOP)/test/support $(UTF8PROC_CFLAGS)
HOST_LIBS = -ljansson -lcrypto $(UTF8PROC_LIBS) -lm
HEADERS_ALL = $(wildcard $(addprefix $(TOP)/,src/*.h src/*/*.h src/core/kernels/*.h tools/pack/*.h test/*.h test/support/*.h))

include $(TOP)/test/rules.mk $(TOP)/bench/rules.mk

BUILT = $(OBJS) $(PACK_OBJS) $(TEST_OBJS) $(BENCH_OBJS)

# A build elsewhere has no folders yet.
FOLDERS = $(sort $(dir $(BUILT)))
$(FOLDERS):
	mkdir -p $@

$(BUILT): $(HEADERS_ALL) | $(FOLDERS)

host/%.o: $(TOP)/%.c
	$(HOST_CC) $(HOST_CFLAGS) -c -o $@ $<

$(PACK_HERE): $(PACK_OBJS)
	$(HOST_CC) -o $@ $^ $(HOST_LIBS)

ifneq ($(PACK),$(PACK_HERE))
$(PACK): $(PACK_OBJS:host/%.o=$(TOP)/%.c) $(HEADERS_ALL)
	$(CC) $(HOST_CFLAGS) -o $@ $(filter %.c,$^) $(HOST_LIBS)
endif

# --- Models ---

# The built-in model is the default of distilsst.model. Its name, which has digits of its fingerprint, is known when it
# has been packed.
BUILTIN_MODEL = starter
BUILTIN_PRECISION = fp32

host/builtin_model.h: $(PACK_HERE) $(wildcard $(TOP)/model/$(BUILTIN_MODEL)/*) $(TOP)/model/notice.txt
	rm -rf host/model
	mkdir host/model
	./$(PACK_HERE) $(TOP)/model/$(BUILTIN_MODEL) host/model --precision $(BUILTIN_PRECISION) --name $(BUILTIN_MODEL) \
		--notice "$$(cat $(TOP)/model/notice.txt)" >/dev/null
	echo "#define SST_BUILTIN_MODEL \"$$(basename host/model/*.dsst .dsst)\"" >$@

src/models.o src/settings.o: host/builtin_model.h

all: $(PACK) host/builtin_model.h

MODEL_FOLDER = $(DESTDIR)$(datadir)/$(EXTENSION)

install: install-builtin install-pack
uninstall: uninstall-models
.PHONY: install-builtin install-pack install-model uninstall-models dist

# A file appears complete or not at all, and is never replaced: a model's name means one content for ever.
install-builtin: host/builtin_model.h
	$(INSTALL) -d -m 755 '$(MODEL_FOLDER)'
	@set -e; for model in host/model/*.dsst; do \
		installed='$(MODEL_FOLDER)'/$${model##*/}; \
		if test ! -e "$$installed"; then $(INSTALL_DATA) $$model "$$installed.part"; mv "$$installed.part" "$$installed"; \
		elif ! cmp -s $$model "$$installed"; then \
			echo "\"$$installed\" exists with other contents, and a model is never replaced" >&2; exit 1; fi; done

install-pack: $(PACK)
	$(INSTALL) -d -m 755 '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(PACK) '$(DESTDIR)$(bindir)/$(PACK)'

# MODEL_DIR=FOLDER takes that model instead of the official one, MODEL_NAME=BASE names it, PRECISION=int8 packs it smaller.
PRECISION ?= fp32
install-model: export MODEL_NAME := $(or $(MODEL_NAME),$(if $(MODEL_DIR),,sst2))
PACK_OPTIONS = --precision '$(PRECISION)' $${MODEL_NAME:+--name "$$MODEL_NAME"}

install-model: $(PACK_HERE)
	@./$(PACK_HERE) $(PACK_OPTIONS) --help >/dev/null # wrong options end it before anything is written
ifndef MODEL_DIR
	$(TOP)/tools/install-packages fetch
	$(TOP)/tools/fetch-model model/official
endif
	$(INSTALL) -d -m 755 '$(MODEL_FOLDER)'
	@umask 022; packed=$$(./$(PACK_HERE) '$(or $(MODEL_DIR),model/official)' '$(MODEL_FOLDER)' $(PACK_OPTIONS)) || exit; \
		name=$${packed##*: }; name=$${name%%,*}; \
		printf '%s\n' "$$packed" 'To make it the model of a server, as its superuser:' "    LOAD 'distilsst';" \
			"    ALTER SYSTEM SET distilsst.model = '$$name';" '    SELECT pg_reload_conf();' \
			"To name it in a call: sst2_label(review, model => '$$name')"

# What this build has installed; other models may be what somebody's columns and indexes are made with.
uninstall-models:
	rm -f $(addprefix '$(MODEL_FOLDER)'/,$(notdir $(wildcard host/model/*.dsst)) *.part .$(PACK).*) \
		'$(DESTDIR)$(bindir)/$(PACK)'
	@test ! -d '$(MODEL_FOLDER)' || rmdir '$(MODEL_FOLDER)' 2>/dev/null || { \
		echo 'These models are left. To remove one that no column or index is made with:'; \
		printf "    rm '%s'\n" '$(MODEL_FOLDER)'/*; }

dist:
	git -C $(TOP) archive --prefix=$(EXTENSION)-$(EXTVERSION)/ -o '$(CURDIR)/$(EXTENSION)-$(EXTVERSION).tar.gz' HEAD

endif
