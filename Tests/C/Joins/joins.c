/* Clients that join a room with constant traffic and send, receive, stall, leave and vanish at random. Each must
 * receive every message from its join to its leave, once, in the room's order. */
#define _GNU_SOURCE
#include "client.h"
#include "options.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

/* The clients with a socket, including the witness, and the clients without one that have received messages which have
 * no position yet. */
static client **clients, *witness, *departed;
static int client_count, epoll;
/* Whether sending is paused until every client has received everything, and whether clients still join. */
static int is_quiet, is_ending;
static double began, quiet_since, flows_until, flowed;
/* The current maximum number of visitors. */
static int members;
static double members_until;
static volatile sig_atomic_t is_asked_to_end;
static struct { long rejected, evicted, vanished, left, faults, settled; double longest; } totals;

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double uniform(double low, double high) { return low + (high - low) * drand48(); }
static double exponential(double mean) { return -mean * log(1 - drand48()); }
static int chance(double part) { return drand48() < part; }

static long all_joins(void) { return counts.joins[0] + counts.joins[1] + counts.joins[2] + counts.joins[3]; }

static void print_fault(client *one) {
  const char *const roles[] = {"", "speaker, ", "witness, "};
  const char *const states[] = {"connecting", "introducing itself", "open", "leaving", "closing"};
  printf("fault at %.3f s: client %u (%s%s%s%s%s), connected at %.3f s", now - began, one->id, roles[one->role],
         one->is_rich ? "rich" : "plain", one->offers_deflate ? ", deflate, " : ", ",
         one->has_stalled ? "has stalled, " : "", states[one->state], one->connected_at - began);
  if (one->joined) printf(", joined at %.3f s before message %u", one->joined_at - began, one->joined);
  printf(": %s\n", one->problem);
  fflush(stdout);
  totals.faults++;
  one->heard.next = one->heard.count = 0;
  one->has_left = 0;
}

/* Closes a client's socket. Its record is kept until all messages that it has received have a position. */
static void end(client *one, outcome outcome) {
  totals.left += outcome == HAS_LEFT;
  totals.evicted += outcome == IS_EVICTED;
  totals.rejected += outcome == IS_REJECTED;
  one->has_left = outcome == HAS_LEFT;
  if (outcome == FAILS) print_fault(one);
  ws_free(&one->ws, one->ending == RESETS);
  for (int index = 0; index < client_count; index++)
    if (clients[index] == one) clients[index] = clients[--client_count];
  if (one == witness) witness = NULL;
  one->next = departed;
  departed = one;
}

static void compare_departed(void) {
  for (client **link = &departed; *link != NULL;) {
    client *one = *link;
    const char *problem = heard_check(&one->heard, one->joined);
    if (problem != NULL) client_fail(one, "%s", problem), print_fault(one);
    if (one->heard.count == 0 && (!one->has_left || record_placed_by(one->id) == record_said_by(one->id))) {
      *link = one->next;
      heard_free(&one->heard);
      free(one);
    } else {
      link = &one->next;
    }
  }
}

static void set_interest(client *one) {
  int interest = (one->is_stalled ? 0 : EPOLLIN) | (ws_has_output(&one->ws) || one->state == CONNECTING ? EPOLLOUT : 0);
  struct epoll_event event = {.events = (uint32_t)interest, .data.ptr = one};
  if (interest == one->interest) return;
  epoll_ctl(epoll, one->interest < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, one->ws.fd, &event);
  one->interest = interest;
}

/* Sends a message, usually a short one. */
static void say(client *one) {
  double kind = drand48(), longest = one->is_rich ? 3000 : 100000;
  double size = kind < 0.95 ? uniform(40, 128) : kind < 0.999 ? uniform(128, 2000) : uniform(2000, longest);
  /* Clients of the rich protocol do not get the bytes of binary messages. */
  client_say(one, (size_t)size, options.rich_percent == 0 && chance(0.5));
  set_interest(one);
}

