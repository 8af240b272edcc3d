/*
 * tiny_mount.c: the smallest thing that mounts, so that the harness's own mounting can be tested
 * without imapfs. Usage: as imapfs: tiny_mount -f [-o x]... SOURCE MOUNTPOINT. SOURCE "fail" ends
 * at once.
 */
#include <errno.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int tiny_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    (void)fi;
    if (strcmp(path, "/") != 0) {
        return -ENOENT;
    }
    st->st_mode = S_IFDIR | 0700;
    st->st_nlink = 2;
    return 0;
}

static const struct fuse_operations operations = {.getattr = tiny_getattr};

int main(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[argc - 2], "fail") == 0) {
        (void)fputs("tiny_mount: was told to fail\n", stderr);
        return 1;
    }
    char foreground[] = "-f";
    char *arguments[] = {argv[0], foreground, argv[argc - 1], NULL};
    return fuse_main(3, arguments, &operations, NULL);
}
