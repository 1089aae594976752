/*
 * safetensors.c - read a safetensors file.
 *
 * We trust nothing in the header: a file may come from anywhere.
 */
#include "safetensors.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER (100u << 20) /* as the safetensors library */

static bool
fail(safetensors *st, const char *format,...)
{
    va_list     args;

    va_start(args, format);
    vsnprintf(st->message, sizeof(st->message), format, args);
    va_end(args);
    return false;
}

static uint64_t
read_le(const unsigned char *p, int bytes)
{
    uint64_t    value = 0;

    for (int i = 0; i < bytes; i++)
        value |= (uint64_t) p[i] << 8 * i;
    return value;
}

/* Bytes of one element; 0 for a dtype that the format lacks. */
static unsigned
dtype_size(const char *dtype)
{
    static const struct
    {
        const char *name;
        unsigned    size;
    }           sizes[] = {
        {"F64", 8}, {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4}, {"U32", 4}, {"F16", 2}, {"BF16", 2},
        {"I16", 2}, {"U16", 2}, {"I8", 1}, {"U8", 1}, {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1},
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (strcmp(dtype, sizes[i].name) == 0)
            return sizes[i].size;
    return 0;
}

/* The two data_offsets of a tensor; false if they are not such a pair. */
static bool
tensor_range(const json_t *tensor, uint64_t *begin, uint64_t *end)
{
    const json_t *offsets = json_object_get(tensor, "data_offsets");
    const json_t *first = json_array_get(offsets, 0);
    const json_t *second = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second) ||
        json_integer_value(first) < 0 || json_integer_value(second) < json_integer_value(first))
        return false;
    *begin = (uint64_t) json_integer_value(first);
    *end = (uint64_t) json_integer_value(second);
    return true;
}

/* Bytes that a tensor's shape and dtype ask for; UINT64_MAX if these are unknown or absurd. */
static uint64_t
tensor_bytes(const json_t *tensor)
{
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    const json_t *shape = json_object_get(tensor, "shape");
    uint64_t    bytes = dtype ? dtype_size(dtype) : 0;

    if (bytes == 0 || !json_is_array(shape))
        return UINT64_MAX;
    for (size_t i = 0; i < json_array_size(shape); i++)
    {
        const json_t *dim = json_array_get(shape, i);

        if (!json_is_integer(dim) || json_integer_value(dim) < 0 ||
            __builtin_mul_overflow(bytes, (uint64_t) json_integer_value(dim), &bytes))
            return UINT64_MAX;
    }
    return bytes;
}

typedef struct range
{
    uint64_t    begin,
                end;
    const char *name;
} range;

