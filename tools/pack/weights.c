/*
 * weights.c - the tensors of a Hugging Face folder.
 */
#include "weights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "die.h"
#include "json.h"

#define ONE_FILE "model.safetensors"
#define INDEX "model.safetensors.index.json"

char *
path_in(const char *dir, const char *name)
{
    size_t      size = strlen(dir) + strlen(name) + 2;
    char       *path = malloc(size);

    if (!path)
        die("out of memory");
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

const unsigned char *
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

static void
open_file(weights *w, const char *dir, const char *name)
{
    weights_file *file;
    const unsigned char *bytes;
    uint64_t    size;

    w->files = realloc(w->files, (w->count + 1) * sizeof(*w->files));
    if (!w->files)
        die("out of memory");
    file = &w->files[w->count++];
    file->path = path_in(dir, name);
    file->name = file->path + strlen(dir) + 1;
    bytes = map_file(file->path, &size);
    if (!safetensors_open(&file->tensors, bytes, size))
        die("\"%s\": %s", file->path, file->tensors.message);
}

static bool
is_open(const weights *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->files[i].name, name) == 0)
            return true;
    return false;
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(((const weights_file *) a)->name, ((const weights_file *) b)->name);
}

/* The index maps each tensor's name to its file. */
static void
open_files(weights *w, const char *dir, const char *index)
{
    const char *wrong = NULL;
    json_t     *json = json_read(index, &wrong);
    const char *tensor;
    json_t     *name;

    if (!json)
        die("%s", wrong);
    w->index = index;
    json_object_foreach(json_object_get(json, "weight_map"), tensor, name)
    {
        const char *file = json_string_value(name);

        if (!file || strchr(file, '/'))
            die("\"%s\": \"weight_map\" names no file of this folder for \"%s\"", index, tensor);
        if (!is_open(w, file))
            open_file(w, dir, file);
    }
    if (w->count == 0)
        die("\"%s\": \"weight_map\" is empty or no JSON object", index);
    qsort(w->files, w->count, sizeof(*w->files), compare_names);
    json_decref(json);
}

void
weights_open(weights *w, const char *dir)
{
    const char *one = path_in(dir, ONE_FILE);
    const char *index = path_in(dir, INDEX);

    if (json_is_absent(one) && !json_is_absent(index))
        open_files(w, dir, index);
    else
        open_file(w, dir, ONE_FILE);
}

/* The file that has the tensor, or the first one if none has. */
static weights_file *
file_of(weights *w, const char *tensor)
{
    weights_file *found = NULL;

    for (size_t i = 0; i < w->count; i++)
    {
        if (!json_object_get(w->files[i].tensors.header, tensor))
            continue;
        if (found)
            die("\"%s\" and \"%s\" both have the tensor \"%s\"", found->path, w->files[i].path, tensor);
        found = &w->files[i];
    }
    return found ? found : w->files;
}

void
weights_read(weights *w, const char *name, size_t rows, size_t columns, float *values)
{
    weights_file *file = file_of(w, name);

    if (!safetensors_read(&file->tensors, name, rows, columns, values))
        die("\"%s\": %s", file->path, file->tensors.message);
}

void
weights_close(weights *w)
{
    for (size_t i = 0; i < w->count; i++)
        safetensors_close(&w->files[i].tensors);
    free(w->files);
}
