/*
 * safetensors.c - any bytes as a safetensors file: the header, and each tensor that it names.
 */
#include "safetensors.h"

#include <math.h>

#include "fuzz.h"

#define MAX_VALUES (1 << 20)

/* Read a tensor under the shape that the header gives it, and under another. */
static void
read_tensor(safetensors *st, const char *name, const json_t *tensor)
{
    const json_t *shape = json_object_get(tensor, "shape");
    json_int_t  rows = json_integer_value(json_array_get(shape, 0));
    json_int_t  columns = json_integer_value(json_array_get(shape, 1));
    size_t      count = (size_t) rows * (columns ? (size_t) columns : 1);
    float      *values;

    if (rows > MAX_VALUES || columns > MAX_VALUES || count > MAX_VALUES)
        return;
    values = malloc(count * sizeof(float) + 1);
    if (safetensors_read(st, name, (size_t) rows, (size_t) columns, values))
        for (size_t i = 0; i < count; i++)
            MUST(isfinite(values[i]));
    MUST(!safetensors_read(st, name, (size_t) rows + 1, (size_t) columns, values));
    free(values);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char       *file = exact_copy(data, size);
    safetensors st;
    const char *name;
    json_t     *tensor;

    if (safetensors_open(&st, (const unsigned char *) file, size))
    {
        json_object_foreach(st.header, name, tensor)
            if (strcmp(name, "__metadata__") != 0)
                read_tensor(&st, name, tensor);
        MUST(!safetensors_read(&st, "no such tensor", 1, 0, NULL));
    }
    else
        MUST(*st.message);
    safetensors_close(&st);
    free(file);
    return 0;
}
