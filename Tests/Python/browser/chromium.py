"""A real Chromium for all tests. Each user has a profile and a window."""

import base64
import contextlib
import hashlib
import json
import shutil
import ssl
import subprocess
import urllib.request

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from websockets.sync.client import connect

PATIENCE = 20


class Chromium:
    def __init__(self, *arguments):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en-US", *arguments):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        self.driver.set_script_timeout(60)
        self.home = self.driver.current_window_handle
        # WebDriver has no command for profiles.
        debugger = self.driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        with urllib.request.urlopen(f"http://{debugger}/json/version") as version:
            self.devtools = connect(json.load(version)["webSocketDebuggerUrl"], max_size=None)
        self.calls = 0

    def call(self, method, **parameters):
        self.calls += 1
        self.devtools.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while (answer := json.loads(self.devtools.recv())).get("id") != self.calls:
            pass
        return answer["result"]

    def profile(self):
        return self.call("Target.createBrowserContext")["browserContextId"]

    def window(self, profile, **options):
        options = {"url": "about:blank", "browserContextId": profile, "newWindow": True} | options
        return self.call("Target.createTarget", **options)["targetId"]

    def forget(self, profile):
        self.driver.switch_to.window(self.home)
        self.call("Target.disposeBrowserContext", browserContextId=profile)

    def quit(self):
        self.devtools.close()
        self.driver.quit()


def trusting(certificate):
    """Returns the arguments with which the browser trusts this certificate."""
    key = subprocess.run(["openssl", "x509", "-in", certificate, "-pubkey", "-noout"], check=True, capture_output=True)
    der = ssl.PEM_cert_to_DER_cert(key.stdout.decode().replace("PUBLIC KEY", "CERTIFICATE"))
    fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
    return (f"--ignore-certificate-errors-spki-list={fingerprint}", f"--user-data-dir={certificate.parent / 'profile'}")


class Person:
    """A user of the page, in a window."""

    def __init__(self, chromium, profile, language="en-US", size=(1280, 800), touch=False, dark=False, **window):
        self.chromium, self.profile = chromium, profile
        self.handle = chromium.window(profile, **window)
        self.look = {"language": language, "size": size, "touch": touch, "dark": dark}
        command = self.browser.execute_cdp_cmd
        agent = self.run("return navigator.userAgent")
        command("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": language})
        command("Emulation.setTouchEmulationEnabled", {"enabled": touch})
        self.focus(True)
        self.resize(*size)
        self.media("prefers-color-scheme", "dark" if dark else "light")

    @property
    def browser(self):
        self.chromium.driver.switch_to.window(self.handle)
        return self.chromium.driver

    def resize(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": self.look["touch"]}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def media(self, feature, value):
        features = {"features": [{"name": feature, "value": value}]}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)

    def minimize(self, is_minimized):
        self.focus(not is_minimized)
        window = self.chromium.call("Browser.getWindowForTarget", targetId=self.handle)["windowId"]
        bounds = {"windowState": "minimized" if is_minimized else "normal"}
        self.chromium.call("Browser.setWindowBounds", windowId=window, bounds=bounds)

    def focus(self, is_focused):
        """Every window counts as focused, unless it is minimized."""
        self.browser.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": is_focused})

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def run_async(self, script, *arguments):
        """Runs an async script and returns its result."""
        told = self.browser.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            f"(async () => {{ {script} }})().then((value) => done({{ value }}), (error) => done({{ error: `${{error}}` }}));",
            *arguments)
        assert "error" not in told, told["error"]
        return told.get("value")

    def press(self, *keys):
        webdriver.ActionChains(self.browser).send_keys(*keys).perform()

    def chord(self, modifier, key):
        webdriver.ActionChains(self.browser).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def wait(self, condition):
        """Waits until the condition holds for this user. Returns the condition's result."""
        wait = WebDriverWait(self.browser, PATIENCE, 0.05, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: condition(self))

    def wait_for(self, what, expected):
        """Waits until the property `what` has the expected value. The test fails with the last value otherwise."""
        with contextlib.suppress(Exception):
            self.wait(lambda person: getattr(person, what) == expected)
        is_so = getattr(self, what)
        rest = {name: getattr(self, name) for name in ("status", "banner", "problem", "draft", "unsent")}
        assert is_so == expected, f"{what}: {is_so!r} is not {expected!r}; {rest} {self.complaints()}"

    # The page

    def open(self, server, room="", name=None):
        self.browser.get(f"{server.http}#{room}" if room else server.http)
        if name:
            self.enter(name)
            self.wait(lambda person: person.is_in)
        return self

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText)", selector)

    def is_shown(self, selector):
        return self.run("return document.querySelector(arguments[0]).checkVisibility()", selector)

    def enter(self, name):
        """Types a name on the card and joins."""
        self.wait(lambda person: person.run("return document.getElementById('entry').open"))
        self.paste("#name", name)
        self.press(Keys.ENTER)

    def write(self, text):
        self.paste("#chat-input", text)

    def say(self, text):
        self.write(text)
        self.press(Keys.ENTER)

    def paste(self, selector, text):
        """Replaces the field's text. WebDriver cannot type emoji."""
        self.run("const field = document.querySelector(arguments[0]); field.focus(); field.select();"
                 "document.execCommand(arguments[1] ? 'insertText' : 'delete', false, arguments[1])", selector, text)

    @property
    def is_in(self):
        return self.run("return document.getElementById('status').dataset.state") == "in"

    @property
    def draft(self):
        return self.run("return document.getElementById('chat-input').value")

    @property
    def messages(self):
        """Returns the texts of all messages, in order."""
        return self.texts("#rows .text")

    @property
    def own(self):
        return self.texts("#rows .own .text")

    @property
    def unsent(self):
        return self.texts("#unsent .text")

    @property
    def people(self):
        return self.texts("#people bdi")

    @property
    def events(self):
        return [plainly(text) for text in self.texts(".event")]

    @property
    def status(self):
        return self.run("return document.getElementById('status').textContent")

    @property
    def banner(self):
        return self.run("const { hidden, innerText } = document.getElementById('banner'); return hidden ? '' : innerText")

    @property
    def typing(self):
        return plainly(self.run("return document.getElementById('typing').textContent"))

    @property
    def title(self):
        return self.browser.title

    @property
    def problem(self):
        return plainly(self.run("return document.getElementById('entry-problem').innerText"))

    @property
    def has_entered(self):
        return self.is_in and not self.run("return document.getElementById('entry').open")

    def complaints(self):
        """Returns the errors of this page in the browser's console, except for failed WebSocket connections."""
        origin = self.run("return origin")
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"
                and origin in entry["message"] and "WebSocket connection" not in entry["message"]]


def plainly(text):
    """Removes the marks that isolate the text direction of names."""
    return text.replace("\u2068", "").replace("\u2069", "")
