/* One run of the load generator: what was ordered, and what is common to its readers. */
#ifndef RUN_H
#define RUN_H
#include <stdint.h>

#include "tally.h"

enum { MOST_PHASES = 8 };

struct order {
    uint64_t port;
    const char *path;
    const char *headers; /* more header lines, each with its CRLF */
    const char *body;    /* PROMPT in it becomes the words that the model server understands */
    uint64_t streams, requests, pause_ms; /* each stream asks so often, one after the other */
    uint64_t tokens, rate, wait_ms;       /* of an answer */
    uint64_t open_ms;                     /* the first requests are spread over it */
    uint64_t leave_tokens, leave_ms;      /* a reader leaves after so many tokens, or so long after asking; 0 = never */
    const char *phases;                   /* `settle:500,window:5000`: what follows the opening */
    uint64_t cut;                         /* 1 = leave all at the end of the phases */
    uint64_t stall_rate;                  /* of the reader that stalls; 0 = as all */
    uint64_t deadline_ms;                 /* of the whole run */
};

extern struct order order;
extern struct tally whole, *phase; /* the run, and its present phase */
extern volatile int going;

uint64_t next_stream(void); /* a number that no other request of this run has */
void reader_finished(void);

#endif
