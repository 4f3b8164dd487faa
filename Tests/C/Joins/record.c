#include "record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "~J", number, speaker, sequence number and length in hexadecimal, letters, "~". */
enum { HEAD = 34 };

/* By number: the speaker, the speaker's sequence number, and the position, 0 before there is one. */
static struct said { uint32_t speaker, sequence, place, length; } *said;
static size_t said_count = 1, said_capacity;
/* By position, from 1 on: the highest number up to there, and the number there. */
static struct place { uint32_t number, highest; } *places;
static size_t place_count, place_capacity;
/* By speaker: how many messages were sent, and how many have positions. */
static struct speaker { uint32_t said, placed; } *speakers;
static size_t speaker_capacity;

/* Grows an array so that it has room for one more element after `count`. */
static void *grown(void *array, size_t count, size_t *capacity, size_t size) {
  size_t old = *capacity;
  if (count < old) return array;
  *capacity = count * 2 + 1024;
  if ((array = realloc(array, *capacity * size)) == NULL) abort();
  memset((char *)array + old * size, 0, (*capacity - old) * size);
  return array;
}

static struct speaker *speaker_of(uint32_t speaker) {
  speakers = grown(speakers, speaker, &speaker_capacity, sizeof *speakers);
  return &speakers[speaker];
}

uint32_t record_next(void) { return (uint32_t)said_count; }
uint32_t record_placed(void) { return (uint32_t)place_count; }
uint32_t record_said_by(uint32_t speaker) { return speaker_of(speaker)->said; }
uint32_t record_placed_by(uint32_t speaker) { return speaker_of(speaker)->placed; }

/* Writes letters that differ between messages. */
static void fill(char *text, size_t length, uint32_t number) {
  uint32_t state = number * 2654435761u + 1;
  size_t index;
  for (index = 0; index < length; index++) {
    text[index] = (char)('a' + (state >> 24) % 26);
    state = state * 1664525u + 1013904223u;
  }
}

size_t record_say(char *text, size_t size, uint32_t speaker) {
  uint32_t number = (uint32_t)said_count, sequence = ++speaker_of(speaker)->said;
  if (size < 40) size = 40;
  said = grown(said, said_count, &said_capacity, sizeof *said);
  said[said_count++] = (struct said){speaker, sequence, 0, (uint32_t)size};
  snprintf(text, HEAD + 1, "~J%08x%08x%08x%08x", number, speaker, sequence, (uint32_t)size);
  fill(text + HEAD, size - HEAD - 1, number);
  text[size - 1] = '~';
  return size;
}

int record_find(const char **text, const char *end, uint32_t *number) {
  static char expected[1 << 20];
  char head[9] = {0};
  const char *start = *text;
  while ((start = memchr(start, '~', (size_t)(end - start))) != NULL && end - start >= HEAD && start[1] != 'J') start++;
  if (start == NULL) return 0;
  if (end - start < HEAD) return -1;
  memcpy(head, start + 2, 8);
  *number = (uint32_t)strtoul(head, NULL, 16);
  if (*number == 0 || *number >= said_count) return -1;
  const struct said *one = &said[*number];
  if ((size_t)(end - start) < one->length) return -1;
  snprintf(expected, HEAD + 1, "~J%08x%08x%08x%08x", *number, one->speaker, one->sequence, one->length);
  fill(expected + HEAD, one->length - HEAD - 1, *number);
  expected[one->length - 1] = '~';
  if (memcmp(start, expected, one->length) != 0) return -1;
  *text = start + one->length;
  return 1;
}

const char *record_place(uint32_t number) {
  static char problem[200];
  struct said *one = &said[number];
  struct speaker *speaker = speaker_of(one->speaker);
  if (one->place) {
    snprintf(problem, sizeof problem, "received message %u at position %u and again at position %zu", number, one->place, place_count + 1);
    return problem;
  }
  if (one->sequence != speaker->placed + 1) {
    snprintf(
        problem, sizeof problem, "received message %u of client %u after its message %u", one->sequence, one->speaker,
        speaker->placed);
    return problem;
  }
  speaker->placed++;
  places = grown(places, ++place_count, &place_capacity, sizeof *places);
  places[place_count].number = number;
  places[place_count].highest = number > places[place_count - 1].highest ? number : places[place_count - 1].highest;
  one->place = (uint32_t)place_count;
  return NULL;
}

void heard_add(heard *heard, uint32_t number) {
  heard->numbers = grown(heard->numbers, heard->count, &heard->capacity, sizeof *heard->numbers);
  heard->numbers[heard->count++] = number;
}

/* Describes a range of messages by their positions. */
static const char *describe(uint32_t from, uint32_t to) {
  static char text[100];
  snprintf(text, sizeof text, "%u messages, positions %u to %u (messages %u to %u)", to - from + 1, from, to,
           places[from].number, places[to].number);
  return text;
}

/* Returns the first position that a client with this `joined` must have received. */
static uint32_t first_place(uint32_t joined) {
  size_t low = 1, high = place_count + 1;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (places[middle].highest >= joined) high = middle;
    else low = middle + 1;
  }
  return (uint32_t)low;
}

const char *heard_check(heard *heard, uint32_t joined) {
  static char problem[300];
  for (; heard->next < heard->count; heard->next++) {
    uint32_t place = said[heard->numbers[heard->next]].place;
    uint32_t first = heard->last ? heard->last + 1 : first_place(joined);
    if (place == 0) return NULL;
    if (heard->last && place <= heard->last) {
      snprintf(problem, sizeof problem, "received position %u (message %u) again or too late, after position %u", place,
               places[place].number, heard->last);
      return problem;
    }
    if (place > first) {
      snprintf(problem, sizeof problem, "missed %s and then received position %u", describe(first, place - 1), place);
      return problem;
    }
    heard->last = place;
  }
  heard->next = heard->count = 0;
  return NULL;
}

const char *heard_missing(const heard *heard, uint32_t joined) {
  return describe(heard->last ? heard->last + 1 : first_place(joined), (uint32_t)place_count);
}

int heard_reaches(const heard *heard, uint32_t joined, uint32_t place) {
  return heard->last ? heard->last >= place : first_place(joined) > place;
}

void heard_free(heard *heard) { free(heard->numbers); }
