// Threads of the process's OpenMP runtime that work together on one call, and the barrier between them.
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
// Number of pauses, of 10 to 50 ns each, before a waiting thread sleeps. If every thread has a core, all threads reach
// a barrier within microseconds. If it takes more than some hundred microseconds, a thread has no core, and a spinning
// thread may occupy that core. So the spinning thread sleeps until it is woken.
constexpr int SPINS = 4000;

// The number of barriers that a thread has reached, and the number of threads that sleep until it reaches the next
// one. Each flag has its own cache line, because threads that write to the same line slow each other down.
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
            syscall(SYS_futex, &met, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0); // returns if `met` has changed
            sleepers.fetch_sub(1);
#else
            sched_yield();
#endif
        }
    }
    void meet(int barrier)
    {
        met.store(barrier); // must be visible to all threads before `sleepers` is read
#if defined(__linux__)
        if (sleepers.load()) syscall(SYS_futex, &met, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
#endif
    }
};

struct Team {
    long me, size;
    Flag *flags;
    int barriers = 0;

    // Wait until all threads have reached this point. After it, each thread sees what the other threads have written.
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

// Run work(call, team) on `threads` threads, or on fewer if the runtime provides fewer.
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
