#include "fs/notify.h"

#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "fs/fs_inside.h"
#include "fs/parked.h"

enum { QUEUE_MAX = 4096, SETTLE_MS = 1000 };

enum news_kind { NEWS_ENTRY, NEWS_INODE };

/* One piece of news; kind, ino and name are what it is about: later news replaces earlier. */
struct news {
    enum news_kind kind;
    struct inode_no ino; /* the directory of an entry */
    struct inode_no child;
    bool gone;
    bool data;
    bool deferred;      /* until a request that keeps its directory locked was answered */
    int64_t useless_ms; /* from then on the kernel knows by itself */
    struct news *next;
    struct news *prev;
    const char *name; /* "" for an inode's */
    char name_copy[];
};

struct notify {
    /* const after create */
    struct fs *fs;
    struct lock lock;
    struct cond news_came;
    struct cond was_told;

    /* thread: fs_run's */
    pthread_t thread;
    bool started;

    /* guarded by lock */
    GHashTable *by_subject GUARDED_BY(lock); /* of struct news, which is its own key */
    struct news *first GUARDED_BY(lock);     /* the oldest */
    struct news *last GUARDED_BY(lock);
    size_t count GUARDED_BY(lock);
    struct news *telling GUARDED_BY(lock);   /* taken out of the queue, by whoever tells it */
    uint64_t releases GUARDED_BY(lock);      /* counts notify_dir_released */
    int64_t doubt_until_ms GUARDED_BY(lock); /* news of a size was lost */
    bool stopping GUARDED_BY(lock);
};

static guint news_hash(gconstpointer key)
{
    const struct news *news = key;
    guint hash = (guint)news->kind + (guint)(news->ino.value ^ (news->ino.value >> 32)) * 31U;
    return hash ^ g_str_hash(news->name);
}

static gboolean news_equal(gconstpointer a, gconstpointer b)
{
    const struct news *one = a;
    const struct news *two = b;
    return one->kind == two->kind && one->ino.value == two->ino.value &&
           strcmp(one->name, two->name) == 0;
}

static struct news *news_create(enum news_kind kind, struct inode_no ino, const char *name)
{
    size_t name_size = strlen(name) + 1;
    struct news *news = alloc_zeroed(1, sizeof *news + name_size);
    news->kind = kind;
    news->ino = ino;
    memcpy(news->name_copy, name, name_size);
    news->name = news->name_copy;
    news->useless_ms = deadline_in((int64_t)LIFETIME_S * 1000);
    return news;
}

static void append_locked(struct notify *notify, struct news *news) REQUIRES(notify->lock)
{
    lock_assert_held(&notify->lock);
    news->prev = notify->last;
    news->next = NULL;
    if (notify->last != NULL) {
        notify->last->next = news;
    } else {
        notify->first = news;
    }
    notify->last = news;
    notify->count++;
    (void)g_hash_table_add(notify->by_subject, news);
}

static void remove_locked(struct notify *notify, struct news *news) REQUIRES(notify->lock)
{
    lock_assert_held(&notify->lock);
    (void)g_hash_table_remove(notify->by_subject, news);
    if (news->prev != NULL) {
        news->prev->next = news->next;
    } else {
        notify->first = news->next;
    }
    if (news->next != NULL) {
        news->next->prev = news->prev;
    } else {
        notify->last = news->prev;
    }
    notify->count--;
}

static void drop_oldest_locked(struct notify *notify) REQUIRES(notify->lock)
{
    struct news *oldest = notify->first;
    if (oldest->kind == NEWS_INODE) {
        notify->doubt_until_ms = deadline_in((int64_t)LIFETIME_S * 1000);
    }
    remove_locked(notify, oldest);
    free(oldest);
}

/* Takes the news. */
static void queue(struct notify *notify, struct news *news)
{
    lock_take(&notify->lock);
    struct news *earlier = g_hash_table_lookup(notify->by_subject, news);
    if (earlier != NULL) {
        news->data = news->data || earlier->data;
        remove_locked(notify, earlier);
        free(earlier);
    }
    append_locked(notify, news);
    if (notify->count > QUEUE_MAX) {
        drop_oldest_locked(notify);
    }
    cond_wake_one(&notify->news_came);
    lock_release(&notify->lock);
}

