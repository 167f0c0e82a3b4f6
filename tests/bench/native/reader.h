/* A client of the chain: asks, reads, and measures what it reads. */
#ifndef READER_H
#define READER_H
#include <stdbool.h>
#include <stdint.h>

struct reader;

/* A client that asks `requests` times, the first time at `begins_ns`. */
struct reader *reader_new(uint64_t begins_ns, uint64_t requests, uint64_t tokens, uint64_t rate, uint64_t pause_ms);

/* Stop reading, and keep the connection. */
void reader_stall(struct reader *reader);

/* Leave, wherever it is, and ask no more. */
void reader_cut(struct reader *reader);

#endif
