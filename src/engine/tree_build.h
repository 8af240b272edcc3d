/*
 * engine/tree_build.h - from the lines of a LIST to the tree of mailboxes.
 *
 * The same lines in any order give the same tree. Pure but for memory; one owner, no locks.
 */
#ifndef IMAPFS_ENGINE_TREE_BUILD_H
#define IMAPFS_ENGINE_TREE_BUILD_H

#include <stddef.h>

#include "base/cleanup.h"
#include "imap/session.h"
#include "store/store.h"

enum { TREE_NODES_MAX = 200000 };

struct tree_build;

struct tree_build *tree_build_create(void) MUST_USE;
void tree_build_destroy(struct tree_build **build);
/* Copies the line. */
void tree_build_add(struct tree_build *build, const struct listed_mailbox *mailbox);
/*
 * The nodes, parents before children, borrowed until the builder is destroyed. A parent that no
 * line names is implied by its child's name. INBOX as first level is one node whatever its case. Of
 * siblings that would show the same component (their names differ in the delimiter) the first by
 * raw bytes shows it plainly, the others with "%=" and 24 hex digits of SHA-256 over the raw name,
 * which no level's component can have. *ret_left_out: how many lines were too many.
 */
void tree_build_nodes(struct tree_build *build, const struct tree_node **ret_nodes,
    size_t *ret_count, size_t *ret_left_out);

#endif
