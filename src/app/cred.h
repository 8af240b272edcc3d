/*
 * app/cred.h - where the password comes from, and the one place that keeps it.
 *
 * Sources in this order: $CREDENTIALS_DIRECTORY/imapfs-password (systemd), password_command, a
 * netrc file, the terminal. Never argv, the environment, a URL or fstab. The text lives in memory
 * that is locked, not dumped and wiped in children. cred_create and cred_prompt: main thread;
 * cred_secret: any thread (it may run the command, up to 30 s).
 */
#ifndef IMAPFS_APP_CRED_H
#define IMAPFS_APP_CRED_H

#include "app/settings.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "imap/session.h"

struct cred;

/* Looks which source there is, without using it. `settings` is borrowed for the cred's life. LOCAL
 * EINVAL/EACCES with a sentence. */
int cred_create(struct cred **ret, const struct settings *settings, struct err *why) MUST_USE;
void cred_destroy(struct cred **cred);

/* Asks on the terminal if that is the source; else does nothing. AUTH EACCES: there is no source at
 * all, or the person gave up. */
int cred_prompt(struct cred *cred, struct err *why) MUST_USE;

/* For struct account (arg is the cred): a copy of the password, fetched from its source on the
 * first call and after cred_refused. */
int cred_secret(void *arg, struct secret *ret, struct err *why) MUST_USE;
/* The server refused it: the next call asks its source anew (not the terminal). */
void cred_refused(void *arg);

#endif
