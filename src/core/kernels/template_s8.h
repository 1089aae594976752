/*
 * template_s8.h - the part of template.h that is of 8 bits: activations, attention's softmax, keys and values become bytes, and
 * gemm_s8 multiplies them.
 */

/* The lowest and highest of x [n] and 0, NaN left out. Returns 0, or NaN where one of x is not finite. */
SST_INLINE float
row_range(const float *x, size_t n, float *low, float *high)
{
    const v16   zero = v16_set1(0.0f);
    v16         least = zero,
                most = zero,
                nothing = zero;
    size_t      i = 0;

    for (; i < n; i += SST_LANES)
    {
        v16         lanes = load_up_to(x + i, n - i);

        least = v16_min(lanes, least);  /* in this order a NaN leaves it as it is */
        most = v16_max(lanes, most);
        nothing = v16_fma(lanes, zero, nothing);
    }
    *low = least_lane(least);
    *high = greatest_lane(most);
    return sum_lanes(nothing);
}

/* The steps of 16 values as integers in the low bits, by the trick of v16_exp2. */
SST_INLINE v16
quantize_lanes(v16 x, v16 steps, v16 offset)
{
    v16         t = v16_fma(x, steps, offset);

    return v16_min(v16_set1(12582912.0f + 255.0f), v16_max(v16_set1(12582912.0f), t));
}

static void
quantize(const float *x, size_t n, void *values, sst_row_scale *row)
{
    s8_value   *u = values;
    s8_value    last[SST_LANES];
    float       low,
                high,
                range,
                nothing,
                steps;
    v16         offset;
    size_t      i = 0;

    nothing = row_range(x, n, &low, &high);
    range = high - low;
    steps = range > 1e-30f ? 255.0f / range : 0.0f; /* below, the row is as good as 0 */
    row->scale = (range + nothing) / 255.0f;    /* NaN where one of x is not finite, so that it comes out */
    row->zero = steps > 0.0f ? (int32_t) (0.5f - low * steps) : 0;
    offset = v16_set1(12582912.0f + (float) row->zero);
    for (; i + SST_LANES <= n; i += SST_LANES)
        v16_store_values(u + i, quantize_lanes(v16_load(x + i), v16_set1(steps), offset));
    if (i < n)
    {
        v16_store_values(last, quantize_lanes(load_part(x + i, n - i, 0.0f), v16_set1(steps), offset));
        memcpy(u + i, last, (n - i + 3) / 4 * 4 * sizeof(s8_value));
    }
}

/* Before they are divided by their sum, softmax's results are 0 to exp(0) = 1, that of the largest x. */
static void
quantize_softmax(const float *x, size_t n, void *values, sst_row_scale *row)
{
    s8_value   *u = values;
    const v16   top = greatest(x, n);
    v16         lanes = v16_set1(0.0f);

    for (size_t i = 0; i < n; i += SST_LANES)
    {
        v16         e = v16_exp(v16_sub(v16_load(x + i), top));

        lanes = v16_add(lanes, e);
        v16_store_values(u + i, v16_fma(e, v16_set1(255.0f), v16_set1(12582912.0f)));
    }
    row->scale = 1.0f / (255.0f * sum_lanes(lanes));
    row->zero = 0;
}

/* Steps of a column of weights in 8 bits whose largest magnitude is most. */
SST_INLINE float
column_steps(float most)
{
    return most > 1e-30f ? 127.0f / most : 0.0f;    /* below, the column is as good as 0 */
}

/* As quantize_lanes, for weights: no x is more than 127 steps from 0. What is not finite becomes -127. */
SST_INLINE v16
weight_lanes(v16 x, v16 steps)
{
    return v16_max(v16_fma(x, steps, v16_set1(12582912.0f)), v16_set1(12582912.0f - 127.0f));
}

/* They as floats. Sums of these are exact: below 2^24 for 127 times every K that a model may have. */
SST_INLINE v16
weights_of(v16 lanes)
{
    return v16_sub(lanes, v16_set1(12582912.0f));
}

static void
quantize_column(const float *x, size_t n, sst_s8_panel *panel, size_t column)
{
    int8_t     *quads = panel->weights + 4 * column;
    v16         sum = v16_set1(0.0f);
    v16         steps;
    float       low,
                high,
                most,
                nothing;

    nothing = row_range(x, n, &low, &high);
    most = high > -low ? high : -low;
    steps = v16_set1(column_steps(most));
    for (size_t i = 0; i < n; i += SST_LANES)
    {
        v16         lanes = weight_lanes(load_up_to(x + i, n - i), steps);
        s8_value    values[SST_LANES];

        sum = v16_add(sum, weights_of(lanes));
        v16_store_values(values, lanes);
        for (size_t j = 0; j < SST_LANES && i + j < n; j += 4, quads += 4 * SST_LANES)
            SST_UNROLL for (size_t byte = 0; byte < 4; byte++)
                quads[byte] = (int8_t) values[j + byte];
    }
    panel->bias[column] = 0.0f;
    panel->scale[column] = (most + nothing) / 127.0f;
    panel->sum[column] = (int32_t) sum_lanes(sum);
}

