"""The tutorial that the plain protocol comes from: its claims about the browser's API, and its page."""


def test_browser_api_works_as_in_tutorial(server, person):
    page = person().open(server)
    told = page.browser.execute_async_script("""
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


def test_tutorial_page_opened_from_file_chats_with_bundled_page(server, person, tmp_path):
    (tmp_path / "tutorial.html").write_text(TUTORIAL.replace("PORT", str(server.port)))
    ours, tutorial = person().open(server, name="Ann"), person()
    tutorial.browser.get((tmp_path / "tutorial.html").as_uri())
    tutorial.wait(lambda one: one.run("return ws.readyState") == 1)
    assert tutorial.run("return self.origin") == "null"
    ours.wait_for("status", "2 people here")
    assert ours.texts("#people-rest") == ["1 more without a name"]
    tutorial.find("#chat-input").send_keys("来自教程")
    tutorial.find("#send-btn").click()
    ours.wait_for("messages", ["来自教程"])
    number = tutorial.run("return userName")
    assert ours.texts("#rows .author") == [f"User {number}"]
    ours.say("and back")
    shown = tutorial.wait(lambda one: (value := one.run("return showArea.val()")).endswith("and back\n\n") and value)
    lines = shown.split("\n")
    assert lines[0].startswith("At ") and lines[1] == f"来自用户{number}" and lines[2:4] == ["来自教程", ""]
    assert lines[4].startswith("At ") and lines[5:7] == ["来自用户Ann", "and back"]
