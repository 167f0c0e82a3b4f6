/* Non-blocking TCP on loopback, and the loop that waits for it. */
#ifndef SOCKETS_H
#define SOCKETS_H
#include <stddef.h>
#include <stdint.h>

/* One socket in the loop: the first member of whoever owns it. */
struct watched {
    int fd;
    uint32_t events; /* of epoll, as they are set now */
    void (*ready)(struct watched *, uint32_t events);
};

/* Listen on 127.0.0.1 at any free port, which is returned by `port`. */
int listen_on_loopback(uint16_t *port);

/* Begin to connect to 127.0.0.1; the socket is writable when it is there. -1: refused at once. */
int connect_to_loopback(uint16_t port);

/* As many descriptors as the system lets us have without being root. */
void raise_file_limit(void);

void watch(struct watched *owner, uint32_t events); /* begin, or change, what is waited for */
void unwatch(struct watched *owner);                /* and close the socket */

/* Serve sockets and timers until `*going` is 0. */
void run_loop(const volatile int *going);

#endif
