/*
 * v16_avx512.h - v16 as one AVX-512 register. A tile of 9 rows and two panels takes 18 of the 32 registers.
 */
#ifndef V16_AVX512_H
#define V16_AVX512_H

#include <immintrin.h>

#include "kernels.h"

typedef __m512 v16;
typedef __m512i v16i;

#define v16_load(p) _mm512_loadu_ps(p)
#define v16_store(p, v) _mm512_storeu_ps(p, v)
#define v16_set1(f) _mm512_set1_ps(f)
#define v16_add(a, b) _mm512_add_ps(a, b)
#define v16_sub(a, b) _mm512_sub_ps(a, b)
#define v16_mul(a, b) _mm512_mul_ps(a, b)
#define v16_max(a, b) _mm512_max_ps(a, b)
#define v16_min(a, b) _mm512_min_ps(a, b)
#define v16_fma(a, b, c) _mm512_fmadd_ps(a, b, c)

#define v16i_load(p) _mm512_loadu_si512(p)

#define v16_first(v) _mm512_cvtss_f32(v)
#define v16_down(v, n) _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(v), _mm512_castps_si512(v), n))

static inline v16
v16_scale(v16 p, v16 t)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p),
                                                _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}

static inline v16
v16_from_sums(v16i sums, int32_t zero, const int32_t *column_sums)
{
    __m512i     shift = _mm512_mullo_epi32(_mm512_set1_epi32(zero), _mm512_loadu_si512(column_sums));

    return _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, shift));
}

/* The low bytes of the lanes. */
static inline void
v16_store_bytes(uint8_t *p, v16 v)
{
    _mm_storeu_si128((__m128i *) p, _mm512_cvtepi32_epi8(_mm512_castps_si512(v)));
}

static inline void
v16_store_quads(int8_t *p, const v16 *v)
{
    const __m512i low = _mm512_set1_epi32(0xff);
    __m512i     ab = _mm512_or_epi32(_mm512_and_epi32(_mm512_castps_si512(v[0]), low),
                                     _mm512_slli_epi32(_mm512_and_epi32(_mm512_castps_si512(v[1]), low), 8));
    __m512i     cd = _mm512_or_epi32(_mm512_and_epi32(_mm512_castps_si512(v[2]), low),
                                     _mm512_slli_epi32(_mm512_castps_si512(v[3]), 8));

    _mm512_storeu_si512(p, _mm512_or_epi32(ab, _mm512_slli_epi32(cd, 16)));
}

#define SST_TILE_ROWS 9
#define SST_TILE_PANELS 2
#define SST_PREFETCH 2048

#endif