void notify_entry(struct notify *notify, struct inode_no parent, const char *name,
    struct inode_no child, bool gone)
{
    struct news *news = news_create(NEWS_ENTRY, parent, name);
    news->child = child;
    news->gone = gone;
    queue(notify, news);
}

void notify_inode(struct notify *notify, struct inode_no ino, bool data)
{
    struct news *news = news_create(NEWS_INODE, ino, "");
    news->data = data;
    queue(notify, news);
}

void notify_dir_released(struct notify *notify)
{
    lock_take(&notify->lock);
    notify->releases++;
    for (struct news *news = notify->first; news != NULL; news = news->next) {
        news->deferred = false;
    }
    cond_wake_one(&notify->news_came);
    lock_release(&notify->lock);
}

/* The oldest news that can be told, taken out of the queue; drops what is useless. NULL: none. */
static struct news *pick_locked(struct notify *notify) REQUIRES(notify->lock)
{
    lock_assert_held(&notify->lock);
    struct news *news = notify->first;
    while (news != NULL) {
        struct news *next = news->next;
        if (deadline_left_ms(news->useless_ms) == 0) {
            remove_locked(notify, news);
            free(news);
        } else if (!news->deferred) {
            remove_locked(notify, news);
            return news;
        }
        news = next;
    }
    return NULL;
}

/*
 * Telling the kernel about a name takes its directory's lock. A lookup or readdir that is parked
 * there holds it, and every later one would queue up behind the news.
 */
static bool would_wait(const struct notify *notify, const struct news *news)
{
    return news->kind == NEWS_ENTRY && (parked_hold(notify->fs, news->ino) ||
                                           (news->gone && parked_hold(notify->fs, news->child)));
}

/* Failure means that the kernel knows nothing of it, or that the mount has ended. */
static int tell(const struct notify *notify, const struct news *news)
{
    struct fuse_session *session = notify->fs->session;
    lock_assert_none_held();
    if (news->kind == NEWS_INODE) {
        return fuse_lowlevel_notify_inval_inode(session, news->ino.value, news->data ? 0 : -1, 0);
    }
    size_t len = strlen(news->name);
    if (news->gone) {
        return fuse_lowlevel_notify_delete(
            session, news->ino.value, news->child.value, news->name, len);
    }
    return fuse_lowlevel_notify_inval_entry(session, news->ino.value, news->name, len);
}

static void begin_telling_locked(struct notify *notify, struct news *news) REQUIRES(notify->lock)
{
    lock_assert_held(&notify->lock);
    news->prev = NULL;
    news->next = notify->telling;
    if (notify->telling != NULL) {
        notify->telling->prev = news;
    }
    notify->telling = news;
}

static void end_telling_locked(struct notify *notify, struct news *news) REQUIRES(notify->lock)
{
    lock_assert_held(&notify->lock);
    if (news->prev != NULL) {
        news->prev->next = news->next;
    } else {
        notify->telling = news->next;
    }
    if (news->next != NULL) {
        news->next->prev = news->prev;
    }
    cond_wake_all(&notify->was_told);
}

static bool being_told_locked(const struct notify *notify, struct inode_no ino)
    REQUIRES(notify->lock)
{
    lock_assert_held(&notify->lock);
    const struct news *news = notify->telling;
    while (news != NULL && (news->kind != NEWS_INODE || news->ino.value != ino.value)) {
        news = news->next;
    }
    return news != NULL;
}

/* The news of the inode, taken out of the queue; NULL: there is none, and none was lost. */
static struct news *take_inode_news_locked(struct notify *notify, struct inode_no ino)
    REQUIRES(notify->lock)
{
    lock_assert_held(&notify->lock);
    const struct news about = {.kind = NEWS_INODE, .ino = ino, .name = ""};
    struct news *news = g_hash_table_lookup(notify->by_subject, &about);
    if (news != NULL) {
        remove_locked(notify, news);
        return news;
    }
    bool doubt = notify->doubt_until_ms != 0 && deadline_left_ms(notify->doubt_until_ms) > 0;
    return doubt ? news_create(NEWS_INODE, ino, "") : NULL;
}

