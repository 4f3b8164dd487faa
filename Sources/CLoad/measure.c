#define _GNU_SOURCE
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) ? 0 : t.tv_sec + t.tv_nsec * 1e-9;
}

double now(void) { return seconds_of(CLOCK_MONOTONIC); }

double own_cpu(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

double cpu_of(int process)
{
    clockid_t clock;
    return clock_getcpuclockid(process, &clock) ? 0 : seconds_of(clock);
}

double memory_of(int process, const char *key)
{
    char path[64], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", process);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key))) kib = atof(line + strlen(key));
    if (file) fclose(file);
    return kib * 1024;
}

/* Buckets of 1.6 %: 64 for each power of two of nanoseconds. */
void sample(struct histogram *h, double seconds)
{
    uint64_t ns = seconds < 0 ? 0 : (uint64_t)(seconds * 1e9);
    int bucket = (int)ns;
    if (ns >= 64) {
        int power = 63 - __builtin_clzll(ns);
        bucket = (power - 5) * 64 + (int)(ns >> (power - 6)) - 64;
    }
    h->buckets[bucket < 4095 ? bucket : 4095]++;
    h->count++;
    if (seconds > h->longest) h->longest = seconds;
}

double percentile(const struct histogram *h, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)h->count), sum = 0;
    for (int bucket = 0; bucket < 4096 && h->count; bucket++)
        if ((sum += h->buckets[bucket]) > wanted) {
            if (bucket < 64) return bucket * 1e-3;
            return (64 + bucket % 64 + 0.5) * (double)(1ull << (bucket / 64 - 1)) * 1e-3;
        }
    return h->longest * 1e6;
}
