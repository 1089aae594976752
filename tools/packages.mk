# The zip and the Debian packages of a release. These goals need neither PostgreSQL's headers nor a build.

# The version stands in distilsst.control alone. PGXN and Debian want three numbers.
VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" '$(TOP)/distilsst.control')
RELEASE := $(shell echo $(VERSION).0 | cut -d. -f1-3)

# The zip that PGXN takes, of the release's tag; DIST_OF=HEAD takes another commit.
DIST_OF = v$(VERSION)
dist:
	git -C $(TOP) archive --format=zip --prefix=$(EXTENSION)-$(RELEASE)/ -o '$(CURDIR)/$(EXTENSION)-$(RELEASE).zip' $(DIST_OF)

# Debian packages for the PostgreSQL of PG_CONFIG, in host/deb.
DEB = host/deb
deb: export PG_SUPPORTED_VERSIONS = $(shell $(PG_CONFIG) --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
deb: export PG_UPDATECONTROL = yes
deb:
	@$(TOP)/tools/install-packages deb
	rm -rf $(DEB)
	mkdir -p $(DEB)/source
	tar -C $(TOP) --exclude=./.git --exclude=./host --exclude='*.o' --exclude='*.so' -c . | tar -C $(DEB)/source -x
	cd $(DEB)/source && dpkg-buildpackage -us -uc -b
	@rm -rf $(DEB)/source
	@echo 'To install them, in $(DEB):'
	@cd $(DEB) && echo '    sudo apt-get install' ./distilsst-model-*.deb ./postgresql-*-distilsst_*.deb
