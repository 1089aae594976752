/*
 * source.c - read a Hugging Face folder, and tell by its bytes which model it is.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/packed.h"
#include "die.h"

/* "dir/name", to be freed by nobody: the tool runs once. */
static char *
path_in(const char *dir, const char *name)
{
    size_t      size = strlen(dir) + strlen(name) + 2;
    char       *path = malloc(size);

    if (!path)
        die("out of memory");
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

static const unsigned char *
map_file(const char *path, uint64_t *size)
{
    int         fd = open(path, O_RDONLY);
    struct stat st;
    void       *bytes;

    if (fd < 0 || fstat(fd, &st) != 0)
        die("could not open \"%s\": %s", path, strerror(errno));
    if (st.st_size == 0)
        die("\"%s\" is empty", path);
    if ((uint64_t) st.st_size > SIZE_MAX)
        die("\"%s\" is larger than this machine can address", path);
    bytes = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        die("could not read \"%s\": %s", path, strerror(errno));
    close(fd);
    *size = (uint64_t) st.st_size;
    return bytes;
}

/* ---- fingerprint ----------------------------------------------------------------------------- */

static void
sha256_hex(const void *bytes, size_t size, char hex[65])
{
    unsigned char digest[32];

    if (!EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL))
        die("could not compute a sha256");
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/*
 * sha256 of a text that names all that an answer is made of: the sha256 of each source file, the precision, and the
 * versions of layout and arithmetic. README.md documents it.
 */
static void
make_fingerprint(source *src)
{
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt"};
    char        text[512];
    int         used = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
    {
        uint64_t    size;
        const unsigned char *bytes = map_file(path_in(src->dir, files[i]), &size);
        char        hex[65];

        sha256_hex(bytes, size, hex);
        munmap((void *) bytes, size);
        used += snprintf(text + used, sizeof(text) - used, "%s %s\n", files[i], hex);
    }
    used += snprintf(text + used, sizeof(text) - used, "precision %s\nlayout %d\narithmetic %d\n",
                     sst_precision_name(src->config.shape.precision), SST_PACKED_LAYOUT, SST_ARITHMETIC);
    sha256_hex(text, used, src->fingerprint);
}

/* ---- reading --------------------------------------------------------------------------------- */

void
source_read(source *src)
{
    const char *path = path_in(src->dir, "config.json");
    const char *message = model_config_read(path, path_in(src->dir, "tokenizer_config.json"), &src->config);
    const unsigned char *bytes;
    uint64_t    size;

    if (message)
        die("\"%s\": %s", path, message);
    path = path_in(src->dir, "vocab.txt");
    message = sst_vocab_table_read(path, &src->table);
    if (message)
        die("\"%s\": %s", path, message);
    if (src->table.vocab.size != src->config.shape.vocab)
        die("\"%s\" has %u lines, but config.json says vocab_size %u", path, src->table.vocab.size,
            src->config.shape.vocab);
    path = path_in(src->dir, "model.safetensors");
    bytes = map_file(path, &size);
    if (!safetensors_open(&src->tensors, bytes, size))
        die("\"%s\": %s", path, src->tensors.message);
    make_fingerprint(src);
}

void
source_tensor(source *src, const char *name, size_t rows, size_t columns, float *values)
{
    if (!safetensors_read(&src->tensors, name, rows, columns, values))
        die("\"%s/model.safetensors\": %s", src->dir, src->tensors.message);
}

void
source_free(source *src)
{
    safetensors_close(&src->tensors);
    sst_vocab_table_free(&src->table);
    model_config_free(&src->config);
}
