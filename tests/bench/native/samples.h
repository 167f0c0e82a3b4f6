/* What was measured, each one of it, until it is told as percentiles. */
#ifndef SAMPLES_H
#define SAMPLES_H
#include <stddef.h>
#include <stdint.h>

struct samples {
    double *values; /* microseconds */
    size_t count, room;
};

void sample_add(struct samples *samples, uint64_t ns);

/* Print `"name":{"count":…,"p50":…,"p90":…,"p99":…,"max":…}`, in microseconds; the samples are sorted by it. */
void samples_print(const char *name, struct samples *samples);

#endif
