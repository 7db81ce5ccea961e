// The one product of all cells: a few rows times a packed matrix, in tiles that stay in registers.
//
// The packed matrix has its columns in strips of STRIP vectors, a strip in panels of TILE_VECTORS vectors, and a panel
// holds its columns for k = 0, 1, 2 ... one after the other, so that it is read from front to back.
#pragma once
#include "vec.h"

constexpr int STRIP = 4, PANELS = STRIP / TILE_VECTORS, PANEL = TILE_VECTORS * W;

constexpr long up(long n, long by) { return (n + by - 1) / by; } // n / by, rounded up

// C [ROWS, STRIP * W] = A [ROWS, K] B [K, PANEL], or += where `add`; A's rows lie lda apart. SPLIT sums in turn hide
// the latency of an addition where there are few rows.
template <int ROWS, int SPLIT>
static void tile(const float *__restrict A, long lda, const float *__restrict B, long K, float *__restrict C, bool add)
{
    V sum[SPLIT][ROWS][TILE_VECTORS] = {};
    auto multiply = [&](long k, V(&into)[ROWS][TILE_VECTORS]) __attribute__((always_inline)) {
        V b[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) b[v] = load(B + k * PANEL + v * W);
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            V a = all(A[r * lda + k]);
            UNROLL
            for (int v = 0; v < TILE_VECTORS; v++) into[r][v] += a * b[v];
        }
    };
    long k = 0;
    for (; k + SPLIT <= K; k += SPLIT) {
        UNROLL
        for (int s = 0; s < SPLIT; s++) multiply(k + s, sum[s]);
    }
    for (; k < K; k++) multiply(k, sum[0]);
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) {
            float *c = C + r * STRIP * W + v * W;
            V total = sum[0][r][v];
            UNROLL
            for (int s = 1; s < SPLIT; s++) total += sum[s][r][v];
            store(c, add ? load(c) + total : total);
        }
    }
}

struct Quick { // any number of rows, as quick as it goes
    static constexpr long ROWS = TILE_ROWS;
    static void tiles(long rows, const float *A, long lda, const float *B, long K, float *C, bool add)
    {
        switch (rows) {
        case 1: return tile<1, 4>(A, lda, B, K, C, add);
        case 2: return tile<2, 2>(A, lda, B, K, C, add);
        case 3: return tile<3, 2>(A, lda, B, K, C, add);
        case 4: return tile<4, 1>(A, lda, B, K, C, add);
        case 5: return tile<5, 1>(A, lda, B, K, C, add);
        default: return tile<TILE_ROWS, 1>(A, lda, B, K, C, add);
        }
    }
};
struct Alike { // every row is summed in the same order, whatever rows stand beside it
    static constexpr long ROWS = 3;
    static void tiles(long rows, const float *A, long lda, const float *B, long K, float *C, bool add)
    {
        switch (rows) {
        case 1: return tile<1, 2>(A, lda, B, K, C, add);
        case 2: return tile<2, 2>(A, lda, B, K, C, add);
        default: return tile<3, 2>(A, lda, B, K, C, add);
        }
    }
};

// C [rows, STRIP * W] = A [rows, K] times one packed strip, of which `vectors` are wanted; += where `add`.
template <class How>
static void product(long rows, const float *A, long lda, const float *strip, long K, long vectors, float *C,
                    bool add = false)
{
    const long groups = up(rows, How::ROWS), blocks = up(K, K_BLOCK);
    for (long panel = 0; panel * TILE_VECTORS < vectors; panel++)
        for (long block = 0; block < blocks; block++) { // so that this part of the panel stays in the first cache
            const long k = K * block / blocks, end = K * (block + 1) / blocks;
            for (long group = 0; group < groups; group++) {
                const long r = rows * group / groups, last = rows * (group + 1) / groups;
                How::tiles(last - r, A + r * lda + k, lda, strip + (panel * K + k) * PANEL, end - k,
                        C + r * STRIP * W + panel * PANEL, add || block > 0);
            }
        }
}

// Packs one strip whose columns are rows of M [rows, K]: from row `first` on; rows past the end are zeros.
static void pack_rows(const float *M, long ld, long rows, long K, long first, float *strip)
{
    for (long v = 0; v < STRIP; v++) {
        float *to = strip + v / TILE_VECTORS * K * PANEL + v % TILE_VECTORS * W;
        for (long k = 0; k < K; k += W) {
            V block[W];
            for (long i = 0; i < W; i++) {
                const long row = first + v * W + i;
                block[i] = row < rows ? load(M + row * ld + k, K - k) : V{};
            }
            transpose(block);
            for (long i = 0; i < W && k + i < K; i++) store(to + (k + i) * PANEL, block[i]);
        }
    }
}

// Packs one strip whose columns are columns of M [K, columns]: from column `first` on; those past the end are zeros.
[[maybe_unused]] static void pack_columns(const float *M, long ld, long K, long columns, long first, float *strip)
{
    for (long v = 0; v < STRIP; v++) {
        const long column = first + v * W;
        float *to = strip + v / TILE_VECTORS * K * PANEL + v % TILE_VECTORS * W;
        for (long k = 0; k < K; k++)
            store(to + k * PANEL, column < columns ? load(M + k * ld + column, columns - column) : V{});
    }
}
