#include "samples.h"

#include <stdio.h>
#include <stdlib.h>

void sample_add(struct samples *samples, uint64_t ns) {
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 1024;
        samples->values = realloc(samples->values, samples->room * sizeof *samples->values);
        if (samples->values == NULL)
            abort();
    }
    samples->values[samples->count++] = (double)ns / 1000.0;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The nearest rank: a value that was measured, never one between two. */
static double quantile(const struct samples *samples, double share) {
    if (samples->count == 0)
        return 0;
    size_t rank = (size_t)(share * (double)samples->count);
    return samples->values[rank < samples->count ? rank : samples->count - 1];
}

void samples_print(const char *name, struct samples *samples) {
    if (samples->count > 0)
        qsort(samples->values, samples->count, sizeof *samples->values, ascending);
    printf("\"%s\":{\"count\":%zu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, samples->count,
           quantile(samples, 0.5), quantile(samples, 0.9), quantile(samples, 0.99), quantile(samples, 1.0));
}
