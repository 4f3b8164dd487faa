/* What the clients say and hear: each message has a number that increases in the order in which messages are said, and
 * a place in the room's order, which the witness defines: a client that is a member for the whole run. */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>

/* The numbers that a client has heard and that have not been compared with the witness yet. */
typedef struct heard {
  uint32_t *numbers;
  size_t next, count, capacity;
  /* The place of the last one that has been compared; 0 before. */
  uint32_t last;
} heard;

/* The number that the next message gets. */
uint32_t record_next(void);
/* Writes a new message of a speaker, of about `size` bytes and at least 40, into `text`. Returns its length. */
size_t record_say(char *text, size_t size, uint32_t speaker);
/* Finds the next message in `*text`, which ends at `end`, and moves `*text` behind it. 1 when there is one, 0 when there is
 * none, -1 when its bytes are not those that were said. */
int record_find(const char **text, const char *end, uint32_t *number);

/* Gives the message its place: the witness has heard it. NULL, or what is wrong. */
const char *record_place(uint32_t number);
/* The number of messages that have a place. */
uint32_t record_placed(void);
/* The number of messages of a speaker that have been said, and that have a place. */
uint32_t record_said_by(uint32_t speaker);
uint32_t record_placed_by(uint32_t speaker);

/* Notes that a client has heard a message. */
void heard_add(heard *heard, uint32_t number);
/* Compares what a client has heard, as far as it has places. `joined` is record_next() when it had joined: it must hear
 * every message from that number on. NULL, or what is wrong. */
const char *heard_check(heard *heard, uint32_t joined);
/* Whether everything up to a place has been heard by a client that had joined at `joined`. */
int heard_reaches(const heard *heard, uint32_t joined, uint32_t place);
/* The messages with places that such a client has not heard, in words. */
const char *heard_missing(const heard *heard, uint32_t joined);
void heard_free(heard *heard);

#endif
