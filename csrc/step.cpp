// Single steps: the cells of cells.h on weights that were packed once, in float32 or int8. See unrolled.h.
#include <math.h>

#include "cells.h"
#include "check.h"
#include "product.h"
#include "team.h"

namespace {

constexpr long fours(long K) { return up(K, 4); }

// A packed matrix [rows, K].
//
// float32: the strips of product.h.
// int8: first one scale per row, then the start value of the sum of each row, then the strips, each
// [four of K][vector][lane][4]. So the four factors that one instruction needs for a lane are adjacent.
struct Packed {
    long vectors, strips, K;
    float *floats;

    Packed(long rows, long K, const void *at)
        : vectors(up(rows, W)), strips(up(vectors, STRIP)), K(K), floats((float *)at)
    {
    }
    long width(long s) const { return s + 1 < strips ? STRIP : vectors - s * STRIP; }
    float *strip(long s) const { return floats + s * K * STRIP * W; }
    float *scales(long s) const { return floats + s * STRIP * W; }
    int32_t *starts(long s) const { return (int32_t *)scales(strips + s); }
    int8_t *bytes(long s) const { return (int8_t *)scales(2 * strips) + s * fours(K) * STRIP * W * 4; }
    long size(long bits) const
    {
        return bits == 8 ? strips * STRIP * W * (8 + 4 * fours(K)) : vectors * W * 4 * K;
    }
};

// Round x [K] to int8: x = q [4 * fours(K)] times the returned scale. The scale is NaN if x is not finite.
float quantise(const float *x, long K, int8_t *q)
{
    V most = {}, odd = {};
    for (long k = 0; k < K; k += W) {
        V v = load(x + k, K - k), size = v < 0.0f ? -v : v;
        most = size > most ? size : most;
        odd += v * 0.0f; // NaN if a value is not finite
    }
    const float scale = largest(most) / 127.0f, by = scale > 0.0f ? 1.0f / scale : 0.0f;
    for (long k = 0; k < 4 * fours(K); k += W) {
        const B8 eight = bytes(load(x + k, K - k) * by);
        const long left = 4 * fours(K) - k;
        memcpy(q + k, &eight, left < W ? left : W);
    }
    return scale + total(odd);
}

void pack_bytes(const float *M, long ld, long rows, const Packed &packed)
{
    memset(packed.floats, 0, packed.size(8));
    for (long row = 0; row < rows; row++) {
        const long strip = row / (STRIP * W), lane = row % (STRIP * W);
        int8_t *to = packed.bytes(strip) + 4 * lane;
        const float *x = M + row * ld;
        float most = 0.0f, odd = 0.0f;
        for (long k = 0; k < packed.K; k++) {
            most = fabsf(x[k]) > most ? fabsf(x[k]) : most;
            odd += x[k] * 0.0f;
        }
        const float scale = most / 127.0f;
        packed.scales(strip)[lane] = scale + odd;
        if (scale > 0.0f && odd == 0.0f)
            for (long k = 0; k < packed.K; k++) {
                const int8_t w = (int8_t)lrintf(x[k] / scale);
                to[k / 4 * STRIP * W * 4 + k % 4] = w;
                packed.starts(strip)[lane] -= SHIFT * w;
            }
    }
}

// The left operand of a product: x [rows, K]. For int8 also q [rows, 4 * fours(K)], with one scale per row.
struct Left {
    long rows, K, bits;
    const float *x;
    int8_t *q;
    float *scale;

