/* One of several servers that form one chat on NATS. It says "here" in the room /tea. `stream URL` */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <semaphore.h>

static sem_t published;

static void done(int result, const char *epoch, int64_t offset, void *user_data) {
  CHECK(result == CONFAB_OK && epoch != NULL && offset > 0 && user_data == NULL);
  CHECK(sem_post(&published) == 0);
}

/* The result of the message that is published just before the server is destroyed. */
static int last_calls, last_result;

static void last(int result, const char *epoch, int64_t offset, void *user_data) {
  (void)offset;
  CHECK((result == CONFAB_OK) == (epoch != NULL) && user_data == NULL);
  last_calls++;
  last_result = result;
}

static void misconfigure(confab_config config) {
  const char *const wrong[] = {"http://user:secret@host", NULL};
  confab_server *server;
  config.history_file = "history.db";
  FAILS(confab_chat_create(&config, NULL, NULL, &server), CONFAB_ERROR_CONFIGURATION, "exclude each other");
  config.history_file = NULL;
  config.nats_replicas = 2;
  FAILS(confab_chat_create(&config, NULL, NULL, &server), CONFAB_ERROR_CONFIGURATION, "nats_replicas must be 1, 3 or 5");
  config.nats_replicas = 1;
  config.nats_key_file = "key.pem";
  FAILS(confab_chat_create(&config, NULL, NULL, &server), CONFAB_ERROR_CONFIGURATION, "nats_certificate_file and nats_key_file need");
  config.nats_key_file = NULL;
  config.nats_urls = wrong + 1;
  FAILS(confab_chat_create(&config, NULL, NULL, &server), CONFAB_ERROR_CONFIGURATION, "nats_urls must be like nats://host:4222");
  config.nats_urls = wrong;
  FAILS(confab_chat_create(&config, NULL, NULL, &server), CONFAB_ERROR_CONFIGURATION, "nats_urls must be like nats://host:4222");
  CHECK(strstr(confab_last_error(), "secret") == NULL);
}

int main(int argc, char **argv) {
  confab_config config;
  confab_server *server;
  const char *urls[2] = {NULL, NULL};

  CHECK(argc == 2 && sem_init(&published, 0, 0) == 0);
  urls[0] = argv[1];
  CHECK(confab_config_init(&config, sizeof config) == CONFAB_OK);
  config.port = 0;
  config.loops = 1;
  config.nats_urls = urls;
  config.nats_stream = "TEA";
  config.max_message_size -= 8 << 10;
  misconfigure(config);
  CHECK(confab_chat_create(&config, NULL, NULL, &server) == CONFAB_OK && confab_start(server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  while (getchar() != '\n') {}
  CHECK(confab_chat_publish(server, "/tea", "Bot", "here", 4, NULL, done, NULL) == CONFAB_OK);
  CHECK(sem_wait(&published) == 0);
  puts("published");
  fflush(stdout);
  while (getchar() != EOF) {}
  CHECK(confab_chat_publish(server, "/tea", "Bot", "gone", 4, NULL, last, NULL) == CONFAB_OK);
  CHECK(confab_destroy(server) == CONFAB_OK);
  CHECK(last_calls == 1);
  printf("%s\n", confab_strerror(last_result));
  return 0;
}
