// Tells whether this CPU can run the library. This is a separate file, compiled for any CPU, because the function must
// run before the answer is known.
#include "unrolled.h"

extern "C" int64_t unrolled_cpu(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init(); // some compilers do not do this when a library is loaded
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