    void ready() const // must be called when x is complete
    {
        if (bits == 8)
            for (long r = 0; r < rows; r++) scale[r] = quantise(x + r * K, K, q + r * 4 * fours(K));
    }
    static long floats(long rows, long K) { return rows * (fours(K) + 1); }
};

Left left_of(long rows, long K, long bits, const float *x, float *&work)
{
    Left left{rows, K, bits, x, (int8_t *)work, work + rows * fours(K)};
    work += Left::floats(rows, K);
    return left;
}

constexpr int ROWS_OF_BYTES = W < 16 ? 2 : 4; // rows that share one read of the weights; their sums fit in registers

// Convert the sums of a row to floats. Never inlined: it rounds, and it must round in the same way for every caller.
__attribute__((noinline)) void scaled(const I *sum, const float *scales, float scale, float *C, bool add)
{
    for (long v = 0; v < STRIP * W; v += W) {
        V y = __builtin_convertvector(sum[v / W], V) * (load(scales + v) * scale);
        store(C + v, add ? load(C + v) + y : y);
    }
}

// C [rows, STRIP * W] = int8 rows of `left`, from `row` on, times a strip; += if `add`. At most ROWS rows share one
// read of the weights. Sums are exact, so the number of rows does not affect the result.
template <int ROWS>
void times_bytes(const Left &left, long row, long rows, const Packed &packed, long strip, float *C, bool add)
{
    if constexpr (ROWS > 1)
        if (rows < ROWS) return times_bytes<ROWS - 1>(left, row, rows, packed, strip, C, add);
    const int8_t *bytes = packed.bytes(strip), *q = left.q + row * 4 * fours(left.K);
    I sum[ROWS][STRIP];
    for (int r = 0; r < ROWS; r++) memcpy(sum[r], packed.starts(strip), sizeof sum[r]);
    for (long k = 0; k < fours(left.K); k++) {
        Four a[ROWS];
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            int32_t next;
            memcpy(&next, q + 4 * (r * fours(left.K) + k), sizeof next);
            a[r] = four(next);
        }
        UNROLL
        for (int v = 0; v < STRIP; v++) {
            UNROLL
            for (int r = 0; r < ROWS; r++) sum[r][v] = dot(sum[r][v], a[r], bytes + (k * STRIP + v) * W * 4);
        }
    }
    for (int r = 0; r < ROWS; r++)
        scaled(sum[r], packed.scales(strip), left.scale[row + r], C + (row + r) * STRIP * W, add);
}

// C [rows, STRIP * W] = left times a strip; += if `add`.
void times(const Left &left, const Packed &packed, long strip, float *C, bool add)
{
    Ahead nothing;
    if (left.bits != 8)
        return product<Alike>(left.rows, left.x, left.K, packed.strip(strip), left.K, packed.width(strip), TILE_VECTORS,
                              C, nothing, add);
    for (long r = 0; r < left.rows; r += ROWS_OF_BYTES)
        times_bytes<ROWS_OF_BYTES>(left, r, left.rows - r, packed, strip, C, add);
}

// Call work(strip) for this thread's part of the strips. The direction alternates from step to step. If the weights do
// not fit in the cache, the weights that were read last are still in it and are read first.
template <class Work> void each_strip(long strips, const Team &team, bool back, Work work)
{
    const long begin = strips * team.me / team.size, end = strips * (team.me + 1) / team.size;
    for (long i = begin; i < end; i++) work(back ? begin + end - 1 - i : i);
}