static client *connect_one(role role) {
  double kind = drand48(), stall_at = role == VISITOR && chance(0.15) ? now + exponential(options.stay / 2) : INFINITY;
  /* Speakers send more than the rich protocol's default limit of events allows. */
  int is_rich = role == VISITOR && chance(options.rich_percent / 100.0);
  client *one = client_connect(options.port, options.room, is_rich, chance(0.3), isinf(stall_at) ? 0 : 8192);
  if (one == NULL) {
    fprintf(stderr, "cannot connect to port %d: %s\n", options.port, strerror(errno));
    exit(2);
  }
  one->role = role;
  one->may_be_rejected = options.is_busy && role == VISITOR;
  one->stall_at = stall_at;
  one->leave_at = INFINITY;
  if (role == VISITOR) {
    one->ending = kind < 0.6 ? LEAVES : kind < 0.75 ? VANISHES : kind < 0.9 ? RESETS : GIVES_UP;
    one->leave_at =
        now + exponential(one->ending == GIVES_UP ? 0.001 : chance(0.5) ? options.stay : options.stay / 10);
    one->sayings = chance(0.4) ? (int)uniform(1, 6) : 0;
  }
  clients[client_count++] = one;
  set_interest(one);
  return one;
}

/* Performs a client's timed actions. */
static void live(client *one) {
  const char *problem = heard_check(&one->heard, one->joined);
  int is_joining = one->state == CONNECTING || one->state == INTRODUCING;
  if (problem != NULL) return end(one, client_fail(one, "%s", problem));
  if (is_joining && now > one->connected_at + 3 * options.patience)
    return end(one, client_fail(one, "has not joined for %.0f s", now - one->connected_at));
  if (one->state == CLOSING && now > one->leave_at + 3 * options.patience)
    return end(one, client_fail(one, "has got no close frame for %.0f s", now - one->leave_at));
  if (one->state == OPEN && !one->is_stalled && now > one->stall_at) {
    one->is_stalled = one->has_stalled = 1;
    one->resume_at = now + exponential(chance(0.1) ? 3 : 0.1);
    one->stall_at = INFINITY;
  } else if (one->is_stalled && now > one->resume_at) {
    one->is_stalled = 0;
  }
  if (one->state == OPEN && one->role == VISITOR && one->sayings > 0 && now > one->say_at && !is_quiet) {
    one->sayings--;
    one->say_at = now + exponential(0.02);
    say(one);
  }
  if (one->state == OPEN && now > one->leave_at && !one->is_stalled) {
    one->state = LEAVING;
    one->target = record_placed();
  }
  if (one->ending == LEAVES) {
    if (one->state == LEAVING && heard_reaches(&one->heard, one->joined, one->target)) {
      one->leave_at = now;
      client_close(one);
    }
  } else if (one->state == LEAVING || (is_joining && one->ending == GIVES_UP && now > one->leave_at)) {
    totals.vanished++;
    return end(one, STAYS);
  }
  set_interest(one);
}

/* Whether a reading client has received everything, and everything it has sent has been delivered. */
static int is_settled(client *one) {
  if (one->state == CONNECTING || one->state == INTRODUCING || one->state == CLOSING || one->is_stalled) return 1;
  return heard_reaches(&one->heard, one->joined, record_placed()) && record_placed_by(one->id) == record_said_by(one->id);
}

static void be_quiet(void) {
  is_quiet = 1;
  quiet_since = now;
}

/* Resumes the traffic once every client has received everything. A client that gets nothing meanwhile is a fault. */
static void settle(void) {
  int waiting = 0;
  for (int index = client_count - 1; index >= 0 && witness; index--) {
    client *one = clients[index];
    double progressed_at = fmax(fmax(one->heard_at, one->joined_at), fmax(witness->heard_at, quiet_since));
    if (is_settled(one)) continue;
    waiting++;
    if (now < progressed_at + options.patience) continue;
    if (!heard_reaches(&one->heard, one->joined, record_placed()))
      client_fail(one, "has received nothing for %.0f s; missed %s", now - fmax(one->heard_at, one->joined_at),
                  heard_missing(&one->heard, one->joined));
    else
      client_fail(one, "has sent %u messages, of which %u have been delivered", record_said_by(one->id), record_placed_by(one->id));
    end(one, FAILS);
  }
  if (waiting) return;
  is_quiet = 0;
  totals.settled++;
  totals.longest = fmax(totals.longest, now - quiet_since);
  flows_until = now + uniform(0.05, 0.5);
}

