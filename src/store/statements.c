#include "store/statements.h"

#define MAILBOX_COLUMNS                                                                            \
    "id, parent, component, raw, delimiter, listed, selectable, no_inferiors, subscribed,"         \
    " special_use, uidvalidity, uidnext, highestmodseq, messages, unseen, complete"
#define MESSAGE_COLUMNS                                                                            \
    "m.id, m.mailbox, b.uidvalidity, m.uid, m.size, m.proven, m.internaldate, m.flags,"            \
    " m.base_name, m.rank"
#define MESSAGE_JOIN " FROM message m CROSS JOIN mailbox b ON b.id = m.mailbox"

/* What would change nothing is not written: a commit without a change does not wait for the disk.
 * INDEXED BY: a plan that reads a whole mailbox would show only when the mailbox is large. */
static const char *const sql[STATEMENT_COUNT] = {
    [SQL_FACT_GET] = "SELECT value FROM fact WHERE name = ?1",
    [SQL_TOTALS] = "SELECT messages, bytes FROM total",

    [SQL_MAILBOX_GET] = "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE id = ?1",
    [SQL_MAILBOX_CHILD] =
        "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE parent = ?1 AND component = ?2",
    [SQL_MAILBOX_CHILDREN] = "SELECT " MAILBOX_COLUMNS " FROM mailbox INDEXED BY mailbox_by_parent"
                             " WHERE parent = ?1 AND id > ?2 ORDER BY id",
    [SQL_MAILBOX_ALL] = "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE id > ?1 ORDER BY id",

    [SQL_MESSAGE_GET] = "SELECT " MESSAGE_COLUMNS MESSAGE_JOIN " WHERE m.id = ?1",
    [SQL_MESSAGE_DETAILS] =
        "SELECT " MESSAGE_COLUMNS ", m.date, m.subject, m.from_, m.message_id" MESSAGE_JOIN
        " WHERE m.id = ?1",
    [SQL_MESSAGE_BY_NAME] = "SELECT " MESSAGE_COLUMNS " FROM message m INDEXED BY message_by_name"
                            " CROSS JOIN mailbox b ON b.id = m.mailbox"
                            " WHERE m.mailbox = ?1 AND m.base_name = ?2 AND m.rank = ?3",
    [SQL_MESSAGE_BY_UID] =
        "SELECT " MESSAGE_COLUMNS " FROM message m INDEXED BY message_by_uid"
        " CROSS JOIN mailbox b ON b.id = m.mailbox WHERE m.mailbox = ?1 AND m.uid = ?2",
    [SQL_MESSAGE_PAGE] = "SELECT " MESSAGE_COLUMNS " FROM mailbox b CROSS JOIN message m INDEXED BY"
                         " message_by_mailbox ON m.mailbox = b.id"
                         " WHERE b.id = ?1 AND m.id > ?2 ORDER BY m.id LIMIT ?3",
    [SQL_MESSAGE_UIDS] =
        "SELECT uid FROM message INDEXED BY message_by_uid WHERE mailbox = ?1 ORDER BY uid",

    [SQL_BODY_OF_MESSAGE] =
        "SELECT b.raw, b.uidvalidity, m.uid, m.size, m.proven" MESSAGE_JOIN " WHERE m.id = ?1",
    [SQL_BODY_OF_UID] = "SELECT m.id, m.size, m.proven FROM mailbox b CROSS JOIN message m"
                        " INDEXED BY message_by_uid ON m.mailbox = b.id"
                        " WHERE b.id = ?1 AND b.uidvalidity = ?2 AND m.uid = ?3",

    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_FACT_SET] = "INSERT INTO fact(name, value) VALUES(?1, ?2)"
                     " ON CONFLICT(name) DO UPDATE SET value = excluded.value"
                     " WHERE value <> excluded.value",

    [SQL_MAILBOX_BY_RAW] = "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE raw = ?1",
    [SQL_MAILBOX_EVERY] = "SELECT id, parent, component, raw FROM mailbox ORDER BY id",
    [SQL_MAILBOX_INSERT] =
        "INSERT INTO mailbox(raw, parent, component, delimiter, listed, selectable, no_inferiors,"
        " subscribed, special_use) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    /* No component holds a '/': nobody is in the way of a row that waits for its place. */
    [SQL_MAILBOX_PARK] = "UPDATE mailbox SET parent = 0, component = '/' || id WHERE id = ?1",
    [SQL_MAILBOX_PLACE] = "UPDATE mailbox SET parent = ?2, component = ?3 WHERE id = ?1",
    [SQL_MAILBOX_ATTRIBUTES] =
        "UPDATE mailbox SET delimiter = ?2, listed = ?3, selectable = ?4, no_inferiors = ?5,"
        " subscribed = ?6, special_use = ?7 WHERE id = ?1",
    [SQL_MAILBOX_DELETE] = "DELETE FROM mailbox WHERE id = ?1",
    [SQL_MAILBOX_STATE] = "SELECT uidvalidity, complete, raw FROM mailbox WHERE id = ?1",
    [SQL_MAILBOX_RESET] =
        "UPDATE mailbox SET uidvalidity = ?2, uidnext = 0, highestmodseq = 0, messages = 0,"
        " unseen = 0, complete = 0, row_count = 0, byte_count = 0 WHERE id = ?1",
    [SQL_MAILBOX_COUNTERS] =
        "UPDATE mailbox SET uidnext = ?2, messages = ?3, unseen = ?4, highestmodseq = ?5,"
        " complete = 1 WHERE id = ?1"
        " AND (uidnext, messages, unseen, highestmodseq, complete) IS NOT (?2, ?3, ?4, ?5, 1)",
    [SQL_MAILBOX_COUNT] = "UPDATE mailbox SET row_count = row_count + ?2,"
                          " byte_count = byte_count + ?3 WHERE id = ?1",

    [SQL_MESSAGE_INSERT] =
        "INSERT INTO message(mailbox, uid, size, internaldate, flags, base_name, rank, date,"
        " subject, from_, message_id) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        " ON CONFLICT(mailbox, uid) DO NOTHING",
    [SQL_MESSAGE_LAST_OF_NAME] =
        "SELECT uid, rank FROM message INDEXED BY message_by_name"
        " WHERE mailbox = ?1 AND base_name = ?2 ORDER BY rank DESC LIMIT 1",
    [SQL_MESSAGE_EVERY_OF_NAME] = "SELECT id, rank FROM message INDEXED BY message_by_name"
                                  " WHERE mailbox = ?1 AND base_name = ?2 ORDER BY uid",
    [SQL_MESSAGE_RANK] = "UPDATE message SET rank = ?2 WHERE id = ?1",
    [SQL_MESSAGE_RANGE] =
        "SELECT id, uid, size, base_name, rank FROM message INDEXED BY message_by_uid"
        " WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
    [SQL_MESSAGE_DELETE] = "DELETE FROM message WHERE id = ?1",
    [SQL_MESSAGE_DELETE_ALL] = "DELETE FROM message WHERE mailbox = ?1",
    [SQL_MESSAGE_FLAGS] = "UPDATE message INDEXED BY message_by_uid SET flags = ?3"
                          " WHERE mailbox = ?1 AND uid = ?2 AND flags <> ?3",
    [SQL_MESSAGE_SIZE] = "SELECT mailbox, size FROM message WHERE id = ?1",
    /* Not if it was given another size since. */
    [SQL_MESSAGE_PROVE] =
        "UPDATE message SET proven = 1 WHERE id = ?1 AND size = ?2 AND NOT proven",
    [SQL_MESSAGE_RESIZE] = "UPDATE message SET proven = 1, size = ?2 WHERE id = ?1",
};

const char *statement_sql(enum statement which)
{
    return sql[which];
}
