import CLibwebsockets
import Confab
import ConfabChat

let loop = uv_default_loop()!

// The program's own work: it prints a line each second.
var timer = uv_timer_t()
uv_timer_init(loop, &timer)
uv_timer_start(&timer, { _ in print("still here") }, 0, 1000)

let chat = Chat()
let configuration = try chat.configuration(from: Configuration(port: 8080, mounts: [.chatPage]))
let server = try Server(configuration, onUvLoop: loop, handler: chat.handler)
try server.start()

uv_run(loop, UV_RUN_DEFAULT)
