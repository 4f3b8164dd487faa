/* The names of a server's threads, and their signal masks. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static pthread_t first;
static volatile sig_atomic_t handled_here, handled_elsewhere;

static void handle(int number) {
  (void)number;
  if (pthread_equal(pthread_self(), first)) handled_here++;
  else handled_elsewhere++;
}

/* Reads the value after `name` in /proc/self/task/THREAD/FILE. */
static int value(const char *thread, const char *file, const char *name, char *text, size_t size) {
  char path[300], line[300];
  FILE *stream;
  int found = 0;
  snprintf(path, sizeof path, "/proc/self/task/%s/%s", thread, file);
  if ((stream = fopen(path, "r")) == NULL) return 0;
  while (!found && fgets(line, sizeof line, stream) != NULL) {
    found = strncmp(line, name, strlen(name)) == 0;
    if (found) snprintf(text, size, "%s", line + strlen(name));
  }
  fclose(stream);
  text[strcspn(text, "\n")] = 0;
  return found;
}

static int is_blocked(const char *thread, int number) {
  char text[300] = "";
  CHECK(value(thread, "status", "SigBlk:", text, sizeof text));
  return (strtoull(text, NULL, 16) >> (number - 1) & 1) != 0;
}

/* Counts the threads with a loop's name, and checks their signal masks. */
static int count_loops(void) {
  DIR *tasks = opendir("/proc/self/task");
  struct dirent *task;
  int count = 0;
  CHECK(tasks != NULL);
  while ((task = readdir(tasks)) != NULL) {
    char name[300] = "";
    if (!value(task->d_name, "comm", "", name, sizeof name) || strncmp(name, "confab-loop-", 12) != 0) continue;
    CHECK(name[13] == 0 && name[12] >= '0' && name[12] <= '2');
    CHECK(is_blocked(task->d_name, SIGTERM) && is_blocked(task->d_name, SIGUSR1) && is_blocked(task->d_name, SIGPIPE));
    CHECK(!is_blocked(task->d_name, SIGSEGV) && !is_blocked(task->d_name, SIGBUS) && !is_blocked(task->d_name, SIGFPE));
    CHECK(!is_blocked(task->d_name, SIGILL) && !is_blocked(task->d_name, SIGPROF));
    count++;
  }
  closedir(tasks);
  return count;
}

static void started(confab_server *server, void *argument) {
  (void)server;
  CHECK(pthread_barrier_wait((pthread_barrier_t *)argument) <= 0);
}

int main(void) {
  confab_config config;
  confab_callbacks callbacks;
  confab_server *server;
  pthread_barrier_t barrier;
  sigset_t signals;
  int loop;

  confab_config_init(&config, sizeof config);
  confab_callbacks_init(&callbacks, sizeof callbacks);
  config.port = 0;
  config.loops = 3;
  CHECK(confab_create(&config, &callbacks, NULL, &server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  CHECK(confab_start(server) == CONFAB_OK);

  /* A loop that runs a job has set its thread's name. */
  CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
  for (loop = 0; loop < 3; loop++) CHECK(confab_execute(server, loop, started, &barrier) == CONFAB_OK);
  CHECK(pthread_barrier_wait(&barrier) <= 0);
  CHECK(count_loops() == 3);

  /* This thread's signal mask is unchanged; a signal that it blocks stays pending. */
  first = pthread_self();
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &signals) == 0 && !sigismember(&signals, SIGUSR1) && !sigismember(&signals, SIGTERM));
  CHECK(signal(SIGUSR1, handle) != SIG_ERR);
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  CHECK(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0);
  CHECK(kill(getpid(), SIGUSR1) == 0);
  CHECK(sigpending(&signals) == 0 && sigismember(&signals, SIGUSR1));
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &signals, NULL) == 0);
  CHECK(handled_here == 1 && handled_elsewhere == 0);
  CHECK(confab_destroy(server) == CONFAB_OK);
  return 0;
}
