/*
 * engine/sync_rows.h - messages on their way from the server into the index: collected in bounded
 * batches, each put down in one transaction.
 *
 * Thread: the worker that synchronises the mailbox. Waits for the server and this disk.
 */
#ifndef IMAPFS_ENGINE_SYNC_ROWS_H
#define IMAPFS_ENGINE_SYNC_ROWS_H

#include "engine/inside.h"

/* One synchronisation's view of its mailbox. */
struct sync {
    struct engine *engine;
    struct session *session;
    struct mailbox_row row;
    uint32_t validity;    /* what the index knows the UIDs under */
    bool passing;         /* made up, for a server that gives none */
    bool examined;        /* the mailbox is selected, and `status` is of that */
    bool changed;         /* something of the listing changed */
    struct uidset known;  /* the index */
    struct uidset server; /* what the server has */
};

/* Fetches the missing messages, newest first, and adds them. What cannot be had is noted. */
int sync_add_missing(struct sync *sync, struct uidset *missing, struct err *why) MUST_USE;
/* Compares the flags of the known messages with the server's (of those that changed after modseq
 * `since`, or of all with 0) and writes the differences. */
int sync_compare_flags(struct sync *sync, uint64_t since, struct err *why) MUST_USE;

#endif
