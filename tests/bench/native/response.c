#include "response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void response_begin(struct response *response) { *response = (struct response){.part = PART_HEAD}; }

static void head_is_over(struct response *response) {
    if (response->chunked)
        response->part = PART_CHUNK_SIZE;
    else if (response->has_length)
        response->part = response->left > 0 ? PART_BODY : PART_OVER;
    else
        response->part = PART_TO_THE_END;
}

static void head_line(struct response *response) {
    const char *line = response->line;
    if (response->line_length == 0)
        head_is_over(response);
    else if (response->status == 0)
        response->status = strncmp(line, "HTTP/1.", 7) == 0 ? atoi(line + 9) : -1;
    else if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0)
        response->chunked = true;
    else if (strncasecmp(line, "content-length:", 15) == 0) {
        response->has_length = true;
        response->left = strtoull(line + 15, NULL, 10);
    }
    if (response->status < 0)
        response->part = PART_BAD;
}

static void size_line(struct response *response) {
    char *end;
    response->left = strtoull(response->line, &end, 16);
    if (end == response->line)
        response->part = PART_BAD;
    else
        response->part = response->left > 0 ? PART_CHUNK : PART_CHUNK_END;
    response->last_chunk = response->left == 0;
}

static void line_is_whole(struct response *response) {
    if (response->line_length > 0 && response->line[response->line_length - 1] == '\r')
        response->line_length--;
    response->line[response->line_length] = '\0';
    if (response->part == PART_HEAD)
        head_line(response);
    else if (response->part == PART_CHUNK_SIZE)
        size_line(response);
    else if (response->last_chunk) /* the line behind it: there are no trailers here */
        response->part = PART_OVER;
    else
        response->part = PART_CHUNK_SIZE;
    response->line_length = 0;
}

void response_feed(struct response *response, const char *data, size_t length,
                   void (*body)(void *context, const char *piece, size_t length), void *context) {
    const char *end = data + length;
    while (data < end && response->part != PART_OVER && response->part != PART_BAD) {
        size_t here = (size_t)(end - data);
        bool in_body = response->part == PART_CHUNK || response->part == PART_BODY;
        if (in_body || response->part == PART_TO_THE_END) {
            if (in_body && here > response->left)
                here = response->left;
            body(context, data, here);
            data += here;
            if (in_body && (response->left -= here) == 0)
                response->part = response->part == PART_BODY ? PART_OVER : PART_CHUNK_END;
            continue;
        }
        const char *newline = memchr(data, '\n', here);
        size_t taken = newline == NULL ? here : (size_t)(newline - data);
        size_t room = sizeof response->line - 1 - response->line_length;
        size_t kept = taken < room ? taken : room;
        memcpy(response->line + response->line_length, data, kept);
        response->line_length += kept;
        data += taken + (newline != NULL);
        if (newline != NULL)
            line_is_whole(response);
    }
}
