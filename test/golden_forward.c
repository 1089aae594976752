/*
 * golden_forward.c - the forward pass against golden logits, with every kernel table that this CPU has.
 *
 *   golden_forward MODEL.dsst GOLDEN.jsonl [BOUND]
 *
 * For each row {"text"?, "ids", "logits"?}: the tokenizer returns the ids; the logits are within BOUND of float64's, and have the
 * same bits with every table, alone and in a batch of all rows. So do those of the packed self-test vectors. With a large model
 * the tables below the best do only the shortest rows alone, and plain C those alone that it does at all. Prints TAP, and a
 * checksum over the logits of all rows.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/kernels/kernels.h"
#include "map_model.h"
#include "support/tap.h"

/* Multiplications: a few seconds each. */
#define C_BUDGET 3e9
#define ALONE_BUDGET 3e10

typedef struct row
{
    char       *text;           /* NULL: ids only */
    int32_t    *ids;
    size_t      count;
    double     *logits;         /* [C], or NULL */
} row;

static sst_model model;
static row *rows;
static size_t row_count;
static void *workspace;

static void
add_row(const char *line)
{
    json_t     *json = json_loads(line, 0, NULL);
    json_t     *ids = json_object_get(json, "ids");
    json_t     *logits = json_object_get(json, "logits");
    const char *text = json_string_value(json_object_get(json, "text"));
    row        *r;

    rows = realloc(rows, (row_count + 1) * sizeof(row));
    r = &rows[row_count++];
    r->text = text ? strdup(text) : NULL;
    r->count = json_array_size(ids);
    r->ids = calloc(r->count, sizeof(int32_t));
    r->logits = logits ? calloc(model.shape.labels, sizeof(double)) : NULL;
    for (size_t i = 0; i < r->count; i++)
        r->ids[i] = (int32_t) json_integer_value(json_array_get(ids, i));
    for (size_t i = 0; i < json_array_size(logits); i++)
        r->logits[i] = json_number_value(json_array_get(logits, i));
    json_decref(json);
}

static void
read_rows(const char *path)
{
    FILE       *file = fopen(path, "r");
    char       *line = NULL;
    size_t      size = 0;

    if (!file)
    {
        perror(path);
        exit(2);
    }
    while (getline(&line, &size, file) > 0)
        add_row(line);
    free(line);
    fclose(file);
}

static int
compare_counts(const void *a, const void *b)
{
    const row  *x = a,
               *y = b;

    return (x->count > y->count) - (x->count < y->count);
}

/* How many of the shortest rows take so many multiplications. */
static size_t
rows_within(double budget)
{
    const sst_shape *s = &model.shape;
    double      each = (double) s->layers * s->hidden * (4.0 * s->hidden + 2.0 * s->ffn);
    double      work = 0;
    size_t      count = 0;

    while (count < row_count && (work += each * rows[count].count) < budget)
        count++;
    return count;
}

static void
test_tokenizer(void)
{
    int32_t    *ids = malloc(model.shape.positions * sizeof(int32_t));
    size_t      wrong = 0,
                texts = 0;

    for (size_t i = 0; i < row_count; i++)
    {
        bool        truncated;
        size_t      count;

        if (!rows[i].text)
            continue;
        texts++;
        count = sst_tokenize(&model.vocab, rows[i].text, strlen(rows[i].text), false, ids, model.shape.positions,
                             &truncated, NULL);
        wrong += count != rows[i].count || memcmp(ids, rows[i].ids, count * sizeof(int32_t)) != 0;
    }
    free(ids);
    if (texts > 0)
        ok(wrong == 0, "the tokenizer gives the rows' ids");
}

