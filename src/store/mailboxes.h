/*
 * store/mailboxes.h - reading the rows of mailboxes, for the files of this room.
 */
#ifndef IMAPFS_STORE_MAILBOXES_H
#define IMAPFS_STORE_MAILBOXES_H

#include <sqlite3.h>

#include "store/store.h"

/* The row a statement with all columns of a mailbox stands on; mailbox_row_finish() frees it. */
void mailbox_row_read(sqlite3_stmt *statement, struct mailbox_row *ret);

#endif