template <class Cell> struct Step {
    const unrolled_layer &f;
    Team &team;
    const bool back, first; // back: read the strips from the last to the first; first: the first layer
    const long vectors = up(f.units, W), row = f.units * (Cell::GATES + Cell::SECOND);
    float *work = f.work;
    unrolled_forward to{}; // the arrays that the cells of cells.h write to
    float *scratch;        // [rows, STRIP * W] of this thread
    const float *x;

    Step(const unrolled_layer &f, Team &team, bool back, bool first) : f(f), team(team), back(back), first(first)
    {
        to.state[0] = f.state[0];
        to.state[1] = f.state[1];
        to.of.zoneout = f.zoneout;
        scratch = take(STRIP * W * team.size) + team.me * f.rows * STRIP * W;
        to.gates = take(row);
        to.a = take(f.units);
        to.relevant = take(f.units);
        x = given();
    }
    float *take(long floats)
    {
        float *taken = work;
        work += f.rows * floats;
        return taken;
    }
    const float *given() // returns the inputs of this step, for W_x
    {
        if (!f.W_x[0] || !f.table) return f.x;
        float *found = take(f.inputs);
        for (long r = 0; r < f.rows && !team.me; r++)
            if (f.ids[r] < 0) memset(found + r * f.inputs, 0, sizeof(float) * f.inputs);
            else memcpy(found + r * f.inputs, f.table + f.ids[r] * f.inputs, sizeof(float) * f.inputs);
        return found;
    }

    template <int GATES, class Point>
    void stage(const Left &a, const Left &inputs, long which, long column, Point point)
    {
        const long rows = f.units * GATES;
        const Packed W_a(rows, f.units, f.W_a[which]), W_x(rows, f.inputs, f.W_x[which]);
        each_strip(W_a.strips, team, back, [&](long strip) {
            const long vector = strip * STRIP / GATES, last = vector + STRIP / GATES;
            const long wanted = last < vectors ? last : vectors;
            times(a, W_a, strip, scratch, false);
            if (f.W_x[which]) times(inputs, W_x, strip, scratch, true);
            for (long v = vector; v < wanted; v++) {
                const long left = f.units - v * W, apart = left < W ? left : W, gates = column + v * GATES * W;
                for (long r = 0; r < f.rows; r++) {
                    const long own = r * row;
                    Spot<false> s{f.units, v * W, r, r, f.state[0], f.state[1], own + v * Cell::GATES * W, apart};
                    const float *sum = scratch + r * STRIP * W + (v - vector) * GATES * W;
                    const float *line = f.table && !f.W_x[which] && f.ids[r] >= 0 ? f.table + f.ids[r] * row : nullptr;
                    V z[GATES];
                    for (int g = 0; g < GATES; g++) {
                        z[g] = load(sum + g * apart) + s.read(f.b + gates + g * apart);
                        if (line) z[g] += s.read(line + gates + g * apart);
                    }
                    point(s, z);
                    for (int g = 0; g < GATES; g++) s.write(to.gates + own + gates + g * apart, z[g]);
                }
            }
        });
        team.sync();
    }
    void ready(const Left &left, bool wanted)
    {
        if (wanted && !team.me) left.ready();
    }

    void run()
    {
        const Left a = left_of(f.rows, f.units, f.bits, f.state[0], work);
        const Left inputs = left_of(f.rows, f.inputs, f.bits, x, work);
        ready(a, true);
        ready(inputs, f.W_x[0]);
        if (!first || f.bits == 8 || x != f.x) team.sync(); // otherwise no thread has to write first
        stage<Cell::GATES>(a, inputs, 0, 0, [&](const auto &s, V *z) { Cell::forward(to, s, z); });
        if constexpr (Cell::SECOND) {
            const Left relevant = left_of(f.rows, f.units, f.bits, to.relevant, work);
            ready(relevant, true);
            team.sync();
            stage<1>(relevant, inputs, 1, f.units * Cell::GATES, [&](const auto &s, V *z) {
                Cell::forward_second(to, s, z);
            });
        }
        if (!team.me) memcpy(f.state[0], to.a, sizeof(float) * f.rows * f.units); // the next layer waits for it
    }
};

template <class Cell> void step_of(const unrolled_layer &f, Team &team, bool back, bool first)
{
    Step<Cell>(f, team, back, first).run();
}

void (*const STEPS[])(const unrolled_layer &, Team &, bool, bool) = {
    step_of<Rnn<false>>, step_of<Rnn<true>>, step_of<GruSimple>, step_of<Gru>, step_of<Lstm>};
constexpr long CELLS = sizeof STEPS / sizeof *STEPS;

// log(sum of e^y) of y [n].
float log_of_sum(const float *y, long n)
{
    V most = all(-INFINITY);
    for (long i = 0; i + W <= n; i += W) most = load(y + i) > most ? load(y + i) : most;
    float top = largest(most);
    for (long i = n - n % W; i < n; i++) top = y[i] > top ? y[i] : top;
    V sums = {};
    float rest = 0.0f;
    for (long i = 0; i < n; i += W) {
        V powers = exponential(load(y + i, n - i) - top);
        if (i + W <= n) sums += powers;
        else for (long lane = 0; lane < n - i; lane++) rest += powers[lane];
    }
    return top + logf(total(sums) + rest);
}

