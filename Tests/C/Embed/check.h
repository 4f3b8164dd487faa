/* Ends the program when a condition does not hold. */
#ifndef CHECK_H
#define CHECK_H

#include <confab.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: not so: %s; last error: %s\n", __FILE__, __LINE__, #condition, confab_last_error()); \
      _Exit(3); \
    } \
  } while (0)

/* Checks that a call fails with `code` and that the error message contains `part`. */
#define FAILS(call, code, part) CHECK((call) == (code) && strstr(confab_last_error(), part) != NULL)

#endif
