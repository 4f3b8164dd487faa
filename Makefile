# The commands in the README. They install what is missing: apt packages on Debian and Ubuntu (with sudo unless root), and
# Python packages in a folder under .build.

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PYTHON := .build/python/bin/python
WSTEST := .build/autobahn/bin/wstest
CONFAB := .build/release/confab
SIMULATION := .build/release/Simulation
NATS_NEW := .build/nats-server-new
ROUNDS ?= 40
SECONDS ?= 60
FUZZERS := $(basename $(notdir $(wildcard Tests/Fuzz/Targets/Fuzz*.swift)))
# Swift's backtraces can hang in programs with sanitizers.
ASAN := SWIFT_BACKTRACE=enable=no LSAN_OPTIONS=print_suppressions=0:suppressions=$(CURDIR)/Tests/Sanitize/lsan.txt
TSAN := SWIFT_BACKTRACE=enable=no LD_PRELOAD=$(CURDIR)/.build-tsan/tsan_mutex.so

.PHONY: run build libraries options install uninstall compare conformance abuse cost fuzz soak sanitize docs test test-unit simulation simulate mutations test-simulation test-clients test-joins test-kills test-cluster test-soak \
  test-c test-conformance test-browser test-leaks test-abuse test-cost test-fuzz fuzzers format lint clean deps

run: build
	$(CONFAB) serve $(ARGS)

build: deps
	swift build -c release --product confab

