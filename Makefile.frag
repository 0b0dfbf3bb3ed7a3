# Cargo builds the library; make only takes it from there. Cargo runs again when a source is newer, so not under `sudo make install`.

# Tests build with `make FERRY_PROFILE=ci FERRY_TARGET_DIR=...`, to use what they have built already.
FERRY_PROFILE = release
FERRY_TARGET_DIR = $(srcdir)/target

FERRY_SOURCES = $(shell find $(srcdir)/src $(srcdir)/crates $(srcdir)/Cargo.toml $(srcdir)/Cargo.lock $(srcdir)/build.rs -type f)

$(phplibdir)/ferry.so: $(FERRY_SOURCES)
	cd $(srcdir) && PHP="$(FERRY_PHP)" PHP_CONFIG="$(FERRY_PHP_CONFIG)" $(FERRY_CARGO) build --profile $(FERRY_PROFILE) --locked --package ferry $(FERRY_FEATURES) --target-dir "$(FERRY_TARGET_DIR)"
	$(mkinstalldirs) $(phplibdir)
	cp "$(FERRY_TARGET_DIR)/$(FERRY_PROFILE)/libferry.so" $@

$(phplibdir)/ferry.la: $(phplibdir)/ferry.so
	echo "dlname='ferry.so'" > $@
