/* Clients of the load generator: they connect, send messages, and check the messages that they receive. */
#ifndef CONFAB_CLIENT_H
#define CONFAB_CLIENT_H

#include "load.h"
#include "measure.h"

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* A message has 4 characters for its sender, 8 for its number, and then letters. Each sender's ring keeps its sent
 * messages, and every delivery is compared with them. Only an unexpected message is decoded. */
enum { HEAD = 12, READ = 512 * 1024, OUTPUT = 2 << 20 };

struct client {
    int fd, sender;            /* index among the senders, or -1 */
    enum { CONNECTING, UPGRADING, OPEN, CLOSING, GONE } state;
    int reads, inside;         /* whether it reads at all; whether it is within a message */
    unsigned char header[14];  /* of a frame, as far as received */
    int header_have;
    uint64_t frame_left, at;   /* rest of the frame's payload; received bytes of the message */
    char head[HEAD];
    const char *expected;      /* the message being received, once its head is known */
    uint32_t *next;            /* the number of each sender's next message */
    uint64_t order;            /* hash of the order of senders, equal for clients with the same order */
    double began;
};

struct sender { uint32_t sent; int under_way; double *times; char *ring; };

/* State of the only run. */
extern struct load_options o;
extern struct load_result r;
extern struct client *clients;
extern struct sender *senders;
extern struct histogram latency;
extern int poller, open_count;
extern int ring;      /* number of messages in each sender's ring */
extern int measuring; /* whether events are counted */
extern int talking;   /* whether a delivery triggers the next message */
extern double tick;   /* start time of the current read */

void record(double seconds);
void dial(struct client *c);
void readable(struct client *c);
void connected(struct client *c);
void close_politely(struct client *c);
void drop(struct client *c, int expected);

void prepare_saying(void);
int send_all(struct client *c, const void *bytes, size_t count);
void talk(struct client *c);  /* adds a message to the output */
void flush(struct client *c); /* sends the whole output */

void frames(struct client *c, const unsigned char *bytes, size_t count);

#pragma GCC visibility pop

#endif
