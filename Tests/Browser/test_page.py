"""A real Chromium on the page, and on the tutorial's page."""

import base64
import hashlib
import json
import pathlib
import shutil
import ssl
import subprocess

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from confab_process import confab, make_certificate

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def chromium(language="en-US", size="1100,800", trusts=None):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--lang={language}",
                     f"--accept-lang={language}", f"--window-size={size}"):
        options.add_argument(argument)
    # The one certificate that the browser is not to doubt.
    if trusts:
        options.add_argument(f"--ignore-certificate-errors-spki-list={fingerprint(trusts)}")
        options.add_argument(f"--user-data-dir={trusts.parent / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def fingerprint(certificate):
    """Of its public key, as Chromium takes it."""
    key = subprocess.run(["openssl", "x509", "-in", certificate, "-pubkey", "-noout"], check=True, capture_output=True)
    der = ssl.PEM_cert_to_DER_cert(key.stdout.decode().replace("PUBLIC KEY", "CERTIFICATE"))
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.fixture
def browsers():
    opened = []

    def open(**options):
        opened.append(chromium(**options))
        return opened[-1]

    yield open
    for browser in opened:
        browser.quit()


def wait(browser, condition):
    return WebDriverWait(browser, 10).until(condition)


def open_page(browser, server):
    browser.get(server.http)
    wait(browser, lambda b: b.find_element(By.ID, "status").get_attribute("data-state") == "open")


def texts(browser, selector):
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def say(browser, text, end=Keys.ENTER):
    field = browser.find_element(By.ID, "chat-input")
    field.send_keys(text)
    field.send_keys(end) if end else browser.find_element(By.ID, "send-btn").click()


def no_errors(browser):
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_two_pages_chat(server, browsers):
    alice, bob = browsers(), browsers(language="zh-CN", size="390,844")
    open_page(alice, server)
    open_page(bob, server)
    say(alice, "Hello, everyone")
    say(bob, "大家好 <b>not bold</b>", end=None)
    said = ["Hello, everyone", "大家好 <b>not bold</b>"]
    for browser in (alice, bob):
        wait(browser, lambda b: texts(b, ".message .text") == said)
        assert len(texts(browser, ".message.own")) == 1
    user = alice.find_element(By.ID, "who").text.split()[-1]
    assert texts(bob, ".message:not(.own) .meta")[0].startswith(f"用户{user} · ")
    assert texts(alice, ".message.own .meta")[0].startswith(f"User {user} · ")
    assert bob.title == "群聊" and alice.title == "Group chat"
    for browser in (alice, bob):
        width = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1]
        no_errors(browser)


def test_empty_input_is_refused_with_a_message(server, browsers):
    page = browsers()
    open_page(page, server)
    say(page, "   ")
    assert page.find_element(By.ID, "notice").text == "Please write something first."
    say(page, Keys.BACKSPACE * 3 + "x")
    wait(page, lambda b: texts(b, ".message .text") == ["x"])
    assert page.find_element(By.ID, "notice").text == ""


def test_open_and_close_are_shown_and_it_reconnects(browsers):
    page = browsers()
    with confab() as server:
        open_page(page, server)
        assert page.find_element(By.ID, "status").text == "Connected"
        port = server.port
        server.stop()
        wait(page, lambda b: b.find_element(By.ID, "status").text == "Disconnected")
        say(page, "anyone?")
        assert "not sent" in page.find_element(By.ID, "notice").text
    with confab("--port", port):
        page.find_element(By.ID, "reconnect").click()
        wait(page, lambda b: b.find_element(By.ID, "status").text == "Connected")


