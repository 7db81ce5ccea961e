// The one product of all cells: a few rows times a packed matrix, in tiles that stay in registers.
//
// The packed matrix has its columns in strips of up to STRIP vectors, a strip in panels of a few vectors, and a panel
// holds its columns for k = 0, 1, 2 ... one after the other, so that it is read from front to back. Panels are wide,
// TILE_VECTORS; NARROW where many rows meet weights that come from far away, which a tile of more rows hides better, as
// it reads fewer of them at a time.
#pragma once
#include "vec.h"

constexpr int STRIP = 4, SUMS = TILE_ROWS * TILE_VECTORS;
constexpr long NARROW = 2, MANY = 8; // rows from which on
INLINE long panel_for(long rows, bool far) { return far && rows >= MANY ? NARROW : TILE_VECTORS; }
// Vectors of the panels of a strip of `width`: three are one panel where a tile holds them, as one alone is slow.
INLINE long panels_of(long width, long most) { return width == 3 && TILE_VECTORS > 2 ? 3 : most; }

constexpr long up(long n, long by) { return (n + by - 1) / by; } // n / by, rounded up
constexpr int least(int a, int b) { return a < b ? a : b; }

// Lines of memory that will be wanted next: a tile has one brought near at each of its steps, as rows of one array lie
// too far apart for the processor to guess, and all at once would only wait for each other.
struct Ahead {
    static constexpr long MOST = 1024;
    const float *lines[MOST];
    long count = 0, done = 0;

    void add(const float *p, long floats) // of one row; p may be NULL
    {
        if (!p) return;
        const float *line = p - (uintptr_t)p % 64 / 4;
        const long n = (p + floats - line + 15) / 16;
        if (n > MOST - count) return;
        for (long i = 0; i < n; i++) lines[count + i] = line + i * 16;
        count += n;
    }
    long take(long most) // how many from `done` on
    {
        const long left = count - done, n = left < most ? left : most;
        done += n;
        return n;
    }
};

// C [ROWS, STRIP * W] = A [ROWS, K] B [K, WIDE * W], or += where `add`; A's rows lie lda apart. SPLIT sums in turn hide
// the latency of an addition where there are few.
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

struct Quick { // any number of rows, as quick as it goes
    static constexpr int rows(int wide) { return least(12, SUMS / wide); }
    static constexpr int split(int rows, int wide) { return rows * wide * 2 > SUMS ? 1 : least(4, SUMS / (rows * wide)); }
};
struct Alike { // every row is summed in the same order, whatever rows stand beside it
    static constexpr int rows(int) { return 3; }
    static constexpr int split(int, int) { return 2; }
};

// One panel of WIDE vectors and so many rows, at most ROWS.
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
    for (long block = 0; block < blocks; block++) { // so that this part of the panel stays in the first cache
        const long k = K * block / blocks, end = K * (block + 1) / blocks;
        for (long group = 0; group < groups; group++) {
            const long r = rows * group / groups, last = rows * (group + 1) / groups;
            tiles<How, WIDE>(last - r, A + r * lda + k, lda, B + k * WIDE * W, end - k, C + r * STRIP * W,
                             add || block > 0, ahead);
        }
    }
}

// C [rows, width * W], its rows STRIP * W apart, = A [rows, K] times a packed strip of `width` vectors in panels of
// `most`; += where `add`.
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

// Where vector v of a strip of such panels stands, and how far apart its lines are.
INLINE float *line_of(float *strip, long K, long width, long most, long v, long &apart)
{
    most = panels_of(width, most);
    const long first = v - v % most, wide = width - first;
    apart = (wide < most ? wide : most) * W;
    return strip + first * K * W + (v - first) * W;
}

// Packs a vector of columns, which are rows of M [rows, K]; those past the last are zeros.
static void pack_rows(const float *M, long ld, long rows, long K, float *to, long apart)
{
    for (long k = 0; k < K; k += W) {
        V block[W];
        for (long i = 0; i < W; i++) block[i] = i < rows ? load(M + i * ld + k, K - k) : V{};
        transpose(block);
        for (long i = 0; i < W && k + i < K; i++) store(to + (k + i) * apart, block[i]);
    }
}

// Packs a vector of columns of M [K, columns]; those past the last are zeros.
[[maybe_unused]] static void pack_columns(const float *M, long ld, long K, long columns, float *to, long apart)
{
    for (long k = 0; k < K; k++) store(to + k * apart, load(M + k * ld, columns));
}
