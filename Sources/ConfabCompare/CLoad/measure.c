#define _GNU_SOURCE
#include "measure.h"

#include <dirent.h>
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

void threads_of(int process, struct threads *threads)
{
    char path[64];
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *folder = opendir(path);
    for (threads->count = 0; folder && (entry = readdir(folder)) && threads->count < 128;) {
        unsigned long long nanoseconds = 0;
        int id = atoi(entry->d_name);
        if (!id) continue;
        snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", process, id);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fscanf(file, "%llu", &nanoseconds) == 1) {
            threads->id[threads->count] = id;
            threads->cpu[threads->count++] = (double)nanoseconds * 1e-9;
        }
        fclose(file);
    }
    if (folder) closedir(folder);
}

double busiest_thread(const struct threads *before, const struct threads *after)
{
    double most = 0;
    for (int a = 0; a < after->count; a++) {
        double used = after->cpu[a];
        for (int b = 0; b < before->count; b++)
            if (before->id[b] == after->id[a]) used -= before->cpu[b];
        if (used > most) most = used;
    }
    return most;
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
