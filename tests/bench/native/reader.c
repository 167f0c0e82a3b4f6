#include "reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "clock.h"
#include "response.h"
#include "run.h"
#include "sockets.h"
#include "timers.h"
#include "tokens.h"

enum { READ_BYTES = 256 << 10, REQUEST_BYTES = 8 << 10 };

enum state { PAUSING, CONNECTING, READING, STALLED, FINISHED };

struct reader {
    struct watched watched; /* first: the loop hands it back */
    struct timer timer;     /* when to ask, or to leave */
    struct tokens tokens;
    struct response response;
    enum state state;
    uint64_t requests, wanted_tokens, rate, pause_ms; /* still to ask; of each answer */
    uint64_t stream, sent_ns, last_ns, received;
};

static uint64_t read_ns; /* when the bytes that are looked at were there */

#define READER_OF(member, pointer) ((struct reader *)((char *)(pointer) - offsetof(struct reader, member)))
#define COUNT(what, amount) (whole.what += (amount), phase->what += (amount))
#define SAMPLE(what, ns) (sample_add(&whole.what, (ns)), sample_add(&phase->what, (ns)))

static void hang_up(struct reader *reader) {
    if (reader->watched.fd >= 0)
        unwatch(&reader->watched);
}

/* The answer is over, one way or another: ask again, or be done. */
static void go_on(struct reader *reader) {
    timer_cancel(&reader->timer);
    if (reader->requests > 0) {
        reader->state = PAUSING;
        timer_set(&reader->timer, now_ns() + reader->pause_ms * NS_PER_MS);
        return;
    }
    reader->state = FINISHED;
    hang_up(reader);
    reader_finished();
}

static void broke_off(struct reader *reader) {
    COUNT(broken, 1);
    hang_up(reader);
    go_on(reader);
}

static void leave(struct reader *reader) {
    COUNT(left, 1);
    fprintf(stderr, "left %" PRIu64 " %" PRIu64 "\n", reader->stream, now_ns());
    hang_up(reader);
    go_on(reader);
}

static void token_came(struct tokens *tokens, uint64_t sent_ns) {
    struct reader *reader = READER_OF(tokens, tokens);
    COUNT(tokens, 1);
    SAMPLE(delay, read_ns - sent_ns);
    if (reader->received++ == 0) {
        uint64_t own_ns = sent_ns - tokens->arrived_ns; /* the model server's */
        SAMPLE(first, read_ns - reader->sent_ns);
        SAMPLE(added, read_ns - reader->sent_ns - own_ns);
    } else {
        SAMPLE(gap, read_ns - reader->last_ns);
    }
    reader->last_ns = read_ns;
}

static void body_came(void *context, const char *piece, size_t length) {
    struct reader *reader = context;
    tokens_feed(&reader->tokens, piece, length);
}

static void answer_is_over(struct reader *reader) {
    if (reader->response.status != 200)
        COUNT(refused, 1);
    else if (!reader->tokens.over)
        COUNT(broken, 1);
    else
        COUNT(whole, 1);
    go_on(reader);
}

static void read_some(struct reader *reader) {
    static char bytes[READ_BYTES];
    ssize_t got = recv(reader->watched.fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (reader->state == PAUSING) { /* an idle connection was closed: the next request makes a new one */
        hang_up(reader);
        return;
    }
    if (got <= 0) {
        bool to_the_end = got == 0 && reader->response.part == PART_TO_THE_END;
        if (!to_the_end) {
            broke_off(reader);
            return;
        }
        hang_up(reader);
        answer_is_over(reader);
        return;
    }
    read_ns = now_ns();
    COUNT(bytes, (uint64_t)got);
    response_feed(&reader->response, bytes, (size_t)got, body_came, reader);
    if (reader->response.part == PART_BAD)
        broke_off(reader);
    else if (reader->response.part == PART_OVER)
        answer_is_over(reader);
    else if (order.leave_tokens > 0 && reader->received >= order.leave_tokens)
        leave(reader);
}

static void send_request(struct reader *reader) {
    char prompt[160], request[REQUEST_BYTES];
    const char *place = strstr(order.body, "PROMPT");
    size_t before = place == NULL ? strlen(order.body) : (size_t)(place - order.body);
    const char *after = place == NULL ? "" : place + strlen("PROMPT");
    int said = snprintf(prompt, sizeof prompt, "tokens=%" PRIu64 " rate=%" PRIu64 " wait=%" PRIu64 " stream=%" PRIu64,
                        reader->wanted_tokens, reader->rate, order.wait_ms, reader->stream);
    int length = snprintf(request, sizeof request,
                          "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%" PRIu64 "\r\nContent-Type: application/json\r\n"
                          "%sContent-Length: %zu\r\n\r\n%.*s%s%s",
                          order.path, order.port, order.headers, before + (size_t)said + strlen(after), (int)before,
                          order.body, prompt, after);
    if (length >= (int)sizeof request || send(reader->watched.fd, request, (size_t)length, MSG_NOSIGNAL) != length) {
        broke_off(reader);
        return;
    }
    reader->state = READING;
    watch(&reader->watched, EPOLLIN);
    if (order.leave_ms > 0)
        timer_set(&reader->timer, now_ns() + order.leave_ms * NS_PER_MS);
}

static void reader_ready(struct watched *watched, uint32_t events) {
    struct reader *reader = (struct reader *)watched;
    if (reader->state == STALLED)
        return;
    if (reader->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(watched->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0)
            broke_off(reader);
        else if (events & EPOLLOUT)
            send_request(reader);
        return;
    }
    read_some(reader);
}

static void ask(struct reader *reader) {
    reader->requests--;
    reader->stream = next_stream();
    reader->received = 0;
    response_begin(&reader->response);
    tokens_begin(&reader->tokens);
    COUNT(asked, 1);
    reader->sent_ns = now_ns(); /* a connection that must be made first is part of the wait */
    if (reader->watched.fd >= 0) {
        send_request(reader);
        return;
    }
    if ((reader->watched.fd = connect_to_loopback((uint16_t)order.port)) < 0) {
        broke_off(reader);
        return;
    }
    reader->state = CONNECTING;
    watch(&reader->watched, EPOLLOUT);
}

static void timer_fired(struct timer *timer) {
    struct reader *reader = READER_OF(timer, timer);
    if (reader->state == PAUSING)
        ask(reader);
    else
        leave(reader);
}

struct reader *reader_new(uint64_t begins_ns, uint64_t requests, uint64_t tokens, uint64_t rate, uint64_t pause_ms) {
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        abort();
    reader->watched = (struct watched){.fd = -1, .ready = reader_ready};
    reader->timer.fire = timer_fired;
    reader->tokens.token = token_came;
    reader->state = PAUSING;
    reader->requests = requests;
    reader->wanted_tokens = tokens;
    reader->rate = rate;
    reader->pause_ms = pause_ms;
    timer_set(&reader->timer, begins_ns);
    return reader;
}

void reader_stall(struct reader *reader) {
    if (reader->state != READING)
        return;
    reader->state = STALLED;
    watch(&reader->watched, EPOLLERR);
}

void reader_cut(struct reader *reader) {
    if (reader->state == FINISHED)
        return;
    reader->requests = 0;
    if (reader->state == READING || reader->state == STALLED)
        leave(reader);
    else
        go_on(reader);
}
