/*
 * replay.c: gives the saved inputs of a fuzz target to it once each, in a plain build without
 * libFuzzer. Usage: fuzz_x [FILE or FOLDER]...   The name of each input is printed before it is
 * tried, so that a crash names its input. The empty input is always tried first.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int replay_file(const char *path)
{
    printf("# %s\n", path);
    (void)fflush(
        stdout); /* only a crash needs the line at once; if it cannot be written, nobody reads */
    FILE *in = fopen(path, "rbe");
    if (!in) {
        printf("not ok - %s can be read: %s\n", path, strerror(errno));
        return -1;
    }
    uint8_t *data = NULL;
    size_t size = 0;
    size_t room = 0;
    for (;;) {
        if (size == room) {
            room = room ? room * 2 : 4096;
            uint8_t *more = realloc(data, room);
            if (!more) {
                abort();
            }
            data = more;
        }
        size_t got = fread(data + size, 1, room - size, in);
        if (got == 0) {
            break;
        }
        size += got;
    }
    int bad = ferror(in);
    (void)fclose(in); /* opened for reading: nothing can be lost */
    /* A block of exactly the input's size, so that reading one byte too far is noticed. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) {
        abort();
    }
    memcpy(exact, data, size);
    free(data);
    if (!bad) {
        (void)LLVMFuzzerTestOneInput(exact, size); /* its answer only steers libFuzzer's corpus */
    }
    free(exact);
    return bad ? -1 : 0;
}

static int is_seed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_path(const char *path, unsigned *passed, unsigned *failed)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return; /* no seeds yet */
    }
    if (!S_ISDIR(st.st_mode)) {
        *(replay_file(path) == 0 ? passed : failed) += 1;
        return;
    }
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_seed, alphasort);
    for (int i = 0; i < n; i++) {
        char file[PATH_MAX];
        int len = snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        if (len > 0 && (size_t)len < sizeof(file)) {
            *(replay_file(file) == 0 ? passed : failed) += 1;
        }
    }
    free(entries);
}

int main(int argc, char **argv)
{
    unsigned passed = 1;
    unsigned failed = 0;
    if (LLVMFuzzerInitialize) {
        (void)LLVMFuzzerInitialize(&argc, &argv); /* libFuzzer ignores its result as well */
    }
    puts("# the empty input");
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        replay_path(argv[i], &passed, &failed);
    }
    printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