/* Biases and scales of the columns of a panel. Returns their steps. */
SST_INLINE v16
panel_scales(const float *x, size_t ldx, size_t n, size_t columns, sst_s8_panel *panel)
{
    const v16   zero = v16_set1(0.0f);
    v16         low = load_up_to(x, columns),
                high = low,
                sum = zero;
    v16         mean,
                most;
    float       steps[SST_LANES];

    for (size_t i = 0; i < n; i++, x += ldx)
    {
        v16         lanes = load_up_to(x, columns);

        low = v16_min(lanes, low);
        high = v16_max(lanes, high);
        sum = v16_add(sum, lanes);
    }
    mean = v16_mul(sum, v16_set1(1.0f / (float) n));
    most = v16_max(v16_sub(high, mean), v16_sub(mean, low));
    v16_store(panel->bias, mean);
    v16_store(panel->scale, v16_mul(most, v16_set1(1.0f / 127.0f)));
    v16_store(steps, most);
    SST_UNROLL for (size_t c = 0; c < SST_LANES; c++)
        steps[c] = column_steps(steps[c]);
    return v16_load(steps);
}

static void
quantize_panel(const float *x, size_t ldx, size_t n, size_t columns, sst_s8_panel *panel)
{
    const v16   steps = panel_scales(x, ldx, n, columns, panel);
    const v16   mean = v16_load(panel->bias);
    v16         sum = v16_set1(0.0f);
    float       sums[SST_LANES];

    for (size_t i = 0; i < n; i += 4)
    {
        v16         quads[4];

        for (size_t j = 0; j < 4; j++)  /* unrolled, gcc 12 for ARM let two values share their place on the stack */
        {
            v16         lanes = i + j < n ? load_up_to(x + (i + j) * ldx, columns) : mean;

            quads[j] = weight_lanes(v16_sub(lanes, mean), steps);
            sum = v16_add(sum, weights_of(quads[j]));
        }
        v16_store_quads(panel->weights + i * SST_LANES, quads);
    }
    v16_store(sums, sum);
    SST_UNROLL for (size_t c = 0; c < SST_LANES; c++)
        panel->sum[c] = (int32_t) sums[c];
}

/* What gemm_s8 makes of the exact sums of one row and panel. */
SST_INLINE void
s8_finish(v16i sums, const sst_row_scale *row, const sst_s8_panel *panel, float *y, sst_epilogue epilogue)
{
    v16         scale = v16_mul(v16_set1(row->scale), v16_load(panel->scale));
    v16         sum = v16_fma(v16_from_sums(sums, row->zero, panel->sum), scale, v16_load(panel->bias));

    if (epilogue == SST_ADD)
        sum = v16_add(v16_load(y), sum);
    v16_store(y, sum);
}

#if defined(SST_OWN_GEMM_S8)
static void gemm_s8(int rows, int panels, const void *x, size_t ldx, const sst_row_scale *scales, const void *w, size_t k,
                    const char *ahead, float *y, size_t ldy, sst_epilogue epilogue);
#else
/* As gemm_tile: the sums stay in registers until they are floats. */
SST_INLINE void
s8_tile(const int rows, const int panels, const s8_value *x, size_t ldx, const sst_row_scale *scales, const char *w,
        size_t k, const char *ahead, float *y, size_t ldy, sst_epilogue epilogue)
{
    const size_t panel_bytes = sst_panel_bytes(SST_INT8, k);
    v16i        sums[SST_S8_ROWS][SST_S8_PANELS];

    s8_sums(rows, panels, x, ldx, w + sizeof(sst_s8_panel), panel_bytes, (k + 3) / 4, ahead, sums);
    SST_UNROLL for (int p = 0; p < panels; p++)
    {
        const sst_s8_panel *panel = (const sst_s8_panel *) (w + p * panel_bytes);

        SST_UNROLL for (int r = 0; r < rows; r++)
            s8_finish(sums[r][p], &scales[r], panel, y + r * ldy + p * SST_LANES, epilogue);
    }
}

SST_INLINE void
s8_rows(int rows, const int panels, const s8_value *x, size_t ldx, const sst_row_scale *scales, const char *w,
        size_t k, const char *ahead, float *y, size_t ldy, sst_epilogue epilogue)
{
#define CALL(n) s8_tile(n, panels, x, ldx, scales, w, k, ahead, y, ldy, epilogue)
    switch (rows)
    {
        SST_CASES(SST_S8_ROWS, CALL);
    }
#undef CALL
}

static void
gemm_s8(int rows, int panels, const void *x, size_t ldx, const sst_row_scale *scales, const void *w, size_t k,
        const char *ahead, float *y, size_t ldy, sst_epilogue epilogue)
{
    if (panels == 1)
        s8_rows(rows, 1, x, ldx, scales, w, k, ahead, y, ldy, epilogue);
    else
        s8_rows(rows, SST_S8_PANELS, x, ldx, scales, w, k, ahead, y, ldy, epilogue);
}
#endif
