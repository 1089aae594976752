# distilsst: sentiment inside PostgreSQL
#
#   make quickstart           see it work, on a server of its own
#   make check                run every test, the same way
#   make && make install      for the server that PG_CONFIG names
#   make install-model        download the official model and make it the default
#   make installcheck         regression tests against the running server
#   make fuzz MINUTES=30      any bytes as texts, models and their sources, 30 CPU minutes each
#   make accuracy TSV=FILE    how well a model does on labelled texts
#   make bench, bench-ort     how fast it is, alone and beside ONNX Runtime
#   make bench-batching       what batches of several sizes bring

EXTENSION = distilsst
EXTVERSION = 1.0
PG_CONFIG ?= pg_config
TOP := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))

# quickstart and check come before everything else: they install what is
# missing, so they cannot include PGXS, and PGXS has a "check" of its own.
# Other goals of the same command line are made first.
FRONT_GOALS = quickstart check
ifneq (,$(filter $(FRONT_GOALS),$(MAKECMDGOALS)))

OTHER_GOALS := $(filter-out $(FRONT_GOALS),$(MAKECMDGOALS))
.PHONY: $(MAKECMDGOALS)
.NOTPARALLEL:
export PG_CONFIG
export BUILD_DIR = $(CURDIR)
# In the source folder itself -f with a path would make PGXS see a VPATH build.
MAKE_AGAIN = $(MAKE) -s --no-print-directory $(if $(filter-out $(TOP),$(CURDIR)),-f $(TOP)/Makefile)

quickstart: $(OTHER_GOALS)
	@$(TOP)/tools/install-packages build
	@echo "Building distilsst."
	@$(MAKE_AGAIN) all
	@$(TOP)/tools/quickstart

check: $(OTHER_GOALS)
	@$(TOP)/tools/install-packages check
	@$(TOP)/tools/install-packages cross || echo "Other compilers and CPUs are not tested."
	@echo "Building distilsst."
	@$(MAKE_AGAIN) all test-programs
	@$(TOP)/test/run

ifneq (,$(OTHER_GOALS))
$(OTHER_GOALS):
	@$(MAKE_AGAIN) $@
endif

else

# --- The extension ---

