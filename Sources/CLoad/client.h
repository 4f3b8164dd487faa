/* The clients of the load generator: client.c connects them, say.c is what they send, hear.c checks what they get. */
#ifndef CONFAB_CLIENT_H
#define CONFAB_CLIENT_H

#include "load.h"
#include "measure.h"

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* A message is 4 characters for its sender, 8 for its number, and letters. What was sent is kept in a ring, and every
 * delivery is compared with it: no message is decoded, but one that is not the expected one. */
enum { HEAD = 12, READ = 512 * 1024, OUTPUT = 2 << 20 };

struct client {
    int fd, sender;            /* index among the senders, or -1 */
    enum { CONNECTING, UPGRADING, OPEN, CLOSING, GONE } state;
    int reads, inside;         /* whether it reads at all; whether it is inside of a message */
    unsigned char header[14];  /* of a frame, as far as it has come */
    int header_have;
    uint64_t frame_left, at;   /* payload to come of the frame; bytes heard of the message */
    char head[HEAD];
    const char *expected;      /* the message that is coming, once its head is known */
    uint32_t *next;            /* the number of each sender's next message */
    uint64_t order;            /* a hash of who spoke when: the same for all, if all heard the same order */
    double began;
};

struct sender { uint32_t sent; int under_way; double *times; char *ring; };

/* Of the one run that there is. */
extern struct load_options o;
extern struct load_result r;
extern struct client *clients;
extern struct sender *senders;
extern struct histogram latency;
extern int poller, open_count;
extern int ring;      /* messages that each sender's ring holds */
extern int measuring; /* whether what happens now counts */
extern int talking;   /* whether what was heard is followed by something new */
extern double tick;   /* when the read began that is being looked at */

void record(double seconds);
void dial(struct client *c);
void readable(struct client *c);
void connected(struct client *c);
void close_politely(struct client *c);
void drop(struct client *c, int expected);

void prepare_saying(void);
int send_all(struct client *c, const void *bytes, size_t count);
void talk(struct client *c);  /* puts a message into the output … */
void flush(struct client *c); /* … which is sent as a whole */

void frames(struct client *c, const unsigned char *bytes, size_t count);

#pragma GCC visibility pop

#endif
