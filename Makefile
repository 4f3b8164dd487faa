# The README's commands. They install what a new machine lacks: apt packages on Debian and Ubuntu (by sudo unless run as
# root), and Python packages in a separate folder under .build.

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PYTHON := $(CURDIR)/.build/python/bin/python
PYTEST := $(PYTHON) -m pytest
# Tests that wait for events most of the time run side by side.
SIDE_BY_SIDE := -n 4
# Runs a suite of Tests/Python that is a program.
RUN := cd Tests/Python && $(PYTHON) -m
WSTEST := .build/autobahn/bin/wstest
CONFAB := .build/release/confab
SIMULATION := .build/release/Simulation
COMPARE := --package-path Sources/ConfabCompare --scratch-path .build/compare
NATS_NEW := .build/nats-server-new
ROUNDS ?= 40
SECONDS ?= 60
CORES := $(shell nproc 2>/dev/null || echo 2)
FUZZERS := $(basename $(notdir $(wildcard Tests/Fuzz/Targets/Fuzz*.swift)))
# Swift's backtraces can hang in programs with sanitizers.
ASAN := SWIFT_BACKTRACE=enable=no LSAN_OPTIONS=print_suppressions=0:suppressions=$(CURDIR)/Tests/C/lsan.txt
TSAN := SWIFT_BACKTRACE=enable=no TSAN_OPTIONS=suppressions=$(CURDIR)/Tests/C/tsan.txt LD_PRELOAD=$(CURDIR)/.build-tsan/tsan_mutex.so
# Adds the tests' programs to the package.
export CONFAB_TESTS := 1

.DEFAULT_GOAL := help
.PHONY: help run build libraries programs options install uninstall compare conformance abuse cost fuzz matrix soak sanitize docs check test \
  test-unit test-compare simulate mutations test-simulation test-clients test-joins test-kills test-cluster test-soak test-c \
  test-conformance test-browser test-leaks test-abuse test-cost test-fuzz test-docs fuzzers format lint clean tools deps

# Lists the targets.
help:
	@awk '/^# / { if (!text) text = substr($$0, 3); next } \
	  text && match($$0, /^[a-z-]+:/) && !/^[a-z-]+:=/ { printf "%-18s %s\n", substr($$0, 1, RLENGTH - 1), text } \
	  { text = "" }' $(MAKEFILE_LIST)

# Builds and runs the server, with the options in ARGS.
run: build
	$(CONFAB) serve $(ARGS)

# Builds the server.
build: deps
	swift build -c release --product confab

