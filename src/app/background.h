/*
 * app/background.h - going to the background with a true exit status: the parent waits until the
 * child mounted or failed. Main thread, before any other.
 */
#ifndef IMAPFS_APP_BACKGROUND_H
#define IMAPFS_APP_BACKGROUND_H

#include "base/cleanup.h"
#include "base/err.h"

struct background {
    int report_fd; /* to the waiting parent; -1 in the foreground */
};

/* Forks; the parent never returns from here but exits with the status the child reports (1 if it
 * died without a word). LOCAL EAGAIN. */
int background_start(struct background *ret, struct err *why) MUST_USE;
/* The mount stands: leaves the terminal (a session of its own, "/", no standard streams) and lets
 * the parent exit with 0. */
void background_ready(struct background *background);
/* It failed: the parent exits with `status`. What is to be said was said on standard error. */
void background_failed(struct background *background, int status);

#endif
