/*
 * all_kernels.h - one answer from all the kernels that this CPU has.
 */
#ifndef ALL_KERNELS_H
#define ALL_KERNELS_H

#include <stdlib.h>
#include <string.h>

#include "core/sst.h"

/*
 * Do all kernels say what plain C says of these texts (see sst_forward)? *status is what, and logits [texts][C] its answer,
 * bit for bit theirs, if that is SST_OK.
 */
static inline bool
all_kernels_agree(const sst_model *model, const int32_t *ids, const size_t *start, size_t texts, float *logits,
                  void *workspace, sst_status *status)
{
    size_t      size = texts * model->shape.labels * sizeof(float);
    float      *got = malloc(size);
    bool        same = true;

    *status = sst_forward(model, sst_kernels_get(SST_ISA_C), ids, start, texts, logits, workspace, NULL);
    for (int isa = SST_ISA_C + 1; isa <= SST_ISA_BEST; isa++)
        same = same && sst_forward(model, sst_kernels_get((sst_isa) isa), ids, start, texts, got, workspace, NULL) == *status
            && (*status != SST_OK || memcmp(logits, got, size) == 0);
    free(got);
    return same;
}

#endif
