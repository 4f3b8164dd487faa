/* Echo that stops gracefully on SIGINT or SIGTERM. */
#define _POSIX_C_SOURCE 200809L
#include <confab.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void message(confab_connection *connection, int kind, const void *data, size_t length, void *user_data) {
  (void)user_data;
  confab_send(connection, kind, data, length);
}

static void moving(confab_connection *connection, int64_t after_ms, void *user_data) {
  (void)user_data;
  if (after_ms >= 0) confab_send(connection, CONFAB_TEXT, "moving", 6);
}

int main(int argc, char **argv) {
  confab_config config;
  confab_callbacks callbacks;
  confab_server *server;
  sigset_t signals;
  int number;

  confab_config_init(&config, sizeof config);
  confab_callbacks_init(&callbacks, sizeof callbacks);
  if (argc > 1) config.port = atoi(argv[1]);
  if (argc > 2) config.drain_time_ms = atoi(argv[2]);
  callbacks.message = message;
  callbacks.moving = moving;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, NULL); /* for sigwait(); the server's threads block signals themselves */
  if (confab_create(&config, &callbacks, NULL, &server) != CONFAB_OK || confab_start(server) != CONFAB_OK) {
    fprintf(stderr, "%s\n", confab_last_error());
    return 1;
  }
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  sigwait(&signals, &number);
  return confab_destroy(server); /* closes every connection with a close frame, and waits */
}
