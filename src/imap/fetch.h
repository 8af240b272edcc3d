/*
 * imap/fetch.h - many UID FETCH commands on the way at once, and the parts of a FETCH answer.
 *
 * What session_fetch_rows and session_fetch_bodies have in common. Same thread rules as session.h.
 */
#ifndef IMAPFS_IMAP_FETCH_H
#define IMAPFS_IMAP_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "imap/session_core.h"

/* Cuts a set into sets for one command each. */
struct uid_cursor {
    const struct uidset *uids;
    size_t range;
    uint32_t next;   /* the first UID not yet taken of that range; 0: its start */
    uint32_t block;  /* UIDs for one command */
    size_t text_max; /* bytes of set text for one command */
};

/* The next block, added to the empty set `ret`; false when none is left. */
bool uid_cursor_take(struct uid_cursor *cursor, struct uidset *ret);

struct fetch_plan {
    struct uid_cursor cursor;
    const char *items;    /* "(UID FLAGS)" */
    const char *modifier; /* "(CHANGEDSINCE 7)" or NULL */
    const char *what;     /* "list the messages": for sentences */
};

/*
 * Sends all commands of the plan, at most FLIGHTS_MAX at once, and hears their answers. A command
 * that was refused ends the sending, those on the way are heard to their end, and the first error
 * is returned.
 */
int fetch_run(struct session *session, struct fetch_plan *plan, const struct listener *listener,
    struct err *why) MUST_USE;

/* The parts of "N FETCH (name value ...)". Any order, each at most once: of an item named twice the
 * first counts. */
struct fetch_items {
    bool sound;   /* it is a FETCH answer with a readable list */
    uint32_t uid; /* 0: none, or more than one */
    size_t flags; /* index of the value in the tokens, 0: not there */
    size_t date;
    size_t size;
    size_t header;
    size_t modseq;
    size_t body;
};
void fetch_items_read(const struct response *response, struct fetch_items *ret);

/* What a FETCH answer tells the mailbox's counters. */
void fetch_hear_modseq(
    struct session *session, const struct response *response, const struct fetch_items *items);

#endif
