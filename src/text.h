/*
 * text.h - between PostgreSQL's texts, in the server's encoding, and the core's, in UTF-8.
 */
#ifndef SST_TEXT_H
#define SST_TEXT_H

#include "core/sst.h"

/* How a text was read. */
typedef struct SstReading
{
    int         tokens;         /* [CLS] and [SEP] included */
    bool        truncated;      /* there was more than the model reads */
} SstReading;

/* The token ids of a text as the model reads it: ids has room for the model's positions. */
extern SstReading sst_text_tokenize(const sst_model *model, Datum text, int32_t *ids);

/* The bytes of a whole text in UTF-8, or as they are in SQL_ASCII; palloc'd or part of the text. */
extern const char *sst_text_to_utf8(Datum text, size_t *len);

/* A text datum of a NUL-terminated UTF-8 string. */
extern Datum sst_text_from_utf8(const char *utf8);

#endif
