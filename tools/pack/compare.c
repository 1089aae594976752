/*
 * compare.c - what a model would be like in the other precision, by its self-test's texts.
 */
#include "compare.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "build.h"
#include "die.h"

#define TIMES 5

/* The label of a self-test's text. */
static uint32_t
label_of(const sst_model *model, uint32_t test)
{
    const float *logits = sst_model_selftest(model, test).logits;
    uint32_t    best = 0;

    for (uint32_t i = 1; i < model->shape.labels; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* CPU seconds that the whole self-test takes with this CPU's best kernels: the least of several runs. */
static double
measure(const sst_model *model)
{
    void       *workspace = aligned_alloc(64, (sst_workspace_size(model) + 63) / 64 * 64);
    int32_t    *ids = malloc(model->shape.positions * sizeof(int32_t));
    float      *logits = malloc(model->shape.labels * sizeof(float));
    clock_t     least = 0;

    if (!workspace || !ids || !logits)
        die("out of memory");
    for (int time = 0; time < TIMES; time++)
    {
        clock_t     begin = clock();

        for (uint32_t i = 0; i < model->selftests; i++)
        {
            const char *text = sst_model_selftest(model, i).text;
            bool        truncated;
            size_t      start[2] = {0};

            start[1] = sst_tokenize(&model->vocab, text, strlen(text), false, ids, model->shape.positions, &truncated, NULL);
            sst_forward(model, sst_kernels_get(SST_ISA_BEST), ids, start, 1, logits, workspace, NULL);
        }
        begin = clock() - begin;
        least = time == 0 || begin < least ? begin : least;
    }
    free(workspace);
    free(ids);
    free(logits);
    return (double) (least > 0 ? least : 1) / CLOCKS_PER_SEC;
}

void
compare_precisions(source *src, const sst_packed_header *packed, FILE *to)
{
    sst_packed_header *packed_other;
    sst_model   model,
                other;
    uint32_t    changed = 0;

    src->config.shape.precision = packed->shape.precision == SST_INT8 ? SST_FP32 : SST_INT8;
    packed_other = build_packed(src, packed->name);
    sst_packed_view(&model, packed, packed);
    sst_packed_view(&other, packed_other, packed_other);
    for (uint32_t i = 0; i < model.selftests; i++)
        changed += label_of(&model, i) != label_of(&other, i);
    fprintf(to, "In %s: %.1f MB instead of %.1f MB, %.1f times as fast here, another label for %u of its %u self-test texts "
            "(\"make accuracy\" counts on yours)\n", sst_precision_name(other.shape.precision), packed_other->file_size / 1e6,
            packed->file_size / 1e6, measure(&model) / measure(&other), changed, model.selftests);
    free(packed_other);
}
