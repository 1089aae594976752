/*
 * distilsst-pack - turn a Hugging Face folder of a sequence classifier into a packed file.
 *
 *   distilsst-pack DIR OUT [--precision fp32|int8] [--name BASE] [--compare]
 *
 * DIR is a folder that transformers' save_pretrained wrote: see docs/models.md. All shapes come from config.json. The model's
 * full name is BASE-XXXXXXXX, with the first digits of its fingerprint. OUT is the file, or a folder in which the file gets
 * that name.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "compare.h"
#include "die.h"
#include "output.h"
#include "source.h"

#define MAX_BASE (SST_NAME_SIZE - SST_NAME_DIGITS - 2)  /* "-" and NUL */

void
die(const char *format,...)
{
    va_list     args;

    fputs("distilsst-pack: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void
usage(FILE *to)
{
    fputs("usage: distilsst-pack DIR OUT [--precision fp32|int8] [--name BASE] [--compare]\n"
          "\n"
          "Packs the Hugging Face folder DIR (config.json, model.safetensors, tokenizer.json or vocab.txt) of a\n"
          "DistilBert- or BertForSequenceClassification for distilsst. The model's name is BASE-XXXXXXXX, with the\n"
          "first digits of its fingerprint. OUT is a folder, in which the file gets that name, or the file.\n"
          "A file that exists is never replaced.\n"
          "\n"
          "  --precision P      fp32 (default), or int8 for the transformer and the word embeddings\n"
          "  --name BASE        of letters, digits, \".\", \"_\" and \"-\" (default: the last part of\n"
          "                     _name_or_path in config.json, or the folder's name)\n"
          "  --compare          say what size, speed and labels it would have in the other precision\n", to);
}

/* ---- options --------------------------------------------------------------------------------- */

static sst_precision
precision_named(const char *name)
{
    for (int precision = SST_FP32; precision <= SST_INT8; precision++)
        if (strcmp(name, sst_precision_name((sst_precision) precision)) == 0)
            return (sst_precision) precision;
    die("--precision is fp32 or int8, not \"%s\"", name);
}

static const char *
valid_base(const char *name)
{
    if (!sst_name_is_valid(name, strlen(name)))
        die("--name has 1 to %d letters, digits, \".\", \"_\" and \"-\", of ASCII, and begins with a letter or digit", MAX_BASE);
    return name;
}

/* ---- the name -------------------------------------------------------------------------------- */

/* Make a base name from the last part of a path; false if nothing in it can be one. */
static bool
base_of_path(const char *path, char base[MAX_BASE + 1])
{
    size_t      end = strlen(path),
                start,
                len;

    while (end > 0 && path[end - 1] == '/')
        end--;
    for (start = end; start > 0 && path[start - 1] != '/'; start--)
        ;
    while (start < end && !sst_name_is_valid(path + start, 1))
        start++;
    len = end - start < MAX_BASE ? end - start : MAX_BASE;
    for (size_t i = 0; i < len; i++)
    {
        base[i] = path[start + i];
        if (!sst_name_is_valid(base, i + 1))
            base[i] = '-';
    }
    base[len] = '\0';
    return len > 0;
}

/* The model's full name. */
static void
make_name(const source *src, const char *base, char name[SST_NAME_SIZE])
{
    char        found[MAX_BASE + 1];
    char       *folder = realpath(src->dir, NULL);

    if (!base)
        base = base_of_path(src->config.name_or_path, found) || base_of_path(folder ? folder : "", found) ? found : "model";
    snprintf(name, SST_NAME_SIZE, "%s-%.*s", base, SST_NAME_DIGITS, src->fingerprint);
    free(folder);
}

/* ---- main ------------------------------------------------------------------------------------ */

static void
pack(source *src, const char *out, const char *base, bool compare)
{
    char        name[SST_NAME_SIZE];
    char       *path;
    sst_packed_header *header;
    bool        written;

    source_read(src);
    make_name(src, base, name);
    path = output_path(out, name);
    header = build_packed(src, name);
    written = output_write(path, header, header->file_size);
    printf("%s: %s, %s, %.1f MB, fingerprint %s%s\n", path, name, sst_precision_name(header->shape.precision),
           header->file_size / 1e6, header->fingerprint, written ? "" : ", already there");
    if (compare)
        compare_precisions(src, header, stdout);
    free(header);
    free(path);
    source_free(src);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"precision", required_argument, NULL, 'p'},
        {"name", required_argument, NULL, 'n'},
        {"compare", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static source src;
    const char *base = NULL;
    bool        compare = false;
    int         option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option)
        {
            case 'p':
                src.config.shape.precision = precision_named(optarg);
                break;
            case 'n':
                base = valid_base(optarg);
                break;
            case 'c':
                compare = true;
                break;
            default:
                usage(option == 'h' ? stdout : stderr);
                return option == 'h' ? 0 : 2;
        }
    if (argc - optind != 2)
    {
        usage(stderr);
        return 2;
    }
    src.dir = argv[optind];
    pack(&src, argv[optind + 1], base, compare);
    return 0;
}
