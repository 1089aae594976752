/*
 * engine.c - the speed of the forward pass alone, on one core.
 *
 *   engine -m FILE.dsst -i IDS_FILE [-b BATCH] [-r REPEATS] [--isa NAME] [--logits]
 *
 * IDS_FILE has one sequence of token ids a line, or is "-" for standard input. Prints, for the median of REPEATS runs over the
 * whole file, ms/text, texts/s, tokens/s, GFLOP/s (int8: GOP/s) and per cent of this core's measured peak in the model's
 * precision, which is measured first. The work counted is that of the linear layers and the attention that an exact answer
 * needs, the last layer's for [CLS] rows only. With --logits measures nothing, and prints each text's logits.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "map_model.h"
#include "peak.h"

typedef struct texts
{
    int32_t    *ids;
    size_t     *start;          /* [count + 1] */
    size_t      count;
} texts;

static sst_model model;

static void
add_id(texts *t, int32_t id)
{
    size_t      used = t->start[t->count + 1];

    if ((used & (used - 1)) == 0)
        t->ids = realloc(t->ids, (used ? 2 * used : 1) * sizeof(int32_t));
    t->ids[used] = id;
    t->start[t->count + 1]++;
}

static texts
read_texts(const char *path)
{
    FILE       *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    texts       t = {.start = calloc(2, sizeof(size_t))};
    char       *line = NULL;
    size_t      size = 0;

    if (!file)
    {
        perror(path);
        exit(1);
    }
    while (getline(&line, &size, file) > 0)
    {
        char       *at = line,
                   *end;

        for (long id = strtol(at, &end, 10); end != at; id = strtol(at, &end, 10))
        {
            add_id(&t, (int32_t) id);
            at = end;
        }
        t.count++;
        t.start = realloc(t.start, (t.count + 2) * sizeof(size_t));
        t.start[t.count + 1] = t.start[t.count];
    }
    free(line);
    return t;
}

/* Multiplications of a text: twice of them are its floating-point operations. */
static double
work(const sst_shape *s, double tokens)
{
    double      d = s->hidden,
                f = s->ffn;
    double      full = tokens * (4 * d * d + 2 * d * f) + 2 * tokens * tokens * d;
    double      last = tokens * 2 * d * d + (2 * d * d + 2 * d * f) + 2 * tokens * d;

    return (s->layers - 1) * full + last + d * d + d * s->labels;
}

static double
total_work(const texts *t)
{
    double      sum = 0;

    for (size_t i = 0; i < t->count; i++)
        sum += work(&model.shape, (double) (t->start[i + 1] - t->start[i]));
    return sum;
}

static void
forward(const sst_kernels *kernels, const int32_t *ids, const size_t *start, size_t count, float *logits, void *workspace)
{
    sst_status  status = sst_forward(&model, kernels, ids, start, count, logits, workspace, NULL);

    if (status != SST_OK)
    {
        fprintf(stderr, "engine: %s\n", sst_status_text(status));
        exit(1);
    }
}

/* Seconds for all texts, batch of them at a time. */
static double
run(const texts *t, size_t batch, const sst_kernels *kernels, float *logits, void *workspace)
{
    double      begin = peak_clock();

    for (size_t i = 0; i < t->count; i += batch)
    {
        size_t      count = t->count - i < batch ? t->count - i : batch;

        forward(kernels, t->ids, t->start + i, count, logits, workspace);
    }
    return peak_clock() - begin;
}

static int
compare_doubles(const void *a, const void *b)
{
    double      x = *(const double *) a,
                y = *(const double *) b;

    return (x > y) - (x < y);
}

static void *
new_workspace(void)
{
    return aligned_alloc(64, (sst_workspace_size(&model) + 63) / 64 * 64);
}