bool notify_settle(struct notify *notify, struct inode_no ino, bool *ret_data)
{
    int64_t deadline_ms = deadline_in(SETTLE_MS);
    bool settled = true;
    *ret_data = false;
    lock_take(&notify->lock);
    while (settled && being_told_locked(notify, ino)) {
        settled = cond_wait(&notify->was_told, &notify->lock, deadline_ms);
    }
    struct news *news = settled ? take_inode_news_locked(notify, ino) : NULL;
    if (news != NULL) {
        *ret_data = news->data;
        news->data = false; /* of the bytes it could have to wait for a request */
        begin_telling_locked(notify, news);
        lock_release(&notify->lock);
        settled = tell(notify, news) == 0;
        lock_take(&notify->lock);
        end_telling_locked(notify, news);
        free(news);
    }
    lock_release(&notify->lock);
    return settled;
}

/* Puts news back that cannot be told now; nothing if later news says the same. Takes the news. */
static void defer_locked(struct notify *notify, struct news *news, uint64_t releases_before)
    REQUIRES(notify->lock)
{
    lock_assert_held(&notify->lock);
    if (g_hash_table_lookup(notify->by_subject, news) != NULL) {
        free(news);
        return;
    }
    news->deferred = notify->releases == releases_before;
    append_locked(notify, news);
}

static void *notify_main(void *arg)
{
    struct notify *notify = arg;
    fs_take_messages(notify->fs->log);
    lock_take(&notify->lock);
    while (!notify->stopping) {
        struct news *news = pick_locked(notify);
        if (news == NULL) {
            (void)cond_wait(&notify->news_came, &notify->lock, DEADLINE_NEVER);
            continue;
        }
        uint64_t releases = notify->releases;
        begin_telling_locked(notify, news);
        lock_release(&notify->lock);
        bool held = would_wait(notify, news);
        if (!held) {
            (void)tell(notify, news); /* what the kernel does not know it need not forget */
        }
        lock_take(&notify->lock);
        end_telling_locked(notify, news);
        if (held) {
            defer_locked(notify, news, releases);
        } else {
            free(news);
        }
    }
    lock_release(&notify->lock);
    return NULL;
}

struct notify *notify_create(struct fs *fs)
{
    struct notify *notify = alloc_zeroed(1, sizeof *notify);
    notify->fs = fs;
    lock_init(&notify->lock, RANK_NOTIFY, "notify");
    cond_init(&notify->news_came);
    cond_init(&notify->was_told);
    lock_take(&notify->lock);
    notify->by_subject = g_hash_table_new(news_hash, news_equal);
    lock_release(&notify->lock);
    return notify;
}

int notify_start(struct notify *notify)
{
    int rc = thread_start(&notify->thread, "notify", notify_main, notify);
    notify->started = rc == 0;
    return rc;
}

void notify_stop(struct notify *notify)
{
    lock_take(&notify->lock);
    notify->stopping = true;
    cond_wake_one(&notify->news_came);
    lock_release(&notify->lock);
    if (notify->started) {
        (void)pthread_join(notify->thread, NULL); /* it is ours and joined once */
        notify->started = false;
    }
}

void notify_destroy(struct notify **notify)
{
    struct notify *gone = *notify;
    if (gone == NULL) {
        return;
    }
    notify_stop(gone);
    lock_take(&gone->lock);
    while (gone->first != NULL) {
        struct news *news = gone->first;
        remove_locked(gone, news);
        free(news);
    }
    g_hash_table_destroy(gone->by_subject);
    lock_release(&gone->lock);
    cond_finish(&gone->was_told);
    cond_finish(&gone->news_came);
    lock_finish(&gone->lock);
    free(gone);
    *notify = NULL;
}
