#include "app/places.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

void places_finish(struct places *places)
{
    g_free(places->state_dir);
    g_free(places->cache_dir);
    g_free(places->mountpoint);
    memset(places, 0, sizeof *places);
}

/* The path with links followed as far as it exists: what a file made there would really lie in. */
static char *real_path(const char *path)
{
    CLEANUP(free) char *known = g_canonicalize_filename(path, NULL);
    CLEANUP(free) char *rest = g_strdup("");
    for (;;) {
        char *real = realpath(known, NULL);
        if (real != NULL) {
            char *whole = rest[0] != '\0' ? g_build_filename(real, rest, NULL) : g_strdup(real);
            free(real);
            return whole;
        }
        char *slash = strrchr(known, '/');
        if (slash == NULL || slash == known) {
            return g_canonicalize_filename(path, NULL);
        }
        char *longer =
            rest[0] != '\0' ? g_build_filename(slash + 1, rest, NULL) : g_strdup(slash + 1);
        g_free(rest);
        rest = longer;
        *slash = '\0';
    }
}

static int check_outside(
    const char *path, const char *mountpoint, const char *option, struct err *why)
{
    CLEANUP(free) char *real = real_path(path);
    CLEANUP(free) char *mount = real_path(mountpoint);
    size_t len = strlen(mount);
    if (strncmp(real, mount, len) == 0 &&
        (real[len] == '/' || real[len] == '\0' || strcmp(mount, "/") == 0)) {
        return err_set(why, ERR_LOCAL, EINVAL,
            "%s lies below the mount point; choose another directory with -o %s=DIRECTORY", path,
            option);
    }
    return 0;
}

int places_find(struct places *ret, const struct settings *settings, struct err *why)
{
    CLEANUP(free) char *account = source_directory(&settings->source);
    CLEANUP(free)
    char *state = settings->state_dir != NULL
                      ? g_canonicalize_filename(settings->state_dir, NULL)
                      : g_build_filename(g_get_user_state_dir(), "imapfs", NULL);
    CLEANUP(free)
    char *cache = settings->cache_dir != NULL
                      ? g_canonicalize_filename(settings->cache_dir, NULL)
                      : g_build_filename(g_get_user_cache_dir(), "imapfs", NULL);
    struct places places = {g_build_filename(state, account, NULL),
        g_build_filename(cache, account, NULL),
        g_canonicalize_filename(settings->mountpoint, NULL)};
    int result = check_outside(places.state_dir, places.mountpoint, "state_dir", why);
    if (result == 0) {
        result = check_outside(places.cache_dir, places.mountpoint, "cache_dir", why);
    }
    if (result < 0) {
        places_finish(&places);
        return result;
    }
    *ret = places;
    return 0;
}