# The installation folders: PREFIX is written into the installed files, DESTDIR is a temporary root folder.
PREFIX ?= /usr/local
DESTDIR ?=
INTO = $(DESTDIR)$(PREFIX)
LIBRARIES := .build/libraries
VERSION = $(shell sed -n 's/^.define CONFAB_VERSION "\(.*\)"/\1/p' include/confab.h)
SWIFT_STATIC = $(shell swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1_static\/linux/p')
SWIFT_RUNTIME := -lFoundationEssentials -l_FoundationCShims -l_FoundationCollections -lswift_Concurrency \
  -lswiftSynchronization -lswift_StringProcessing -lswift_RegexParser -lswiftGlibc -lswiftDispatch -ldispatch \
  -lBlocksRuntime -lswift_Builtin_float -lswiftCore
SYSTEM_LIBRARIES = $(shell pkg-config --libs-only-L libwebsockets libuv) -lwebsockets -luv -lutf8proc -lssl -lcrypto -lz \
  -lstdc++ -lm -lpthread -ldl

# The C libraries and the program contain the Swift runtime, so they run on machines without Swift. Both libraries are made
# from one object, in which only the header's functions are global symbols.
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
	  -Wl,--gc-sections,-z,defs,-z,nodelete,-s $(LIBRARIES)/confab.o $(SYSTEM_LIBRARIES)
	swiftc -static-stdlib -use-ld=lld -o $(LIBRARIES)/confab @.build/release/confab.product/Objects.LinkFileList \
	  -Xlinker --defsym=main=ConfabCLI_main -Xlinker --gc-sections -Xlinker -s $(SYSTEM_LIBRARIES) -lsqlite3 -lnats \
	  -Xlinker --start-group -lFoundationEssentials -l_FoundationCShims -l_FoundationCollections -Xlinker --end-group

# Installs the program with its page, manual and systemd units, and for C the header, the libraries and the pkg-config file.
install: libraries
	install -d $(INTO)/bin $(INTO)/include $(INTO)/lib/pkgconfig $(INTO)/share/confab/Page $(INTO)/share/man/man1 \
	  $(INTO)/lib/systemd/system
	install $(LIBRARIES)/confab $(INTO)/bin
	install -m 644 Sources/ConfabPage/Page/* $(INTO)/share/confab/Page
	install -m 644 Sources/ConfabCLI/confab.1 $(INTO)/share/man/man1
	install -m 644 Sources/ConfabCLI/confab.socket $(INTO)/lib/systemd/system
	sed 's|/usr/local|$(PREFIX)|' Sources/ConfabCLI/confab.service > $(INTO)/lib/systemd/system/confab.service
	chmod 644 $(INTO)/lib/systemd/system/confab.service
	install -m 644 include/confab.h $(INTO)/include
	install -m 644 $(LIBRARIES)/libconfab.a $(LIBRARIES)/libconfab.so.0 $(INTO)/lib
	ln -sf libconfab.so.0 $(INTO)/lib/libconfab.so
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: confab' \
	  'Description: A WebSocket and group-chat server, to embed' 'Version: $(VERSION)' 'Cflags: -I$${includedir}' \
	  'Libs: -L$${libdir} -lconfab' 'Libs.private: $(SYSTEM_LIBRARIES)' > $(INTO)/lib/pkgconfig/confab.pc

uninstall:
	rm -rf $(INTO)/bin/confab $(INTO)/share/confab $(INTO)/share/man/man1/confab.1 $(INTO)/include/confab.h \
	  $(INTO)/lib/libconfab.a $(INTO)/lib/libconfab.so.0 $(INTO)/lib/libconfab.so $(INTO)/lib/pkgconfig/confab.pc \
	  $(INTO)/lib/systemd/system/confab.service $(INTO)/lib/systemd/system/confab.socket

# Compares Confab with the pure-Swift codec: ARGS="--rounds 10", or "codecs" for the streams that they accept. `--help`
# lists all options.
compare: deps
	swift build -c release
	.build/release/confab-compare $(ARGS)

# Runs the whole Autobahn test suite: ARGS="2.10 9.1.6" for some cases, WSTEST_PMD_MESSAGES=1000 as in the original.
conformance: build $(WSTEST)
	python3 Tests/Conformance/run.py $(ARGS)

# Attacks the server: ARGS="--only ping-flood --seconds 60", or "--valgrind". `--help` lists all options.
abuse: build
	python3 Tests/Abuse $(ARGS)

# Measures the cost of each client input, and the effect of the costliest ones on others: ARGS="--only say", "--seconds 3".
# `--help` lists all options.
cost: build
	python3 Tests/Cost $(ARGS)

# Runs all tests. Each part is also a target.
test: lint test-unit test-simulation docs test-clients test-joins test-cluster test-c test-conformance test-browser test-leaks test-abuse \
  test-cost test-soak test-fuzz

# One test at a time, because the tests' clients block, and tasks have only as many threads as there are cores.
test-unit: deps
	swift test --no-parallel

# Runs the data path on simulated loops, sockets and time: small worlds exhaustively, random worlds for 10 s.
test-simulation: simulation
	$(SIMULATION) exhaustive
	$(SIMULATION) random --seconds 10

# Runs the simulation with options: ARGS="random --seconds 3600", or "replay --seed 17". `--help` lists all options.
simulate: simulation
	$(SIMULATION) $(ARGS)

# Removes each call that schedules something, one at a time, and reports whether the simulation notices. Takes half an
# hour.
mutations: deps
	python3 Tests/Simulation/mutations.py $(ARGS)

simulation: deps
	swift build -c release --product Simulation

test-clients: build $(PYTHON) .build/apt-nats-server
	swift build
	$(PYTHON) -m pytest -q Tests/EndToEnd Tests/Http Tests/Fuzz

# Clients join, stall, leave and vanish while messages are sent: ARGS="--joins 10000" for that many joins of each kind of
# server, "--loops 2", "--seed N". Tests the checker first.
test-joins: build $(PYTHON)
	$(PYTHON) -m pytest -q Tests/Joins
	$(PYTHON) Tests/Joins $(ARGS)

# Runs a mixed load with faults: ARGS="--minutes 5" for a shorter run.
soak: build $(PYTHON)
	$(PYTHON) Tests/Soak $(ARGS)

# A short form of `make soak`.
test-soak: build $(PYTHON)
	$(PYTHON) Tests/Soak --minutes 0.3 --kill 7

# Kills the server with --history --durability full at 100 random moments.
test-kills: build $(PYTHON)
	KILLS=100 $(PYTHON) -m pytest -q Tests/EndToEnd/test_history_file.py

# Servers form one chat on NATS while servers and brokers are killed: LONG=1 for many minutes. Runs all tests with Debian
# 13's nats-server, and those with a single broker also with Debian 12's: LONG=1 for the others, see Cluster.md.
test-cluster: build $(PYTHON) .build/apt-nats-server $(NATS_NEW)
	NATS_SERVER=$(CURDIR)/$(NATS_NEW) $(PYTHON) -m pytest -q Tests/Cluster
	$(PYTHON) -m pytest -q $(if $(LONG),Tests/Cluster,Tests/Cluster/test_broker.py Tests/Cluster/test_connecting.py)

# C programs, built from an installed tree, under valgrind.
test-c: libraries $(PYTHON) .build/apt-gcc .build/apt-g++ .build/apt-valgrind
	$(PYTHON) -m pytest -q Tests/EmbedC

# A short form of the Autobahn test suite, about ten seconds.
test-conformance: build $(WSTEST)
	python3 Tests/Conformance/run.py --short

test-browser: build $(PYTHON) .build/apt-chromium
	$(PYTHON) -m pytest -q Tests/Browser

# Starts and stops servers with live connections, under valgrind.
test-leaks: deps .build/apt-valgrind
	swift build -c release --product LifecycleCheck
	valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9 \
	  .build/release/LifecycleCheck $(ROUNDS)

# A short form of `make abuse`.
test-abuse: build
	python3 Tests/Abuse --seconds 0.5 --again 2

# A short form of `make cost`, with the worst inputs of each kind.
test-cost: build
	python3 Tests/Cost --short --seconds 0.2

# Fuzzes for SECONDS: half of the time each parser in turn, guided by coverage, and half the sockets of a server with
# AddressSanitizer. Findings are kept in .build/fuzz.
fuzz: fuzzers $(PYTHON)
	swift build --scratch-path .build-asan --sanitize address --product confab
	$(call play,-max_total_time=$$(($(SECONDS) / 2 / $(words $(FUZZERS)))))
	$(ASAN) CONFAB=$(CURDIR)/.build-asan/debug/confab $(PYTHON) Tests/Fuzz/fuzz_sockets.py --seconds $$(($(SECONDS) / 2))

# The fuzzers of the parsers.
fuzzers: deps
	swift build -c release --package-path Tests/Fuzz/Targets --scratch-path .build/fuzz --sanitize fuzzer \
	  -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing

# Runs each fuzzer, starting with its corpus.
define play
@for fuzzer in $(FUZZERS); do \
  echo $$fuzzer; mkdir -p .build/fuzz/corpus/$$fuzzer; \
  $(ASAN) .build/fuzz/release/$$fuzzer $(1) -timeout=20 \
    -artifact_prefix=.build/fuzz/$$fuzzer- .build/fuzz/corpus/$$fuzzer $$(ls -d Tests/Fuzz/corpus/$$fuzzer 2>/dev/null) \
    > .build/fuzz/$$fuzzer.log 2>&1 || { grep -aE -A20 'Fatal error|ERROR|artifact' .build/fuzz/$$fuzzer.log; exit 1; }; \
done
endef

# A short form of `make fuzz`.
test-fuzz: fuzzers
	$(call play,-runs=10000 -max_total_time=10 -seed=1)

# Runs the tests with AddressSanitizer, except those that measure memory or run other programs, and with ThreadSanitizer.
# The builds take minutes. One test at a time: with others a slow test's client would be idle for so long that the server
# pings it.
sanitize: deps $(PYTHON) .build/apt-nats-server
	swift build --build-tests --scratch-path .build-asan --sanitize address
	$(ASAN) swift test --skip-build --no-parallel --disable-xctest --scratch-path .build-asan --sanitize address
	$(ASAN) CONFAB=$(CURDIR)/.build-asan/debug/confab $(PYTHON) -m pytest -q Tests/EndToEnd Tests/Fuzz \
	  --ignore Tests/EndToEnd/test_docs.py -m "not memory"
	swift build --build-tests --scratch-path .build-tsan --sanitize thread
	clang -shared -fPIC -O2 -o .build-tsan/tsan_mutex.so Tests/Sanitize/tsan_mutex.c
	$(TSAN) swift test --skip-build --no-parallel --disable-xctest --scratch-path .build-tsan --sanitize thread --filter ConfabTests
	$(TSAN) CONFAB=$(CURDIR)/.build-tsan/debug/confab $(PYTHON) -m pytest -q Tests/Cluster/test_broker.py \
	  Tests/Cluster/test_presence.py Tests/EndToEnd/test_engines.py Tests/EndToEnd/test_rooms_left.py
	$(TSAN) CONFAB=$(CURDIR)/.build-tsan/debug/confab $(PYTHON) Tests/Joins --seconds 5 --rate 100

# Writes the options of the program into the Options article and the manual page.
options: build
	python3 Tests/Docs/options.py $(CONFAB)

# Builds the documentation in .build/docs. Fails on warnings and on public symbols without documentation.
docs: deps
	CONFAB_DOCS=1 swift package --allow-writing-to-directory .build/docs generate-documentation \
	  --target Confab --target ConfabChat --target ConfabSQLite --target ConfabNats --target ConfabMetrics \
	  --enable-experimental-combined-documentation --warnings-as-errors \
	  --output-path .build/docs
	python3 Tests/Docs/undocumented.py

format:
	swift format -i -r Package.swift Sources Tests

lint:
	swift format lint --strict -r Package.swift Sources Tests
	! grep -rlE '\bunsafe |\bunsafe\(' Sources --include='*.swift' | grep -vE '^Sources/(Confab/Lws|ConfabC|ConfabChat/Protocol/Normalization|ConfabSQLite|ConfabNats/NatsConnection|ConfabCompare)[/.]'
	! grep -rlE 'import (CLibwebsockets|Glibc)' Sources --include='*.swift' | grep -vE '^Sources/(Confab/Lws|ConfabC|ConfabSQLite/DeliveryMark|ConfabNats/NatsConnection|ConfabCompare)[/.]'
	! grep -rnE '(has(Prefix|Suffix)\(|contains\("|(split|index)\((separator|of): "|[a-z]Index\(of: "|firstRange\(|components\()' \
	  Sources/Confab Sources/ConfabC Sources/ConfabChat Sources/ConfabNats Sources/ConfabSQLite --include='*.swift' | grep -v 'utf8'

clean:
	swift package clean

# These are Debian's package names. On other systems install libwebsockets (with its libuv plugin), libuv and pkg-config
# first.
deps: .build/apt-libwebsockets-dev .build/apt-libuv1-dev .build/apt-libutf8proc-dev .build/apt-libsqlite3-dev .build/apt-libnats-dev .build/apt-pkg-config

.build/apt-%:
	@mkdir -p .build
	@dpkg -s $* >/dev/null 2>&1 || ! command -v apt-get >/dev/null || \
	  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $*)
	@touch $@

# Debian 13's nats-server, in addition to Debian 12's: from this system's mirror, signed by Debian's keys. Package lists and
# downloads are in a separate folder. Systems other than Debian use their own nats-server.
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

# Python environments, recreated when their requirements change.
venv = python3 -m venv --clear --copies $(1) 2>/dev/null || \
  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv && python3 -m venv --clear --copies $(1))
PIP_INSTALL := pip install -q --disable-pip-version-check

$(PYTHON): Tests/requirements.txt
	@$(call venv,.build/python)
	.build/python/bin/$(PIP_INSTALL) -r $<
	@touch $@

$(WSTEST): Tests/Conformance/requirements.txt Tests/Conformance/port.py Tests/Conformance/compat.py
	@$(call venv,.build/autobahn)
	.build/autobahn/bin/$(PIP_INSTALL) -r $<
	.build/autobahn/bin/$(PIP_INSTALL) --no-deps --no-compile --no-build-isolation autobahntestsuite==25.10.1
	.build/autobahn/bin/python -W ignore Tests/Conformance/port.py
	@touch $@

# Deletes incomplete targets.
.DELETE_ON_ERROR:
