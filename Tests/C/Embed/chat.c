/* Runs the chat in a libuv loop that also has a timer and signal handlers. */
#define _POSIX_C_SOURCE 200809L
#include <confab.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static uv_timer_t timer;
static uv_signal_t interrupt;
static int ticks;

static void tick(uv_timer_t *handle) {
  (void)handle;
  ticks++;
}

static void stop(uv_signal_t *handle, int number) {
  (void)number;
  confab_stop((confab_server *)handle->data, 2000);
  uv_close((uv_handle_t *)&timer, NULL);
  uv_close((uv_handle_t *)&interrupt, NULL);
}

int main(int argc, char **argv) {
  uv_loop_t *loop = uv_default_loop();
  confab_config config;
  confab_server *server;

  confab_config_init(&config, sizeof config);
  if (argc > 1) config.port = atoi(argv[1]);
  config.uv_loop = loop;
  if (confab_chat_create(&config, NULL, NULL, &server) != CONFAB_OK || confab_start(server) != CONFAB_OK) {
    fprintf(stderr, "%s\n", confab_last_error());
    return 1;
  }
  uv_timer_init(loop, &timer);
  uv_timer_start(&timer, tick, 100, 100);
  uv_signal_init(loop, &interrupt);
  interrupt.data = server;
  uv_signal_start(&interrupt, stop, SIGINT);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);

  uv_run(loop, UV_RUN_DEFAULT); /* returns when the server has stopped and the handles are closed */
  confab_destroy(server);
  printf("%d ticks\n", ticks);
  return uv_loop_close(loop);
}
