// The matrix product of all cells: a few rows times a packed matrix, in tiles that stay in registers.
//
// The columns of the packed matrix are divided into strips of up to STRIP vectors. A strip is divided into panels of a
// few vectors. A panel stores its columns for k = 0, 1, 2 ... one after the other, so it is read from start to end.
// A panel has TILE_VECTORS vectors. If there are many rows and the weights are not in the cache, it has only NARROW
// vectors: then a tile has more rows and reads fewer weights at a time, which hides the latency of memory better.
#pragma once
#include "vec.h"

constexpr int STRIP = 4, SUMS = TILE_ROWS * TILE_VECTORS;
constexpr long NARROW = 2, MANY = 8; // vectors; rows
INLINE long panel_for(long rows, bool far) { return far && rows >= MANY ? NARROW : TILE_VECTORS; }
// Number of vectors of the panels of a strip of `width`. Three vectors form one panel if a tile can hold them, because
// a panel of one vector is slow.
INLINE long panels_of(long width, long most) { return width == 3 && TILE_VECTORS > 2 ? 3 : most; }

constexpr long up(long n, long by) { return (n + by - 1) / by; } // n / by, rounded up
constexpr int least(int a, int b) { return a < b ? a : b; }

// Cache lines that are needed next. A tile prefetches one of them at each of its steps. The rows of an array are too
// far apart for the processor's own prefetcher, and prefetching all lines at once would stall.
struct Ahead {
    static constexpr long MOST = 1024;
    const float *lines[MOST];
    long count = 0, done = 0;

    void add(const float *p, long floats) // adds the lines of one row; p may be NULL
    {
        if (!p) return;
        const float *line = p - (uintptr_t)p % 64 / 4;
        const long n = (p + floats - line + 15) / 16;
        if (n > MOST - count) return;
        for (long i = 0; i < n; i++) lines[count + i] = line + i * 16;
        count += n;
    }
    long take(long most) // returns the number of lines to prefetch now, starting at `done`
    {
        const long left = count - done, n = left < most ? left : most;
        done += n;
        return n;
    }
};

// C [ROWS, STRIP * W] = A [ROWS, K] B [K, WIDE * W], or += if `add`. lda: the distance between the rows of A. A small
// tile has SPLIT sums for each element and adds to them in turn, which hides the latency of an addition.
template <int ROWS, int WIDE, int SPLIT>
static void tile(const float *__restrict A, long lda, const float *__restrict B, long K, float *__restrict C, bool add,
                 Ahead &ahead)
{
    V sum[SPLIT][ROWS][WIDE] = {};
    auto multiply = [&](long k, V(&into)[ROWS][WIDE]) __attribute__((always_inline)) {
        V b[WIDE];
        UNROLL
        for (int v = 0; v < WIDE; v++) b[v] = load(B + (k * WIDE + v) * W);
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            V a = all(A[r * lda + k]);
            UNROLL
            for (int v = 0; v < WIDE; v++) into[r][v] += a * b[v];
        }
    };
    auto step = [&](long k) __attribute__((always_inline)) {
        UNROLL
        for (int s = 0; s < SPLIT; s++) multiply(k + s, sum[s]);
    };
    long k = 0;
    const float *const *line = ahead.lines + ahead.done;
    for (const long end = ahead.take(K / SPLIT) * SPLIT; k < end; k += SPLIT) {
        __builtin_prefetch(*line++, 0, 2);
        step(k);
    }
    for (; k + SPLIT <= K; k += SPLIT) step(k);
    for (; k < K; k++) multiply(k, sum[0]);
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int v = 0; v < WIDE; v++) {
            float *c = C + (r * STRIP + v) * W;
            V total = sum[0][r][v];
            UNROLL
            for (int s = 1; s < SPLIT; s++) total += sum[s][r][v];
            store(c, add ? load(c) + total : total);
        }
    }
}

