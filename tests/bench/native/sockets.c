#define _GNU_SOURCE
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "timers.h"

enum { BACKLOG = 4096, EVENTS_AT_ONCE = 512 };

static int loop = -1;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int loop_descriptor(void) {
    if (loop < 0 && (loop = epoll_create1(EPOLL_CLOEXEC)) < 0)
        fail("epoll_create1");
    return loop;
}

static int new_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    return fd;
}

static struct sockaddr_in loopback(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int listen_on_loopback(uint16_t *port) {
    int fd = new_socket();
    struct sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        fail("listen");
    *port = ntohs(at.sin_port);
    return fd;
}

int connect_to_loopback(uint16_t port) {
    int fd = new_socket(), yes = 1;
    struct sockaddr_in at = loopback(port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void watch(struct watched *owner, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = owner};
    if (owner->events == events)
        return;
    if (epoll_ctl(loop_descriptor(), owner->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, owner->fd, &event) != 0)
        fail("epoll_ctl");
    owner->events = events;
}

void unwatch(struct watched *owner) {
    close(owner->fd); /* the loop forgets a closed socket by itself */
    owner->fd = -1;
    owner->events = 0;
}

static void timers_ready(struct watched *owner, uint32_t events) {
    (void)owner, (void)events; /* they are fired in each turn of the loop */
}

void run_loop(const volatile int *going) {
    struct epoll_event events[EVENTS_AT_ONCE];
    struct watched timers = {.fd = timers_descriptor(), .ready = timers_ready};
    watch(&timers, EPOLLIN);
    while (*going) {
        timers_arm();
        int count = epoll_wait(loop_descriptor(), events, EVENTS_AT_ONCE, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct watched *owner = events[i].data.ptr;
            if (owner->fd >= 0) /* closed by an earlier event of this turn */
                owner->ready(owner, events[i].events);
        }
        timers_fire();
    }
}
