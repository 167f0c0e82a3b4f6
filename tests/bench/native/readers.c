/* The load generator: many readers of answers, and how long each token was on its way.
 *
 * Orders are arguments, `name=value`, as in `struct order`; `cpu=<pid>` names a process whose use of the machine is told,
 * as often as it is given. Stdout: one JSON object, a tally for each phase and one for the whole run. Stderr: `left
 * <stream> <ns>` whenever a reader leaves.
 *
 * Two names of phases mean something. In `stall` the first reader reads nothing, and leaves at the end of it; its answer
 * has the rate `stall_rate`, so that buffers fill. In `probe` one more client asks for answers of two tokens, one after
 * the other, PROBE_PAUSE_MS apart. */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "reader.h"
#include "run.h"
#include "sockets.h"
#include "timers.h"

enum { PROBE_PAUSE_MS = 20, PROBE_TOKENS = 2 };

struct order order = {.path = "/", .headers = "", .body = "{}", .streams = 1, .requests = 1, .phases = "",
                      .deadline_ms = 60000};
struct tally whole, *phase;
volatile int going = 1;

static struct processes processes;
static struct tally tallies[MOST_PHASES + 2]; /* the opening, the phases, and what comes after them */
static size_t phase_count = 1, at_phase;
static uint64_t phase_ms[MOST_PHASES + 2];
static struct reader **readers, *probe;
static uint64_t streams_asked, finished;
static struct timer phase_over, deadline;

uint64_t next_stream(void) { return ++streams_asked; }

void reader_finished(void) { going = ++finished < order.streams; }

static void enter_phase(void) {
    phase = &tallies[at_phase];
    tally_begin(phase, phase->name, &processes);
    if (strcmp(phase->name, "stall") == 0)
        reader_stall(readers[0]);
    if (strcmp(phase->name, "probe") == 0) {
        order.streams++;
        probe = reader_new(now_ns(), UINT64_MAX, PROBE_TOKENS, 0, PROBE_PAUSE_MS);
    }
    if (at_phase < phase_count)
        timer_set(&phase_over, now_ns() + phase_ms[at_phase] * NS_PER_MS);
}

static void leave_phase(struct timer *timer) {
    (void)timer;
    tally_end(phase, &processes);
    if (probe != NULL && strcmp(phase->name, "probe") == 0)
        reader_cut(probe);
    if (strcmp(phase->name, "stall") == 0)
        reader_cut(readers[0]);
    at_phase++;
    enter_phase();
    if (at_phase == phase_count && order.cut && phase_count > 1)
        for (uint64_t i = 0; i < order.streams - (probe != NULL); i++)
            reader_cut(readers[i]);
}

static void too_late(struct timer *timer) {
    (void)timer;
    going = 0;
}

static void read_phases(void) {
    tallies[0].name = "open";
    phase_ms[0] = order.open_ms;
    char *rest = strdup(order.phases);
    for (char *name; (name = strsep(&rest, ",")) != NULL && phase_count <= MOST_PHASES;) {
        char *colon = strchr(name, ':');
        if (colon == NULL)
            continue;
        *colon = '\0';
        tallies[phase_count].name = name;
        phase_ms[phase_count++] = strtoull(colon + 1, NULL, 10);
    }
    tallies[phase_count].name = "rest";
}

static void read_orders(int count, char **arguments) {
    const struct {
        const char *name;
        uint64_t *number;
        const char **text;
    } NAMES[] = {
        {"port", &order.port, NULL},          {"path", NULL, &order.path},
        {"headers", NULL, &order.headers},    {"body", NULL, &order.body},
        {"streams", &order.streams, NULL},    {"requests", &order.requests, NULL},
        {"pause_ms", &order.pause_ms, NULL},  {"tokens", &order.tokens, NULL},
        {"rate", &order.rate, NULL},          {"wait_ms", &order.wait_ms, NULL},
        {"open_ms", &order.open_ms, NULL},    {"leave_tokens", &order.leave_tokens, NULL},
        {"leave_ms", &order.leave_ms, NULL},  {"phases", NULL, &order.phases},
        {"cut", &order.cut, NULL},            {"stall_rate", &order.stall_rate, NULL},
        {"deadline_ms", &order.deadline_ms, NULL},
    };
    for (int i = 0; i < count; i++) {
        char *value = strchr(arguments[i], '=');
        size_t known = 0, length = value == NULL ? 0 : (size_t)(value - arguments[i]);
        if (length == 3 && strncmp(arguments[i], "cpu", 3) == 0 && processes.count < MOST_PROCESSES) {
            processes.pids[processes.count++] = (pid_t)atoi(value + 1);
            continue;
        }
        for (; known < sizeof NAMES / sizeof *NAMES; known++)
            if (strlen(NAMES[known].name) == length && strncmp(NAMES[known].name, arguments[i], length) == 0)
                break;
        if (known == sizeof NAMES / sizeof *NAMES) {
            fprintf(stderr, "readers: what is %s?\n", arguments[i]);
            exit(2);
        }
        if (NAMES[known].text != NULL)
            *NAMES[known].text = value + 1;
        else
            *NAMES[known].number = strtoull(value + 1, NULL, 10);
    }
}

static void print_report(void) {
    printf("{\"streams\":%" PRIu64 ",\"finished\":%" PRIu64 ",\"own_cpu_ns\":%" PRIu64 ",\"phases\":{", order.streams,
           finished, cpu_ns_of(getpid()));
    for (size_t i = 0; i <= at_phase; i++) {
        tally_print(&tallies[i], &processes);
        printf(",");
    }
    tally_print(&whole, &processes);
    printf("}}\n");
}

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    read_orders(count - 1, arguments + 1);
    read_phases();
    raise_file_limit();
    readers = calloc(order.streams, sizeof *readers);
    uint64_t start_ns = now_ns() + NS_PER_MS;
    for (uint64_t i = 0; i < order.streams; i++) {
        uint64_t begins_ns = start_ns + i * order.open_ms * NS_PER_MS / order.streams;
        bool fast = i == 0 && order.stall_rate > 0;
        readers[i] = reader_new(begins_ns, order.requests, order.tokens * (fast ? order.stall_rate / order.rate : 1),
                                fast ? order.stall_rate : order.rate, order.pause_ms);
    }
    phase_over.fire = leave_phase;
    deadline.fire = too_late;
    timer_set(&deadline, start_ns + order.deadline_ms * NS_PER_MS);
    tally_begin(&whole, "whole", &processes);
    enter_phase();
    run_loop(&going);
    tally_end(phase, &processes);
    tally_end(&whole, &processes);
    print_report();
    return 0;
}
