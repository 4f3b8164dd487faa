# The packages, which the Makefile includes. All files are written to .build/packages. They need the libraries of the system
# that they were built on, so their names contain it.

PACKAGES := .build/packages
SYSTEM := $(shell . /etc/os-release 2>/dev/null && echo "$$ID$$VERSION_ID")
# "+debian12" is less than "+debian13", so an upgrade of the system installs the newer system's package.
DEB_VERSION = $(VERSION)+$(SYSTEM)
RELEASE = confab-$(VERSION)-$(SYSTEM)-$(shell uname -m)
# Dates in packages are those of the commit.
release deb tarball: export SOURCE_DATE_EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || date +%s))

.PHONY: release deb tarball test-packages test-traits

# Builds the files of the packages, with the versions of the Swift packages in .packaging/pins.json.
release:
	cp .packaging/pins.json Package.resolved
	$(MAKE) libraries
	@mkdir -p $(PACKAGES)
	python3 .packaging/sbom.py $(VERSION) $(SOURCE_DATE_EPOCH) $(LIBRARIES)/confab $(LIBRARIES)/libconfab.so.0 \
	  > $(PACKAGES)/$(RELEASE).spdx.json

# Lists the checksums of all packages.
CHECKSUMS = cd $(PACKAGES) && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum > SHA256SUMS

# Builds a folder that runs from any path, and packs it.
# The systemd unit is for /usr/local: to use it, unpack there with --strip-components=1.
tarball: release
	rm -rf $(PACKAGES)/stage $(PACKAGES)/$(RELEASE)*.tar.gz
	$(MAKE) --old-file=libraries install DESTDIR=$(CURDIR)/$(PACKAGES)/stage PREFIX=/usr/local
	mv $(PACKAGES)/stage/usr/local $(PACKAGES)/stage/$(RELEASE)
	sed -i 's|^prefix=.*|prefix=$${pcfiledir}/../..|' $(PACKAGES)/stage/$(RELEASE)/lib/pkgconfig/confab.pc
	install -d $(PACKAGES)/stage/$(RELEASE)/share/doc/confab
	install -m 644 LICENSE $(PACKAGES)/stage/$(RELEASE)/share/doc/confab
	install -m 644 $(PACKAGES)/$(RELEASE).spdx.json $(PACKAGES)/stage/$(RELEASE)/share/doc/confab/sbom.spdx.json
	tar -C $(PACKAGES)/stage --sort=name --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner --format=gnu \
	  -c $(RELEASE) | gzip -n9 > $(PACKAGES)/$(RELEASE).tar.gz
	rm -r $(PACKAGES)/stage
	$(CHECKSUMS)

# Builds Debian packages of the program, the library and its header for this system.
deb: release .build/apt-debhelper .build/apt-dpkg-dev
	rm -rf $(PACKAGES)/debian $(PACKAGES)/*.deb
	install -d $(PACKAGES)/debian/confab
	cp -r .packaging/debian $(PACKAGES)/debian/confab/debian
	printf '%s\n' 'confab ($(DEB_VERSION)) unstable; urgency=medium' '' '  * Version $(VERSION).' '' \
	  " -- $$(sed -n 's/^Maintainer: //p' .packaging/debian/control)  $$(date -uRd @$(SOURCE_DATE_EPOCH))" \
	  > $(PACKAGES)/debian/confab/debian/changelog
	cd $(PACKAGES)/debian/confab && env -u MAKEFLAGS -u MAKELEVEL SOURCE=$(CURDIR) BUILT=1 dpkg-buildpackage -b -us -uc
	mv $(PACKAGES)/debian/*.deb $(PACKAGES)
	$(CHECKSUMS)

# Tests the packages in a new system like this one, but without Swift.
# It needs root, for chroot.
test-packages: deb tarball $(PYTHON) .build/apt-debootstrap .build/apt-lintian
	$(PYTEST) Tests/Python/packages

# Builds the program without NATS and SQLite, and checks its errors.
# The build takes minutes.
test-traits: deps
	swift build -c release --product confab --disable-default-traits --scratch-path .build-traits
	! ldd .build-traits/release/confab | grep -E 'libnats|libsqlite3'
	.build-traits/release/confab check --nats nats://localhost 2>&1 | grep -x 'confab: --nats: this build has no NATS client'
	.build-traits/release/confab check --history chat.db 2>&1 | grep -x 'confab: --history: this build has no SQLite'