static double
median_run(const texts *t, size_t batch, int repeats, const sst_kernels *kernels)
{
    float      *logits = calloc(batch * model.shape.labels, sizeof(float));
    void       *workspace = new_workspace();
    double     *seconds = calloc((size_t) repeats, sizeof(double));
    texts       first = *t;
    double      median;

    first.count = t->count < batch ? t->count : batch;
    run(&first, batch, kernels, logits, workspace); /* touch the memory */
    for (int i = 0; i < repeats; i++)
        seconds[i] = run(t, batch, kernels, logits, workspace);
    qsort(seconds, (size_t) repeats, sizeof(double), compare_doubles);
    median = seconds[repeats / 2];
    free(seconds);
    free(workspace);
    free(logits);
    return median;
}

static sst_isa
isa_named(const char *name)
{
    for (int isa = SST_ISA_C; isa < SST_ISA_BEST; isa++)
        if (strcmp(sst_kernels_name(sst_kernels_get((sst_isa) isa)), name) == 0)
            return (sst_isa) isa;
    fprintf(stderr, "engine: this CPU has no \"%s\"\n", name);
    exit(2);
}

/* A text a line: its logits [labels], as many digits as give back the same bits. */
static void
print_logits(const texts *t, const sst_kernels *kernels)
{
    float       logits[SST_MAX_LABELS];
    void       *workspace = new_workspace();

    for (size_t i = 0; i < t->count; i++)
    {
        forward(kernels, t->ids, t->start + i, 1, logits, workspace);
        for (uint32_t j = 0; j < model.shape.labels; j++)
            printf("%s%.9g", j > 0 ? " " : "", (double) logits[j]);
        printf("\n");
    }
    free(workspace);
}

/* Measures the core, then the texts. */
static void
report(const texts *t, size_t batch, int repeats, const sst_kernels *kernels)
{
    bool        int8 = model.shape.precision == SST_INT8;
    double      fma = peak_fp32(kernels->isa);
    double      peak = int8 ? peak_int8(kernels->isa) : fma;
    const char *unit = int8 ? "GOP/s" : "GFLOP/s";
    double      count = (double) t->count;
    double      seconds,
                rate;

    printf("isa %s, precision %s, peak %.1f %s", kernels->name, sst_precision_name(model.shape.precision), peak, unit);
    if (int8)
        printf(", fp32 peak %.1f GFLOP/s", fma);
    printf("\n");
    seconds = median_run(t, batch, repeats, kernels);
    rate = 2e-9 * total_work(t) / seconds;
    printf("%.3f ms/text, %.1f texts/s, %.0f tokens/s, %.1f %s", 1e3 * seconds / count, count / seconds,
           (double) t->start[t->count] / seconds, rate, unit);
    if (peak > 0)
        printf(", %.1f %% of peak", 100 * rate / peak);
    printf("\n");
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"isa", required_argument, NULL, 'a'}, {"logits", no_argument, NULL, 'l'}, {0}};
    const char *ids = NULL,
               *file = NULL;
    sst_isa     isa = SST_ISA_BEST;
    size_t      batch = 1;
    int         repeats = 5;
    bool        logits = false;
    int         option;
    texts       t;

    while ((option = getopt_long(argc, argv, "m:i:b:r:", options, NULL)) != -1)
        if (option == 'm')
            file = optarg;
        else if (option == 'i')
            ids = optarg;
        else if (option == 'b')
            batch = (size_t) atol(optarg);
        else if (option == 'r')
            repeats = atoi(optarg);
        else if (option == 'a')
            isa = isa_named(optarg);
        else if (option == 'l')
            logits = true;
        else
            return 2;
    if (!file || !ids || batch < 1 || repeats < 1)
    {
        fputs("usage: engine -m FILE.dsst -i IDS_FILE [-b BATCH] [-r REPEATS] [--isa NAME] [--logits]\n", stderr);
        return 2;
    }
    map_model(file, &model);
    t = read_texts(ids);
    if (logits)
        print_logits(&t, sst_kernels_get(isa));
    else
        report(&t, batch, repeats, sst_kernels_get(isa));
    return 0;
}
