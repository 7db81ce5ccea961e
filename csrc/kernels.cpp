// Whole sequences of a cell, forward and backward. Compiled once for each instruction set; see unrolled.h.
#include <unistd.h>

#include "cells.h"
#include "check.h"
#include "entropy.h"
#include "product.h"
#include "team.h"

namespace {

// The sizes of a call, and the part of the work that this thread does. There are two ways to divide the work:
//
// By rows: a thread computes every size-th sequence through all steps and never waits. So every thread gets long and
// short sequences. Each thread reads all weights.
//
// By units: a thread computes some units of all rows and reads only the weights of these units. All threads wait for
// each other after each product.
template <class Cell> struct Share {
    static constexpr long GATES = Cell::GATES, SECOND = Cell::SECOND;
    static_assert(STRIP % GATES == 0, "a strip holds all gates of its units");

    const long units, vectors, row, batch;
    const int64_t *counts;
    const long me, size;
    // far: the weights of a thread do not fit in its L2 cache. fetch: its weights or its gates do not.
    const bool by_rows, far, fetch;
    const long panel;               // vectors per panel
    long begin = 0; // the first row of the step in [N, ...]
    bool back = false;

    template <class Call>
    Share(const Call &f, const Team &team)
        : units(f.of.units), vectors(up(f.of.units, W)), row(f.of.units * (GATES + SECOND)), batch(f.of.batch),
          counts(f.of.counts), me(team.me), size(team.size), by_rows(rows_are_better(f)),
          far(weights() / (by_rows ? 1 : size) > cache() / 2),
          fetch(far || batch * f.of.steps * row * (long)sizeof(float) / size > cache()),
          panel(panel_for(up(batch, by_rows ? size : 1), far))
    {
    }
    template <class Call> bool rows_are_better(const Call &f) const
    {
        if (f.of.split != UNROLLED_SPLIT_AUTO) return f.of.split == UNROLLED_SPLIT_ROWS;
        return batch >= 4 * size && weights() <= cache() * 5 / 4;
    }
    long weights() const { return row * units * (long)sizeof(float); } // bytes
    static long cache() // bytes of the L2 cache of a core
    {
        long found = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
        found = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
        return found > 0 ? found : 1 << 20;
    }
    long stride() const { return by_rows ? size : 1; } // between this thread's rows
    long first() const { return by_rows ? me : 0; }
    long all_rows(long t) const { return counts ? counts[t] : batch; }
    long own_rows(long t) const { return all_rows(t) > first() ? up(all_rows(t) - first(), stride()) : 0; }

    // Call work(v, count) for this thread's vectors of units, in parts of about equal size with at most `most`
    // vectors. The direction alternates from call to call. If the weights do not fit in the cache, the weights that
    // were read last are still in it and are read first.
    template <class Work> void each(long most, Work work)
    {
        const long begin = by_rows ? 0 : vectors * me / size, end = by_rows ? vectors : vectors * (me + 1) / size;
        const long parts = up(end - begin, most);
        for (long i = 0; i < parts; i++) {
            const long part = back ? parts - 1 - i : i;
            const long v = begin + (end - begin) * part / parts;
            work(v, begin + (end - begin) * (part + 1) / parts - v);
        }
        back = !back;
    }
    // The same for packing. By rows, the threads divide all vectors among them. By units, each thread packs its own.
    template <class Pack> void each_to_pack(long most, Pack pack)
    {
        long turn = 0;
        each(most, [&](long v, long count) {
            if (!by_rows || turn++ % size == me) pack(v, count);
        });
    }
};

// The packed strips of one matrix [K, vectors]. A strip begins at the position of its first vector.
struct Packed {
    float *strips;
    long K;
    float *strip(long vector) const { return strips + vector * K * W; }
};

// ---- forward

template <class Cell> struct Forward {
    const unrolled_forward &f;
    Team &team;
    Share<Cell> share;
    Packed first, second;
    float *scratch; // [rows, STRIP * W] of this thread

    Forward(const unrolled_forward &f, Team &team) : f(f), team(team), share(f, team)
    {
        first = {f.work, f.of.units};
        second = {first.strip(share.vectors * Cell::GATES), f.of.units};
        scratch = second.strip(share.vectors * Cell::SECOND) + team.me * f.of.batch * STRIP * W;
    }

    void pack()
    {
        pack_gates<Cell::GATES>(0, first);
        if constexpr (Cell::SECOND) pack_gates<1>(Cell::GATES, second);
        if (share.by_rows) team.sync();
    }
    template <int GATES> void pack_gates(long gate, const Packed &packed) // packs GATES gates, from `gate` on
    {
        const long units = f.of.units, ld = f.of.ld_W;
        share.each_to_pack(STRIP / GATES, [&](long vector, long count) {
            for (long i = 0; i < count * GATES; i++) {
                const long from = (vector + i / GATES) * W;
                long apart;
                float *to = line_of(packed.strip(vector * GATES), packed.K, count * GATES, share.panel, i, apart);
                pack_rows(f.of.W_a + ((gate + i % GATES) * units + from) * ld, ld, units - from, packed.K, to, apart);
            }
        });
    }

    // Compute GATES gates of a step, from `gate` on, for all units: multiply left [rows, n_a] by the packed matrix,
    // then call `point` with W[left, x] + b.
    template <int GATES, class Point>
    void stage(Spot<false> s, long rows, const float *left, const Packed &packed, long gate, bool keep, Point point)
    {
        const long stride = share.stride(), begin = share.begin + share.first();
        share.each(STRIP / GATES, [&](long vector, long count) {
            Ahead ahead;
            for (long r = 0; share.fetch && r < rows; r++) {
                const long now = begin + r * stride, unit = now * s.units + vector * W;
                for (long g = gate; g < gate + GATES; g++)
                    ahead.add(f.gates + now * share.row + g * s.units + vector * W, count * W);
                ahead.add(f.a + unit, count * W);
                if (!f.train) continue;
                for (const float *kept : {f.c, f.relevant}) ahead.add(kept ? kept + unit : nullptr, count * W);
            }
            product<Quick>(rows, left + share.first() * s.units, stride * s.units, packed.strip(vector * GATES),
                           packed.K, count * GATES, share.panel, scratch, ahead);
            for (long v = vector; v < vector + count; v++) {
                s.at = v * W;
                const float *sums = scratch + (v - vector) * GATES * W;
                if (s.full()) units_of<GATES>(s.unmasked(), rows, sums, gate, keep, point);
                else units_of<GATES>(s, rows, sums, gate, keep, point);
            }
        });
        if (!share.by_rows) team.sync();
    }
    // The same for W units of all rows. sums: their products, STRIP * W floats per row.
    template <int GATES, class S, class Point>
    void units_of(S s, long rows, const float *sums, long gate, bool keep, Point point)
    {
        V b[GATES];
        for (int g = 0; g < GATES; g++) b[g] = s.read(f.b + (gate + g) * s.units + s.at);
        for (long r = 0; r < rows; r++) {
            s.row = share.first() + r * share.stride();
            s.now = share.begin + s.row;
            s.gates = s.now * share.row + s.at;
            V z[GATES];
            UNROLL
            for (int g = 0; g < GATES; g++)
                z[g] = load(sums + (r * STRIP + g) * W) + (s.gate(f.gates, gate + g) + b[g]);
            point(s, z);
            if (keep) {
                UNROLL
                for (int g = 0; g < GATES; g++) s.to_gate(f.gates, gate + g, z[g]);
            }
        }
    }

    void run()
    {
        pack();
        const float *before = f.state[0]; // a of the previous step
        for (long t = 0; t < f.of.steps; t++) {
            const long rows = share.own_rows(t);
            Spot<false> s{f.of.units, 0, 0, 0, before, nullptr, 0, f.of.units};
            stage<Cell::GATES>(s, rows, before, first, 0, f.train || Cell::SECOND, [&](const auto &spot, V *z) {
                Cell::forward(f, spot, z);
            });
            if constexpr (Cell::SECOND) {
                const float *left = f.relevant + (f.train ? share.begin * f.of.units : 0);
                stage<1>(s, rows, left, second, Cell::GATES, f.train, [&](const auto &spot, V *z) {
                    Cell::forward_second(f, spot, z);
                });
            }
            before = f.a + share.begin * f.of.units;
            share.begin += share.all_rows(t);
        }
    }
};

// Copy a of the last step of each sequence to its state. Sequences without a step keep their state.
void keep_last(const unrolled_forward &f)
{
    const long units = f.of.units;
    long begin = 0;
    for (long t = 0; t < f.of.steps; t++) {
        const long rows = f.of.counts ? f.of.counts[t] : f.of.batch;
        const long go_on = t + 1 == f.of.steps ? 0 : f.of.counts ? f.of.counts[t + 1] : f.of.batch;
        const float *from = f.a + (begin + go_on) * units;
        memcpy(f.state[0] + go_on * units, from, sizeof(float) * (rows - go_on) * units);
        begin += rows;
    }
}

// ---- backward

template <class Cell> struct Backward {
    static constexpr int GATES = Cell::GATES, SECOND = Cell::SECOND;
    const unrolled_backward &f;
    Team &team;
    Share<Cell> share;
    Packed first, second;
    float *scratch, *d_b; // this thread's

    Backward(const unrolled_backward &f, Team &team) : f(f), team(team), share(f, team)
    {
        first = {f.work, f.of.units * GATES};
        second = {first.strip(share.vectors), f.of.units * SECOND};
        scratch = second.strip(share.vectors);
        d_b = scratch + (team.size * f.of.batch * STRIP * W + team.me * share.row);
        scratch += team.me * f.of.batch * STRIP * W;
    }

    void pack()
    {
        share.each_to_pack(STRIP, [&](long vector, long count) {
            for (long v = vector; v < vector + count; v++) {
                for (long g = 0; g < GATES; g++) pack_gate(g, first, vector, count, v, g);
                if constexpr (SECOND) pack_gate(GATES, second, vector, count, v, 0);
            }
        });
        for (long i = 0; i < share.row; i++) d_b[i] = 0.0f;
        if (share.by_rows) team.sync();
    }
    // Pack vector v of a strip that has `count` vectors from `vector` on: these columns of the matrix of one gate,
    // after `before` other gates.
    void pack_gate(long gate, const Packed &packed, long vector, long count, long v, long before)
    {
        const long units = f.of.units, from = v * W;
        long apart;
        float *to = line_of(packed.strip(vector), packed.K, count, share.panel, v - vector, apart);
        pack_columns(f.of.W_a + gate * units * f.of.ld_W + from, f.of.ld_W, units, units - from,
                     to + before * units * apart, apart);
    }

    // Process all units of a step: multiply left, d_gates [multiplied, K], by the packed matrix, then call `point`
    // with the product of each row. Rows from `multiplied` on have a product of zeros.
    template <class Point>
    void stage(Spot<false> s, long multiplied, long rows, const float *left, const Packed &packed, Point point)
    {
        const long stride = share.stride(), begin = share.begin + share.first();
        share.each(STRIP, [&](long vector, long count) {
            Ahead ahead;
            const float *before = s.c_prev ? s.c_prev : s.a_prev; // NULL in the last stage, which has no step
            for (long r = 0; share.fetch && r < rows; r++) {
                const long now = begin + r * stride, unit = now * s.units + vector * W;
                for (long g = 0; g < GATES; g++) {
                    const long gate = now * share.row + g * s.units + vector * W;
                    ahead.add(f.gates + gate, count * W);
                    ahead.add(f.d_gates + gate, count * W);
                }
                ahead.add(f.d_a + unit, count * W);
                ahead.add(before ? before + s.units * (share.first() + r * stride) + vector * W : nullptr, count * W);
            }
            product<Quick>(multiplied, left + share.first() * share.row, stride * share.row, packed.strip(vector),
                           packed.K, count, share.panel, scratch, ahead);
            for (long v = vector; v < vector + count; v++) {
                s.at = v * W;
                const float *products = scratch + (v - vector) * W;
                if (s.full()) units_of(s.unmasked(), multiplied, rows, products, point);
                else units_of(s, multiplied, rows, products, point);
            }
        });
        if (!share.by_rows) team.sync();
    }
    // The same for W units of all rows. products: STRIP * W floats per row.
    template <class S, class Point>
    void units_of(S s, long multiplied, long rows, const float *products, Point point)
    {
        V sum[GATES + SECOND];
        auto own = [&](int g) { return d_b + g * s.units + s.at; };
        for (int g = 0; g < GATES + SECOND; g++) sum[g] = s.read(own(g));
        for (long r = 0; r < rows; r++) {
            s.row = share.first() + r * share.stride();
            s.now = share.begin + s.row;
            s.gates = s.now * share.row + s.at;
            point(s, r < multiplied ? load(products + r * STRIP * W) : V{}, sum);
        }
        for (int g = 0; g < GATES + SECOND; g++) s.write(own(g), sum[g]);
    }
    void run()
    {
        pack();
        for (long t = 0; t < f.of.steps; t++) share.begin += share.all_rows(t);
        const float *after = nullptr; // d_gates of the next step
        long multiplied = 0;          // number of its rows
        for (long t = f.of.steps - 1; t >= 0; t--) {
            share.begin -= share.all_rows(t);
            const long rows = share.own_rows(t), before = share.begin - (t ? share.all_rows(t - 1) : 0);
            Spot<false> s{f.of.units, 0, 0, 0, t ? f.a + before * f.of.units : f.state[0],
                   t && f.c ? f.c + before * f.of.units : f.state[1], 0, f.of.units};
            stage(s, multiplied, rows, after, first, [&](const auto &spot, V d, V *sum) {
                d += spot.of(f.d_state[0], spot.row) + spot.of(f.d_a, spot.now);
                spot.to(f.d_state[0], spot.row, Cell::backward(f, spot, d, sum));
            });
            after = f.d_gates + share.begin * share.row;
            multiplied = rows;
            if constexpr (SECOND)
                stage(s, rows, rows, after + GATES * f.of.units, second, [&](const auto &spot, V d, V *sum) {
                    V past = spot.of(f.d_state[0], spot.row);
                    spot.to(f.d_state[0], spot.row, past + Cell::backward_second(f, spot, d, sum));
                });
        }
        stage(Spot<false>{f.of.units, 0, 0, 0, nullptr, nullptr, 0, 0}, multiplied, multiplied, after, first,
              [&](const auto &s, V d, V *) { s.to(f.d_state[0], s.row, s.of(f.d_state[0], s.row) + d); });
        add_d_b();
        stack();
    }
    // Write [a_prev, x] of each row to `stacked`; this thread writes every size-th row of each step. This runs after
    // the loop over the steps, because it would displace the data of the loop from the cache.
    void stack()
    {
        const long n_a = f.of.units;
        const float *a_prev = f.state[0];
        for (long t = 0, begin = 0; t < f.of.steps; t++) {
            for (long r = team.me; r < share.all_rows(t); r += team.size) {
                float *to = f.stacked + (begin + r) * (n_a + f.inputs);
                memcpy(to, a_prev + r * n_a, sizeof(float) * n_a);
                if (f.inputs) memcpy(to + n_a, f.x + (begin + r) * f.inputs, sizeof(float) * f.inputs);
            }
            a_prev = f.a + begin * n_a;
            begin += share.all_rows(t);
        }
    }
    void add_d_b() // adds in the order of the threads, so that the sum is always the same
    {
        team.sync();
        if (team.me) return;
        for (long i = 0; i < share.row; i++) {
            float sum = 0.0f;
            for (long other = 0; other < team.size; other++) sum += d_b[other * share.row + i];
            f.d_b[i] = sum;
        }
    }
};

// Bits of the floating-point control register: treat results and operands below 2^-126 as zeros.
#if defined(__x86_64__)
constexpr unsigned FLUSH = 0x8040;
int64_t denormals_flushed() { return (__builtin_ia32_stmxcsr() & FLUSH) == FLUSH; }
void flush_denormals(const int64_t &on, Team &)
{
    __builtin_ia32_ldmxcsr((__builtin_ia32_stmxcsr() & ~FLUSH) | (on ? FLUSH : 0));
}
#elif defined(__aarch64__)
constexpr uint64_t FLUSH = 1 << 24;
int64_t denormals_flushed() { return (__builtin_aarch64_get_fpcr64() & FLUSH) != 0; }
void flush_denormals(const int64_t &on, Team &)
{
    __builtin_aarch64_set_fpcr64((__builtin_aarch64_get_fpcr64() & ~FLUSH) | (on ? FLUSH : 0));
}
#else
int64_t denormals_flushed() { return 0; }
void flush_denormals(const int64_t &, Team &) {}
#endif

template <class Cell> void forward_of(const unrolled_forward &f, Team &team) { Forward<Cell>(f, team).run(); }
template <class Cell> void backward_of(const unrolled_backward &f, Team &team) { Backward<Cell>(f, team).run(); }

struct Entry {
    void (*forward)(const unrolled_forward &, Team &);
    void (*backward)(const unrolled_backward &, Team &);
    long gates; // GATES + SECOND
};
template <class Cell> constexpr Entry entry()
{
    return {forward_of<Cell>, backward_of<Cell>, Cell::GATES + Cell::SECOND};
}

constexpr Entry CELLS[] = {entry<Rnn<false>>(), entry<Rnn<true>>(), entry<GruSimple>(), entry<Gru>(), entry<Lstm>()};

bool known(int64_t cell) { return cell >= 0 && cell < (int64_t)(sizeof CELLS / sizeof *CELLS); }

} // namespace

