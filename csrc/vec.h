// Vectors of floats, written once with the vector types of GCC and Clang. The width depends on the instruction set.
#pragma once
#include <stdint.h>
#include <string.h>

#include <utility>

#if defined(__AVX512F__)
#include <immintrin.h>
constexpr int W = 16, TILE_ROWS = 6, TILE_VECTORS = 4, K_BLOCK = 128, K_NARROW = 1024; // 24 of 32 registers are sums
#elif defined(__AVX2__)
#include <immintrin.h>
constexpr int W = 8, TILE_ROWS = 6, TILE_VECTORS = 2, K_BLOCK = 256, K_NARROW = 256; // 12 of 16 registers are sums
#elif defined(__aarch64__)
constexpr int W = 4, TILE_ROWS = 6, TILE_VECTORS = 4, K_BLOCK = 256, K_NARROW = 1024;
#else
// Without FMA, each product needs a register, so fewer registers are left for the sums.
constexpr int W = 4, TILE_ROWS = 5, TILE_VECTORS = 2, K_BLOCK = 512, K_NARROW = 512;
#endif

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

typedef float V __attribute__((vector_size(4 * W)));
typedef int32_t I __attribute__((vector_size(4 * W)));

INLINE V all(float x) { return x - V{}; } // not 0 + x, which turns -0 into 0
INLINE V load(const float *p) { V v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, V v) { memcpy(p, &v, sizeof v); }

// Load or store only the first n lanes: the other lanes load as zeros and are not stored. A debug build uses no masked
// instructions, because the sanitizers do not check them.
#if defined(__AVX512F__) && !defined(UNROLLED_DEBUG)
INLINE __mmask16 lanes(long n) { return (__mmask16)(n >= W ? 0xffff : (1u << n) - 1); }
INLINE V load(const float *p, long n) { return (V)_mm512_maskz_loadu_ps(lanes(n), p); }
INLINE void store(float *p, V v, long n) { _mm512_mask_storeu_ps(p, lanes(n), (__m512)v); }
#elif defined(__AVX2__) && !defined(__AVX512F__) && !defined(UNROLLED_DEBUG)
INLINE __m256i lanes(long n) { return (__m256i)(I{0, 1, 2, 3, 4, 5, 6, 7} < (I{} + (int32_t)n)); }
INLINE V load(const float *p, long n) { return n >= W ? load(p) : (V)_mm256_maskload_ps(p, lanes(n)); }
INLINE void store(float *p, V v, long n)
{
    if (n >= W) store(p, v);
    else _mm256_maskstore_ps(p, lanes(n), (__m256)v);
}
#else
INLINE V load(const float *p, long n)
{
    if (n >= W) return load(p);
    V v = {};
    for (long i = 0; i < n; i++) v[i] = p[i];
    return v;
}
INLINE void store(float *p, V v, long n)
{
    if (n >= W) store(p, v);
    else for (long i = 0; i < n; i++) p[i] = v[i];
}
#endif

// Return 2^n and e^r - 1, where x = n log 2 + r and |r| <= log(2) / 2. The functions below combine them. NaN stays
// NaN. The polynomial is from expf of the Cephes library (Moshier 1984).
struct Parts { V power, rest; };
INLINE Parts split(V x)
{
    const V magic = all(12582912.0f); // 1.5 * 2^23: the sum is rounded to an integer, which is in the lowest bits
    V shifted = x * 1.44269504f + magic, n = shifted - magic;
    V r = x - n * 0.693359375f + n * 2.12194440e-4f; // log 2 as the sum of two constants, for precision
    V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return {(V)(((I)shifted + 127) << 23), p * (r * r) + r};
}
INLINE V clamp(V x, float limit) // NaN stays NaN
{
#if defined(__AVX512F__)
    // For NaN, these instructions return the second operand.
    return (V)_mm512_max_ps((__m512)all(-limit), _mm512_min_ps((__m512)all(limit), (__m512)x));
#else
    x = x > limit ? all(limit) : x;
    return x < -limit ? all(-limit) : x;
#endif
}

// 1 / x for 1 <= x <= 2^126, with an error of at most one unit in the last place. With AVX-512 a division takes as
// long as sixteen products. An approximation and one Newton step are faster.
INLINE V inverse(V x)
{
#if defined(__AVX512F__)
    const V guess = (V)_mm512_rcp14_ps((__m512)x);
    return guess + guess * (1.0f - x * guess);
#else
    return 1.0f / x;
#endif
}

// sigmoid and tanh have an error of at most 3 units in the last place. They are constant where the clamp limits x:
// e^87 is near the largest float32, and tanh(10) is 1.
INLINE V sigmoid(V x)
{
    Parts e = split(clamp(-x, 87.0f));
    return inverse(1.0f + (e.power * e.rest + e.power));
}
INLINE V tanh(V x)
{
    Parts e = split(clamp(x + x, 20.0f));
    V less = e.power * e.rest + (e.power - 1.0f); // e^2x - 1 without cancellation, so also correct for small x
    return less * inverse(less + 2.0f);
}
INLINE V relu(V x) { return x < 0.0f ? V{} : x; }

