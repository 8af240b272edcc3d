/*
 * model/ids.h - numbers that must not be mixed up, each a type of its own.
 */
#ifndef IMAPFS_MODEL_IDS_H
#define IMAPFS_MODEL_IDS_H

#include <stdbool.h>
#include <stdint.h>

struct imap_uid {
    uint32_t value;
}; /* the server's number of a message in one mailbox; never 0 (RFC 9051 2.3.1.1) */
struct mailbox_id {
    int64_t value;
}; /* our row of a mailbox, > 0, never reused; 0 is the root of the tree */
struct message_id {
    int64_t value;
}; /* our row of a message, > 0, never reused */
struct inode_no {
    uint64_t value;
}; /* what the kernel calls a file */

/*
 * An inode number is a row id and two bits that say which table: stable over remounts, never
 * reused. 1 is the root (FUSE_ROOT_ID); the files the mount itself serves (.imapfs and below) are
 * special_node values.
 */
enum inode_kind { INODE_MESSAGE = 0, INODE_SPECIAL = 1, INODE_MAILBOX = 2, INODE_UID_DIR = 3 };
enum special_node {
    SPECIAL_ROOT = 0,
    SPECIAL_DIR = 1,
    SPECIAL_STATUS = 2,
    SPECIAL_STATUS_JSON = 3,
    SPECIAL_ERRORS = 4
};

static inline struct inode_no inode_make(enum inode_kind kind, int64_t row)
{
    return (struct inode_no){((uint64_t)row << 2) | (uint64_t)kind};
}
static inline enum inode_kind inode_kind(struct inode_no ino)
{
    return (enum inode_kind)(ino.value & 3);
}
static inline int64_t inode_row(struct inode_no ino)
{
    return (int64_t)(ino.value >> 2);
}
#define INODE_ROOT ((struct inode_no){1})

#endif
