/*
 * map_model.c - a packed model for the programs that work without a server.
 */
#include "map_model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void
map_model(const char *path, sst_model *model)
{
    int         fd = open(path, O_RDONLY);
    struct stat st;
    void       *bytes = MAP_FAILED;
    sst_status  status;

    if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t) st.st_size <= SIZE_MAX)
        bytes = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
    {
        perror(path);
        exit(2);
    }
    close(fd);
#ifdef MADV_HUGEPAGE
    (void) madvise(bytes, (size_t) st.st_size, MADV_HUGEPAGE);
#endif
    status = sst_model_open(model, bytes, (size_t) st.st_size, NULL);
    if (status == SST_OK)
        status = sst_model_verify(model, NULL);
    if (status != SST_OK)
    {
        fprintf(stderr, "%s: %s\n", path, sst_status_text(status));
        exit(2);
    }
}
