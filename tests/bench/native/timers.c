#include "timers.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"

static struct timer **heap; /* heap[1] is the soonest */
static size_t length, room;
static int descriptor = -1;
static uint64_t armed_ns; /* 0 = not armed */

static void put(struct timer *timer, size_t place) {
    heap[place] = timer;
    timer->place = place;
}

/* Move the timer at `place` up or down to where the order of the heap wants it. */
static void settle(size_t place) {
    struct timer *timer = heap[place];
    while (place > 1 && heap[place / 2]->due_ns > timer->due_ns) {
        put(heap[place / 2], place);
        place /= 2;
    }
    for (size_t child; (child = place * 2) <= length; place = child) {
        if (child < length && heap[child + 1]->due_ns < heap[child]->due_ns)
            child++;
        if (heap[child]->due_ns >= timer->due_ns)
            break;
        put(heap[child], place);
    }
    put(timer, place);
}

void timer_set(struct timer *timer, uint64_t due_ns) {
    timer->due_ns = due_ns;
    if (timer->place == 0) {
        if (length + 2 > room) {
            room = room ? room * 2 : 256;
            heap = realloc(heap, room * sizeof *heap);
            if (heap == NULL)
                abort();
        }
        put(timer, ++length);
    }
    settle(timer->place);
}

void timer_cancel(struct timer *timer) {
    size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    struct timer *last = heap[length--];
    if (last != timer) {
        put(last, place);
        settle(place);
    }
}

void timers_fire(void) {
    uint64_t now = now_ns();
    while (length > 0 && heap[1]->due_ns <= now) {
        struct timer *due = heap[1];
        timer_cancel(due);
        due->fire(due);
    }
}

int timers_descriptor(void) {
    if (descriptor < 0)
        descriptor = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (descriptor < 0) {
        perror("timerfd_create");
        exit(1);
    }
    return descriptor;
}

void timers_arm(void) {
    uint64_t due = length > 0 ? heap[1]->due_ns : 0;
    if (due == armed_ns)
        return;
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(due / NS_PER_S), .tv_nsec = (long)(due % NS_PER_S)}};
    timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &at, NULL); /* setting it clears what had expired */
    armed_ns = due;
}