extern "C" {

int64_t unrolled_version(void) { return 9; }
int64_t unrolled_width(void) { return W; }

int64_t unrolled_work(int64_t cell, int64_t batch, int64_t units, int64_t threads)
{
    const long row = known(cell) ? CELLS[cell].gates * units : 0;
    const long packed = row * up(units, W) * W;
    return packed + (threads < 1 ? 1 : threads) * (batch * STRIP * W + row);
}

void unrolled_run_forward(const unrolled_forward *call)
{
    if (!known(call->of.cell) || call->of.steps < 1) return;
    CHECK(*call);
    run(*call, call->of.threads, CELLS[call->of.cell].forward);
    keep_last(*call);
}

void unrolled_run_backward(const unrolled_backward *call)
{
    if (!known(call->of.cell) || call->of.steps < 1) return;
    CHECK(*call);
    run(*call, call->of.threads, CELLS[call->of.cell].backward);
}

void unrolled_cross_entropy(const unrolled_entropy *call)
{
    CHECK(*call);
    run(*call, call->threads, entropy_of);
}

void unrolled_use_threads(void (*run_parallel)(void (*)(void *), void *, unsigned, unsigned), int (*team)(void),
                          int (*me)(void))
{
    parallel = run_parallel;
    team_size = team;
    team_me = me;
}

int64_t unrolled_flush_denormals(int64_t on, int64_t threads)
{
    const int64_t before = denormals_flushed();
    run(on, threads, flush_denormals);
    return before;
}

void unrolled_sigmoid(int64_t n, const float *x, float *y)
{
    for (long i = 0; i < n; i += W) store(y + i, sigmoid(load(x + i, n - i)), n - i);
}

void unrolled_tanh(int64_t n, const float *x, float *y)
{
    for (long i = 0; i < n; i += W) store(y + i, tanh(load(x + i, n - i)), n - i);
}

} // extern "C"
