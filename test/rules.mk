# Programs that only tests use. Included by the Makefile.

SANITIZE = -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
SANITIZED_CORE = $(CORE:%=host/sanitized/%)
TEST_PROGRAMS = $(addprefix host/test/,kernels attention amx permission formulas damaged bounds hostile tokenizer \
	golden_tokenizer golden_forward fault.so $(addprefix so/,kernels attention amx formulas damaged golden_forward))
EMULATED_AMX = $(addprefix $(TOP)/,test/support/emulated_amx.c src/core/kernels/amxint8.c)

FUZZERS = $(addprefix host/fuzz/,tokenizer vocabulary slowest packed safetensors config)
FUZZ_OBJS = $(addprefix host/fuzz/,$(CORE) $(addprefix tools/pack/,$(filter-out weights.o,$(PACK_READERS))) \
	test/fuzz/tokenizer_properties.o)
TEST_OBJS = $(SANITIZED_CORE) $(TEST_PROGRAMS) $(FUZZERS) $(FUZZ_OBJS)

.PHONY: test-programs fuzzers fuzz

test-programs: $(TEST_PROGRAMS) $(SYNTHETIC)

host/sanitized/%.o: $(TOP)/%.c
	$(HOST_CC) $(HOST_CFLAGS) $(SANITIZE) -c -o $@ $<

$(addprefix host/test/,kernels attention permission formulas damaged): host/test/%: $(TOP)/test/%.c $(SANITIZED_CORE)
	$(HOST_CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/bounds: $(TOP)/test/bounds.c $(TOP)/tools/pack/vocab_table.c $(MAP_MODEL) $(SANITIZED_CORE)
	$(HOST_CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/amx: $(TOP)/test/amx.c $(MAP_MODEL) $(EMULATED_AMX) $(SANITIZED_CORE)
	$(HOST_CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter-out %.h %/amxint8.c,$^) $(HOST_LIBS)

host/test/hostile: $(TOP)/test/hostile.c $(MAP_MODEL) $(addprefix host/,$(CORE))
	$(HOST_CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

$(addprefix host/test/,tokenizer golden_tokenizer): host/test/%: $(TOP)/test/%.c $(TOP)/test/support/every_way.c \
		$(TOP)/tools/pack/vocab_table.c $(filter %/tokenizer.o %/vocab.o,$(SANITIZED_CORE))
	$(HOST_CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/golden_forward: $(TOP)/test/golden_forward.c $(MAP_MODEL) $(addprefix host/,$(CORE))
	$(HOST_CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

# The same over the very objects of the extension.
host/test/so/amx: $(TOP)/test/amx.c $(MAP_MODEL) $(EMULATED_AMX) $(CORE)
	$(HOST_CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h %/amxint8.c,$^) $(HOST_LIBS)

$(addprefix host/test/so/,kernels attention formulas damaged golden_forward): host/test/so/%: $(TOP)/test/%.c $(MAP_MODEL) $(CORE)
	$(HOST_CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

host/test/fault.so: $(TOP)/test/support/fault.c
	$(HOST_CC) $(HOST_CFLAGS) -shared -fPIC -o $@ $< -ldl

# --- Fuzzers: test/fuzz/run builds and runs them ---

FUZZ_CC = clang
FUZZ_FLAGS = -O1 -g -fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow -fno-sanitize-recover=all

$(FUZZ_OBJS) $(FUZZERS): $(TOP)/test/fuzz/fuzz.h

host/fuzz/%.o: $(TOP)/%.c
	$(FUZZ_CC) $(HOST_CFLAGS) $(FUZZ_FLAGS) -c -o $@ $<

$(FUZZERS): host/fuzz/%: $(TOP)/test/fuzz/%.c $(FUZZ_OBJS)
	$(FUZZ_CC) $(HOST_CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer -DVOCABULARY='"$(TOP)/model/builtin/vocab.txt"' \
		-o $@ $(filter-out %.h,$^) $(HOST_LIBS)

fuzzers: $(FUZZERS)

fuzz: $(PACK) $(SYNTHETIC) fuzzers
	BUILD_DIR='$(CURDIR)' $(TOP)/test/fuzz/run -m $(or $(MINUTES),30)
