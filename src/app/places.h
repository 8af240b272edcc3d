/*
 * app/places.h - where an account's files lie on this machine. Main thread; makes nothing.
 */
#ifndef IMAPFS_APP_PLACES_H
#define IMAPFS_APP_PLACES_H

#include "app/settings.h"
#include "base/cleanup.h"
#include "base/err.h"

struct places {
    char *state_dir;  /* <state_dir or $XDG_STATE_HOME/imapfs>/<account> */
    char *cache_dir;  /* <cache_dir or $XDG_CACHE_HOME/imapfs>/<account> */
    char *mountpoint; /* absolute */
};

/* LOCAL EINVAL: a directory lies below the mount point (the mount would wait for itself). */
int places_find(struct places *ret, const struct settings *settings, struct err *why) MUST_USE;
void places_finish(struct places *places);

#endif