// Find the k largest of y [n], largest first, ties in order of id. A NaN counts as the smallest. Each value is
// inserted at its place in `best`; most values are too small and are skipped.
void choose(const float *y, long n, long k, float *best, int64_t *ids)
{
    long have = 0;
    for (long i = 0; i < n; i++) {
        const bool full = have == k && best[k - 1] == best[k - 1]; // any value replaces a NaN
        while (full && i + W <= n && !any_above(load(y + i), best[k - 1])) i += W;
        if (i == n) return;
        if (full && !(y[i] > best[k - 1])) continue;
        long at = have < k ? have++ : k - 1;
        for (; at > 0 && (y[i] > best[at - 1] || best[at - 1] != best[at - 1]); at--) {
            best[at] = best[at - 1];
            ids[at] = ids[at - 1];
        }
        best[at] = y[i];
        ids[at] = i;
    }
}

void head_of(const unrolled_head &f, Team &team, bool back)
{
    float *work = f.work, *scratch = work + team.me * f.rows * STRIP * W;
    work += team.size * f.rows * STRIP * W;
    const Left x = left_of(f.rows, f.inputs, f.bits, f.x, work);
    if (!team.me) x.ready();
    team.sync();
    const Packed packed(f.outputs, f.inputs, f.W);
    each_strip(packed.strips, team, back, [&](long strip) {
        const long first = strip * STRIP * W, left = f.outputs - first;
        times(x, packed, strip, scratch, false);
        for (long r = 0; r < f.rows; r++)
            for (long i = 0; i < left && i < STRIP * W; i += W)
                store(f.y + r * f.outputs + first + i,
                      load(scratch + r * STRIP * W + i) + load(f.b + first + i, left - i), left - i);
    });
    team.sync();
    for (long r = team.me; r < f.rows; r += team.size) {
        float *y = f.y + r * f.outputs, *best = f.best + r * f.k, *wanted = f.k ? best : y;
        const float less = f.normalise ? log_of_sum(y, f.outputs) : 0.0f;
        if (f.k) choose(y, f.outputs, f.k, best, f.ids + r * f.k);
        for (long i = 0; f.normalise && i < (f.k ? f.k : f.outputs); i++) wanted[i] -= less;
    }
}

void steps_of(const unrolled_steps &f, Team &team)
{
    for (long layer = 0; layer < f.count; layer++)
        if (f.layers[layer].cell >= 0 && f.layers[layer].cell < CELLS)
            STEPS[f.layers[layer].cell](f.layers[layer], team, f.back, layer == 0);
    if (f.head) head_of(*f.head, team, f.back);
}

} // namespace

extern "C" {

int64_t unrolled_packed(int64_t rows, int64_t K, int64_t bits) { return Packed(rows, K, nullptr).size(bits); }

void unrolled_pack(int64_t rows, int64_t K, const float *M, int64_t ld, int64_t bits, void *to)
{
    const Packed packed(rows, K, to);
    if (bits == 8) return pack_bytes(M, ld, rows, packed);
    for (long v = 0; v < packed.vectors; v++) {
        const long s = v / STRIP;
        long apart;
        float *to = line_of(packed.strip(s), K, packed.width(s), TILE_VECTORS, v % STRIP, apart);
        pack_rows(M + v * W * ld, ld, rows - v * W, K, to, apart);
    }
}

int64_t unrolled_step_work(int64_t rows, int64_t units, int64_t inputs, int64_t threads)
{
    const long row = up(units, W) * W * 4; // no cell has more gates
    const long left = 2 * Left::floats(rows, units) + Left::floats(rows, inputs);
    return rows * (STRIP * W * (threads < 1 ? 1 : threads) + row + 2 * units + inputs) + left;
}

int64_t unrolled_step(unrolled_steps *call)
{
    for (long layer = 0; layer < call->count; layer++)
        for (long r = 0; call->layers[layer].table && r < call->layers[layer].rows; r++)
            if (call->layers[layer].ids[r] >= call->layers[layer].lines) return 1;
    CHECK(*call);
    call->back = !call->back;
    run(*call, call->threads, steps_of);
    return 0;
}

} // extern "C"
