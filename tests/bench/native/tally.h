/* What readers saw in one phase of a run, and what the processes under test used meanwhile. */
#ifndef TALLY_H
#define TALLY_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "samples.h"

enum { MOST_PROCESSES = 32 };

struct processes {
    pid_t pids[MOST_PROCESSES];
    size_t count;
};

struct tally {
    const char *name;
    uint64_t began_ns, ended_ns;
    uint64_t cpu_ns[MOST_PROCESSES];
    uint64_t resident_kib[2][MOST_PROCESSES]; /* at the beginning, at the end */
    uint64_t bytes, tokens, asked, whole, broken, refused, left;
    struct samples delay; /* of a token: from the model server's write to our read */
    struct samples gap;   /* between tokens of one stream */
    struct samples first; /* from asking to the first token */
    struct samples added; /* of that, what was not the model server's own time */
};

void tally_begin(struct tally *tally, const char *name, const struct processes *processes);
void tally_end(struct tally *tally, const struct processes *processes);

/* Print `"name":{…}`: cpu_ns and resident_kib (at the beginning, at the end) by process id. */
void tally_print(struct tally *tally, const struct processes *processes);

#endif
