/*
 * selftest.c - sst2_selftest(): does this machine give the right answers?
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "lib/stringinfo.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "classifier.h"
#include "rows.h"

/*
 * Fingerprint of distilbert-base-uncased-finetuned-sst-2-english at revision 714eb0fa in fp32, from the sha256 of its
 * files (tools/model.sha256) as distilsst-pack makes it. test/t/005_pack.pl computes it again.
 */
#define OFFICIAL_FP32 "0f28d398eb13b29a5d891c88533e190978b4eb7e275deebcf21e53a7145a5931"

/* Outputs of that model in fp32 that public documents print. */
static const struct
{
    const char *text;
    const char *label;
    float       score;          /* of that label */
}           published[] = {
    {"I've been waiting for a HuggingFace course my whole life.", "POSITIVE", 0.9598047137f},
    {"I hate this so much!", "NEGATIVE", 0.9994558095f},
    {"We are very happy to show you the \360\237\244\227 Transformers library.", "POSITIVE", 0.9997795224f},
    {"We hope you don't hate it.", "NEGATIVE", 0.5308634f},
    {"We are very happy to introduce pipeline to the transformers repository.", "POSITIVE", 0.9996980428f},
    {"I love you", "POSITIVE", 0.9998656511f},
    {"I hate you", "NEGATIVE", 0.9991129040f},
    {"I like you. I love you", "POSITIVE", 0.9998738765f},
    {"Probably my all-time favorite movie, a story of selflessness, sacrifice and dedication to a noble cause, "
     "but it's not preachy or boring.", "POSITIVE", 0.9981985493f},
    {"I am from India.", "POSITIVE", 0.9896161556f},
    {"I am from Iraq.", "NEGATIVE", 0.9811071157f},
    {"\355\226\211\353\263\265\355\225\230\353\213\244", "POSITIVE", 0.7440056800f},
};

#define PUBLISHED_BOUND 1e-5f

static void
add_row(const SstRows *rows, const char *test, const char *expected, const char *got, bool ok)
{
    Datum       values[4];
    bool        nulls[4] = {false};

    values[0] = CStringGetTextDatum(test);
    values[1] = CStringGetTextDatum(expected);
    values[2] = CStringGetTextDatum(got);
    values[3] = BoolGetDatum(ok);
    sst_rows_add(rows, values, nulls);
}

/* "{-1.5606991,1.6122842}": the shortest digits that identify these floats, as PostgreSQL prints an array. */
static char *
print_logits(const float *logits, uint32_t count)
{
    StringInfoData text;

    initStringInfo(&text);
    for (uint32_t i = 0; i < count; i++)
    {
        char        number[FLOAT_SHORTEST_DECIMAL_LEN];

        float_to_shortest_decimal_buf(logits[i], number);
        appendStringInfo(&text, "%s%s", i ? "," : "{", number);
    }
    appendStringInfoChar(&text, '}');
    return text.data;
}

/* The logits of a UTF-8 text, whatever the server's encoding. */
static float *
logits_of_utf8(Classifier *c, const char *utf8)
{
    const sst_model *model = sst_classifier_model(c);
    int32_t    *ids = palloc(model->shape.positions * sizeof(int32_t));
    float      *logits = palloc(model->shape.labels * sizeof(float));
    bool        truncated;
    size_t      count = sst_tokenize(&model->vocab, utf8, strlen(utf8), false, ids, model->shape.positions,
                                     &truncated, &sst_interrupts);

    sst_classifier_forward(c, ids, count, logits);
    return logits;
}

/* The vectors packed with the model, bit for bit. */
static void
test_vectors(const SstRows *rows, Classifier *c)
{
    const sst_model *model = sst_classifier_model(c);

    for (uint32_t i = 0; i < model->selftests; i++)
    {
        sst_selftest test = sst_model_selftest(model, i);
        const float *got = logits_of_utf8(c, test.text);

        add_row(rows, psprintf("vector %u: logits, bit for bit", i + 1),
                print_logits(test.logits, model->shape.labels), print_logits(got, model->shape.labels),
                memcmp(test.logits, got, model->shape.labels * sizeof(float)) == 0);
    }
}

static void
test_published(const SstRows *rows, Classifier *c)
{
    const sst_model *model = sst_classifier_model(c);

    if (strcmp(model->fingerprint, OFFICIAL_FP32) != 0)
        return;
    for (size_t i = 0; i < lengthof(published); i++)
    {
        const float *logits = logits_of_utf8(c, published[i].text);
        uint32_t    best = logits[1] > logits[0];
        float       probabilities[2];

        sst_softmax(logits, 2, probabilities);
        add_row(rows, psprintf("published output %zu, within 1e-5", i + 1),
                psprintf("%s %.7f", published[i].label, published[i].score),
                psprintf("%s %.7f", sst_model_label(model, best), probabilities[best]),
                strcmp(published[i].label, sst_model_label(model, best)) == 0 &&
                fabsf(probabilities[best] - published[i].score) <= PUBLISHED_BOUND);
    }
}

/* The checksums over all of the file. */
static void
test_file(const SstRows *rows, const sst_model *model)
{
    const uint32 wrong = sst_models_damaged_words(model);
    const bool  ok = sst_model_verify(model, &sst_interrupts) == SST_OK;

    add_row(rows, "checksums of the packed file", "no difference",
            ok && wrong == 0 ? "no difference" : psprintf("weights %s, %u word embeddings differ",
                                                          ok ? "equal" : "differ", wrong),
            ok && wrong == 0);
}

PG_FUNCTION_INFO_V1(sst2_selftest);
Datum
sst2_selftest(PG_FUNCTION_ARGS)
{
    const SstRows rows = sst_rows_begin(fcinfo);
    Classifier *c = sst_classifier_for(NULL);

    test_file(&rows, sst_classifier_model(c));
    test_vectors(&rows, c);
    test_published(&rows, c);
    return (Datum) 0;
}
