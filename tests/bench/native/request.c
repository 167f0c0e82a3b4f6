#define _GNU_SOURCE
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *line;
    enum asked asked;
} PATHS[] = {
    {"POST /api/chat ", ASKED_CHAT},     {"POST /api/generate ", ASKED_GENERATE},
    {"GET /api/tags ", ASKED_TAGS},      {"GET /api/ps ", ASKED_PS},
    {"GET /api/version ", ASKED_VERSION}, {"POST /api/show ", ASKED_SHOW},
};

static enum asked asked_by(const char *head) {
    for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++)
        if (strncmp(head, PATHS[i].line, strlen(PATHS[i].line)) == 0)
            return PATHS[i].asked;
    return ASKED_OTHER;
}

static size_t body_length(const char *head, const char *end) {
    static const char NAME[] = "content-length:";
    for (const char *line = head; line < end; line++) {
        line = memchr(line, '\n', (size_t)(end - line));
        if (line == NULL)
            break;
        if (strncasecmp(line + 1, NAME, sizeof NAME - 1) == 0)
            return strtoul(line + sizeof NAME, NULL, 10);
    }
    return 0;
}

static uint64_t number(const char *body, size_t length, const char *name) {
    const char *found = memmem(body, length, name, strlen(name));
    return found == NULL ? 0 : strtoull(found + strlen(name), NULL, 10);
}

enum parsed parse_request(const char *data, size_t length, struct request *request) {
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (end == NULL)
        return length >= REQUEST_BYTES ? PARSED_BAD : PARSED_MORE;
    const char *body = end + 4;
    size_t head_bytes = (size_t)(body - data), body_bytes = body_length(data, end);
    if (body_bytes > REQUEST_BYTES - head_bytes)
        return PARSED_BAD;
    if (head_bytes + body_bytes > length)
        return PARSED_MORE;
    request->asked = asked_by(data);
    request->length = head_bytes + body_bytes;
    request->tokens = number(body, body_bytes, "tokens=");
    request->rate = number(body, body_bytes, "rate=");
    request->wait_ms = number(body, body_bytes, "wait=");
    request->stream = number(body, body_bytes, "stream=");
    return PARSED_WHOLE;
}