static void connect_visitors(void) {
  int visitors = client_count - 1 - options.speakers;
  if (now > members_until) {
    members = 1 + (int)uniform(0, options.members);
    members_until = now + uniform(0.2, 1);
  }
  /* Many at a time: the longer a turn of the server is, the more happens during it. */
  if (visitors <= members / 2)
    for (; visitors < members; visitors++) connect_one(VISITOR);
}

static void turn(void) {
  struct epoll_event events[256];
  double before = now;
  int count = epoll_wait(epoll, events, 256, 1), index;
  now = seconds();
  for (index = 0; index < count; index++) {
    client *one = events[index].data.ptr;
    outcome outcome = STAYS;
    /* A failure shows on the next read. */
    ws_flush(&one->ws);
    if (events[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) outcome = client_receive(one);
    if (outcome == STAYS) set_interest(one);
    else end(one, outcome);
  }
  for (index = client_count - 1; index >= 0; index--) live(clients[index]);
  compare_departed();
  if (!is_ending && witness) connect_visitors();
  /* Messages that were not sent during a pause are sent after it, up to a quarter of a second's worth. */
  if (!is_quiet || now < quiet_since + 0.25) flowed += now - before;
  if (is_quiet) return settle();
  for (index = 0; index < client_count; index++) {
    client *one = clients[index];
    if (one->role != SPEAKER || one->state != OPEN) continue;
    for (; one->sayings < (int)(flowed * options.rate); one->sayings++) say(one);
  }
  if (now > flows_until) be_quiet();
}

/* Has the clients of a role leave, and waits for that. */
static void end_all(role role) {
  int left = 0;
  for (int index = 0; index < client_count; index++) {
    client *one = clients[index];
    left += one->role > role;
    if (one->role == role) one->leave_at = one->resume_at = now;
  }
  while (client_count > left && witness) turn();
  for (be_quiet(); is_quiet && witness;) turn();
}

static void run(void) {
  now = began = seconds();
  witness = connect_one(WITNESS);
  is_ending = 1;
  while (witness && witness->state != OPEN) turn();
  for (int index = 0; index < options.speakers; index++) connect_one(SPEAKER);
  is_ending = 0;
  while (!is_asked_to_end && witness && totals.faults < options.faults
         && (options.joins ? all_joins() < options.joins : now < began + options.seconds))
    turn();
  is_ending = 1;
  end_all(VISITOR);
  end_all(SPEAKER);
  while (departed && witness && now < quiet_since + options.patience) turn();
  for (client *one = departed; one && witness; one = one->next) {
    client_fail(one, one->heard.count ? "has received messages that the witness has not" : "has sent messages that were not delivered");
    print_fault(one);
  }
  end_all(WITNESS);
}

static void ask_to_end(int number) {
  (void)number;
  is_asked_to_end = 1;
}

int main(int argc, char **argv) {
  if (!options_parse(argc, argv)) return 2;
  signal(SIGTERM, ask_to_end);
  signal(SIGINT, ask_to_end);
  srand48(options.seed);
  clients = calloc((size_t)(options.members + options.speakers + 1), sizeof *clients);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  run();
  printf(
      "seed %ld: %ld joins (plain %ld, deflate %ld, rich %ld, rich with deflate %ld) in %.1f s; %ld messages sent, %ld received; "
      "%ld left, %ld vanished, %ld evicted, %ld rejected; quiet %ld times, for at most %.0f ms; %ld faults\n",
      options.seed, all_joins(), counts.joins[0], counts.joins[1], counts.joins[2], counts.joins[3], seconds() - began,
      counts.said, counts.heard, totals.left, totals.vanished, totals.evicted, totals.rejected, totals.settled, totals.longest * 1e3,
      totals.faults);
  return totals.faults != 0;
}
