# Programs for this machine, not for the server: the packer, and what tests and benchmarks share. Included by the Makefile.

# Their copy of the core is compiled without the server's flags and headers. In a cross build HOST_CC is this machine's
# compiler; then there are two packers, one to run here and one to install.
HOST_CC ?= $(CC)
HOST_OPTIMIZE = -O2
HOST_CORE_CFLAGS := $(call core_cflags,$(HOST_CC))
PACK_CFLAGS := $(shell pkg-config --cflags jansson libcrypto 2>/dev/null)
PACK_LIBS := $(shell pkg-config --libs jansson libcrypto 2>/dev/null || echo -ljansson -lcrypto)
HOST_CFLAGS = $(HOST_OPTIMIZE) -g -Wall -Wextra $(HOST_CORE_CFLAGS) $(addprefix -I$(TOP)/,src tools/pack tools/support) \
	$(UTF8PROC_CFLAGS) $(PACK_CFLAGS)
HOST_LIBS = $(PACK_LIBS) $(UTF8PROC_LIBS) -lm

PACK = distilsst-pack
PACK_HERE = $(if $(subst =$(CC),,=$(HOST_CC)),host/)$(PACK)
PACK_READERS = config.o architecture.o json.o weights.o safetensors.o tokenizer_files.o tokenizer_json.o vocab_table.o
PACK_OBJS = $(addprefix host/,$(addprefix tools/pack/,main.o source.o build.o compare.o output.o $(PACK_READERS)) $(CORE))
SYNTHETIC = host/tools/synthetic
MAP_MODEL = host/tools/support/map_model.o
TOOL_OBJS = $(PACK_OBJS) $(SYNTHETIC) $(MAP_MODEL)

host/%.o: $(TOP)/%.c
	$(HOST_CC) $(HOST_CFLAGS) -c -o $@ $<

$(PACK_HERE): $(PACK_OBJS)
	$(HOST_CC) -o $@ $^ $(HOST_LIBS)

ifneq ($(PACK),$(PACK_HERE))
$(PACK): $(PACK_OBJS:host/%.o=$(TOP)/%.c) $(HEADERS_ALL)
	$(CC) $(HOST_CFLAGS) -o $@ $(filter %.c,$^) $(HOST_LIBS)
endif

$(SYNTHETIC): $(TOP)/tools/support/synthetic.c
	$(HOST_CC) $(HOST_CFLAGS) -o $@ $< -lm
