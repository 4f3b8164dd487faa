/* One room that every connection joins. Two threads publish the members' messages, accept some of the clients, and send
 * to single members. `relay LOOPS` */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>

enum { WORKERS = 2 };

/* A worker's task: accept a client, or publish a connection's message. */
typedef struct task {
  struct task *next;
  confab_authorization *authorization;
  confab_connection *connection;
  int kind;
  size_t length;
  char data[1];
} task;

static struct worker {
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  task *first, *last;
  int is_done;
} workers[WORKERS];
static confab_server *server;
static unsigned authorizations;

static void give(struct worker *worker, task *one) {
  pthread_mutex_lock(&worker->mutex);
  if (worker->last != NULL) worker->last->next = one;
  else worker->first = one;
  worker->last = one;
  pthread_cond_signal(&worker->condition);
  pthread_mutex_unlock(&worker->mutex);
}

static task *take(struct worker *worker) {
  task *one;
  pthread_mutex_lock(&worker->mutex);
  while (worker->first == NULL && !worker->is_done) pthread_cond_wait(&worker->condition, &worker->mutex);
  if ((one = worker->first) != NULL && (worker->first = one->next) == NULL) worker->last = NULL;
  pthread_mutex_unlock(&worker->mutex);
  return one;
}

static void send_alone(confab_server *running, void *argument) {
  confab_connection *connection = (confab_connection *)argument;
  int rc = confab_send(connection, CONFAB_TEXT, "alone", 5);
  (void)running;
  CHECK(rc >= 0 || rc == CONFAB_ERROR_CLOSED);
  CHECK(confab_connection_release(connection) == CONFAB_OK);
}

static void *work(void *argument) {
  task *one;
  unsigned count = 0;
  while ((one = take((struct worker *)argument)) != NULL) {
    if (one->authorization != NULL) {
      int rc = confab_accept(one->authorization, NULL, NULL);
      CHECK(rc == CONFAB_OK || rc == CONFAB_ERROR_CLOSED);
    } else {
      CHECK(confab_publish(server, "room", one->kind, one->data, one->length) == CONFAB_OK);
      if (count++ % 8 != 0
          || confab_execute(server, confab_connection_loop(one->connection), send_alone, one->connection) != CONFAB_OK)
        confab_connection_release(one->connection);
    }
    free(one);
  }
  return NULL;
}

static void authorize(confab_authorization *authorization, const confab_request *request, void *user_data) {
  unsigned count = __sync_fetch_and_add(&authorizations, 1);
  (void)request, (void)user_data;
  if (count % 2 == 0) {
    CHECK(confab_accept(authorization, NULL, NULL) == CONFAB_OK);
  } else {
    task *one = (task *)calloc(1, sizeof *one);
    one->authorization = authorization;
    give(&workers[count / 2 % WORKERS], one);
  }
}

static void opened(confab_connection *connection, const confab_request *request, void *user_data) {
  (void)request, (void)user_data;
  CHECK(confab_join(connection, "room") == CONFAB_OK);
  if (confab_connection_id(connection) % 2 == 0) CHECK(confab_send(connection, CONFAB_TEXT, "alone", 5) == CONFAB_OK);
}

/* One worker handles all messages of a connection, so they stay in order. */
static void message(confab_connection *connection, int kind, const void *data, size_t length, void *user_data) {
  task *one = (task *)calloc(1, sizeof *one + length);
  (void)user_data;
  CHECK(confab_connection_retain(connection) == CONFAB_OK);
  one->connection = connection;
  one->kind = kind;
  one->length = length;
  memcpy(one->data, data, length);
  give(&workers[confab_connection_id(connection) % WORKERS], one);
}

int main(int argc, char **argv) {
  confab_config config;
  confab_callbacks callbacks;
  int index;
  CHECK(argc == 2);
  confab_config_init(&config, sizeof config);
  confab_callbacks_init(&callbacks, sizeof callbacks);
  config.port = 0;
  config.loops = atoi(argv[1]);
  callbacks.authorize = authorize;
  callbacks.opened = opened;
  callbacks.message = message;
  CHECK(confab_create(&config, &callbacks, NULL, &server) == CONFAB_OK);
  for (index = 0; index < WORKERS; index++) {
    pthread_mutex_init(&workers[index].mutex, NULL);
    pthread_cond_init(&workers[index].condition, NULL);
    CHECK(pthread_create(&workers[index].thread, NULL, work, &workers[index]) == 0);
  }
  CHECK(confab_start(server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  while (getchar() != EOF) {}
  CHECK(confab_stop(server, 1000) == CONFAB_OK && confab_wait(server) == CONFAB_OK);
  for (index = 0; index < WORKERS; index++) {
    pthread_mutex_lock(&workers[index].mutex);
    workers[index].is_done = 1;
    pthread_cond_signal(&workers[index].condition);
    pthread_mutex_unlock(&workers[index].mutex);
    pthread_join(workers[index].thread, NULL);
  }
  CHECK(confab_destroy(server) == CONFAB_OK);
  return 0;
}
