/* Tokens in an answer's body: their stamps, and the answer's own last word; in frames or in lines, however cut. */
#ifndef TOKENS_H
#define TOKENS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CARRIED_BYTES = 16 }; /* as long as the longest word that is looked for, less one */

struct tokens {
    void (*token)(struct tokens *, uint64_t sent_ns); /* one has come */
    uint64_t arrived_ns; /* when the model server had the request; 0 until the first token */
    uint64_t number;     /* of the stamp that is being read */
    char reading;        /* '@', '#', or 0 */
    bool over;           /* the answer's last word has come: done, not error */
    char carried[CARRIED_BYTES];
    size_t carried_length;
};

void tokens_begin(struct tokens *tokens);
void tokens_feed(struct tokens *tokens, const char *piece, size_t length);

#endif
