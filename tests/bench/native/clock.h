/* Time, and what other processes have used of the machine. */
#ifndef CLOCK_H
#define CLOCK_H
#include <stdint.h>
#include <sys/types.h>

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

/* CLOCK_MONOTONIC in nanoseconds: one clock for every process of the machine, so that stamps can be compared. */
uint64_t now_ns(void);

/* User and kernel time of a process, all its threads included, in nanoseconds; 0 where there is none. */
uint64_t cpu_ns_of(pid_t pid);

/* Resident memory of a process, in KiB; 0 where there is none. */
uint64_t resident_kib_of(pid_t pid);

#endif
