/* A bot: answers "!time" in the lobby. */
#include <confab.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void answer(int result, const confab_chat_message *message, void *server) {
  char text[64];
  time_t now = time(NULL);

  if (result != CONFAB_OK) {
    fprintf(stderr, "%s\n", confab_last_error());
  } else if (message->text != NULL && strcmp(message->text, "!time") == 0) {
    strftime(text, sizeof text, "It is %H:%M.", gmtime(&now));
    confab_chat_publish((confab_server *)server, "/", "Clock", text, strlen(text), NULL, NULL, NULL);
  }
}

int main(int argc, char **argv) {
  confab_config config;
  confab_server *server;
  confab_chat_subscription *subscription;

  confab_config_init(&config, sizeof config);
  if (argc > 1) config.port = atoi(argv[1]);
  if (argc > 2) config.history_file = argv[2];
  if (confab_chat_create(&config, NULL, NULL, &server) != CONFAB_OK
      || confab_chat_subscribe(server, "/", NULL, 0, answer, server, &subscription) != CONFAB_OK) {
    fprintf(stderr, "%s\n", confab_last_error());
    return 1;
  }
  puts(confab_server_url(server));
  fflush(stdout);
  return confab_run(server);
}
