/* An answer's bytes without HTTP's: head and chunks taken off, however they were cut. */
#ifndef RESPONSE_H
#define RESPONSE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum part { PART_HEAD, PART_CHUNK_SIZE, PART_CHUNK, PART_CHUNK_END, PART_BODY, PART_TO_THE_END, PART_OVER, PART_BAD };

struct response {
    enum part part;
    int status;
    bool chunked, has_length, last_chunk;
    uint64_t left; /* bytes of this chunk, or of the body */
    char line[512]; /* a header, or a chunk's size line; of a longer one the head is kept */
    size_t line_length;
};

void response_begin(struct response *response);

/* Take in bytes; `body` is handed each piece of the body. When `part` is PART_OVER the answer is whole. */
void response_feed(struct response *response, const char *data, size_t length,
                   void (*body)(void *context, const char *piece, size_t length), void *context);

#endif
