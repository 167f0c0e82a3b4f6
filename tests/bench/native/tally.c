#include "tally.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"

void tally_begin(struct tally *tally, const char *name, const struct processes *processes) {
    tally->name = name;
    for (size_t i = 0; i < processes->count; i++) {
        tally->resident_kib[0][i] = resident_kib_of(processes->pids[i]);
        tally->cpu_ns[i] = cpu_ns_of(processes->pids[i]);
    }
    tally->began_ns = now_ns();
}

/* From here on cpu_ns is what was used in the phase. */
void tally_end(struct tally *tally, const struct processes *processes) {
    tally->ended_ns = now_ns();
    for (size_t i = 0; i < processes->count; i++) {
        tally->cpu_ns[i] = cpu_ns_of(processes->pids[i]) - tally->cpu_ns[i];
        tally->resident_kib[1][i] = resident_kib_of(processes->pids[i]);
    }
}

void tally_print(struct tally *tally, const struct processes *processes) {
    printf("\"%s\":{\"seconds\":%.6f,\"bytes\":%" PRIu64 ",\"tokens\":%" PRIu64 ",\"asked\":%" PRIu64
           ",\"whole\":%" PRIu64 ",\"broken\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"left\":%" PRIu64 ",\"cpu_ns\":{",
           tally->name, (double)(tally->ended_ns - tally->began_ns) / (double)NS_PER_S, tally->bytes, tally->tokens,
           tally->asked, tally->whole, tally->broken, tally->refused, tally->left);
    for (size_t i = 0; i < processes->count; i++)
        printf("%s\"%d\":%" PRIu64, i ? "," : "", (int)processes->pids[i], tally->cpu_ns[i]);
    printf("},\"resident_kib\":{");
    for (size_t i = 0; i < processes->count; i++)
        printf("%s\"%d\":[%" PRIu64 ",%" PRIu64 "]", i ? "," : "", (int)processes->pids[i],
               tally->resident_kib[0][i], tally->resident_kib[1][i]);
    printf("},");
    samples_print("delay_us", &tally->delay);
    printf(",");
    samples_print("gap_us", &tally->gap);
    printf(",");
    samples_print("first_us", &tally->first);
    printf(",");
    samples_print("added_us", &tally->added);
    printf("}");
}