struct Quick { // fastest; the order of additions depends on the number of rows
    static constexpr int rows(int wide) { return least(12, SUMS / wide); }
    static constexpr int split(int rows, int wide) { return rows * wide * 2 > SUMS ? 1 : least(4, SUMS / (rows * wide)); }
};
struct Alike { // every row is summed in the same order, for any number of rows
    static constexpr int rows(int) { return 3; }
    static constexpr int split(int, int) { return 2; }
};

// One panel of WIDE vectors and `rows` rows, at most ROWS.
template <class How, int WIDE, int ROWS = How::rows(WIDE)>
static void tiles(long rows, const float *A, long lda, const float *B, long K, float *C, bool add,
                  Ahead &ahead)
{
    if constexpr (ROWS > 1)
        if (rows < ROWS) return tiles<How, WIDE, ROWS - 1>(rows, A, lda, B, K, C, add, ahead);
    tile<ROWS, WIDE, How::split(ROWS, WIDE)>(A, lda, B, K, C, add, ahead);
}

// One panel and any number of rows.
template <class How, int WIDE>
static void panel(long rows, const float *A, long lda, const float *B, long K, float *C, bool add,
                  Ahead &ahead)
{
    const long groups = up(rows, How::rows(WIDE)), blocks = up(K, WIDE > NARROW ? K_BLOCK : K_NARROW);
    for (long block = 0; block < blocks; block++) { // in blocks, so that a part of the panel stays in the L1 cache
        const long k = K * block / blocks, end = K * (block + 1) / blocks;
        for (long group = 0; group < groups; group++) {
            const long r = rows * group / groups, last = rows * (group + 1) / groups;
            tiles<How, WIDE>(last - r, A + r * lda + k, lda, B + k * WIDE * W, end - k, C + r * STRIP * W,
                             add || block > 0, ahead);
        }
    }
}

// C [rows, width * W] = A [rows, K] times a packed strip of `width` vectors in panels of `most` vectors; += if `add`.
// The rows of C are STRIP * W floats apart.
template <class How>
static void product(long rows, const float *A, long lda, const float *strip, long K, long width, long most, float *C,
                    Ahead &ahead, bool add = false)
{
    most = panels_of(width, most);
    for (long v = 0; v < width; v += most) {
        const float *B = strip + v * K * W;
        const long wide = width - v < most ? width - v : most;
        if constexpr (TILE_VECTORS > 2) {
            if (wide > 3) { panel<How, 4>(rows, A, lda, B, K, C + v * W, add, ahead); continue; }
            if (wide == 3) { panel<How, 3>(rows, A, lda, B, K, C + v * W, add, ahead); continue; }
        }
        if (wide > 1) panel<How, 2>(rows, A, lda, B, K, C + v * W, add, ahead);
        else panel<How, 1>(rows, A, lda, B, K, C + v * W, add, ahead);
    }
}

// Return the address of vector v of a strip, and in `apart` the distance between its lines.
INLINE float *line_of(float *strip, long K, long width, long most, long v, long &apart)
{
    most = panels_of(width, most);
    const long first = v - v % most, wide = width - first;
    apart = (wide < most ? wide : most) * W;
    return strip + first * K * W + (v - first) * W;
}

// Pack a vector of columns, which are rows of M [rows, K]. Columns after the last one are zeros.
static void pack_rows(const float *M, long ld, long rows, long K, float *to, long apart)
{
    for (long k = 0; k < K; k += W) {
        V block[W];
        for (long i = 0; i < W; i++) block[i] = i < rows ? load(M + i * ld + k, K - k) : V{};
        transpose(block);
        for (long i = 0; i < W && k + i < K; i++) store(to + (k + i) * apart, block[i]);
    }
}

// Pack a vector of columns of M [K, columns]. Columns after the last one are zeros.
[[maybe_unused]] static void pack_columns(const float *M, long ld, long K, long columns, float *to, long apart)
{
    for (long k = 0; k < K; k++) store(to + k * apart, load(M + k * ld, columns));
}