# PREFIX is the installation path that the files contain; DESTDIR is a staging root in front of it.
PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
INTO = $(DESTDIR)$(PREFIX)
LIBRARIES := .build/libraries
VERSION = $(shell sed -n 's/^.define CONFAB_VERSION "\(.*\)"/\1/p' include/confab.h)
SWIFT_STATIC = $(shell swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1_static\/linux/p')
SWIFT_RUNTIME := -lFoundationEssentials -l_FoundationCShims -l_FoundationCollections -lswift_Concurrency \
  -lswiftSynchronization -lswift_StringProcessing -lswift_RegexParser -lswiftGlibc -lswiftDispatch -ldispatch \
  -lBlocksRuntime -lswift_Builtin_float -lswiftCore
SYSTEM_LIBRARIES = $(shell pkg-config --libs-only-L libwebsockets libuv) -lwebsockets -luv -lutf8proc -lsqlite3 -lnats -lssl -lcrypto -lz \
  -lstdc++ -lm -lpthread -ldl

# Builds the C libraries and the program with a static Swift runtime.
# The target machine needs no Swift. Both libraries contain one object, in which all symbols except the header's functions
# are local.
libraries: build
	swift build -c release --product ConfabC
	@mkdir -p $(LIBRARIES)
	sed -n 's/^CONFAB_API .*[ *]\(confab_[a-z0-9_]*\)(.*/\1/p' include/confab.h > $(LIBRARIES)/exports
	(echo '{ global:'; sed 's/$$/;/' $(LIBRARIES)/exports; echo 'local: *; };') > $(LIBRARIES)/versions
	ld -r -o $(LIBRARIES)/confab.o $(SWIFT_STATIC)/$$(uname -m)/swiftrt.o \
	  @.build/release/ConfabC.product/Objects.LinkFileList -L$(SWIFT_STATIC) --start-group $(SWIFT_RUNTIME) --end-group
	objcopy --strip-unneeded --keep-global-symbols=$(LIBRARIES)/exports $(LIBRARIES)/confab.o
	rm -f $(LIBRARIES)/libconfab.a
	ar rcs $(LIBRARIES)/libconfab.a $(LIBRARIES)/confab.o
	clang -shared -o $(LIBRARIES)/libconfab.so.0 -Wl,-soname,libconfab.so.0,--version-script,$(LIBRARIES)/versions \
	  -Wl,--gc-sections,-z,defs,-z,nodelete,-z,now,-s $(LIBRARIES)/confab.o $(SYSTEM_LIBRARIES)
	swiftc -static-stdlib -use-ld=lld -o $(LIBRARIES)/confab @.build/release/confab.product/Objects.LinkFileList \
	  -Xlinker --defsym=main=ConfabCLI_main -Xlinker --gc-sections -Xlinker -z -Xlinker now -Xlinker -s $(SYSTEM_LIBRARIES) \
	  -Xlinker --start-group -lFoundationEssentials -l_FoundationCShims -l_FoundationCollections -Xlinker --end-group
	for shell in bash zsh fish; do $(LIBRARIES)/confab --generate-completion-script $$shell > $(LIBRARIES)/confab.$$shell; done
	sed -i '1{/^#!/d}' $(LIBRARIES)/confab.bash

# Installs the program, its page, manual, completions and systemd units, and the C header and libraries.
# For C there is a pkg-config file, too.
install: libraries
	install -d $(INTO)/bin $(INTO)/include $(DESTDIR)$(LIBDIR)/pkgconfig $(INTO)/share/confab/Page $(INTO)/share/man/man1 \
	  $(INTO)/lib/systemd/system
	install $(LIBRARIES)/confab $(INTO)/bin
	install -m 644 Sources/ConfabPage/Page/* $(INTO)/share/confab/Page
	sed 's|@VERSION@|$(VERSION)|' Sources/ConfabCLI/confab.1 > $(INTO)/share/man/man1/confab.1
	install -D -m 644 $(LIBRARIES)/confab.bash $(INTO)/share/bash-completion/completions/confab
	install -D -m 644 $(LIBRARIES)/confab.fish $(INTO)/share/fish/vendor_completions.d/confab.fish
	install -D -m 644 $(LIBRARIES)/confab.zsh $(DESTDIR)$(ZSH_COMPLETIONS)/_confab
	install -m 644 Sources/ConfabCLI/confab.socket $(INTO)/lib/systemd/system
	sed 's|/usr/local|$(PREFIX)|' Sources/ConfabCLI/confab.service > $(INTO)/lib/systemd/system/confab.service
	install -m 644 include/confab.h $(INTO)/include
	install -m 644 $(LIBRARIES)/libconfab.a $(LIBRARIES)/libconfab.so.0 $(DESTDIR)$(LIBDIR)
	ln -sf libconfab.so.0 $(DESTDIR)$(LIBDIR)/libconfab.so
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))' 'includedir=$${prefix}/include' '' \
	  'Name: confab' 'Description: A WebSocket and group-chat server, to embed' 'Version: $(VERSION)' \
	  'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lconfab' 'Libs.private: $(SYSTEM_LIBRARIES)' \
	  > $(DESTDIR)$(LIBDIR)/pkgconfig/confab.pc
	chmod 644 $(INTO)/share/man/man1/confab.1 $(INTO)/lib/systemd/system/confab.service $(DESTDIR)$(LIBDIR)/pkgconfig/confab.pc

# Removes the installed files.
uninstall:
	rm -rf $(INTO)/bin/confab $(INTO)/share/confab $(INTO)/share/man/man1/confab.1 $(INTO)/include/confab.h \
	  $(INTO)/share/bash-completion/completions/confab $(INTO)/share/fish/vendor_completions.d/confab.fish \
	  $(DESTDIR)$(ZSH_COMPLETIONS)/_confab $(addprefix $(DESTDIR)$(LIBDIR)/,libconfab.a libconfab.so.0 libconfab.so) \
	  $(DESTDIR)$(LIBDIR)/pkgconfig/confab.pc $(addprefix $(INTO)/lib/systemd/system/confab.,service socket)

include .packaging/packages.mk

# Compares Confab with the pure-Swift codec.
# ARGS="--rounds 10", or "codecs" for what they accept. `--help` lists the options.
compare: build
	swift build -c release $(COMPARE) --product confab-compare
	.build/compare/release/confab-compare $(ARGS)

# Runs the whole Autobahn test suite.
# ARGS="2.10 9.1.6" selects tests; WSTEST_PMD_MESSAGES=1000 sends as many messages as the original.
conformance: build $(PYTHON) $(WSTEST)
	$(RUN) conformance $(ARGS)

# Attacks the server.
# ARGS="--only ping-flood --seconds 60", or "--valgrind". `--help` lists the options.
abuse: build $(PYTHON)
	$(RUN) abuse $(ARGS)

# Measures the cost of each client input, and the effect of the costliest on other clients.
# ARGS="--only say", "--seconds 3". `--help` lists the options.
cost: build $(PYTHON)
	$(RUN) cost $(ARGS)

# Runs the tests that take two minutes together, on a built tree.
check: FAST := 1
check: lint test-unit test-clients

# Runs all tests, each of which is also a separate target.
# First what must be built, then suites that wait for events most of the time, two side by side, then those that measure.
test: lint
	$(MAKE) tools
	$(MAKE) -j2 --output-sync=target libraries fuzzers programs
	$(MAKE) -j2 --output-sync=target $(addprefix --old-file=,build libraries programs) \
	  test-unit test-clients test-cluster test-c test-conformance test-leaks test-simulation test-compare docs
	$(MAKE) $(addprefix --old-file=,build libraries programs docs fuzzers) \
	  test-docs test-browser test-joins test-abuse test-cost test-soak test-fuzz

# Runs the unit tests, one at a time.
# Their clients block, and Swift has only as many task threads as cores.
test-unit: deps
	swift test --no-parallel --disable-xctest

# Tests the comparison's load generator and report.
test-compare: deps
	swift test $(COMPARE) --disable-xctest

# Tests the data path on simulated loops, sockets and time.
# Small worlds are searched exhaustively, random ones for a moment.
test-simulation: programs
	$(SIMULATION) exhaustive
	$(SIMULATION) random --seconds 10 --seed 1

# Runs the simulation with the options in ARGS.
# ARGS="random --seconds 3600", or "replay --seed 17". `--help` lists the options.
simulate: programs
	$(SIMULATION) $(ARGS)

# Removes each scheduling call in turn, and checks that the simulation notices.
# Takes half an hour.
mutations: deps
	python3 Tests/Python/simulation/mutations.py $(ARGS)

# Builds all programs: the server, the documentation's examples, the simulation and others of the tests.
programs: deps
	swift build -c release

# Tests the server with real clients over sockets.
# FAST=1 leaves out the slow tests.
test-clients: programs $(PYTHON) .build/apt-nats-server .build/apt-nginx .build/apt-haproxy
	$(PYTEST) $(SIDE_BY_SIDE) $(if $(FAST),-m "not slow") Tests/Python/clients Tests/Python/fuzz

# Tests clients that join, stall, leave and vanish while messages are sent.
# ARGS="--joins 10000" sets the joins of each kind of server, also "--loops 2", "--seed N". The checker is tested first.
test-joins: build $(PYTHON)
	$(PYTEST) Tests/Python/joins
	$(RUN) joins $(ARGS)

# Runs a mixed load with faults.
# ARGS="--minutes 5" shortens it.
soak: build $(PYTHON)
	$(RUN) soak $(ARGS)

# Runs the mixed load with faults for a moment.
test-soak: build $(PYTHON)
	$(RUN) soak --minutes 0.3 --kill 7

# Kills a server with --history --durability full at a hundred random moments.
test-kills: build $(PYTHON)
	KILLS=100 $(PYTEST) Tests/Python/clients/history_file/test_restart.py

# Tests servers that form one chat on NATS, while servers and brokers die.
# LONG=1 takes many minutes. Debian 13's nats-server runs all tests, Debian 12's those of a single broker; LONG=1 runs the
# rest, see Cluster.md.
test-cluster: build $(PYTHON) .build/apt-nats-server $(NATS_NEW)
	NATS_SERVER=$(CURDIR)/$(NATS_NEW) $(PYTEST) $(SIDE_BY_SIDE) Tests/Python/cluster
	$(PYTEST) $(SIDE_BY_SIDE) $(if $(LONG),Tests/Python/cluster,$(addprefix Tests/Python/cluster/,test_broker.py \
	  test_connecting.py test_publishing.py))

# Tests C programs, built from an installed tree, under valgrind.
test-c: libraries $(PYTHON) .build/apt-gcc .build/apt-g++ .build/apt-valgrind .build/apt-nats-server
	$(PYTEST) Tests/Python/embed_c

# Runs the Autobahn test suite in ten seconds.
test-conformance: build $(PYTHON) $(WSTEST)
	$(RUN) conformance --short

# Tests the page in Chromium.
test-browser: build $(PYTHON) .build/apt-chromium
	$(PYTEST) -n 2 -m "not alone" Tests/Python/browser
	$(PYTEST) -m alone Tests/Python/browser

# Builds and tests against other versions of libwebsockets, beside the system's.
# LWS="/opt/lws-4.5.8 /opt/lws-5.0.0" are the prefixes that they are installed in; FAST=1 leaves out the slow tests. Prints
# a line for each suite, and fetches nothing: run `make tools` before.
matrix:
	@test -n "$(LWS)" || { echo 'set LWS to the prefixes of libwebsockets: make matrix LWS="/opt/lws-5.0.0"'; exit 2; }
	@test -x $(PYTHON) || { echo '$(PYTHON) is missing: run `make tools` first'; exit 2; }
	@$(RUN) matrix $(if $(FAST),--fast) $(LWS)

# Starts and stops servers with live connections under valgrind.
test-leaks: programs .build/apt-valgrind
	valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9 \
	  .build/release/LifecycleCheck $(ROUNDS)

# Runs each attack of `make abuse` for a moment.
test-abuse: build $(PYTHON)
	$(RUN) abuse --seconds 0.5 --again 2

# Runs the costliest inputs of `make cost` for a moment.
test-cost: build $(PYTHON)
	$(RUN) cost --short --seconds 0.2

# Fuzzes for SECONDS: half coverage-guided parsers, half sockets under ASan.
# Findings are stored in .build/fuzz.
fuzz: fuzzers $(PYTHON)
	swift build --scratch-path .build-asan --sanitize address --product confab
	$(call play,-max_total_time=$$(($(SECONDS) * $(CORES) / 2 / $(words $(FUZZERS)))))
	cd Tests/Python && $(ASAN) CONFAB=$(CURDIR)/.build-asan/debug/confab $(PYTHON) -m fuzz.sockets --seconds $$(($(SECONDS) / 2))

# Builds the coverage-guided fuzzers.
fuzzers: deps
	swift build -c release --package-path Tests/Fuzz --scratch-path .build/fuzz --sanitize fuzzer \
	  -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing

# Runs each fuzzer, one on each core, starting with the inputs of earlier findings.
define play
@mkdir -p $(addprefix .build/fuzz/corpus/,$(FUZZERS))
@printf '%s\n' $(FUZZERS) | xargs -P $(CORES) -I % sh -c 'echo %; \
  $(ASAN) FUZZER=% .build/fuzz/release/Fuzz $(1) -timeout=20 \
    -artifact_prefix=.build/fuzz/%- .build/fuzz/corpus/% $$(ls -d Tests/Fuzz/corpus/% 2>/dev/null) \
    > .build/fuzz/%.log 2>&1 || { grep -aE -A20 "Fatal error|ERROR|artifact" .build/fuzz/%.log; exit 1; }'
endef

# Runs the coverage-guided fuzzers for a moment.
test-fuzz: fuzzers
	$(call play,-runs=10000 -max_total_time=10 -seed=1)

# Runs the tests with AddressSanitizer and ThreadSanitizer.
# Tests that measure memory or run other programs are left out. The builds take minutes.
sanitize: deps $(PYTHON) .build/apt-nats-server
	swift build --build-tests --scratch-path .build-asan --sanitize address
	$(ASAN) swift test --skip-build --no-parallel --disable-xctest --scratch-path .build-asan --sanitize address
	swift build -c release --scratch-path .build-asan --sanitize address --product confab
	$(ASAN) CONFAB=$(CURDIR)/.build-asan/release/confab $(PYTEST) -n 2 Tests/Python/clients $(addprefix Tests/Python/fuzz/,test_corpus.py test_events.py) -m "not memory"
	swift build --build-tests --scratch-path .build-tsan --sanitize thread
	clang -shared -fPIC -O2 -o .build-tsan/tsan_mutex.so Tests/C/Preload/tsan_mutex.c
	$(TSAN) swift test --skip-build --no-parallel --disable-xctest --scratch-path .build-tsan --sanitize thread --filter ConfabTests
	$(TSAN) CONFAB=$(CURDIR)/.build-tsan/debug/confab $(PYTEST) $(addprefix Tests/Python/,cluster/test_broker.py \
	  cluster/test_publishing.py cluster/test_presence.py clients/test_engines.py clients/test_rooms_left.py)
	cd Tests/Python && $(TSAN) CONFAB=$(CURDIR)/.build-tsan/debug/confab $(PYTHON) -m joins --seconds 5 --rate 100

# Writes the program's options into the Options article and the manual page.
options: build
	python3 Tests/Python/docs/options.py $(CONFAB)

# Builds the documentation as a site in .build/docs.
# Warnings and undocumented public declarations are errors.
docs: deps
	CONFAB_DOCS=1 swift package --allow-writing-to-directory .build/docs generate-documentation \
	  --target Confab --target ConfabChat --target ConfabJWT --target ConfabSQLite --target ConfabNats --target ConfabMetrics \
	  --enable-experimental-combined-documentation --warnings-as-errors \
	  --output-path .build/docs
	python3 Tests/Python/docs/undocumented.py
	python3 Tests/Python/docs/links.py .build/docs

# Compiles and runs the documentation's examples.
test-docs: docs programs $(PYTHON)
	$(PYTEST) Tests/Python/docs

# Formats the Swift sources.
format:
	swift format -i -r Package.swift Sources Tests

# Checks the format of the Swift sources, the prose, the links of documents, and the rules on unsafe code and text functions.
lint:
	python3 Tests/Python/lint/prose.py
	python3 Tests/Python/docs/links.py
	swift format lint --strict -r Package.swift Sources Tests
	python3 Tests/Python/lint/layers.py
	python3 Tests/Python/lint/walks.py
	! grep -rlE '\bunsafe |\bunsafe\(' Sources --include='*.swift' | grep -vE '^Sources/(Confab|ConfabC|ConfabChat/Protocol/Normalization|ConfabJWT/OpenSSL|ConfabSQLite|ConfabNats/NatsConnection|ConfabCompare)[/.]'
	! grep -rlE 'import (CLibwebsockets|Darwin|Glibc|Musl)' Sources --include='*.swift' | grep -vE '^Sources/(Confab|ConfabCompare)/'
	! grep -rnE '(has(Prefix|Suffix)\(|contains\("|(split|index)\((separator|of): "|[a-z]Index\(of: "|firstRange\(|components\()' \
	  Sources/Confab Sources/ConfabC Sources/ConfabChat Sources/ConfabJWT Sources/ConfabNats Sources/ConfabSQLite --include='*.swift' | grep -v 'utf8'

# Removes the build products of Swift.
clean:
	swift package clean

# Installs what the tests need, too: Debian packages, Python packages, a newer nats-server.
tools: deps $(PYTHON) $(WSTEST) $(NATS_NEW) $(addprefix .build/apt-,chromium gcc g++ haproxy nats-server nginx valgrind)

# Installs the Debian packages that a build needs.
# On other systems install libwebsockets (with its libuv plugin), libuv and pkg-config beforehand.
deps: .build/apt-libwebsockets-dev .build/apt-libuv1-dev .build/apt-libutf8proc-dev .build/apt-libsqlite3-dev .build/apt-libnats-dev .build/apt-pkg-config

.build/apt-%:
	@mkdir -p .build
	@dpkg -s $* >/dev/null 2>&1 || ! command -v apt-get >/dev/null || \
	  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $*)
	@touch $@

# Debian 13's nats-server, beside Debian 12's. It comes from this system's mirror, signed by Debian's keys. Its package
# lists and downloads are in a separate folder. Other systems use their installed nats-server.
TRIXIE := $(CURDIR)/.build/trixie
TRIXIE_OPTIONS = -o Dir::Etc::SourceList=$(TRIXIE)/sources.list -o Dir::Etc::SourceParts=/dev/null \
  -o Dir::State::Lists=$(TRIXIE)/lists -o Dir::Cache=$(TRIXIE)/cache -o Acquire::Languages=none -o APT::Sandbox::User=root

$(NATS_NEW): .build/apt-nats-server
	@mkdir -p $(TRIXIE)/lists/partial $(TRIXIE)/cache/archives/partial
	@site=$$(apt-get indextargets --format '$$(SITE)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null | head -1); \
	if [ -n "$$site" ]; then \
	  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $$site trixie main" > $(TRIXIE)/sources.list && \
	  apt-get -qq $(TRIXIE_OPTIONS) update && (cd $(TRIXIE) && apt-get -qq $(TRIXIE_OPTIONS) download nats-server) && \
	  dpkg -x $(TRIXIE)/nats-server_*.deb $(TRIXIE) && cp $(TRIXIE)/usr/sbin/nats-server $@; \
	else cp "$$(command -v nats-server || echo /usr/sbin/nats-server)" $@; fi
	$@ --version

.build/apt-libwebsockets-dev:
	@mkdir -p .build
	@pkg-config --exists libwebsockets 2>/dev/null || \
	  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libwebsockets-dev libuv1-dev pkg-config)
	@touch $@

.build/apt-chromium:
	@command -v chromedriver >/dev/null || \
	  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium chromium-driver fonts-noto-cjk)
	@touch $@

# Python environments. They are recreated when their inputs change.
venv = python3 -m venv --clear --copies $(1) 2>/dev/null || \
  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv && python3 -m venv --clear --copies $(1))
PIP_INSTALL := pip install -q --disable-pip-version-check

$(PYTHON): Tests/Python/requirements.txt
	@$(call venv,.build/python)
	.build/python/bin/$(PIP_INSTALL) -r $<
	@touch $@

$(WSTEST): Tests/Python/conformance/requirements.txt Tests/Python/conformance/port.py Tests/Python/conformance/compat.py
	@$(call venv,.build/autobahn)
	.build/autobahn/bin/$(PIP_INSTALL) -r $<
	.build/autobahn/bin/$(PIP_INSTALL) --no-deps --no-compile --no-build-isolation autobahntestsuite==25.10.1
	.build/autobahn/bin/python -W ignore Tests/Python/conformance/port.py
	@touch $@

# Deletes targets whose recipe failed.
.DELETE_ON_ERROR:
