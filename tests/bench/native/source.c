/* A model server without a model: paced NDJSON over HTTP/1.1, as Ollama writes it, one chunk a line.
 *
 * Each token's text ends in `@` and the moment at which it was sent; the first one also holds `#` and the moment at
 * which its request was there. Stdout: its port; then `gone <stream> <ns>` whenever a reader leaves an answer that is
 * not over. It serves until its stdin ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "request.h"
#include "sockets.h"
#include "timers.h"

enum {
    OUT_BYTES = 64 << 10, /* what is owed to a reader that does not read; then no token is made */
    LINE_BYTES = 512,     /* no line of ours is longer */
};

struct connection {
    struct watched watched; /* first: the loop hands it back */
    struct timer timer;
    struct connection *next_free;
    struct request request;
    bool answering;
    uint64_t arrived_ns, due_ns, sent; /* tokens */
    size_t in_length, out_from, out_to;
    char in[REQUEST_BYTES + 1], out[OUT_BYTES];
};

/* What prose looks like on the wire: mostly plain words, now and then what JSON must escape or UTF-8 spells out. */
static const char *const WORDS[] = {" the",    " model", " answers", " word", " by",      " word,",    " and",  " a",
                                    " reader", " waits", ".",        "\\n",   " \\\"so\\\"", " caf\u00e9", " 42", " –"};
enum { WORD_COUNT = sizeof WORDS / sizeof *WORDS };

static struct connection *free_connections; /* never given back: an event of this turn may still name one */
static const volatile int going = 1;

static void close_connection(struct connection *connection) {
    if (connection->answering)
        printf("gone %" PRIu64 " %" PRIu64 "\n", connection->request.stream, now_ns());
    timer_cancel(&connection->timer);
    unwatch(&connection->watched);
    connection->next_free = free_connections;
    free_connections = connection;
}

/* Write what is owed; false: the connection is gone. */
static bool flush_out(struct connection *connection) {
    while (connection->out_from < connection->out_to) {
        ssize_t sent = send(connection->watched.fd, connection->out + connection->out_from,
                            connection->out_to - connection->out_from, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (sent < 0) {
            close_connection(connection);
            return false;
        }
        connection->out_from += (size_t)sent;
    }
    if (connection->out_from == connection->out_to)
        connection->out_from = connection->out_to = 0;
    return true;
}

static size_t owed(const struct connection *connection) { return connection->out_to - connection->out_from; }

static bool has_room(struct connection *connection) {
    if (connection->out_from > 0) {
        memmove(connection->out, connection->out + connection->out_from, owed(connection));
        connection->out_to = owed(connection);
        connection->out_from = 0;
    }
    return connection->out_to + 3 * LINE_BYTES <= OUT_BYTES; /* a first token, a last line and the end */
}

static void put(struct connection *connection, const char *data, size_t length) {
    memcpy(connection->out + connection->out_to, data, length);
    connection->out_to += length;
}

static void put_chunk(struct connection *connection, const char *line, size_t length) {
    char size[16];
    put(connection, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", length));
    put(connection, line, length);
    put(connection, "\r\n", 2);
}

static void put_head(struct connection *connection) {
    static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    put(connection, HEAD, sizeof HEAD - 1);
}

#define LINE_HEAD "{\"model\":\"bench\",\"created_at\":\"2026-01-01T00:00:00.000000000Z\","

static void put_token(struct connection *connection, uint64_t now) {
    char line[LINE_BYTES], arrived[32] = "";
    bool generate = connection->request.asked == ASKED_GENERATE;
    if (connection->sent == 0) {
        put_head(connection);
        snprintf(arrived, sizeof arrived, "#%" PRIu64, connection->arrived_ns);
    }
    int length = snprintf(line, sizeof line, LINE_HEAD "%s\"%s%s@%" PRIu64 "\"%s,\"done\":false}\n",
                          generate ? "\"response\":" : "\"message\":{\"role\":\"assistant\",\"content\":",
                          WORDS[(connection->request.stream + connection->sent) % WORD_COUNT], arrived, now,
                          generate ? "" : "}");
    put_chunk(connection, line, (size_t)length);
    connection->sent++;
}

static void put_last_line(struct connection *connection, uint64_t now) {
    char line[LINE_BYTES];
    uint64_t total = now - connection->arrived_ns;
    int length = snprintf(line, sizeof line,
                          LINE_HEAD "%s,\"done\":true,\"done_reason\":\"stop\",\"total_duration\":%" PRIu64
                                    ",\"load_duration\":1,\"prompt_eval_count\":8,\"prompt_eval_duration\":1,"
                                    "\"eval_count\":%" PRIu64 ",\"eval_duration\":%" PRIu64 "}\n",
                          connection->request.asked == ASKED_GENERATE
                              ? "\"response\":\"\""
                              : "\"message\":{\"role\":\"assistant\",\"content\":\"\"}",
                          total, connection->sent, total);
    put_chunk(connection, line, (size_t)length);
    put(connection, "0\r\n\r\n", 5);
}

static void read_requests(struct connection *connection);

/* Make the tokens that are due now, or as many as there is room for, and write them. */
static void speak(struct connection *connection) {
    const struct request *request = &connection->request;
    uint64_t now = now_ns();
    bool whole_buffer = request->rate == 0;
    while (connection->sent < request->tokens && (whole_buffer || connection->due_ns <= now) && has_room(connection)) {
        put_token(connection, now);
        if (!whole_buffer)
            connection->due_ns += NS_PER_S / request->rate;
    }
    bool over = connection->sent >= request->tokens && has_room(connection);
    if (over) {
        put_last_line(connection, now);
        connection->answering = false;
    }
    if (!flush_out(connection))
        return;
    bool blocked = owed(connection) > 0 || (!over && (whole_buffer || connection->due_ns <= now));
    watch(&connection->watched, EPOLLIN | (blocked ? EPOLLOUT : 0));
    if (over)
        read_requests(connection);
    else if (!blocked)
        timer_set(&connection->timer, connection->due_ns);
}

static void due(struct timer *timer) {
    speak((struct connection *)((char *)timer - offsetof(struct connection, timer)));
}

static void answer_whole(struct connection *connection, const char *status, const char *body) {
    char head[256];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
                          status, strlen(body));
    if (!has_room(connection))
        return; /* nobody reads; it will be closed */
    put(connection, head, (size_t)length);
    put(connection, body, strlen(body));
    if (flush_out(connection) && owed(connection) > 0)
        watch(&connection->watched, EPOLLIN | EPOLLOUT);
}

#define MODEL \
    "\"name\":\"bench:latest\",\"model\":\"bench:latest\",\"size\":1000000,\"digest\":\"" \
    "0000000000000000000000000000000000000000000000000000000000000000\"," \
    "\"details\":{\"format\":\"gguf\",\"family\":\"llama\",\"parameter_size\":\"1B\",\"quantization_level\":\"Q4_0\"}"

static void answer(struct connection *connection) {
    switch (connection->request.asked) {
    case ASKED_CHAT:
    case ASKED_GENERATE:
        connection->answering = true;
        connection->sent = 0;
        connection->arrived_ns = now_ns();
        connection->due_ns = connection->arrived_ns + connection->request.wait_ms * NS_PER_MS;
        if (connection->request.wait_ms > 0)
            timer_set(&connection->timer, connection->due_ns);
        else
            speak(connection);
        return;
    case ASKED_TAGS:
        answer_whole(connection, "200 OK",
                     "{\"models\":[{" MODEL ",\"modified_at\":\"2026-01-01T00:00:00Z\","
                     "\"capabilities\":[\"completion\"]}]}");
        return;
    case ASKED_PS:
        answer_whole(connection, "200 OK",
                     "{\"models\":[{" MODEL ",\"expires_at\":\"2036-01-01T00:00:00Z\",\"size_vram\":1000000,"
                     "\"context_length\":4096}]}");
        return;
    case ASKED_VERSION:
        answer_whole(connection, "200 OK", "{\"version\":\"0.33.0\"}");
        return;
    case ASKED_SHOW:
        answer_whole(connection, "200 OK",
                     "{\"details\":{\"family\":\"llama\"},\"model_info\":{},\"template\":\"{{ .Prompt }}\","
                     "\"capabilities\":[\"completion\"]}");
        return;
    default:
        answer_whole(connection, "404 Not Found", "{\"error\":\"not found\"}");
    }
}

/* Answer the next request that is there; while one is answered, others wait. */
static void read_requests(struct connection *connection) {
    while (!connection->answering && connection->in_length > 0) {
        enum parsed parsed = parse_request(connection->in, connection->in_length, &connection->request);
        if (parsed == PARSED_MORE)
            return;
        if (parsed == PARSED_BAD) {
            close_connection(connection);
            return;
        }
        connection->in_length -= connection->request.length;
        memmove(connection->in, connection->in + connection->request.length, connection->in_length + 1);
        answer(connection);
        if (connection->watched.fd < 0)
            return;
    }
}

static void connection_ready(struct watched *watched, uint32_t events) {
    struct connection *connection = (struct connection *)watched;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        ssize_t got = recv(watched->fd, connection->in + connection->in_length, REQUEST_BYTES - connection->in_length, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            close_connection(connection);
            return;
        }
        if (got > 0) {
            connection->in_length += (size_t)got;
            connection->in[connection->in_length] = '\0';
            read_requests(connection);
        }
    }
    if (watched->fd >= 0 && (events & EPOLLOUT)) {
        if (connection->answering)
            speak(connection);
        else if (flush_out(connection) && owed(connection) == 0)
            watch(watched, EPOLLIN);
    }
}

static void accept_all(struct watched *listener, uint32_t events) {
    (void)events;
    int fd, yes = 1;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = free_connections;
        if (connection != NULL)
            free_connections = connection->next_free;
        else if ((connection = malloc(sizeof *connection)) == NULL)
            abort();
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* as Go does */
        connection->watched = (struct watched){.fd = fd, .ready = connection_ready};
        connection->timer = (struct timer){.fire = due};
        connection->answering = false;
        connection->in_length = connection->out_from = connection->out_to = 0;
        watch(&connection->watched, EPOLLIN);
    }
}

static void parent_ready(struct watched *input, uint32_t events) {
    (void)events;
    char ignored[64];
    if (read(input->fd, ignored, sizeof ignored) <= 0)
        exit(0); /* whoever started us is gone */
}

int main(void) {
    uint16_t port;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    raise_file_limit();
    struct watched listener = {.fd = listen_on_loopback(&port), .ready = accept_all};
    struct watched parent = {.fd = STDIN_FILENO, .ready = parent_ready};
    watch(&listener, EPOLLIN);
    watch(&parent, EPOLLIN);
    printf("port %u\n", port);
    run_loop(&going);
    return 0;
}