MODULE_big = distilsst
KERNELS = $(addprefix src/core/kernels/,c.o avx2.o avx512.o avx512vnni.o neon.o neondot.o dispatch.o)
CORE = $(addprefix src/core/,forward.o linear.o attention.o packed.o tokenizer.o) $(KERNELS)
OBJS = $(addprefix src/,distilsst.o store.o classify.o selftest.o batch/plan.o batch/exec.o) $(CORE)
DATA = $(patsubst $(TOP)/%,%,$(wildcard $(TOP)/sql/$(EXTENSION)--*.sql))
REGRESS = $(filter-out $(EXTENSION)--%,$(patsubst $(TOP)/sql/%.sql,%,$(wildcard $(TOP)/sql/*.sql)))
REGRESS_OPTS = --load-extension=$(EXTENSION)

UTF8PROC_CFLAGS := $(shell pkg-config --cflags libutf8proc 2>/dev/null)
UTF8PROC_LIBS := $(shell pkg-config --libs libutf8proc 2>/dev/null || echo -lutf8proc)

# The same answer from every compiler: a * b + c is fused where we say fma, only.
CORE_CFLAGS := -std=gnu11 -ffp-contract=off
# 32-bit x86 would compute it in wider registers.
ifneq (,$(filter i386 i486 i586 i686,$(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))))
CORE_CFLAGS += -msse2 -mfpmath=sse
endif
PG_CPPFLAGS = $(UTF8PROC_CFLAGS)
PG_CFLAGS = $(CORE_CFLAGS) -Wno-declaration-after-statement
SHLIB_LINK = $(UTF8PROC_LIBS) -lm
EXTRA_CLEAN = $(PACK) host

# Calls of milliseconds gain nothing from the JIT, and clang is not needed.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq (,$(wildcard $(PGXS)))
$(error no PostgreSQL server headers found by "$(PG_CONFIG)": run tools/install-packages, or set PG_CONFIG)
endif
include $(PGXS)

# Debian compiles extensions with -fstack-protector-strong. In the kernels, whose
# arrays have constant sizes and indices, it costs 12 % of int8.
$(KERNELS): CFLAGS += -fno-stack-protector

# --- Programs for this machine: the packer and the tests ---

# Their copy of the core is compiled without the server's flags and headers.
PACK = distilsst-pack
PACK_OBJS = $(addprefix host/,$(addprefix tools/pack/,main.o config.o safetensors.o vocab_table.o) $(CORE))
HOST_OPTIMIZE = -O2
HOST_CFLAGS = $(HOST_OPTIMIZE) -g -Wall -Wextra $(CORE_CFLAGS) -I$(TOP)/src -I$(TOP)/tools/pack -I$(TOP)/test/support $(UTF8PROC_CFLAGS)
HOST_LIBS = -ljansson -lcrypto $(UTF8PROC_LIBS) -lm
SANITIZE = -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
SANITIZED_CORE = $(CORE:%=host/sanitized/%)
TEST_PROGRAMS = $(addprefix host/test/,unit hostile golden_tokenizer golden_forward synthetic so/unit so/golden_forward) host/bench/engine
HEADERS_ALL = $(wildcard $(addprefix $(TOP)/,src/*.h src/*/*.h src/core/kernels/*.h tools/pack/*.h test/*.h test/support/*.h))

# A VPATH build has no folders for its objects yet, and an order-only
# prerequisite would be satisfied by those of the source tree.
$(shell mkdir -p $(sort $(dir $(OBJS) $(PACK_OBJS) $(SANITIZED_CORE) $(TEST_PROGRAMS)) host/test/support))

$(OBJS) $(PACK_OBJS) $(SANITIZED_CORE) $(TEST_PROGRAMS): $(HEADERS_ALL)

host/sanitized/%.o: $(TOP)/%.c
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -c -o $@ $<

host/%.o: $(TOP)/%.c
	$(CC) $(HOST_CFLAGS) -c -o $@ $<

$(PACK): $(PACK_OBJS)
	$(CC) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/unit: $(TOP)/test/unit.c $(SANITIZED_CORE)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/hostile: $(TOP)/test/hostile.c host/test/support/map_model.o $(addprefix host/,$(CORE))
	$(CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/golden_tokenizer: $(TOP)/test/golden_tokenizer.c $(TOP)/tools/pack/vocab_table.c $(filter %/tokenizer.o,$(SANITIZED_CORE))
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/golden_forward: $(TOP)/test/golden_forward.c host/test/support/map_model.o $(addprefix host/,$(CORE))
	$(CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

# The same two over the very objects of the extension.
$(addprefix host/test/so/,unit golden_forward): host/test/so/%: $(TOP)/test/%.c host/test/support/map_model.o $(CORE)
	$(CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/synthetic: $(TOP)/test/synthetic.c
	$(CC) $(HOST_CFLAGS) -o $@ $< -lm

test-programs: $(TEST_PROGRAMS)

# --- Fuzzers: test/fuzz/run builds and runs them ---

FUZZ_CC = clang
FUZZ_FLAGS = -O1 -g -fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow -fno-sanitize-recover=all
FUZZERS = $(addprefix host/fuzz/,tokenizer vocabulary packed safetensors config)
FUZZ_OBJS = $(addprefix host/fuzz/,$(CORE) $(addprefix tools/pack/,config.o safetensors.o vocab_table.o) test/fuzz/tokenizer_properties.o)

$(shell mkdir -p $(sort $(dir $(FUZZ_OBJS))))
$(FUZZ_OBJS) $(FUZZERS): $(HEADERS_ALL) $(TOP)/test/fuzz/fuzz.h

host/fuzz/%.o: $(TOP)/%.c
	$(FUZZ_CC) $(HOST_CFLAGS) $(FUZZ_FLAGS) -c -o $@ $<

$(FUZZERS): host/fuzz/%: $(TOP)/test/fuzz/%.c $(FUZZ_OBJS)
	$(FUZZ_CC) $(HOST_CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer -DSTARTER_VOCABULARY='"$(TOP)/model/starter/vocab.txt"' \
		-o $@ $(filter-out %.h,$^) $(HOST_LIBS)

fuzzers: $(FUZZERS)

fuzz: $(PACK) host/test/synthetic fuzzers
	BUILD_DIR='$(CURDIR)' $(TOP)/test/fuzz/run -m $(or $(MINUTES),30)

.PHONY: fuzzers fuzz

# $(call pack_starter,FILE)
pack_starter = ./$(PACK) $(TOP)/model/starter $(1) --name starter --notice "$$(cat $(TOP)/model/notice.txt)"

all: $(PACK)

# --- Installing models ---

MODEL_FOLDER = $(DESTDIR)$(datadir)/$(EXTENSION)
MODEL_NAME ?= sst2
OFFICIAL_NAME = distilbert-base-uncased-finetuned-sst-2-english
PRECISION ?= fp32

# A model is put in place by rename, never in place: a running server may have
# the old file mapped, and a truncated mapping kills its backends. distilsst-pack
# does so itself. $(call make_default,FILE): a second name for the same file.
make_default = ln -f '$(MODEL_FOLDER)/$(1)' '$(MODEL_FOLDER)/default.dsst.tmp' && \
	mv -f '$(MODEL_FOLDER)/default.dsst.tmp' '$(MODEL_FOLDER)/default.dsst'

install: install-starter install-pack
uninstall: uninstall-models
.PHONY: install-starter install-pack install-model uninstall-models test-programs quickstart check dist

install-starter: $(PACK)
	$(INSTALL) -d -m 755 '$(MODEL_FOLDER)'
	$(call pack_starter,'$(MODEL_FOLDER)/starter.dsst')
	test -e '$(MODEL_FOLDER)/default.dsst' || { $(call make_default,starter.dsst); }

install-pack: $(PACK)
	$(INSTALL) -d -m 755 '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(PACK) '$(DESTDIR)$(bindir)/$(PACK)'

install-model: $(PACK)
ifndef MODEL_DIR
	$(TOP)/tools/install-packages fetch
	$(TOP)/tools/fetch-model model/official
endif
	$(INSTALL) -d -m 755 '$(MODEL_FOLDER)'
	./$(PACK) '$(or $(MODEL_DIR),model/official)' '$(MODEL_FOLDER)/$(MODEL_NAME).dsst' \
		--precision $(PRECISION) $(if $(MODEL_DIR),,--name $(OFFICIAL_NAME))
	$(call make_default,$(MODEL_NAME).dsst)

uninstall-models:
	rm -f $(addprefix '$(MODEL_FOLDER)'/,starter.dsst $(MODEL_NAME).dsst default.dsst)
	rm -f '$(DESTDIR)$(bindir)/$(PACK)'
	test ! -d '$(MODEL_FOLDER)' || rmdir --ignore-fail-on-non-empty '$(MODEL_FOLDER)'

# --- Measuring ---

# bench and bench-batching measure MODEL=FILE.dsst, bench-ort MODEL_DIR=FOLDER; without them made
# weights of the official model's shape. REPEATS=5 runs for a figure.
BENCH_ENV = BUILD_DIR='$(CURDIR)' PG_CONFIG='$(PG_CONFIG)'

host/bench/engine: $(addprefix $(TOP)/bench/,engine.c peak.c peak.h) host/test/support/map_model.o $(addprefix host/,$(CORE))
	$(CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

.PHONY: bench bench-ort bench-batching accuracy

bench: all host/bench/engine host/test/synthetic
	$(BENCH_ENV) $(TOP)/bench/run $(MODEL)

bench-batching: all host/test/synthetic
	$(BENCH_ENV) $(TOP)/bench/batching $(MODEL)

bench-ort: $(PACK) host/bench/engine host/test/synthetic host/test/golden_forward
	$(TOP)/tools/install-packages bench
	$(BENCH_ENV) $(TOP)/bench/ort/run $(MODEL_DIR)

# TSV=FILE, tab-separated, a header naming "label" and "sentence", "text" or "review".
accuracy: all
ifndef TSV
	$(error usage: make accuracy TSV=FILE [MODEL=FILE.dsst] [COMPARE=OTHER.dsst])
endif
	$(BENCH_ENV) $(TOP)/tools/accuracy $(if $(MODEL),-m '$(MODEL)') $(if $(COMPARE),-c '$(COMPARE)') '$(TSV)'


dist:
	git -C $(TOP) archive --prefix=$(EXTENSION)-$(EXTVERSION)/ -o $(CURDIR)/$(EXTENSION)-$(EXTVERSION).tar.gz HEAD

endif
