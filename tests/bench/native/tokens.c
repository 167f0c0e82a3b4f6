#define _GNU_SOURCE
#include "tokens.h"

#include <string.h>

/* Native frames of ours, and lines of Ollama, whichever way their JSON is spaced. */
static const char *const LAST_WORDS[] = {"event: done", "\"done\":true", "\"done\": true", "data: [DONE]"};

void tokens_begin(struct tokens *tokens) {
    tokens->arrived_ns = tokens->number = 0;
    tokens->reading = 0;
    tokens->over = false;
    tokens->carried_length = 0;
}

static bool has_last_word(const char *text, size_t length) {
    for (size_t i = 0; i < sizeof LAST_WORDS / sizeof *LAST_WORDS; i++)
        if (memmem(text, length, LAST_WORDS[i], strlen(LAST_WORDS[i])) != NULL)
            return true;
    return false;
}

/* Look for the last word in `piece`, and across the border to what came before. */
static void look_for_the_end(struct tokens *tokens, const char *piece, size_t length) {
    char border[2 * CARRIED_BYTES];
    size_t head = length < CARRIED_BYTES ? length : CARRIED_BYTES;
    memcpy(border, tokens->carried, tokens->carried_length);
    memcpy(border + tokens->carried_length, piece, head);
    size_t border_length = tokens->carried_length + head;
    tokens->over = tokens->over || has_last_word(border, border_length) || has_last_word(piece, length);

    const char *tail = length < CARRIED_BYTES ? border + border_length : piece + length;
    size_t kept = length < CARRIED_BYTES ? border_length : length;
    kept = kept < CARRIED_BYTES ? kept : CARRIED_BYTES;
    memmove(tokens->carried, tail - kept, kept);
    tokens->carried_length = kept;
}

static void stamp_is_whole(struct tokens *tokens) {
    char kind = tokens->reading;
    tokens->reading = 0;
    if (kind == '#')
        tokens->arrived_ns = tokens->number;
    else if (tokens->number > 0)
        tokens->token(tokens, tokens->number);
}

void tokens_feed(struct tokens *tokens, const char *piece, size_t length) {
    const char *end = piece + length;
    look_for_the_end(tokens, piece, length);
    for (const char *at = piece; at < end; at++) {
        if (tokens->reading != 0 && *at >= '0' && *at <= '9') {
            tokens->number = tokens->number * 10 + (uint64_t)(*at - '0');
            continue;
        }
        if (tokens->reading != 0)
            stamp_is_whole(tokens);
        if (*at == '@' || *at == '#') {
            tokens->reading = *at;
            tokens->number = 0;
        }
    }
}
