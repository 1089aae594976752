# Benchmarks, and how well a model does. Included by the Makefile.
#
# bench and bench-batching measure MODEL=FILE.dsst; without it made weights of the official model's shape,
# and bench-batching the built-in model, too. REPEATS=5 runs for a figure.
BENCH_OBJS = host/bench/engine
BENCH_ENV = BUILD_DIR='$(CURDIR)' PG_CONFIG='$(PG_CONFIG)'

host/bench/engine: $(addprefix $(TOP)/bench/,engine.c peak.c peak.h) $(MAP_MODEL) $(addprefix host/,$(CORE))
	$(HOST_CC) $(HOST_CFLAGS) -o $@ $(filter-out %.h,$^) $(HOST_LIBS)

.PHONY: bench bench-batching bench-peers accuracy

bench: all host/bench/engine $(SYNTHETIC)
	$(BENCH_ENV) $(TOP)/bench/run $(MODEL)

bench-batching: all $(SYNTHETIC)
	$(BENCH_ENV) $(TOP)/bench/batching $(MODEL)

# TSV=FILE, tab-separated, a header naming "label" and "sentence", "text" or "review": SST-2's dev set.
bench-peers: all host/bench/engine $(SYNTHETIC)
ifndef TSV
	$(error usage: make bench-peers TSV=FILE [REPEATS=5] [ROWS=1000])
endif
	$(TOP)/tools/install-packages bench
	$(BENCH_ENV) $(TOP)/bench/peers/run '$(TSV)'

# TSV=FILE likewise, any labelled texts.
accuracy: all
ifndef TSV
	$(error usage: make accuracy TSV=FILE [MODEL=FILE.dsst] [COMPARE=OTHER.dsst])
endif
	$(BENCH_ENV) $(TOP)/tools/accuracy $(if $(MODEL),-m '$(MODEL)') $(if $(COMPARE),-c '$(COMPARE)') '$(TSV)'
