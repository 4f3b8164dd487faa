/* Every kind of misuse of a chat returns an error and has no other effect. */
#include "check.h"

static confab_server *server;

static void page_read(int result, const confab_chat_page *page, void *user_data) {
  (void)result, (void)page, (void)user_data;
  CHECK(!"called");
}

static void must_not_be_called(int result, const confab_chat_message *message, void *user_data) {
  (void)result, (void)message, (void)user_data;
  CHECK(!"called");
}

static void misuse(void) {
  confab_chat_subscription *made = (confab_chat_subscription *)&server;
  const char *long_key = "12345678901234567890123456789012345678901234567890123456789012345";
  FAILS(confab_chat_publish(server, NULL, "Bot", "a", 1, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "room is NULL");
  FAILS(confab_chat_publish(server, "log", "Bot", "a", 1, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "begins with '/'");
  FAILS(confab_chat_publish(server, "/", NULL, "a", 1, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "name is NULL");
  FAILS(confab_chat_publish(server, "/", "", "a", 1, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "the name must have 1 to 32");
  FAILS(confab_chat_publish(server, "/", "Bot", NULL, 1, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "text is NULL");
  FAILS(confab_chat_publish(server, "/", "Bot", "", 0, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "empty");
  FAILS(confab_chat_publish(server, "/", "Bot", "\xFF", 1, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "text is not UTF-8");
  FAILS(confab_chat_publish(server, "/", "Bot", "a", (size_t)-1, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "length");
  FAILS(confab_chat_publish(server, "/", "Bot", "a", 1, "", NULL, NULL), CONFAB_ERROR_ARGUMENT, "the key must have");
  FAILS(confab_chat_publish(server, "/", "Bot", "a", 1, long_key, NULL, NULL), CONFAB_ERROR_ARGUMENT, "1 to 64");
  FAILS(confab_chat_history(server, "/", NULL, -1, -1, 0, page_read, NULL), CONFAB_ERROR_ARGUMENT, "count");
  FAILS(confab_chat_history(server, "/", NULL, -1, -1, 101, page_read, NULL), CONFAB_ERROR_ARGUMENT, "count");
  FAILS(confab_chat_history(server, "/", NULL, 0, -1, 1, page_read, NULL), CONFAB_ERROR_ARGUMENT, "epoch is NULL");
  FAILS(confab_chat_history(server, "/", "e", 0, 0, 1, page_read, NULL), CONFAB_ERROR_ARGUMENT, "must be -1");
  FAILS(confab_chat_history(server, "/", "e", -2, -1, 1, page_read, NULL), CONFAB_ERROR_ARGUMENT, "-2");
  FAILS(confab_chat_history(server, "/", NULL, -1, -1, 1, NULL, NULL), CONFAB_ERROR_ARGUMENT, "done is NULL");
  FAILS(confab_chat_members(server, "", NULL, NULL), CONFAB_ERROR_ARGUMENT, "begins with '/'");
  FAILS(confab_chat_subscribe(server, "/", NULL, 0, NULL, NULL, &made), CONFAB_ERROR_ARGUMENT, "callback is NULL");
  CHECK(made == NULL);
  FAILS(confab_chat_subscribe(server, "/", "e", -1, must_not_be_called, NULL, &made), CONFAB_ERROR_ARGUMENT, "offset");
  FAILS(confab_chat_subscribe(server, "/", NULL, 0, must_not_be_called, NULL, NULL), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_chat_unsubscribe(NULL), CONFAB_ERROR_ARGUMENT, "the subscription is NULL");
  FAILS(confab_server_close_connections(server, 1005, NULL, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "1005");
  FAILS(confab_server_close_connections(NULL, 1000, NULL, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "NULL");
}

int main(void) {
  confab_config config;
  CHECK(confab_config_init(&config, sizeof config) == CONFAB_OK);
  config.port = 0;
  CHECK(confab_chat_create(&config, NULL, NULL, &server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  misuse();
  CHECK(confab_destroy(server) == CONFAB_OK);
  puts("all is told");
  return 0;
}
