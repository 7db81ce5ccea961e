// A few threads of the process's OpenMP runtime that work on one call, and the barrier between them.
#pragma once
#include <limits.h>
#include <sched.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>

#include "unrolled.h"

constexpr int MOST_THREADS = 64;
// A barrier is met within microseconds where every thread has a core. Past some hundred of them (a pause takes 10 to
// 50 ns) a thread waits for a core, and who keeps spinning may be what takes it away: then it sleeps until it is woken.
constexpr int SPINS = 4000;

// How many barriers a thread has come to, and whether another one sleeps until it comes to the next. A cache line for
// each, or they would disturb each other.
struct alignas(64) Flag {
    std::atomic<int> met{0}, sleepers{0};

    void wait(int barrier)
    {
        for (int spins = 0; spins < SPINS; spins++) {
            if (met.load(std::memory_order_acquire) >= barrier) return;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        for (int seen; (seen = met.load()) < barrier;) {
#if defined(__linux__)
            sleepers.fetch_add(1);
            syscall(SYS_futex, &met, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0); // at once if it is met by now
            sleepers.fetch_sub(1);
#else
            sched_yield();
#endif
        }
    }
    void meet(int barrier)
    {
        met.store(barrier); // seen by all before it is asked whether somebody sleeps
#if defined(__linux__)
        if (sleepers.load()) syscall(SYS_futex, &met, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
#endif
    }
};

struct Team {
    long me, size;
    Flag *flags;
    int barriers = 0;

    // Nobody goes on before all have come here, and then all see what the others wrote.
    void sync()
    {
        if (size == 1) return;
        flags[me].meet(++barriers);
        for (long i = 0; i < size; i++) flags[i].wait(barriers);
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
