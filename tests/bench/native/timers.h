/* Who is due when: a heap of moments, the soonest first. */
#ifndef TIMERS_H
#define TIMERS_H
#include <stddef.h>
#include <stdint.h>

struct timer {
    uint64_t due_ns;
    void (*fire)(struct timer *); /* called once; it may set the timer again */
    size_t place;                 /* in the heap, from 1; 0 = not set */
};

void timer_set(struct timer *timer, uint64_t due_ns);
void timer_cancel(struct timer *timer);

/* Fire all that are due. */
void timers_fire(void);

/* A descriptor that is readable when the soonest timer is due: epoll_wait's own time-out counts whole milliseconds. */
int timers_descriptor(void);

/* Arm that descriptor for what is set now; before each wait. */
void timers_arm(void);

#endif
