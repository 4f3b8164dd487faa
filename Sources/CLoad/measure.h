/* Clocks, what /proc tells of a process, and a histogram. */
#ifndef CONFAB_MEASURE_H
#define CONFAB_MEASURE_H

#include <stdint.h>

double now(void);                                     /* seconds */
double cpu_of(int process);                           /* seconds of CPU time that it has used */
double own_cpu(void);
double memory_of(int process, const char *key);       /* bytes; a key of /proc/PID/status, "VmRSS:" */

struct histogram { unsigned buckets[4096]; uint64_t count; double longest; };
void sample(struct histogram *h, double seconds);
double percentile(const struct histogram *h, double part); /* microseconds */

#endif
