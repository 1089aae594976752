# The built-in model, and the installation of models. Included by the Makefile.

# The built-in model is the default of distilsst.model. Its name, which has digits of its fingerprint, is known when it
# has been packed.
BUILTIN_MODEL = builtin
BUILTIN_PRECISION = int8

host/builtin_model.h: $(PACK_HERE) $(wildcard $(TOP)/model/$(BUILTIN_MODEL)/*)
	rm -rf host/model
	mkdir host/model
	./$(PACK_HERE) $(TOP)/model/$(BUILTIN_MODEL) host/model --precision $(BUILTIN_PRECISION) --name $(BUILTIN_MODEL) >/dev/null
	echo "#define SST_BUILTIN_MODEL \"$$(basename host/model/*.dsst .dsst)\"" >$@

src/models.o src/settings.o: host/builtin_model.h

# What sst2_countries() gives.
host/countries.h: $(TOP)/model/train/terms/countries.txt
	mkdir -p host
	sed 's/.*/    "&",/' $(TOP)/model/train/terms/countries.txt >$@

src/bias.o: host/countries.h

all: host/builtin_model.h

MODEL_FOLDER = $(DESTDIR)$(datadir)/$(EXTENSION)

install: install-builtin
uninstall: uninstall-models
.PHONY: install-builtin install-model uninstall-models

# A file appears complete or not at all, and is never replaced: a model's name means one content for ever.
install-builtin: host/builtin_model.h
	$(INSTALL) -d -m 755 '$(MODEL_FOLDER)'
	@set -e; for model in host/model/*.dsst; do \
		installed='$(MODEL_FOLDER)'/$${model##*/}; \
		if test ! -e "$$installed"; then $(INSTALL_DATA) $$model "$$installed.part"; mv "$$installed.part" "$$installed"; \
		elif ! cmp -s $$model "$$installed"; then \
			echo "\"$$installed\" exists with other contents, and a model is never replaced" >&2; exit 1; fi; done

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
	@umask 022; said=$$(./$(PACK_HERE) '$(or $(MODEL_DIR),model/official)' '$(MODEL_FOLDER)' $(PACK_OPTIONS) --compare) || exit; \
		packed=$$(printf '%s\n' "$$said" | sed 1q); name=$${packed##*: }; name=$${name%%,*}; \
		printf '%s\n' "$$packed" 'To make it the model of a server, as its superuser:' "    LOAD 'distilsst';" \
			"    ALTER SYSTEM SET distilsst.model = '$$name';" '    SELECT pg_reload_conf();' \
			"To name it in a call: sst2_label(review, model => '$$name')" "$$(printf '%s\n' "$$said" | sed 1d)"

# What this build has installed; other models may be what somebody's columns and indexes are made with.
uninstall-models:
	rm -f $(addprefix '$(MODEL_FOLDER)'/,$(notdir $(wildcard host/model/*.dsst)) *.part .$(PACK).*)
	@test ! -d '$(MODEL_FOLDER)' || rmdir '$(MODEL_FOLDER)' 2>/dev/null || { \
		echo 'These models are left. To remove one that no column or index is made with (sst2_dependents() in each database):'; \
		printf "    rm '%s'\n" '$(MODEL_FOLDER)'/*; }
