// Whether this CPU runs the library: a file of its own, compiled for any CPU, as it is called before that is known.
#include "unrolled.h"

extern "C" int64_t unrolled_cpu(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init(); // not every compiler's runtime has done it when a library is loaded
#endif
#if defined(UNROLLED_AVX512) || defined(UNROLLED_AVX512VNNI)
#if defined(UNROLLED_AVX512VNNI)
    if (!__builtin_cpu_supports("avx512vnni")) return 0;
#endif
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#elif defined(UNROLLED_AVX2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}
