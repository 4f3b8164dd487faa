/* Clocks, process statistics from /proc, and a histogram. */
#ifndef CONFAB_MEASURE_H
#define CONFAB_MEASURE_H

#include <stdint.h>

double now(void);                                     /* seconds */
double cpu_of(int process);                           /* CPU time used, in seconds */
double own_cpu(void);

struct threads { int count, id[128]; double cpu[128]; }; /* CPU time used by each, in seconds */
void threads_of(int process, struct threads *threads);
double busiest_thread(const struct threads *before, const struct threads *after);

double memory_of(int process, const char *key);       /* bytes; a key of /proc/PID/status, "VmRSS:" */

struct histogram { unsigned buckets[4096]; uint64_t count; double longest; };
void sample(struct histogram *h, double seconds);
double percentile(const struct histogram *h, double part); /* microseconds */

#endif
