/*
 * v16_avx2.h - v16 as two AVX2 registers. A tile of 6 rows and one panel takes 12 of the 16 registers.
 */
#ifndef V16_AVX2_H
#define V16_AVX2_H

#include <immintrin.h>

#include "kernels.h"

typedef struct
{
    __m256      lo,
                hi;
} v16;

typedef struct
{
    __m256i     lo,
                hi;
} v16i;

static inline v16
v16_load(const float *p)
{
    return (v16) {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

static inline void
v16_store(float *p, v16 v)
{
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
}

static inline v16
v16_set1(float f)
{
    return (v16) {_mm256_set1_ps(f), _mm256_set1_ps(f)};
}

#define BOTH_HALVES(name, op) \
    static inline v16 name(v16 a, v16 b) { return (v16) {op(a.lo, b.lo), op(a.hi, b.hi)}; }

BOTH_HALVES(v16_add, _mm256_add_ps)
BOTH_HALVES(v16_sub, _mm256_sub_ps)
BOTH_HALVES(v16_mul, _mm256_mul_ps)
BOTH_HALVES(v16_max, _mm256_max_ps)
BOTH_HALVES(v16_min, _mm256_min_ps)

static inline v16
v16_fma(v16 a, v16 b, v16 c)
{
    return (v16) {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

static inline float
v16_first(v16 v)
{
    return _mm256_cvtss_f32(v.lo);
}

static inline v16
v16_down(v16 v, const int n)
{
    if (n == 8)
        return (v16) {v.hi, v.hi};
    if (n == 4)
        return (v16) {_mm256_permute2f128_ps(v.lo, v.lo, 1), v.hi};
    if (n == 2)
        return (v16) {_mm256_permute_ps(v.lo, 0x0e), v.hi};
    return (v16) {_mm256_permute_ps(v.lo, 0x01), v.hi};
}

static inline __m256
scale_half(__m256 p, __m256 t)
{
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p),
                                                _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}

static inline v16
v16_scale(v16 p, v16 t)
{
    return (v16) {scale_half(p.lo, t.lo), scale_half(p.hi, t.hi)};
}

static inline __m256
from_half(__m256i sums, int32_t zero, const int32_t *column_sums)
{
    __m256i     shift = _mm256_mullo_epi32(_mm256_set1_epi32(zero), _mm256_loadu_si256((const __m256i *) column_sums));

    return _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, shift));
}

static inline v16
v16_from_sums(v16i sums, int32_t zero, const int32_t *column_sums)
{
    return (v16) {from_half(sums.lo, zero, column_sums), from_half(sums.hi, zero, column_sums + 8)};
}

static inline v16i
v16i_join(__m256i lo, __m256i hi)
{
    return (v16i) {lo, hi};
}

static inline __m256i
half_quads(__m256 a, __m256 b, __m256 c, __m256 d)
{
    const __m256i low = _mm256_set1_epi32(0xff);
    __m256i     ab = _mm256_or_si256(_mm256_and_si256(_mm256_castps_si256(a), low),
                                     _mm256_slli_epi32(_mm256_and_si256(_mm256_castps_si256(b), low), 8));
    __m256i     cd = _mm256_or_si256(_mm256_and_si256(_mm256_castps_si256(c), low),
                                     _mm256_slli_epi32(_mm256_castps_si256(d), 8));

    return _mm256_or_si256(ab, _mm256_slli_epi32(cd, 16));
}

static inline void
v16_store_quads(int8_t *p, const v16 *v)
{
    _mm256_storeu_si256((__m256i *) p, half_quads(v[0].lo, v[1].lo, v[2].lo, v[3].lo));
    _mm256_storeu_si256((__m256i *) (p + 32), half_quads(v[0].hi, v[1].hi, v[2].hi, v[3].hi));
}

#define SST_TILE_ROWS 6
#define SST_TILE_PANELS 1
#define SST_PREFETCH 2048

#endif
