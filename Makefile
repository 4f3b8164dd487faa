# The README's commands. What a new machine needs is installed on the way: apt packages on Debian and Ubuntu (by sudo
# when not root), Python packages in a folder of their own under .build.

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PYTHON := .build/python/bin/python
CONFAB := .build/release/confab
ROUNDS ?= 100

.PHONY: run build compare test test-unit test-clients test-browser test-leaks format lint clean deps

run: build
	$(CONFAB) serve $(ARGS)

build: deps
	swift build -c release --product confab

# Confab beside the pure-Swift codec: ARGS="--rounds 10", or "codecs" for what they accept. `--help` tells the rest.
compare: deps
	swift build -c release
	.build/release/confab-compare $(ARGS)

# Everything that says whether it works, each part also by itself.
test: lint test-unit test-clients test-browser test-leaks

test-unit: deps
	swift test

test-clients: build $(PYTHON)
	$(PYTHON) -m pytest -q Tests/EndToEnd

test-browser: build $(PYTHON) .build/apt-chromium
	$(PYTHON) -m pytest -q Tests/Browser

# Servers that start and stop with live connections, under valgrind.
test-leaks: deps .build/apt-valgrind
	swift build -c release --product LifecycleCheck
	valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9 \
	  .build/release/LifecycleCheck $(ROUNDS)

format:
	swift format -i -r Package.swift Sources Tests

lint:
	swift format lint --strict -r Package.swift Sources Tests
	! grep -rlE '\bunsafe |\bunsafe\(' Sources --include='*.swift' | grep -vE '^Sources/(Confab/Lws|ConfabCompare)/'
	! grep -rlE 'import (CLibwebsockets|Glibc)' Sources --include='*.swift' | grep -vE '^Sources/(Confab/Lws|ConfabCompare)/'

clean:
	swift package clean

# Debian's names; on other systems install libwebsockets (with its libuv plugin), libuv and pkg-config beforehand.
deps: .build/apt-libwebsockets-dev .build/apt-libuv1-dev .build/apt-pkg-config

.build/apt-%:
	@mkdir -p .build
	@dpkg -s $* >/dev/null 2>&1 || ! command -v apt-get >/dev/null || \
	  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $*)
	@touch $@

.build/apt-libwebsockets-dev:
	@mkdir -p .build
	@pkg-config --exists libwebsockets 2>/dev/null || \
	  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libwebsockets-dev libuv1-dev pkg-config)
	@touch $@

.build/apt-chromium:
	@command -v chromedriver >/dev/null || \
	  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium chromium-driver fonts-noto-cjk)
	@touch $@

$(PYTHON): Tests/requirements.txt
	@python3 -m venv .build/python 2>/dev/null || \
	  ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv && python3 -m venv .build/python)
	.build/python/bin/pip install -q --disable-pip-version-check -r Tests/requirements.txt
	@touch $@
