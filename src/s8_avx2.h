/*
 * s8_avx2.h - s8_sums for CPUs without VNNI: pmaddwd on 16-bit values.
 *
 * pmaddubsw would take the bytes as they are, but it saturates its sums of two products at 32767, and 2 * 255 * 127 is
 * more. So the weights are widened as they are loaded, once for all rows, and the activations once for a chunk
 * of the rows. A register holds, for 4 columns, the sums of k = 0, 1 and of k = 2, 3 of each quad.
 */
#ifndef S8_AVX2_H
#define S8_AVX2_H

#include <string.h>

#define SST_S8_ROWS 3           /* 12 registers of sums, 3 of activations, 1 of weights */
#define SST_S8_PANELS 1
#define SST_S8_OFFSET 0
#define CHUNK 256               /* quads: 6 KB of widened activations */

SST_INLINE void
widen(const uint8_t *x, size_t bytes, int16_t *wide)
{
    size_t      i = 0;

    for (; i + 16 <= bytes; i += 16)
        _mm256_storeu_si256((__m256i *) (wide + i), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *) (x + i))));
    for (; i < bytes; i++)
        wide[i] = x[i];
}

/* See kernels_c.c. */
SST_INLINE void
s8_sums(const int rows, const int panels, const uint8_t *x, const char *w, size_t panel_bytes, size_t quads,
        const char *ahead, int32_t sums[][SST_S8_PANELS][SST_LANES])
{
    __m256i     sum[SST_S8_ROWS][4];
    int16_t     wide[CHUNK * SST_S8_ROWS * 4];

    (void) panels;
    (void) panel_bytes;
    SST_UNROLL for (int r = 0; r < rows; r++)
        SST_UNROLL for (int c = 0; c < 4; c++)
            sum[r][c] = _mm256_setzero_si256();
    for (size_t first = 0; first < quads; first += CHUNK)
    {
        size_t      count = quads - first < CHUNK ? quads - first : CHUNK;

        widen(x + first * rows * 4, count * rows * 4, wide);
        for (size_t q = 0; q < count; q++, w += 4 * SST_LANES)
        {
            __m256i     a[SST_S8_ROWS];

            __builtin_prefetch(w + SST_PREFETCH);
            __builtin_prefetch(ahead + (first + q) * 4 * SST_LANES, 0, 2);
            SST_UNROLL for (int r = 0; r < rows; r++)
            {
                long long   quad;

                memcpy(&quad, wide + (q * rows + r) * 4, sizeof(quad));
                a[r] = _mm256_set1_epi64x(quad);
            }
            SST_UNROLL for (int c = 0; c < 4; c++)
            {
                __m256i     weights = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *) (w + 16 * c)));

                SST_UNROLL for (int r = 0; r < rows; r++)
                    sum[r][c] = _mm256_add_epi32(sum[r][c], _mm256_madd_epi16(a[r], weights));
            }
        }
    }
    SST_UNROLL for (int r = 0; r < rows; r++)
        SST_UNROLL for (int c = 0; c < 4; c += 2)
        {
            __m256i     pairs = _mm256_hadd_epi32(sum[r][c], sum[r][c + 1]);

            _mm256_storeu_si256((__m256i *) &sums[r][0][4 * c], _mm256_permute4x64_epi64(pairs, 0xd8));
        }
}

#endif
