#define _GNU_SOURCE
#include "options.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct options options = {.members = 60, .speakers = 2, .rich_percent = 30, .faults = 10, .seed = 1, .seconds = 5,
                          .rate = 1000, .stay = 0.15, .patience = 5, .room = "/joins"};

static int usage(void) {
  fprintf(stderr,
          "joins PORT [--room PATH] [--seed N] [--seconds N | --joins N] [--members N] [--speakers N] [--rate N]\n"
          "  [--stay SECONDS] [--rich PERCENT] [--patience SECONDS] [--faults N] [--busy 0|1]\n"
          "--busy 1: the server may reject clients with 503, and close them with 1013.\n");
  return 0;
}

int options_parse(int argc, char **argv) {
  static const struct option names[] = {
    {"room", 1, NULL, 'r'}, {"seed", 1, NULL, 's'}, {"seconds", 1, NULL, 't'}, {"joins", 1, NULL, 'j'},
    {"members", 1, NULL, 'm'}, {"speakers", 1, NULL, 'k'}, {"rate", 1, NULL, 'f'}, {"stay", 1, NULL, 'y'},
    {"rich", 1, NULL, 'c'}, {"patience", 1, NULL, 'p'}, {"faults", 1, NULL, 'x'}, {"busy", 1, NULL, 'b'},
    {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
    switch (option) {
      case 'r': options.room = optarg; break;
      case 's': options.seed = atol(optarg); break;
      case 't': options.seconds = atof(optarg); break;
      case 'j': options.joins = atoi(optarg); break;
      case 'm': options.members = atoi(optarg); break;
      case 'k': options.speakers = atoi(optarg); break;
      case 'f': options.rate = atof(optarg); break;
      case 'y': options.stay = atof(optarg); break;
      case 'c': options.rich_percent = atoi(optarg); break;
      case 'p': options.patience = atof(optarg); break;
      case 'x': options.faults = atoi(optarg); break;
      case 'b': options.is_busy = atoi(optarg); break;
      default: return usage();
    }
  }
  if (optind + 1 != argc) return usage();
  options.port = atoi(argv[optind]);
  return 1;
}
