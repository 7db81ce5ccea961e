// A few threads of the process's OpenMP runtime that work on one call, and the barrier between them.
#pragma once
#include <sched.h>

#include <atomic>

#include "unrolled.h"

constexpr int MOST_THREADS = 64;
// A barrier is met within a microsecond or two where every thread has a core. Past these few dozen, some thread waits
// for a core, and who keeps spinning may be what takes it away.
constexpr int SPINS = 500;

struct alignas(64) Flag { std::atomic<long> met{0}; }; // a cache line for each, or they would disturb each other

struct Team {
    long me, size;
    Flag *flags;
    long barriers = 0;

    // Nobody goes on before all have come here, and then all see what the others wrote.
    void sync()
    {
        flags[me].met.store(++barriers, std::memory_order_release);
        for (long i = 0; i < size; i++)
            for (int spins = 0; flags[i].met.load(std::memory_order_acquire) < barriers; spins++) {
                if (spins > SPINS) sched_yield();
#if defined(__x86_64__)
                else __builtin_ia32_pause();
#endif
            }
    }
};

#define OF_THIS_LIBRARY __attribute__((visibility("hidden"))) inline
OF_THIS_LIBRARY void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
OF_THIS_LIBRARY int (*team_size)(void);
OF_THIS_LIBRARY int (*team_me)(void);

// Runs work(call, team) on so many threads, or as many as the runtime gives.
template <class Call> void run(const Call &call, int64_t threads, void (*work)(const Call &, Team &))
{
    struct Job { const Call *call; void (*work)(const Call &, Team &); Flag flags[MOST_THREADS]; };
    Job job{&call, work, {}};
    if (threads <= 1 || !parallel) {
        Team alone{0, 1, job.flags};
        return work(call, alone);
    }
    auto each = [](void *given) {
        Job &all = *(Job *)given;
        Team team{team_me(), team_size(), all.flags};
        all.work(*all.call, team);
    };
    parallel(each, &job, (unsigned)(threads < MOST_THREADS ? threads : MOST_THREADS), 0);
}
