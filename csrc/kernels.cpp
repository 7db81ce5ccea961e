// Whole sequences of a cell, forward and backward. Compiled once for each instruction set; see unrolled.h.
#include <unistd.h>

#include "cells.h"
#include "entropy.h"
#include "product.h"
#include "team.h"

namespace {

// The sizes of a call, and which part of the work is this thread's.
//
// By rows, a thread takes every size-th sequence (so that long and short ones fall to all) through all steps alone and
// never waits; each reads all weights. By units, a thread makes some units of all rows and reads only their weights,
// but all meet after each product.
template <class Cell> struct Share {
    static constexpr long GATES = Cell::GATES, SECOND = Cell::SECOND;
    static_assert(STRIP % GATES == 0, "a strip holds all gates of its units");

    const long units, vectors, row, batch;
    const int64_t *counts;
    const long me, size;
    const bool by_rows;
    long begin = 0; // of the step's rows in [N, ...]

    template <class Call>
    Share(const Call &f, const Team &team)
        : units(f.of.units), vectors(up(f.of.units, W)), row(vectors * W * (GATES + SECOND)), batch(f.of.batch),
          counts(f.of.counts), me(team.me), size(team.size), by_rows(rows_are_better(f))
    {
    }
    template <class Call> bool rows_are_better(const Call &f) const
    {
        if (f.of.split != UNROLLED_SPLIT_AUTO) return f.of.split == UNROLLED_SPLIT_ROWS;
        long cache = 0; // the second one of a core
#if defined(_SC_LEVEL2_CACHE_SIZE)
        cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
        return batch >= 4 * size && row * units * 4 <= (cache > 0 ? cache : 1 << 20) * 5 / 4;
    }
    long stride() const { return by_rows ? size : 1; } // of this thread's rows
    long first() const { return by_rows ? me : 0; }
    long all_rows(long t) const { return counts ? counts[t] : batch; }
    long own_rows(long t) const { return all_rows(t) > first() ? up(all_rows(t) - first(), stride()) : 0; }
    long strips(long gates) const { return up(vectors * gates, STRIP); }
    long from(long strips) const { return by_rows ? 0 : strips * me / size; }
    long until(long strips) const { return by_rows ? strips : strips * (me + 1) / size; }
};

// The packed strips of one matrix: by rows all threads pack for all, by units each for itself.
struct Packed {
    float *strips;
    long K;
    float *strip(long s) const { return strips + s * K * STRIP * W; }
};

template <class S, class Pack> void pack_all(const S &share, long strips, Pack pack)
{
    if (share.by_rows)
        for (long s = share.me; s < strips; s += share.size) pack(s);
    else
        for (long s = share.from(strips); s < share.until(strips); s++) pack(s);
}

// ---- forward

template <class Cell> struct Forward {
    const unrolled_forward &f;
    Team &team;
    Share<Cell> share;
    Packed first, second;
    float *scratch; // [rows, STRIP * W] of this thread

    Forward(const unrolled_forward &f, Team &team) : f(f), team(team), share(f, team)
    {
        const long weights = share.strips(Cell::GATES) * f.of.units * STRIP * W;
        first = {f.work, f.of.units};
        second = {f.work + weights, f.of.units};
        float *behind = second.strips + Cell::SECOND * share.strips(1) * f.of.units * STRIP * W;
        scratch = behind + team.me * f.of.batch * STRIP * W;
    }

    void pack()
    {
        const long rows = share.vectors * Cell::GATES * W;
        pack_all(share, share.strips(Cell::GATES), [&](long s) {
            pack_rows(f.of.W_a, f.of.ld_W, rows, f.of.units, s * STRIP * W, first.strip(s));
        });
        if (Cell::SECOND)
            pack_all(share, share.strips(1), [&](long s) {
                const float *own = f.of.W_a + rows * f.of.ld_W;
                pack_rows(own, f.of.ld_W, share.vectors * W, f.of.units, s * STRIP * W, second.strip(s));
            });
        if (share.by_rows) team.sync();
    }

    // All units of a step's gates, GATES of them from `column` of a row on: left [rows, n_a] times the packed matrix,
    // and what `point` makes of W[left, x] + b.
    template <int GATES, class Point>
    void stage(Spot s, long rows, const float *left, const Packed &packed, long column, bool keep, Point point)
    {
        const long strips = share.strips(GATES), stride = share.stride();
        const long begin = share.begin + share.first();
        for (long strip = share.from(strips); strip < share.until(strips); strip++) {
            const long vector = strip * STRIP / GATES, last = vector + STRIP / GATES;
            const long wanted = last < share.vectors ? last : share.vectors;
            product<Quick>(rows, left + share.first() * s.units, stride * s.units, packed.strip(strip), packed.K,
                           (wanted - vector) * GATES, scratch);
            for (long v = vector; v < wanted; v++) {
                const long gates = column + v * GATES * W;
                s.at = v * W;
                for (long r = 0; r < rows; r++) {
                    s.row = share.first() + r * stride;
                    s.now = begin + r * stride;
                    s.gates = s.now * share.row + v * Cell::GATES * W;
                    float *own = f.gates + s.now * share.row + gates;
                    const float *sum = scratch + r * STRIP * W + (v - vector) * GATES * W;
                    V z[GATES];
                    UNROLL
                    for (int g = 0; g < GATES; g++)
                        z[g] = load(sum + g * W) + (load(own + g * W) + load(f.b + gates + g * W));
                    point(s, z);
                    if (keep) {
                        UNROLL
                        for (int g = 0; g < GATES; g++) store(own + g * W, z[g]);
                    }
                }
            }
        }
        if (!share.by_rows) team.sync();
    }

    void run()
    {
        pack();
        const float *before = f.state[0]; // a of the step before
        for (long t = 0; t < f.of.steps; t++) {
            const long rows = share.own_rows(t);
            Spot s{f.of.units, 0, 0, 0, before, nullptr, 0, 0};
            stage<Cell::GATES>(s, rows, before, first, 0, f.train || Cell::SECOND, [&](const Spot &spot, V *z) {
                Cell::forward(f, spot, z);
            });
            if constexpr (Cell::SECOND) {
                const float *left = f.relevant + (f.train ? share.begin * f.of.units : 0);
                stage<1>(s, rows, left, second, share.vectors * Cell::GATES * W, f.train, [&](const Spot &spot, V *z) {
                    Cell::forward_second(f, spot, z);
                });
            }
            before = f.a + share.begin * f.of.units;
            share.begin += share.all_rows(t);
        }
    }
};

// a of each sequence's last step becomes its state; those without a step keep theirs.
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
        const long strips = up(share.vectors, STRIP), K = share.vectors * W;
        first = {f.work, K * GATES};
        second = {f.work + strips * STRIP * W * first.K, K * SECOND};
        scratch = second.strips + strips * STRIP * W * second.K;
        d_b = scratch + (team.size * f.of.batch * STRIP * W + team.me * share.row);
        scratch += team.me * f.of.batch * STRIP * W;
    }

    void pack()
    {
        pack_all(share, up(share.vectors, STRIP), [&](long s) {
            pack_columns(f.of.W_a, f.of.ld_W, first.K, f.of.units, s * STRIP * W, first.strip(s));
            if (SECOND)
                pack_columns(f.of.W_a + first.K * f.of.ld_W, f.of.ld_W, second.K, f.of.units, s * STRIP * W,
                             second.strip(s));
        });
        for (long i = 0; i < share.row; i++) d_b[i] = 0.0f;
        if (share.by_rows) team.sync();
    }

    // All units of a step: d_gates [multiplied, K] from `column` on times the packed matrix, then `point` for each of
    // the rows, given the product, which is zeros for the rows that it has not.
    template <class Point>
    void stage(Spot s, long multiplied, long rows, const float *left, const Packed &packed, Point point)
    {
        const long strips = up(share.vectors, STRIP), stride = share.stride();
        const long begin = share.begin + share.first();
        for (long strip = share.from(strips); strip < share.until(strips); strip++) {
            const long vector = strip * STRIP, last = vector + STRIP;
            const long wanted = last < share.vectors ? last : share.vectors;
            product<Quick>(multiplied, left + share.first() * share.row, stride * share.row, packed.strip(strip),
                           packed.K, wanted - vector, scratch);
            for (long v = vector; v < wanted; v++) {
                s.at = v * W;
                V sum[GATES + SECOND];
                for (int g = 0; g < GATES + SECOND; g++) sum[g] = load(d_b + place(v, g));
                for (long r = 0; r < rows; r++) {
                    s.row = share.first() + r * stride;
                    s.now = begin + r * stride;
                    s.gates = s.now * share.row + place(v, 0);
                    s.second = s.now * share.row + place(v, GATES);
                    point(s, r < multiplied ? load(scratch + r * STRIP * W + (v - vector) * W) : V{}, sum);
                }
                for (int g = 0; g < GATES + SECOND; g++) store(d_b + place(v, g), sum[g]);
            }
        }
        if (!share.by_rows) team.sync();
    }
    long place(long v, int g) const // of a gate within a row
    {
        return g < GATES ? (v * GATES + g) * W : (share.vectors * GATES + v) * W;
    }

    void run()
    {
        pack();
        for (long t = 0; t < f.of.steps; t++) share.begin += share.all_rows(t);
        const float *after = nullptr; // d_gates of the step after
        long multiplied = 0;          // its rows
        for (long t = f.of.steps - 1; t >= 0; t--) {
            share.begin -= share.all_rows(t);
            const long rows = share.own_rows(t), before = share.begin - (t ? share.all_rows(t - 1) : 0);
            Spot s{f.of.units, 0, 0, 0, t ? f.a + before * f.of.units : f.state[0],
                   t && f.c ? f.c + before * f.of.units : f.state[1], 0, 0};
            stage(s, multiplied, rows, after, first, [&](const Spot &spot, V d, V *sum) {
                d += spot.of(f.d_state[0], spot.row) + spot.of(f.d_a, spot.now);
                spot.to(f.d_state[0], spot.row, Cell::backward(f, spot, d, sum));
            });
            after = f.d_gates + share.begin * share.row;
            multiplied = rows;
            if constexpr (SECOND)
                stage(s, rows, rows, after + place(0, GATES), second, [&](const Spot &spot, V d, V *sum) {
                    V past = spot.of(f.d_state[0], spot.row);
                    spot.to(f.d_state[0], spot.row, past + Cell::backward_second(f, spot, d, sum));
                });
        }
        stage(Spot{f.of.units, 0, 0, 0, nullptr, nullptr, 0, 0}, multiplied, multiplied, after, first,
              [&](const Spot &s, V d, V *) { s.to(f.d_state[0], s.row, s.of(f.d_state[0], s.row) + d); });
        add_d_b();
    }
    void add_d_b() // in the order of the threads, so that the sum is the same every time
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

