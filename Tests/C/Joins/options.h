/* The options of the command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

struct options {
  int port, members, speakers, rich_percent, joins, faults, is_busy;
  long seed;
  double seconds, rate, stay, patience;
  const char *room;
};

extern struct options options;

/* Reads the command line into `options`. Returns 0 if it is wrong, and prints the usage. */
int options_parse(int argc, char **argv);

#endif
