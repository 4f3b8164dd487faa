/* The program publishes and reads in its own chat. `publish FILE` stores the history in a file. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <time.h>

enum { COUNT = 200 };

/* Guards the variables below. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static confab_server *server;
static char epoch[128];
/* Number of callbacks, and the arguments of the last one. */
static int calls, last_result, is_calling;
static int64_t last_offset;
static char texts[4096];
static int64_t closed_count = -1;

static void begin(void) {
  sigset_t blocked;
  pthread_mutex_lock(&mutex);
  CHECK(!is_calling); /* one at a time */
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGTERM));
  is_calling = 1;
  pthread_mutex_unlock(&mutex);
}

static void end(int result, int64_t offset) {
  pthread_mutex_lock(&mutex);
  is_calling = 0;
  calls++;
  last_result = result;
  last_offset = offset;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

/* Waits until `count` callbacks have returned, and counts anew. Returns the result of the last one. */
static int wait_for(int count) {
  int result;
  pthread_mutex_lock(&mutex);
  while (calls < count) pthread_cond_wait(&changed, &mutex);
  CHECK(calls == count);
  calls = 0;
  result = last_result;
  pthread_mutex_unlock(&mutex);
  return result;
}

static void published(int result, const char *where, int64_t offset, void *user_data) {
  begin();
  CHECK(user_data == &server && (result == CONFAB_OK) == (where != NULL));
  if (where != NULL) snprintf(epoch, sizeof epoch, "%s", where);
  FAILS(confab_destroy(server), CONFAB_ERROR_THREAD, "a callback of the chat");
  end(result, offset);
}

static void say(const char *room, const char *text, const char *key) {
  CHECK(confab_chat_publish(server, room, "Bot", text, strlen(text), key, published, &server) == CONFAB_OK);
}

static void page_read(int result, const confab_chat_page *page, void *user_data) {
  size_t index;
  begin();
  CHECK(user_data == NULL && (result == CONFAB_OK) == (page != NULL));
  texts[0] = 0;
  if (page != NULL) {
    CHECK(page->size == sizeof *page && strcmp(page->end_epoch, epoch) == 0);
    for (index = 0; index < page->count; index++) {
      const confab_chat_message *message = page->messages[index];
      CHECK(message->size == sizeof *message && strcmp(message->epoch, epoch) == 0 && message->offset > 0);
      CHECK(strcmp(message->name, "Bot") == 0 && message->key != NULL && message->time_ms > 1577836800000);
      CHECK(strlen(message->text) == message->length && message->message_size == (int64_t)message->length);
      strcat(strcat(texts, message->text), " ");
    }
    strcat(texts, page->has_more ? "more" : "");
  }
  end(result, page != NULL ? page->end_offset : 0);
}

static void history(const char *where, int64_t after, int64_t before, int count) {
  CHECK(confab_chat_history(server, "/log", where, after, before, count, page_read, NULL) == CONFAB_OK);
}

/* Counts the messages of a subscription, which must arrive in order. */
typedef struct reader {
  confab_chat_subscription *subscription;
  int64_t next;
  int until; /* ends the subscription within the callback after so many messages */
} reader;

static void arrived(int result, const confab_chat_message *message, void *user_data) {
  reader *self = (reader *)user_data;
  begin();
  CHECK(self->subscription != NULL);
  if (result == CONFAB_OK) CHECK(message->offset == self->next++ && message->size == sizeof *message);
  if (--self->until == 0) CHECK(confab_chat_unsubscribe(self->subscription) == CONFAB_OK);
  end(result, result == CONFAB_OK ? message->offset : 0);
}

static void another(const char *name, void *user_data) {
  (void)name;
  ++*(int *)user_data;
}

static int is_first(confab_connection *connection, void *user_data) {
  CHECK(user_data == &server && confab_connection_backlog(connection) >= 0);
  return confab_connection_id(connection) > 0;
}

static int is_none(confab_connection *connection, void *user_data) {
  (void)connection, (void)user_data;
  return 0;
}

static void closed(int64_t count, void *user_data) {
  CHECK(user_data == &server);
  pthread_mutex_lock(&mutex);
  closed_count = count;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static int64_t close_connections(int (*predicate)(confab_connection *connection, void *user_data)) {
  int64_t count;
  CHECK(confab_server_close_connections(server, 4000, "closed by the program", predicate, closed, &server) == CONFAB_OK);
  pthread_mutex_lock(&mutex);
  while (closed_count < 0) pthread_cond_wait(&changed, &mutex);
  count = closed_count;
  closed_count = -1;
  pthread_mutex_unlock(&mutex);
  return count;
}

static void publish_and_read(void) {
  int64_t second;
  say("/log", "one", "key-1");
  CHECK(wait_for(1) == CONFAB_OK && last_offset == 1);
  say("/log", "two", NULL);
  CHECK(wait_for(1) == CONFAB_OK && last_offset == 2);
  say("/log", "one", "key-1"); /* is already published */
  CHECK(wait_for(1) == CONFAB_OK && last_offset == 1);
  say("/log", "three", NULL);
  CHECK(wait_for(1) == CONFAB_OK && last_offset == 3);
  second = last_offset - 1;
  history(NULL, -1, -1, 2);
  CHECK(wait_for(1) == CONFAB_OK && strcmp(texts, "two three more") == 0 && last_offset == 3);
  history(epoch, -1, second, 100);
  CHECK(wait_for(1) == CONFAB_OK && strcmp(texts, "one ") == 0);
  history(epoch, 0, -1, 1);
  CHECK(wait_for(1) == CONFAB_OK && strcmp(texts, "one more") == 0);
  history("another epoch", 0, -1, 1);
  CHECK(wait_for(1) == CONFAB_ERROR_EPOCH);
  CHECK(confab_chat_members(server, "/log", NULL, NULL) == 0 && confab_chat_members(server, "/none", NULL, NULL) == 0);
}

static void subscribe(void) {
  /* `all` is used until confab_destroy(). */
  static reader all = {NULL, 1, -1}, three = {NULL, 1, 3}, new_ones = {NULL, 4, -1}, none = {NULL, 1, -1};
  int number;
  CHECK(confab_chat_subscribe(server, "/log", epoch, 0, arrived, &all, &all.subscription) == CONFAB_OK);
  CHECK(wait_for(3) == CONFAB_OK);
  CHECK(confab_chat_subscribe(server, "/log", epoch, 3, arrived, &new_ones, &new_ones.subscription) == CONFAB_OK);
  CHECK(confab_chat_unsubscribe(new_ones.subscription) == CONFAB_OK);
  CHECK(confab_chat_subscribe(server, "/log", epoch, 0, arrived, &three, &three.subscription) == CONFAB_OK);
  CHECK(wait_for(3) == CONFAB_OK);
  CHECK(confab_chat_subscribe(server, "/log", "other", 0, arrived, &none, &none.subscription) == CONFAB_OK);
  CHECK(wait_for(1) == CONFAB_ERROR_EPOCH && none.next == 1);
  CHECK(confab_chat_unsubscribe(none.subscription) == CONFAB_OK);
  /* The calls of one thread keep their order: `all` gets as many messages, and each call its offset. */
  for (number = 1; number <= COUNT; number++) {
    say("/log", "many", NULL);
    if (number % 50 == 0) CHECK(wait_for(100) == CONFAB_OK && all.next == 4 + number);
  }
  CHECK(new_ones.next == 4 && three.next == 4);
  /* The room stores 100 messages. */
  CHECK(confab_chat_subscribe(server, "/log", epoch, 0, arrived, &none, &none.subscription) == CONFAB_OK);
  CHECK(wait_for(1) == CONFAB_ERROR_HISTORY_GONE);
  /* confab_destroy() ends `all`, and frees `none`. */
}

static void changes_read(int result, const confab_chat_page *page, void *user_data) {
  const confab_chat_message *message;
  begin();
  CHECK(result == CONFAB_OK && user_data == NULL && page->count == 4);
  message = page->messages[0];
  CHECK(message->entry == CONFAB_CHAT_MESSAGE && message->changed_offset == 0 && message->is_edited);
  CHECK(strcmp(message->text, "better") == 0 && !message->is_removed && strcmp(message->name, "Bot") == 0);
  message = page->messages[1];
  CHECK(message->is_removed && message->length == 0 && !message->is_edited);
  message = page->messages[2];
  CHECK(message->entry == CONFAB_CHAT_EDIT && message->changed_offset == 1 && strcmp(message->text, "better") == 0);
  CHECK(strcmp(message->name, "Host") == 0);
  message = page->messages[3];
  CHECK(message->entry == CONFAB_CHAT_REMOVAL && message->changed_offset == 2 && message->text == NULL);
  end(result, page->end_offset);
}

static int edit(const char *where, int64_t offset, const char *text) {
  return confab_chat_edit(server, "/changes", where, offset, "Host", text, strlen(text), published, &server);
}

static int erase(int64_t offset) {
  return confab_chat_remove(server, "/changes", epoch, offset, "Host", published, &server);
}

static void change(void) {
  char first[sizeof epoch];
  strcpy(first, epoch);
  say("/changes", "good", NULL);
  say("/changes", "bad", NULL);
  CHECK(wait_for(2) == CONFAB_OK);
  CHECK(edit(epoch, 1, "better") == CONFAB_OK && wait_for(1) == CONFAB_OK && last_offset == 3);
  CHECK(erase(2) == CONFAB_OK && wait_for(1) == CONFAB_OK && last_offset == 4);
  CHECK(edit(epoch, 2, "again") == CONFAB_OK && wait_for(1) == CONFAB_ERROR_HISTORY_GONE);
  CHECK(erase(9) == CONFAB_OK && wait_for(1) == CONFAB_ERROR_HISTORY_GONE);
  CHECK(edit("other", 1, "again") == CONFAB_OK && wait_for(1) == CONFAB_ERROR_EPOCH);
  FAILS(edit(NULL, 1, "again"), CONFAB_ERROR_ARGUMENT, "epoch is NULL");
  FAILS(edit(epoch, -1, "again"), CONFAB_ERROR_ARGUMENT, "offset must not be negative");
  FAILS(edit(epoch, 1, ""), CONFAB_ERROR_ARGUMENT, "empty");
  CHECK(confab_chat_history(server, "/changes", NULL, -1, -1, 9, changes_read, NULL) == CONFAB_OK);
  CHECK(wait_for(1) == CONFAB_OK && last_offset == 4);
  strcpy(epoch, first);
}

int main(int argc, char **argv) {
  confab_config config;
  confab_callbacks callbacks;
  confab_server *other;
  reader again = {NULL, 2 + COUNT, -1};
  char stored[sizeof epoch];
  int number, names = 0;

  confab_config_init(&config, sizeof config);
  config.port = 0;
  config.loops = 2;
  config.max_history_messages = 100;
  if (argc > 1) config.history_file = argv[1];
  config.durability = CONFAB_DURABILITY_FULL;
  CHECK(confab_chat_create(&config, NULL, NULL, &server) == CONFAB_OK);
  if (argc > 1) FAILS(confab_chat_create(&config, NULL, NULL, &other), CONFAB_ERROR_HISTORY, "another process has it open");
  publish_and_read();
  CHECK(confab_start(server) == CONFAB_OK);
  subscribe();
  change();
  /* Without a callback, and during confab_destroy(). */
  CHECK(confab_chat_publish(server, "/log", "Bot", "last", 4, NULL, NULL, NULL) == CONFAB_OK);
  strcpy(stored, epoch);
  for (number = 0; number < 10; number++) say("/other", "late", NULL);
  CHECK(confab_destroy(server) == CONFAB_OK);
  CHECK(calls >= 10);
  strcpy(epoch, stored);
  calls = 0;

  CHECK(confab_chat_create(&config, NULL, NULL, &server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  if (argc > 1) {
    /* The file has all messages. */
    history(NULL, -1, -1, 2);
    CHECK(wait_for(1) == CONFAB_OK && strcmp(texts, "many last more") == 0 && last_offset == 4 + COUNT);
    CHECK(confab_chat_subscribe(server, "/log", epoch, 1 + COUNT, arrived, &again, &again.subscription) == CONFAB_OK);
    CHECK(wait_for(3) == CONFAB_OK && again.next == 5 + COUNT);
  }
  CHECK(confab_start(server) == CONFAB_OK);
  while (getchar() != '\n') {} /* two clients have joined */
  say("/tea", "hello", "greeting");
  CHECK(wait_for(1) == CONFAB_OK);
  CHECK(confab_chat_members(server, "/tea", another, &names) == 2 && names == 1);
  CHECK(close_connections(is_none) == 0 && close_connections(is_first) == 2);
  while (getchar() != EOF) {}
  CHECK(close_connections(NULL) == 0);
  CHECK(confab_stop(server, 0) == CONFAB_OK && confab_wait(server) == CONFAB_OK);
  CHECK(close_connections(NULL) == 0);
  CHECK(confab_destroy(server) == CONFAB_OK);

  /* A server that is never started, and one without a chat. */
  CHECK(confab_chat_create(&config, NULL, NULL, &server) == CONFAB_OK);
  CHECK(confab_server_close_connections(server, 1000, NULL, is_first, closed, &server) == CONFAB_OK);
  CHECK(closed_count == -1 && confab_destroy(server) == CONFAB_OK && closed_count == 0);
  confab_callbacks_init(&callbacks, sizeof callbacks);
  CHECK(confab_create(&config, &callbacks, NULL, &server) == CONFAB_OK);
  FAILS(confab_chat_publish(server, "/", "Bot", "a", 1, NULL, NULL, NULL), CONFAB_ERROR_STATE, "confab_chat_create()");
  CHECK(confab_destroy(server) == CONFAB_OK);
  puts("done");
  return 0;
}