template <class Cell> void forward_of(const unrolled_forward &f, Team &team) { Forward<Cell>(f, team).run(); }
template <class Cell> void backward_of(const unrolled_backward &f, Team &team) { Backward<Cell>(f, team).run(); }

struct Entry {
    void (*forward)(const unrolled_forward &, Team &);
    void (*backward)(const unrolled_backward &, Team &);
    long gates; // all
};
template <class Cell> constexpr Entry entry()
{
    return {forward_of<Cell>, backward_of<Cell>, Cell::GATES + Cell::SECOND};
}

constexpr Entry CELLS[] = {entry<Rnn<false>>(), entry<Rnn<true>>(), entry<GruSimple>(), entry<Gru>(), entry<Lstm>()};

bool known(int64_t cell) { return cell >= 0 && cell < (int64_t)(sizeof CELLS / sizeof *CELLS); }

} // namespace

extern "C" {

int64_t unrolled_version(void) { return 1; }
int64_t unrolled_width(void) { return W; }

int64_t unrolled_work(int64_t cell, int64_t batch, int64_t units, int64_t threads)
{
    const long vectors = up(units, W), gates = known(cell) ? CELLS[cell].gates : 0;
    const long forward = (up(vectors * gates, STRIP) + 1) * STRIP * W * units; // a GRU's two parts end in a strip each
    const long backward = up(vectors, STRIP) * STRIP * W * vectors * W * gates;
    const long own = batch * STRIP * W + vectors * W * gates;
    return (forward > backward ? forward : backward) + (threads < 1 ? 1 : threads) * own;
}

void unrolled_run_forward(const unrolled_forward *call)
{
    if (!known(call->of.cell) || call->of.steps < 1) return;
    run(*call, call->of.threads, CELLS[call->of.cell].forward);
    keep_last(*call);
}

void unrolled_run_backward(const unrolled_backward *call)
{
    if (known(call->of.cell) && call->of.steps > 0) run(*call, call->of.threads, CELLS[call->of.cell].backward);
}

void unrolled_cross_entropy(const unrolled_entropy *call) { run(*call, call->threads, entropy_of); }

void unrolled_use_threads(void (*run_parallel)(void (*)(void *), void *, unsigned, unsigned), int (*team)(void),
                          int (*me)(void))
{
    parallel = run_parallel;
    team_size = team;
    team_me = me;
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
