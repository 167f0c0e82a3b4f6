/* What the model server is asked: enough of HTTP/1.1 for the clients of a benchmark. */
#ifndef REQUEST_H
#define REQUEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REQUEST_BYTES = 64 << 10 }; /* head and body together; more is refused */

enum asked { ASKED_CHAT, ASKED_GENERATE, ASKED_TAGS, ASKED_PS, ASKED_VERSION, ASKED_SHOW, ASKED_OTHER };

struct request {
    enum asked asked;
    size_t length; /* of head and body */
    /* of an answer: `tokens=100 rate=50 wait=0 stream=7`, anywhere in the body */
    uint64_t tokens;
    uint64_t rate;    /* tokens a second; 0 = as fast as they are taken */
    uint64_t wait_ms; /* before the first token */
    uint64_t stream;  /* what the reader calls it */
};

enum parsed { PARSED_WHOLE, PARSED_MORE, PARSED_BAD };

/* Read the request at the head of `data`, which is followed by a zero byte. */
enum parsed parse_request(const char *data, size_t length, struct request *request);

#endif
