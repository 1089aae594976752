/*
 * text.h - between PostgreSQL's texts, in the server's encoding, and the core's, in UTF-8.
 */
#ifndef SST_TEXT_H
#define SST_TEXT_H

#include "core/sst.h"

/* What the model reads of a text. */
typedef struct SstReading
{
    int         tokens;         /* [CLS] and [SEP] included */
    bool        truncated;      /* there is more than the model reads */
} SstReading;

/* The token ids of a text as the model reads it. ids has room for P. */
extern SstReading sst_text_tokenize(const sst_model *model, Datum text, int32_t *ids);

/* A place in a text, on the way through it. */
typedef struct SstPlace
{
    const char *bytes;          /* in the server's encoding */
    const char *end;
    size_t      utf8;           /* bytes before it, in UTF-8 */
    int         characters;     /* before it */
} SstPlace;

/* The beginning of a text that the model reads; palloc'd. */
typedef struct SstWords
{
    SstReading  reading;
    int32_t    *ids;            /* [tokens] */
    sst_span   *spans;          /* [tokens] of utf8: see sst_tokenize_spans */
    const char *utf8;
    SstPlace    place;          /* the text's beginning */
} SstWords;

extern SstWords sst_text_words(const sst_model *model, Datum text);

/* Move on to where this byte of the UTF-8 is. If it is inside a character, to that character's end. */
extern void sst_text_move(SstPlace *place, size_t utf8);

/*
 * All pieces of a text, part by part, without [CLS] and [SEP]. Memory does not grow with the text, unless it is stored
 * compressed. sst_pieces_next returns the next *count ids, which may be 0, or NULL at the end; they are good until the next
 * call.
 */
typedef struct SstPieces SstPieces;

extern SstPieces *sst_pieces_begin(const sst_model *model, Datum text);
extern const int32_t *sst_pieces_next(SstPieces *p, size_t *count);
extern void sst_pieces_end(SstPieces *p);

/* The bytes of a whole text in UTF-8, or unchanged in SQL_ASCII; palloc'd or part of the text. */
extern const char *sst_text_to_utf8(Datum text, size_t *len);

/* A text datum of a NUL-terminated UTF-8 string. */
extern Datum sst_text_from_utf8(const char *utf8);

#endif
