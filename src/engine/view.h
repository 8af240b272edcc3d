/* engine/view.h - what the files that look at the index share. Any thread; waits for this disk. */
#ifndef IMAPFS_ENGINE_VIEW_H
#define IMAPFS_ENGINE_VIEW_H

#include "engine/engine.h"

enum { MAILBOX_NAME_SIZE = 256 };

/* "a/b" of a mailbox as it is shown; "" for one that is gone. */
void view_path(struct engine *engine, struct mailbox_id mailbox, struct buf *ret);

#endif
