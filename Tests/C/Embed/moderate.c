/* The program kicks, mutes and bans clients of its chat. `moderate FILE` stores the history in a file. It reads commands
 * from the standard input, one a line, and prints "ok" when each has been carried out. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static confab_server *server;
static int calls, last_result;
static char id[64];

static void done(int result, void *user_data) {
  CHECK(user_data == &server);
  CHECK((result == CONFAB_OK) == 1 || confab_last_error()[0] != 0);
  FAILS(confab_destroy(server), CONFAB_ERROR_THREAD, "a callback of the chat");
  pthread_mutex_lock(&mutex);
  calls++;
  last_result = result;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static int wait_for_one(void) {
  int result;
  pthread_mutex_lock(&mutex);
  while (calls < 1) pthread_cond_wait(&changed, &mutex);
  CHECK(calls == 1);
  calls = 0;
  result = last_result;
  pthread_mutex_unlock(&mutex);
  return result;
}

static void noted(const confab_chat_restriction *restriction, void *user_data) {
  CHECK(restriction->size == sizeof *restriction && strlen(restriction->id) == 32 && !restriction->is_by_moderator);
  CHECK(strcmp(restriction->by, "Bot") == 0 && restriction->name == NULL);
  strcpy(id, restriction->id);
  ++*(int *)user_data;
}

static int count(const char *room) {
  int seen = 0;
  CHECK(confab_chat_restrictions(server, room, noted, &seen) == seen);
  CHECK(confab_chat_restrictions(server, room, NULL, NULL) == seen);
  return seen;
}

static void misuse(void) {
  enum { USER = CONFAB_CHAT_TARGET_USER, MEMBER = CONFAB_CHAT_TARGET_MEMBER, NETWORK = CONFAB_CHAT_TARGET_NETWORK };
  char reason[302];
  memset(reason, 'x', sizeof reason);
  reason[301] = 0;
  FAILS(confab_chat_ban(NULL, "/", USER, "u", 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_chat_ban(server, "tea", USER, "u", 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "begins with '/'");
  FAILS(confab_chat_ban(server, "/", 3, "u", 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "3 is not a value");
  FAILS(confab_chat_ban(server, "/", -1, "u", 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "-1 is not a value");
  FAILS(confab_chat_ban(server, "/", USER, NULL, 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "target is NULL");
  FAILS(confab_chat_ban(server, "/", USER, "", 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "1 to 256 bytes");
  FAILS(confab_chat_ban(server, "/", USER, "\xff", 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "UTF-8");
  FAILS(confab_chat_ban(server, "/", USER, "u", 1, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "in the future");
  FAILS(confab_chat_mute(server, "/", USER, "u", -1, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "in the future");
  FAILS(confab_chat_mute(server, "/", USER, "u", INT64_MAX, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "10000");
  FAILS(confab_chat_mute(server, "/", USER, "u", 0, reason, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "300 bytes");
  FAILS(confab_chat_kick(server, "/", USER, "u", NULL, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "name is NULL");
  FAILS(confab_chat_kick(server, NULL, MEMBER, "Bob", NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "room is NULL");
  FAILS(confab_chat_kick(server, "/", MEMBER, "Bob", NULL, "Bot", NULL, NULL), CONFAB_ERROR_NOT_FOUND, "'Bob'");
  FAILS(confab_chat_ban(server, NULL, NETWORK, "0.0.0.0/0", 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "8 bits");
  FAILS(confab_chat_ban(server, NULL, NETWORK, "x", 0, NULL, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "192.0.2.0/24");
  FAILS(confab_chat_lift(server, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "id is NULL");
  CHECK(confab_chat_lift(server, "none", done, &server) == CONFAB_OK && wait_for_one() == CONFAB_ERROR_NOT_FOUND);
  CHECK(confab_chat_unban(server, "/", USER, "u", done, &server) == CONFAB_OK);
  CHECK(wait_for_one() == CONFAB_ERROR_NOT_FOUND && count(NULL) == 0);
}

static void limits(void) {
  CHECK(confab_chat_ban(server, "/", CONFAB_CHAT_TARGET_USER, "1", 0, NULL, "Bot", done, &server) == CONFAB_OK);
  CHECK(wait_for_one() == CONFAB_OK);
  CHECK(confab_chat_mute(server, NULL, CONFAB_CHAT_TARGET_NETWORK, "2001:db8::/48", 0, "r", "Bot", done, &server) == CONFAB_OK);
  CHECK(wait_for_one() == CONFAB_OK && count("/") == 2 && count("/tea") == 1);
  CHECK(confab_chat_ban(server, "/", CONFAB_CHAT_TARGET_USER, "2", 0, NULL, "Bot", done, &server) == CONFAB_OK);
  CHECK(wait_for_one() == CONFAB_ERROR_RESTRICTIONS);
  CHECK(confab_chat_unmute(server, NULL, CONFAB_CHAT_TARGET_NETWORK, "2001:db8::/48", done, &server) == CONFAB_OK);
  CHECK(wait_for_one() == CONFAB_OK && count(NULL) == 1);
  CHECK(confab_chat_lift(server, id, done, &server) == CONFAB_OK && wait_for_one() == CONFAB_OK && count(NULL) == 0);
}

int main(int argc, char **argv) {
  confab_config config;
  char line[64];
  confab_config_init(&config, sizeof config);
  CHECK(config.max_restrictions == 10000 && config.max_guest_restriction_ms == 86400000);
  config.port = 0;
  config.max_restrictions = 2;
  if (argc > 1) config.history_file = argv[1];
  CHECK(confab_chat_create(&config, NULL, NULL, &server) == CONFAB_OK);
  misuse();
  limits();
  CHECK(confab_start(server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "mute\n") == 0) {
      CHECK(confab_chat_mute(server, "/tea", CONFAB_CHAT_TARGET_MEMBER, "Bob", 0, "hush", "Bot", done, &server) == CONFAB_OK);
    } else if (strcmp(line, "unmute\n") == 0) {
      CHECK(confab_chat_unmute(server, "/tea", CONFAB_CHAT_TARGET_MEMBER, "Bob", done, &server) == CONFAB_OK);
    } else if (strcmp(line, "kick\n") == 0) {
      CHECK(confab_chat_kick(server, "/tea", CONFAB_CHAT_TARGET_MEMBER, "Bob", "out", "Bot", done, &server) == CONFAB_OK);
    } else if (strcmp(line, "ban\n") == 0) {
      CHECK(confab_chat_ban(server, NULL, CONFAB_CHAT_TARGET_NETWORK, "127.0.0.0/8", 0, NULL, "Bot", done, &server) == CONFAB_OK);
    } else {
      CHECK(strcmp(line, "unban\n") == 0);
      CHECK(confab_chat_unban(server, NULL, CONFAB_CHAT_TARGET_NETWORK, "127.0.0.0/8", done, &server) == CONFAB_OK);
    }
    CHECK(wait_for_one() == CONFAB_OK);
    puts("ok");
    fflush(stdout);
  }
  CHECK(confab_chat_ban(server, "/tea", CONFAB_CHAT_TARGET_USER, "u", 0, NULL, "Bot", NULL, NULL) == CONFAB_OK);
  CHECK(confab_destroy(server) == CONFAB_OK);
  if (argc > 1) {
    CHECK(confab_chat_create(&config, NULL, NULL, &server) == CONFAB_OK);
    CHECK(count("/tea") == 1 && confab_destroy(server) == CONFAB_OK);
  }
  puts("done");
  return 0;
}