static int
compare_ranges(const void *a, const void *b)
{
    const range *x = a,
               *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static bool
check_overlaps(safetensors *st, range *ranges, size_t count)
{
    qsort(ranges, count, sizeof(range), compare_ranges);
    for (size_t i = 1; i < count; i++)
        if (ranges[i].begin < ranges[i - 1].end)
            return fail(st, "tensors \"%s\" and \"%s\" overlap", ranges[i - 1].name, ranges[i].name);
    return true;
}

static bool
check_tensors(safetensors *st)
{
    range      *ranges = calloc(json_object_size(st->header) + 1, sizeof(range));
    size_t      count = 0;
    const char *name;
    json_t     *tensor;
    bool        ok = true;

    if (!ranges)
        return fail(st, "out of memory");
    json_object_foreach(st->header, name, tensor)
    {
        range      *r = &ranges[count];

        if (strcmp(name, "__metadata__") == 0)
            continue;
        r->name = name;
        if (!tensor_range(tensor, &r->begin, &r->end))
            ok = fail(st, "tensor \"%s\" has no valid data_offsets", name);
        else if (r->end > st->data_size)
            ok = fail(st, "tensor \"%s\" ends at byte %llu of the data, which has only %llu", name,
                      (unsigned long long) r->end, (unsigned long long) st->data_size);
        else if (tensor_bytes(tensor) != r->end - r->begin)
            ok = fail(st, "tensor \"%s\" has %llu bytes, but its shape and dtype say otherwise", name,
                      (unsigned long long) (r->end - r->begin));
        if (!ok)
            break;
        count++;
    }
    ok = ok && check_overlaps(st, ranges, count);
    free(ranges);
    return ok;
}

bool
safetensors_open(safetensors *st, const unsigned char *file, uint64_t size)
{
    uint64_t    header_size;
    json_error_t error;

    memset(st, 0, sizeof(*st));
    if (size < 8)
        return fail(st, "the file is too short for a safetensors header");
    header_size = read_le(file, 8);
    if (header_size > size - 8 || header_size > MAX_HEADER)
        return fail(st, "the header's length is %llu bytes, but the file has %llu", (unsigned long long) header_size,
                    (unsigned long long) size);
    st->data = file + 8 + header_size;
    st->data_size = size - 8 - header_size;
    st->header = json_loadb((const char *) file + 8, (size_t) header_size, JSON_REJECT_DUPLICATES, &error);
    if (!st->header || !json_is_object(st->header))
        return fail(st, "the header is not a JSON object: %s", st->header ? "another type" : error.text);
    return check_tensors(st);
}

void
safetensors_close(safetensors *st)
{
    json_decref(st->header);
    st->header = NULL;
}

static float
float_from_bits(uint32_t bits)
{
    float       value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* IEEE 754 half precision, widened exactly. */
static float
float_from_half(uint32_t half)
{
    uint32_t    sign = (half & 0x8000) << 16;
    uint32_t    exponent = half >> 10 & 0x1f;
    uint32_t    fraction = half & 0x3ff;

    if (exponent == 0)
    {
        float       value = ldexpf((float) fraction, -24);

        return sign ? -value : value;
    }
    if (exponent == 0x1f)
        return float_from_bits(sign | 0x7f800000 | fraction << 13);
    return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static bool
has_shape(const json_t *tensor, size_t rows, size_t columns)
{
    const json_t *shape = json_object_get(tensor, "shape");

    return json_array_size(shape) == (columns ? 2 : 1) &&
        (size_t) json_integer_value(json_array_get(shape, 0)) == rows &&
        (columns == 0 || (size_t) json_integer_value(json_array_get(shape, 1)) == columns);
}

static void
describe_shape(const json_t *tensor, char *text, size_t size)
{
    char       *dump = json_dumps(json_object_get(tensor, "shape"), JSON_COMPACT);

    snprintf(text, size, "%s", dump ? dump : "unknown");
    free(dump);
}

/* One element of the dtypes that hold weights. */
static float
element(const unsigned char *p, const char *dtype)
{
    if (strcmp(dtype, "F32") == 0)
        return float_from_bits((uint32_t) read_le(p, 4));
    if (strcmp(dtype, "F16") == 0)
        return float_from_half((uint32_t) read_le(p, 2));
    return float_from_bits((uint32_t) read_le(p, 2) << 16); /* BF16 */
}

bool
safetensors_read(safetensors *st, const char *name, size_t rows, size_t columns, float *values)
{
    const json_t *tensor = json_object_get(st->header, name);
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    size_t      count = rows * (columns ? columns : 1);
    unsigned    size;
    uint64_t    begin,
                end;

    if (!tensor)
        return fail(st, "tensor \"%s\" is missing", name);
    if (!has_shape(tensor, rows, columns))
    {
        char        shape[100];

        describe_shape(tensor, shape, sizeof(shape));
        return fail(st, columns ? "tensor \"%s\" has shape %s, not [%zu,%zu] as config.json says" :
                    "tensor \"%s\" has shape %s, not [%zu] as config.json says", name, shape, rows, columns);
    }
    if (strcmp(dtype, "F32") != 0 && strcmp(dtype, "F16") != 0 && strcmp(dtype, "BF16") != 0)
        return fail(st, "tensor \"%s\" has dtype %s; only F32, F16 and BF16 are read", name, dtype);
    if (!values)
        return true;
    size = dtype_size(dtype);
    tensor_range(tensor, &begin, &end);
    for (size_t i = 0; i < count; i++)
    {
        values[i] = element(st->data + begin + i * size, dtype);
        if (!isfinite(values[i]))
            return fail(st, "tensor \"%s\" has a value that is not finite at index %zu", name, i);
    }
    return true;
}
