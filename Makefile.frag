# Cargo builds the library; make only takes it from there. Cargo runs again when a source is newer, so not under `sudo make install`.

FERRY_SOURCES = $(shell find $(srcdir)/src $(srcdir)/crates $(srcdir)/Cargo.toml $(srcdir)/Cargo.lock $(srcdir)/build.rs -type f)

$(phplibdir)/ferry.so: $(FERRY_SOURCES)
	cd $(srcdir) && PHP="$(FERRY_PHP)" PHP_CONFIG="$(FERRY_PHP_CONFIG)" $(FERRY_CARGO) build --release --locked --package ferry --target-dir target
	$(mkinstalldirs) $(phplibdir)
	cp $(srcdir)/target/release/libferry.so $@

$(phplibdir)/ferry.la: $(phplibdir)/ferry.so
	echo "dlname='ferry.so'" > $@