INLINE V exponential(V x)
{
    Parts e = split(clamp(x, 87.0f));
    return e.power * e.rest + e.power;
}

// Transpose a W x W matrix. At each level, exchange the two off-diagonal blocks.
template <int H, int... L> INLINE void exchange(V &a, V &b, std::integer_sequence<int, L...>)
{
#if defined(__clang__)
    V upper = __builtin_shufflevector(a, b, ((L & H) ? W + L - H : L)...);
    b = __builtin_shufflevector(a, b, ((L & H) ? W + L : L + H)...);
#else
    V upper = __builtin_shuffle(a, b, I{((L & H) ? W + L - H : L)...});
    b = __builtin_shuffle(a, b, I{((L & H) ? W + L : L + H)...});
#endif
    a = upper;
}
template <int H = W / 2> INLINE void transpose(V *rows)
{
    UNROLL
    for (int i = 0; i < W; i++)
        if (!(i & H)) exchange<H>(rows[i], rows[i + H], std::make_integer_sequence<int, W>{});
    if constexpr (H > 1) transpose<H / 2>(rows);
}

// Round to integers and keep the lowest byte.
typedef int8_t B8 __attribute__((vector_size(W)));
INLINE B8 bytes(V v) { return __builtin_convertvector((I)(v + 12582912.0f), B8); } // see split

INLINE float largest(V v) // the largest lane; a NaN may be ignored
{
    float most = v[0];
    for (int i = 1; i < W; i++) most = v[i] > most ? v[i] : most;
    return most;
}
INLINE bool any_above(V v, float least)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)v, (__m512)all(least), _CMP_GT_OQ);
#elif defined(__AVX2__)
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)v, (__m256)all(least), _CMP_GT_OQ));
#else
    bool found = false;
    for (int i = 0; i < W; i++) found |= v[i] > least;
    return found;
#endif
}
INLINE float total(V v)
{
    float sum = 0.0f;
    for (int i = 0; i < W; i++) sum += v[i];
    return sum;
}

// A `Four` has four int8 numbers, each -127 to 127, for all lanes. dot(sum, four, w) multiplies them with four numbers
// per lane of w and adds the products to the sum of the lane.
//
// The product instructions need one unsigned factor. There are two ways:
// * Multiply |four| by w, after w gets the sign of four.
// * With AVX512-VNNI: multiply four + SHIFT by w. Then `sum` must begin with -SHIFT times the sum of the lane's w.
#if defined(__AVX512VNNI__)
constexpr int SHIFT = 128;
struct Four { __m512i shifted; };
INLINE Four four(int32_t a) { return {_mm512_set1_epi32(a ^ (int32_t)0x80808080)}; }
INLINE I dot(I sum, Four a, const int8_t *w)
{
    return (I)_mm512_dpbusd_epi32((__m512i)sum, a.shifted, _mm512_loadu_si512(w));
}
#else
constexpr int SHIFT = 0;
#endif
#if defined(__AVX512VNNI__)
#elif defined(__AVX512F__)
struct Four { __m512i size; __mmask64 negative; };
INLINE Four four(int32_t a)
{
    __m512i v = _mm512_set1_epi32(a);
    return {_mm512_abs_epi8(v), _mm512_movepi8_mask(v)};
}
INLINE I dot(I sum, Four a, const int8_t *w)
{
    __m512i b = _mm512_loadu_si512(w);
    b = _mm512_mask_sub_epi8(b, a.negative, _mm512_setzero_si512(), b);
    return sum + (I)_mm512_madd_epi16(_mm512_maddubs_epi16(a.size, b), _mm512_set1_epi16(1));
}
#elif defined(__AVX2__)
struct Four { __m256i value, size; };
INLINE Four four(int32_t a)
{
    __m256i v = _mm256_set1_epi32(a);
    return {v, _mm256_abs_epi8(v)};
}
INLINE I dot(I sum, Four a, const int8_t *w)
{
    __m256i b = _mm256_sign_epi8(_mm256_loadu_si256((const __m256i *)w), a.value);
    return sum + (I)_mm256_madd_epi16(_mm256_maddubs_epi16(a.size, b), _mm256_set1_epi16(1));
}
#else
struct Four { int8_t value[4]; };
INLINE Four four(int32_t a)
{
    Four f;
    memcpy(f.value, &a, sizeof f);
    return f;
}
INLINE I dot(I sum, Four a, const int8_t *w)
{
    for (int lane = 0; lane < W; lane++)
        for (int j = 0; j < 4; j++) sum[lane] += a.value[j] * w[4 * lane + j];
    return sum;
}
#endif
