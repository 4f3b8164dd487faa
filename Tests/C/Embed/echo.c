/* Echo: sends back what it receives. */
#include <confab.h>
#include <stdio.h>
#include <stdlib.h>

static void message(confab_connection *connection, int kind, const void *data, size_t length, void *user_data) {
  (void)user_data;
  confab_send(connection, kind, data, length);
}

int main(int argc, char **argv) {
  confab_config config;
  confab_callbacks callbacks;
  confab_server *server;
  int result;

  confab_config_init(&config, sizeof config);
  if (argc > 1) config.port = atoi(argv[1]);
  confab_callbacks_init(&callbacks, sizeof callbacks);
  callbacks.message = message;
  if (confab_create(&config, &callbacks, NULL, &server) != CONFAB_OK) {
    fprintf(stderr, "%s\n", confab_last_error());
    return 1;
  }
  puts(confab_server_url(server));
  fflush(stdout);
  result = confab_run(server);
  if (result != CONFAB_OK) fprintf(stderr, "%s\n", confab_last_error());
  confab_destroy(server);
  return result == CONFAB_OK ? 0 : 1;
}