static void
test_selftest(const sst_kernels *kernels)
{
    int32_t    *ids = malloc(model.shape.positions * sizeof(int32_t));
    float       logits[SST_MAX_LABELS];
    size_t      wrong = 0;
    char        name[100];

    for (uint32_t i = 0; i < model.selftests; i++)
    {
        sst_selftest test = sst_model_selftest(&model, i);
        bool        truncated;
        const size_t start[2] = {0, sst_tokenize(&model.vocab, test.text, strlen(test.text), false, ids,
                                                 model.shape.positions, &truncated, NULL)};

        wrong += sst_forward(&model, kernels, ids, start, 1, logits, workspace, NULL) != SST_OK ||
            memcmp(logits, test.logits, model.shape.labels * sizeof(float)) != 0;
    }
    free(ids);
    snprintf(name, sizeof(name), "%s, %u packed self-test vectors: the same bits", kernels->name, model.selftests);
    ok(wrong == 0 && model.selftests > 0, name);
}

static float *
one_by_one(const sst_kernels *kernels, size_t count)
{
    float      *logits = calloc(count * model.shape.labels, sizeof(float));

    for (size_t i = 0; i < count; i++)
    {
        const size_t start[2] = {0, rows[i].count};

        if (sst_forward(&model, kernels, rows[i].ids, start, 1, logits + i * model.shape.labels, workspace, NULL))
            logits[i * model.shape.labels] = NAN;
    }
    return logits;
}

static float *
one_batch(const sst_kernels *kernels, size_t count)
{
    float      *logits = calloc(count * model.shape.labels, sizeof(float));
    size_t     *start = calloc(count + 1, sizeof(size_t));
    int32_t    *ids;

    for (size_t i = 0; i < count; i++)
        start[i + 1] = start[i] + rows[i].count;
    ids = malloc(start[count] * sizeof(int32_t));
    for (size_t i = 0; i < count; i++)
        memcpy(ids + start[i], rows[i].ids, rows[i].count * sizeof(int32_t));
    if (sst_forward(&model, kernels, ids, start, count, logits, workspace, NULL))
        logits[0] = NAN;
    free(ids);
    free(start);
    return logits;
}

static void
test_bound(const float *logits, double bound)
{
    double      worst = 0;
    char        name[100];

    for (size_t i = 0; i < row_count * model.shape.labels; i++)
    {
        double      difference = fabs(logits[i] - rows[i / model.shape.labels].logits[i % model.shape.labels]);

        if (!(difference <= worst))     /* NaN is the worst */
            worst = difference;
    }
    snprintf(name, sizeof(name), "%zu rows within %g of float64 (worst %.2g)", row_count, bound, worst);
    ok(worst <= bound, name);
}

static void
test_same(const float *expected, float *got, size_t count, const char *isa, const char *how)
{
    char        name[100];

    snprintf(name, sizeof(name), "%s, %zu rows %s: the same bits", isa, count, how);
    ok(memcmp(expected, got, count * model.shape.labels * sizeof(float)) == 0, name);
    free(got);
}

int
main(int argc, char **argv)
{
    float      *best;

    if (argc != 3 && argc != 4)
    {
        fputs("usage: golden_forward MODEL.dsst GOLDEN.jsonl [BOUND]\n", stderr);
        return 2;
    }
    map_model(argv[1], &model);
    workspace = aligned_alloc(64, (sst_workspace_size(&model) + 63) / 64 * 64);
    read_rows(argv[2]);
    qsort(rows, row_count, sizeof(row), compare_counts);
    best = one_by_one(sst_kernels_get(SST_ISA_BEST), row_count);
    test_tokenizer();
    if (argc == 4)
        test_bound(best, atof(argv[3]));
    for (int isa = SST_ISA_C; isa < SST_ISA_BEST; isa++)
    {
        const sst_kernels *kernels = sst_kernels_get((sst_isa) isa);
        const size_t alone = rows_within(isa == SST_ISA_C ? C_BUDGET : ALONE_BUDGET);
        const size_t together = isa == SST_ISA_C ? alone : row_count;

        if (kernels->isa != (sst_isa) isa)
            continue;           /* not on this CPU */
        test_same(best, one_by_one(kernels, alone), alone, kernels->name, "one by one");
        test_same(best, one_batch(kernels, together), together, kernels->name, "in one batch");
        test_selftest(kernels);
    }
    printf("# logits of %zu rows: %016" PRIx64 "\n", row_count,
           sst_hash64(best, row_count * model.shape.labels * sizeof(float)));
    printf("1..%d\n", tests);
    return failures != 0;
}
