# Goals that install what is missing, build and run. Included by the Makefile alone, without PGXS: its server's headers may be
# what is missing, and it has a "check" of its own. Other goals of the same command line are made first.

OTHER_GOALS := $(filter-out $(FRONT_GOALS),$(MAKECMDGOALS))
.PHONY: $(MAKECMDGOALS)
.NOTPARALLEL:
export PG_CONFIG
export BUILD_DIR = $(CURDIR)
MAKE_AGAIN = $(MAKE) -s --no-print-directory -f $(firstword $(MAKEFILE_LIST))
# All cores build, unless make was told how many.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN))

quickstart: $(OTHER_GOALS)
	@$(TOP)/tools/install-packages build
	@echo "Building distilsst."
	@+$(MAKE_AGAIN) $(JOBS) all
	@$(TOP)/tools/quickstart

check check-all: $(OTHER_GOALS)
	@$(TOP)/tools/install-packages check
	@[ $@ = check ] || $(TOP)/tools/install-packages cross || echo "Other compilers and CPUs are not tested."
	@echo "Building distilsst and its tests."
	@+$(MAKE_AGAIN) $(JOBS) all test-programs
	@$(TOP)/test/run $(if $(filter check-all,$@),all)

ifneq (,$(OTHER_GOALS))
$(OTHER_GOALS):
	@+$(MAKE_AGAIN) $@
endif
