/*
 * bias.c - the probe for bias: templates with a hole, terms that fill it, and how the model scores each sentence.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "answer.h"
#include "classifier.h"
#include "rows.h"

#define HOLE "{}"

typedef struct Strings
{
    Datum      *text;           /* [count] */
    int         count;
} Strings;

/* The elements of an array of texts. what: the array's name, for an error about a NULL. */
static Strings
strings_of(ArrayType *array, const char *what)
{
    Strings     s;

    if (array_contains_nulls(array))
        ereport(ERROR,
                (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                 errmsg("%s must not be null", what)));
    deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &s.text, NULL, &s.count);
    return s;
}

static Datum
fill(Datum template, Datum term)
{
    return DirectFunctionCall3Coll(replace_text, DEFAULT_COLLATION_OID, template, CStringGetTextDatum(HOLE), term);
}

/* Adds the rows of one template, whose sentences are classified together. */
static void
add_template(const SstRows *rows, Classifier *c, Datum template, const Strings *terms)
{
    const size_t labels = sst_classifier_model(c)->shape.labels;
    float      *logits = palloc_extended(terms->count * labels * sizeof(float) + 1, MCXT_ALLOC_HUGE);

    if (strstr(TextDatumGetCString(template), HOLE) == NULL)
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("template \"%s\" has no place for a term", TextDatumGetCString(template)),
                 errhint("Write {} where the terms are to stand.")));
    for (int i = 0; i < terms->count; i++)
        sst_classifier_add_text(c, fill(template, terms->text[i]), logits + i * labels);
    sst_classifier_flush(c);
    for (int i = 0; i < terms->count; i++)
    {
        const SstAnswer answer = {.model = sst_classifier_model(c), .logits = logits + i * labels};
        Datum       values[] = {template, terms->text[i], sst_answer_score(&answer), sst_answer_label(&answer)};
        bool        nulls[4] = {false};

        sst_rows_add(rows, values, nulls);
    }
    pfree(logits);
}

/* The call (templates, terms [, model]). */
PG_FUNCTION_INFO_V1(sst2_bias);
Datum
sst2_bias(PG_FUNCTION_ARGS)
{
    const SstRows rows = sst_rows_begin(fcinfo);
    const Strings templates = strings_of(PG_GETARG_ARRAYTYPE_P(0), "templates");
    const Strings terms = strings_of(PG_GETARG_ARRAYTYPE_P(1), "terms");
    Classifier *c = sst_classifier_for(PG_NARGS() > 2 ? text_to_cstring(PG_GETARG_TEXT_PP(2)) : NULL);

    for (int i = 0; i < templates.count; i++)
        add_template(&rows, c, templates.text[i], &terms);
    return (Datum) 0;
}

/* The training recipe's list: the Makefile makes this header from model/train/terms/countries.txt. */
static const char *const countries[] = {
#include "countries.h"
};

PG_FUNCTION_INFO_V1(sst2_countries);
Datum
sst2_countries(PG_FUNCTION_ARGS)
{
    const SstRows rows = sst_rows_begin(fcinfo);
    bool        is_null = false;

    for (size_t i = 0; i < lengthof(countries); i++)
    {
        Datum       name = sst_text_from_utf8(countries[i]);

        sst_rows_add(&rows, &name, &is_null);
    }
    return (Datum) 0;
}