def test_the_browsers_api_as_the_tutorial_tells_it(server, browsers):
    page = browsers()
    page.get(server.http)
    told = page.execute_async_script("""
        const done = arguments[arguments.length - 1];
        const told = [];
        const ws = new WebSocket(arguments[0]);
        told.push(["made", ws.readyState, ws.bufferedAmount]);
        ws.onopen = () => {
          told.push(["open", ws.readyState]);
          ws.send("open ws");
          ws.send("x".repeat(100000));
          told.push(["sent", ws.bufferedAmount > 0]);
        };
        ws.onmessage = (event) => {
          told.push(["message", ws.readyState, event.data.length]);
          if (event.data.length < 100000) return;
          told.push(["buffered", ws.bufferedAmount]);
          ws.close(1000, "done");
          told.push(["closing", ws.readyState]);
        };
        ws.onclose = (event) => {
          told.push(["close", ws.readyState, event.code, event.reason, event.wasClean]);
          const nobody = new WebSocket("ws://127.0.0.1:1/");
          nobody.onerror = () => told.push(["error", nobody.readyState]);
          nobody.onclose = (event) => { told.push(["closed", event.code, event.wasClean]); done(told); };
        };
    """, server.ws)
    assert told == [
        ["made", 0, 0], ["open", 1], ["sent", True], ["message", 1, 7], ["message", 1, 100000], ["buffered", 0],
        ["closing", 2], ["close", 3, 1000, "done", True], ["error", 3], ["closed", 1006, False],
    ]


TUTORIAL = """<!DOCTYPE html>
<meta charset="UTF-8" />
<textarea rows="30" disabled="disabled" id="show-area"></textarea>
<input type="text" placeholder="请输入聊天内容" id="chat-input" />
<button type="button" id="send-btn">发送</button>
<script>
  // The tutorial's script, with the page's own functions in the place of jQuery's, which no test can load.
  function $(selector) {
    var element = document.querySelector(selector);
    return {
      val: function(text) { if (text === undefined) return element.value; element.value = text; },
      on: function(event, handler) { element.addEventListener(event, handler); }
    };
  }
  var userName = parseInt(Math.random() * 1000, 10);
  var sendBtn = $("#send-btn"), chatInput = $("#chat-input"), showArea = $("#show-area");
  var ws = new WebSocket("ws://localhost:PORT/");
  sendBtn.on("click", function() {
    var content = chatInput.val();
    if (content.length === 0) { return alert("请不要输入空白内容"); }
    content = "At " + new Date().toString() + "\\n" + "来自用户" + userName + "\\n" + content;
    ws.send(content);
    chatInput.val("");
  });
  ws.onopen = function() { console.log("Conncet open"); };
  ws.onmessage = function(evt) { var data = evt.data; showArea.val(showArea.val() + data + "\\n\\n"); };
  ws.onclose = function() { console.log("Connect close"); };
</script>
"""


def test_the_tutorials_page_opened_from_a_file_chats_with_ours(server, browsers, tmp_path):
    (tmp_path / "tutorial.html").write_text(TUTORIAL.replace("PORT", str(server.port)))
    ours, tutorial = browsers(), browsers()
    open_page(ours, server)
    tutorial.get((tmp_path / "tutorial.html").as_uri())
    wait(tutorial, lambda b: b.execute_script("return ws.readyState") == 1)
    assert tutorial.execute_script("return self.origin") == "null"
    say(tutorial, "来自教程", end=None)
    wait(ours, lambda b: texts(b, ".message .text") == ["来自教程"])
    say(ours, "and back")
    shown = wait(tutorial, lambda b: (v := b.execute_script("return showArea.val()")).endswith("and back\n\n") and v)
    lines = shown.split("\n")
    assert lines[0].startswith("At ") and lines[1].startswith("来自用户") and lines[2:4] == ["来自教程", ""]


def test_the_page_over_tls(browsers, tmp_path):
    certificate, key = make_certificate(tmp_path)
    with confab("--tls-cert", certificate, "--tls-key", key) as server:
        page = browsers(trusts=certificate)
        open_page(page, server)
        assert page.current_url.startswith("https://")
        text = "over TLS, " + "and compressed, " * 20 + "end"
        say(page, text)
        wait(page, lambda b: texts(b, ".message .text") == [text])
        no_errors(page)
