/* The record of sent and received messages: each message has a number, which increases in the order of sending, and a
 * position in the room's order. The witness, a client that is a member for the whole run, defines the positions. */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>

/* The numbers that a client has received and that have not been compared with the witness yet. */
typedef struct heard {
  uint32_t *numbers;
  size_t next, count, capacity;
  /* The position of the last compared number; 0 before. */
  uint32_t last;
} heard;

/* Returns the number of the next message. */
uint32_t record_next(void);
/* Writes a new message of a speaker, of about `size` bytes and at least 40, into `text`. Returns its length. */
size_t record_say(char *text, size_t size, uint32_t speaker);
/* Finds the next message in `*text`, which ends at `end`, and moves `*text` behind it. Returns 1 if there is one, 0 if
 * not, -1 if its bytes differ from those that were sent. */
int record_find(const char **text, const char *end, uint32_t *number);

/* Gives the message the next position, because the witness has received it. Returns NULL or a description of the
 * problem. */
const char *record_place(uint32_t number);
/* Returns the number of messages that have a position. */
uint32_t record_placed(void);
/* Return the number of a speaker's messages that have been sent, and that have a position. */
uint32_t record_said_by(uint32_t speaker);
uint32_t record_placed_by(uint32_t speaker);

/* Records that a client has received a message. */
void heard_add(heard *heard, uint32_t number);
/* Compares a client's messages with the positions so far. `joined` is record_next() at its join: it must receive every
 * message from that number on. Returns NULL or a description of the problem. */
const char *heard_check(heard *heard, uint32_t joined);
/* Returns whether a client with this `joined` has received everything up to a position. */
int heard_reaches(const heard *heard, uint32_t joined, uint32_t place);
/* Describes the messages with positions that the client has not received. */
const char *heard_missing(const heard *heard, uint32_t joined);
void heard_free(heard *heard);

#endif
